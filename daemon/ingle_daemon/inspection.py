"""What `ingle doctor` wants to know of this side: configuration, model, llama.cpp, keyring, providers. JSON on stdout.

`python -m ingle_daemon.inspection FOLDER` looks at the same files as a daemon would, and works whether one runs or not.
It changes nothing, starts no daemon, and reads no key. A provider is asked for its public list of models where
questions may go to it, and nowhere else. It finds out; what of it is right or wrong is for the doctor to say.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from pathlib import Path

import msgspec

from ingle_daemon import __version__, config, paths
from ingle_daemon.backends import transport
from ingle_daemon.config import ProviderSettings, Settings
from ingle_daemon.engine.frames import Hello
from ingle_daemon.errors import ApiRefused, IngleError, NoModel, UsageError
from ingle_daemon.models import catalog, gguf, gpu
from ingle_daemon.models.binding import advice
from ingle_daemon.models.store import Store
from ingle_daemon.routing.consent import Consent
from ingle_daemon.routing.privacy import rule_files

__all__ = ["Report", "inspect"]

_PROVIDER_S = 3.0
_LLAMA_S = 60.0
"""To import llama.cpp from a cold disk."""


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """`problem` says what is wrong, with file and line; "" where nothing is. `models_problem`: of `models.toml`."""

    path: str
    exists: bool
    problem: str = ""
    models_problem: str = ""
    offline: bool = False
    engine_host: str = ""
    names_key: bool = False


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """The one that would be loaded. `problem`: why it cannot be. `in_catalog`: in the one that comes with ingle."""

    name: str = ""
    path: str = ""
    size_bytes: int = 0
    in_catalog: bool = False
    installed: int = 0
    problem: str = ""
    hint: str = ""


class Llama(msgspec.Struct, frozen=True, kw_only=True):
    """The binding, what llama.cpp was built for, and the devices that it computes on."""

    version: str = ""
    backends: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    flags: str = ""
    problem: str = ""


class _About(msgspec.Struct, frozen=True):
    """What `engine/about.py` prints."""

    hello: Hello
    flags: str


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    """One of NVIDIA's, as its driver describes it."""

    name: str
    total_bytes: int | None = None
    free_bytes: int | None = None


class Gpus(msgspec.Struct, frozen=True, kw_only=True):
    """`advice` is what to do so that a GPU is used; "" where it is, or where there is none."""

    found: tuple[Gpu, ...] = ()
    driver: str = ""
    advice: str = ""


class Keyring(msgspec.Struct, frozen=True, kw_only=True):
    backend: str
    usable: bool


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """An API of the configuration. `asked` only where questions may go there; `status` 0 where it did not answer."""

    host: str
    consent: bool
    asked: bool = False
    status: int = 0
    ms: float = 0.0
    problem: str = ""


class RuleFile(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    problem: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    version: str
    configuration: Configuration
    model: Model
    llama: Llama
    gpus: Gpus
    keyring: Keyring
    providers: tuple[Provider, ...]
    rule_files: tuple[RuleFile, ...]


async def inspect(folder: Path) -> Report:
    """Everything, for somebody who stands in `folder`."""
    configuration, settings = _configuration()
    (llama, gpus), keyring, providers = await asyncio.gather(
        _engine(),
        asyncio.to_thread(_keyring),
        asyncio.gather(*(_provider(settings, api) for api in _providers(settings))),
    )
    return Report(
        version=__version__,
        configuration=configuration,
        model=_model(settings),
        llama=llama,
        gpus=gpus,
        keyring=keyring,
        providers=tuple(providers),
        rule_files=tuple(RuleFile(path=str(path), problem=said) for path, said in rule_files(folder).items()),
    )


def _configuration() -> tuple[Configuration, Settings]:
    path = paths.config_file()
    try:
        settings = config.load()
    except UsageError as exc:
        return (
            Configuration(path=str(path), exists=True, problem=exc.message, models_problem=_models_problem()),
            Settings(),
        )
    return (
        Configuration(
            path=str(path),
            exists=path.exists(),
            models_problem=_models_problem(),
            offline=settings.offline,
            engine_host=transport.host_of(settings.engine.url) if settings.engine.url else "",
            names_key=any(api.key for api in _providers(settings)),
        ),
        settings,
    )


def _models_problem() -> str:
    try:
        catalog.load()
    except UsageError as exc:
        return exc.message
    return ""


def _model(settings: Settings) -> Model:
    wanted, store = settings.engine.model, Store(paths.models_dir())
    installed = len(store.installed())
    if os.sep in wanted or wanted.endswith(".gguf"):
        path = Path(wanted).expanduser()
        return _checked(Model(name=path.stem, path=str(path), installed=installed))
    try:
        found = store.find(wanted) if wanted else store.current()
    except NoModel as exc:
        return Model(name=wanted, installed=installed, problem=exc.message, hint=exc.hint)
    if found is None:
        return Model(installed=installed, problem="no model is installed", hint="ingle model pull")
    known = any(entry.name == found.name for entry in catalog.shipped().entries)
    return _checked(Model(name=found.name, path=str(found.path), in_catalog=known, installed=installed))


def _checked(model: Model) -> Model:
    """The same, with what its file says."""
    try:
        gguf.check(Path(model.path))
        size = Path(model.path).stat().st_size
    except (IngleError, OSError) as exc:
        hint = exc.hint if isinstance(exc, IngleError) else ""
        return msgspec.structs.replace(model, problem=str(getattr(exc, "message", exc)), hint=hint)
    return msgspec.structs.replace(model, size_bytes=size)


async def _engine() -> tuple[Llama, Gpus]:
    """llama.cpp, and the GPUs beside it."""
    about, reading = await asyncio.gather(_about(), asyncio.to_thread(gpu.read))
    found = tuple(Gpu(name=one.name, total_bytes=one.total_bytes, free_bytes=one.free_bytes) for one in reading.gpus)
    if isinstance(about, str):
        return Llama(problem=about), Gpus(found=found, driver=reading.driver)
    hello = about.hello
    llama = Llama(
        version=hello.version,
        backends=hello.backends,
        devices=tuple(f"{device.description or device.name} ({device.backend})" for device in hello.devices),
        flags=about.flags,
    )
    told = advice(hello.backends, hello.devices, reading)
    return llama, Gpus(found=found, driver=reading.driver, advice=told)


async def _about() -> _About | str:
    """What llama.cpp says of itself, or why it cannot.

    In a process of its own: importing it may crash, on a machine that its build is not for.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ingle_daemon.engine.about"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd="/",
    )
    try:
        printed, complained = await asyncio.wait_for(process.communicate(), _LLAMA_S)
    except asyncio.TimeoutError:
        return f"it could not be imported in {_LLAMA_S:g} s"
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode:
        last = complained.decode(errors="replace").strip().rpartition("\n")[2]
        return last or f"importing it ended with status {process.returncode}"
    return msgspec.json.decode(printed, type=_About)


def _keyring() -> Keyring:
    """Which one would be asked for keys. It is not asked: it might ask its user for a passphrase."""
    import keyring  # takes as long as all the rest
    from keyring.backends import fail

    kind = type(keyring.get_keyring())
    return Keyring(backend=f"{kind.__module__}.{kind.__name__}", usable=kind is not fail.Keyring)


# --- providers ------------------------------------------------------------------------------------------------------


def _providers(settings: Settings) -> list[ProviderSettings]:
    found = (settings.api.default, settings.api.reasoning, *settings.api.fallback)
    by_url = {api.url: api for api in found if api and api.url and api.model}
    return list(by_url.values())


async def _provider(settings: Settings, api: ProviderSettings) -> Provider:
    host = transport.host_of(api.url)
    consent = _consents(api, host)
    if not consent or settings.offline:
        return Provider(host=host, consent=consent)
    status, problem, began = 200, "", time.monotonic()
    try:
        await asyncio.wait_for(transport.fetch(f"{api.url.rstrip('/')}/models", {}), _PROVIDER_S)
    except asyncio.TimeoutError:
        status, problem = 0, f"it said nothing in {_PROVIDER_S:g} s"
    except ApiRefused as exc:  # without a key some say 401: it is there, and that is what was asked
        status = int(str(exc.details["status"]))
    except IngleError as exc:
        status, problem = 0, exc.message
    ms = round(1000 * (time.monotonic() - began))
    return Provider(host=host, consent=True, asked=True, status=status, ms=ms, problem=problem)


def _consents(api: ProviderSettings, host: str) -> bool:
    if api.allow is not None:
        return api.allow
    try:
        return Consent(paths.consent_file()).to(host)
    except UsageError:
        return False  # as the daemon: one that cannot be read allows nothing


def main() -> None:
    """Print what was found for the folder that the command line names."""
    report = asyncio.run(inspect(Path(sys.argv[1])))
    sys.stdout.write(msgspec.json.encode(report).decode())


if __name__ == "__main__":
    main()

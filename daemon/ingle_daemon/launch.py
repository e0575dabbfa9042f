"""A connection to the daemon, which is started when it is away.

Standard library only, and little of that, as in `client.py`. This module knows the socket's place and the daemon's
command, not what is said over the connection.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys

from ingle_daemon import paths
from ingle_daemon.errors import DaemonUnreachable, from_wire, reason

__all__ = ["READY_FD_VARIABLE", "connect", "environment", "start_daemon"]

_NO_DAEMON = (FileNotFoundError, ConnectionRefusedError)
READY_FD_VARIABLE = "INGLE_READY_FD"
"""Names the pipe on which a daemon says "ready", or why it is not, to the client that started it."""


def connect(*, autostart: bool = True) -> socket.socket:
    """A connection to the daemon, started if need be. Raises DaemonUnreachable."""
    try:
        return _connect()
    except _NO_DAEMON:
        if not autostart:
            raise DaemonUnreachable("ingled is not running", hint="Any `ask` starts it.") from None
    except OSError as exc:
        raise DaemonUnreachable(f"cannot reach ingled at {paths.socket_file()}: {reason(exc)}") from exc
    start_daemon()
    try:
        return _connect()
    except OSError as exc:
        raise DaemonUnreachable(
            f"ingled was started but does not answer at {paths.socket_file()}: {reason(exc)}",
            hint=f"Its log: {paths.log_file()}",
        ) from exc


def _connect() -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        paths.refuse_foreign(paths.runtime_dir())
        sock.connect(str(paths.socket_file()))
    except BaseException:
        sock.close()
        raise
    return sock


def start_daemon() -> None:
    """Start the daemon and wait until it listens. Of many clients at once one starts it, the others wait for that.

    Raises the IngleError with which it refused to start (a wrong configuration, say), or DaemonUnreachable.
    """
    import fcntl  # from here on the 50 ms are lost anyway

    try:
        paths.private_dir(paths.runtime_dir())
        lock = os.open(paths.start_lock(), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise DaemonUnreachable(
            f"cannot make {paths.runtime_dir()}: {reason(exc)}", hint="Check its permissions."
        ) from exc
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with contextlib.suppress(OSError):
            _connect().close()
            return  # somebody else was faster
        _spawn_daemon()
    finally:
        os.close(lock)


def environment() -> dict[str, str]:
    """Ours, as a process of the daemon's is to have it."""
    env = dict(os.environ)
    model = env.get("INGLE_MODEL", "")
    if os.sep in model or model.endswith(".gguf"):
        env["INGLE_MODEL"] = os.path.abspath(os.path.expanduser(model))  # noqa: PTH100, PTH111 - the daemon lives in /
    return env


def _spawn_daemon() -> None:
    """Spawn it detached, and wait for its word on the pipe: "ready", or the error that kept it from starting."""
    import subprocess

    env = environment()
    ours, its = os.pipe()
    try:
        env[READY_FD_VARIABLE] = str(its)
        paths.private_dir(paths.state_dir())
        log_handle = os.open(paths.log_file(), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(log_handle, "ab") as log:
            # Not from the current directory: `python -m` would import the user's own json.py from there.
            # By way of a shell that ends at once: a client that lives long is not to be the daemon's parent, or a
            # daemon that has ended would stay its zombie.
            subprocess.run(
                ["/bin/sh", "-c", '"$@" &', "sh", sys.executable, "-m", "ingle_daemon.server"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=env,
                pass_fds=(its,),
                start_new_session=True,
                check=False,
            )
    except OSError as exc:
        os.close(ours)
        raise DaemonUnreachable(
            f"cannot start ingled: {reason(exc)}", hint="Check the disk and the permissions."
        ) from exc
    finally:
        os.close(its)
    with os.fdopen(ours, "rb") as pipe:
        word = pipe.read()
    if word == b"ready":
        return
    if word:
        raise from_wire(json.loads(word))
    raise DaemonUnreachable("ingled ended before it was ready", hint=f"Its log: {paths.log_file()}")

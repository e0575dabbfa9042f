"""`ingled`: one per user. Startup, serving on the Unix socket (and on loopback TCP when asked to), shutdown, signals.

It owns the lock, the sockets and the lifecycle; `app.py` has the routes, `daemon.py` what they may do.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import fcntl
import json
import logging
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Generator

import uvicorn
from starlette.types import ASGIApp

from ingle_daemon import __version__, config, log, paths
from ingle_daemon.app import TcpDoor, build
from ingle_daemon.conversations import Conversations
from ingle_daemon.daemon import Daemon
from ingle_daemon.errors import DaemonUnreachable, IngleError, UsageError
from ingle_daemon.knocking import Knocking
from ingle_daemon.launch import READY_FD_VARIABLE
from ingle_daemon.managed import Manager, inherited_socket, refuse, writes_to_journal
from ingle_daemon.routing.router import Router
from ingle_daemon.upgrade import Traffic, VersionDoor, until_outdated

__all__ = ["main"]

_log = logging.getLogger("ingle_daemon.server")  # run as a program, it has no name of its own
_LOCK_PATIENCE_S = 15
_GRACE_S = 3
_FILES = 4096
"""Open files and connections. A login often allows 1,024 at first, for select(2), which nothing here uses."""


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the daemon has several servers and one set of signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class _Listener:
    """One uvicorn server on one socket of ours."""

    def __init__(self, app: ASGIApp, sock: socket.socket, http: type[asyncio.Protocol] | None = None) -> None:
        settings = uvicorn.Config(
            app,
            http=http or "auto",
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=_GRACE_S,
            ws="none",
        )
        self._server = _Server(settings)
        self._task = asyncio.create_task(self._server.serve(sockets=[sock]))

    async def stop(self) -> None:
        self._server.should_exit = True
        await self._task


class Ingled:
    """The running daemon: its doors, and the word to close them."""

    def __init__(self, settings: config.Settings, unix: socket.socket, manager: Manager, *, owns_socket: bool) -> None:
        self._unix = unix
        self._manager = manager
        self._owns_socket = owns_socket
        self._stopping = asyncio.Event()
        self._tcp_port = 0
        self._opening: asyncio.Task[None] | None = None
        self._listeners: list[_Listener] = []
        self._daemon = daemon = Daemon(
            settings, stop=self._stopping.set, serve_tcp=self.serve_tcp, tcp_url=self.tcp_url
        )
        self._configuration = daemon.configuration
        self._router = self._routed_by(settings)
        self._conversations = Conversations(self._now, daemon.log, enabled=settings.ask.log)
        self._other_version = asyncio.Event()
        app = build(
            daemon.backend,
            self._now,
            daemon,
            daemon.completions,
            self._conversations,
            daemon.metrics,
            settings.server.max_body_bytes,
        )
        self._app = Traffic(VersionDoor(app, self._other_version.set))

    async def run(self, ready_fd: int | None) -> None:
        """Serve until told to stop by a client or a signal."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        await self._daemon.start()
        self._listeners.append(_Listener(self._app, self._unix))
        if port := self._configuration.now.server.tcp_port:
            await self.serve_tcp(port)
        _tell(ready_fd, b"ready")
        self._manager.tell("READY=1")
        _log.info("listening", extra={"pid": os.getpid(), "version": __version__})
        beside = [
            asyncio.create_task(self._manager.keep_alive(self._daemon.summary)),
            asyncio.create_task(self._configuration.follow(self._adopt)),
            asyncio.create_task(self._make_room()),
        ]
        await self._stopping.wait()
        _log.info("stopping", extra={"pid": os.getpid()})
        self._manager.tell("STOPPING=1")
        for task in beside:
            task.cancel()
        await self._stop()
        await asyncio.gather(*beside, return_exceptions=True)

    def _adopt(self, before: config.Settings, settings: config.Settings) -> None:
        """The configuration was edited."""
        self._daemon.adopt(before, settings, self._app.quiet)
        self._router = self._routed_by(settings)
        self._conversations.keep(settings.ask.log)
        if settings.server.tcp_port and not self._tcp_port:
            self._opening = asyncio.create_task(self._open_tcp(settings.server.tcp_port))

    async def _open_tcp(self, port: int) -> None:
        try:
            await self.serve_tcp(port)
        except UsageError as error:
            self._configuration.problem = error.message

    async def _make_room(self) -> None:
        """End once another version is installed: the next client, or the service manager, starts that."""
        await until_outdated(self._other_version, self._app.quiet)
        self._stopping.set()

    def _routed_by(self, settings: config.Settings) -> Router:
        daemon = self._daemon
        return Router(daemon.answering, daemon.local, daemon.egress, settings, daemon.using, daemon.judge)

    def _now(self) -> Router:
        """The router by the settings of the moment: what one has begun it ends by its own."""
        return self._router

    async def serve_tcp(self, port: int) -> str:
        """Listen on loopback TCP too. Raises UsageError when the port is taken or another one is in use."""
        if self._tcp_port:
            if port != self._tcp_port:
                raise UsageError(f"ingled listens on TCP port {self._tcp_port} already", hint="`ingle stop` closes it.")
            return self.tcp_url()
        token = self._daemon.token()
        sock = _bind_tcp(port)
        self._tcp_port = sock.getsockname()[1]
        door = TcpDoor(self._app, token, self._tcp_port)
        self._listeners.append(_Listener(door, sock, Knocking))
        _log.info("listening on TCP", extra={"port": self._tcp_port})
        return self.tcp_url()

    def tcp_url(self) -> str:
        return f"http://127.0.0.1:{self._tcp_port}/v1" if self._tcp_port else ""

    async def _stop(self) -> None:
        # From here on a new client finds nobody and starts the next daemon, which waits for our lock. At a service
        # manager's socket it waits itself: that stays, and the manager starts the next one.
        if self._owns_socket:
            with contextlib.suppress(FileNotFoundError):
                paths.socket_file().unlink()
        await self._daemon.stop()
        await asyncio.gather(*(listener.stop() for listener in self._listeners))
        await self._conversations.close()
        await self._daemon.judge.close()


def _bind_tcp(port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        raise UsageError(f"there is no TCP port {port}", hint="Ports run from 1 to 65535.")
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind(("127.0.0.1", port))
    except OSError as exc:
        sock.close()
        why = "is taken by another program" if exc.errno == errno.EADDRINUSE else f"cannot be used: {exc.strerror}"
        raise UsageError(f"TCP port {port} {why}", hint="Choose another one.", port=port) from exc
    return sock


def _bind_unix() -> socket.socket:
    """The socket, mode 0600 from its first moment. A file left by a killed daemon is removed: we hold the lock."""
    path = paths.socket_file()
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    umask = os.umask(0o177)
    try:
        sock.bind(str(path))
    finally:
        os.umask(umask)
    sock.listen(128)
    return sock


def _lock(*, inherited: bool) -> int | None:
    """Become the user's one daemon; None when another one serves already.

    One that is shutting down holds the lock a little longer than its socket: that is waited for. Behind an inherited
    socket nobody listens but us.
    """
    handle = os.open(paths.daemon_lock(), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + _LOCK_PATIENCE_S
    while not _try_lock(handle):
        if not inherited and _somebody_listens():
            os.close(handle)
            return None
        if time.monotonic() > deadline:
            os.close(handle)
            raise DaemonUnreachable("another ingled holds the lock but does not answer", hint="End it: `pkill ingled`.")
        time.sleep(0.05)  # two things to wait for, a lock and a socket, and no call that waits for both
    return handle


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _somebody_listens() -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(str(paths.socket_file())) == 0


def _allow_files() -> None:
    """As many as this process may allow itself, `_FILES` at most."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


def _tell(ready_fd: int | None, word: bytes) -> None:
    """Answer the client that started us and waits at the other end of the pipe."""
    if ready_fd is not None:
        with contextlib.suppress(BrokenPipeError), os.fdopen(ready_fd, "wb") as pipe:
            pipe.write(word)


def _serve(ready_fd: int | None) -> None:
    manager = Manager.from_environment(os.environ)
    inherited = inherited_socket(os.environ)
    try:
        _serve_on(inherited, manager, ready_fd)
    except IngleError as exc:
        if inherited is not None:
            refuse(inherited, exc)
        raise


def _serve_on(inherited: socket.socket | None, manager: Manager, ready_fd: int | None) -> None:
    settings = config.load()
    os.umask(0o077)  # whatever this process makes, it makes for its user alone
    _allow_files()
    try:
        paths.private_dir(paths.runtime_dir())
        paths.private_dir(paths.state_dir())
        log.set_up(None if writes_to_journal() else paths.log_file())
    except OSError as exc:
        raise UsageError(f"cannot write to {exc.filename}: {exc.strerror}", hint="Check its permissions.") from exc
    lock = _lock(inherited=inherited is not None)
    if lock is None or (inherited is None and _somebody_listens()):
        # Another daemon serves; or a service manager listens, and starts one for whoever connects.
        _tell(ready_fd, b"ready")
        return
    unix = inherited or _bind_unix()
    with contextlib.nullcontext() if inherited else unix:  # whoever waits at an inherited one may have to be refused
        asyncio.run(_run(settings, unix, manager, ready_fd, owns_socket=inherited is None))
    os.close(lock)


async def _run(
    settings: config.Settings, unix: socket.socket, manager: Manager, ready_fd: int | None, *, owns_socket: bool
) -> None:
    await Ingled(settings, unix, manager, owns_socket=owns_socket).run(ready_fd)


def main() -> None:
    """Run the daemon in the foreground. Clients start it by themselves; a service manager may, too."""
    parser = argparse.ArgumentParser(
        prog="ingled",
        description="The resident daemon of ingle. `ask` and the editors start it when they need it; "
        "run it by hand to watch it, or from a service manager.",
        epilog=f"configuration: {paths.config_file()}  log: {paths.log_file()}  socket: {paths.socket_file()}",
    )
    parser.add_argument("-V", "--version", action="version", version=f"ingled {__version__}")
    parser.parse_args()
    fd = os.environ.pop(READY_FD_VARIABLE, "")
    ready_fd = int(fd) if fd else None
    try:
        _serve(ready_fd)
    except IngleError as exc:
        _tell(ready_fd, json.dumps(exc.to_wire()).encode())
        sys.stderr.write(f"ingled: {exc}\n")
        sys.exit(exc.exit_code)


if __name__ == "__main__":
    main()

"""What a service manager (systemd) hands the daemon, and what it wants to hear: a socket, readiness, signs of life.

Without one nothing here does anything. The protocol is a few variables and a datagram; of the libraries for it one
wants systemd's headers where it is installed, and the other is no longer maintained.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Callable, MutableMapping

from ingle_daemon import paths
from ingle_daemon.errors import IngleError, UsageError

__all__ = ["JOURNAL", "Manager", "inherited_socket", "refuse", "writes_to_journal"]

JOURNAL = "journalctl --user -u ingled"
"""Shows what the daemon logged there."""
_FIRST_FD = 3
_READ_S = 1.0


class Manager:
    """Whoever started us and waits for words; `watchdog_s` is how long it stands our silence, 0 is for ever."""

    def __init__(self, address: str, watchdog_s: float = 0) -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._watchdog_s = watchdog_s

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str]) -> Manager:
        """The one that the variables name; they are taken out, because none of our children is the service."""
        address, microseconds = environ.pop("NOTIFY_SOCKET", ""), environ.pop("WATCHDOG_USEC", "")
        ours = environ.pop("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        return cls(address, int(microseconds) / 1e6 if ours and microseconds.isdigit() else 0)

    def tell(self, *words: str) -> None:
        """Say `NAME=VALUE`, several at once. Where nobody listens, nobody needs to hear."""
        if self._address:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
                out.sendto("\n".join(words).encode(), self._address)

    async def keep_alive(self, status: Callable[[], str]) -> None:
        """Give signs of life for as long as the event loop turns: one that hangs gives none, and is replaced."""
        while self._watchdog_s:
            self.tell("WATCHDOG=1", f"STATUS={status()}")
            await asyncio.sleep(self._watchdog_s / 2)


def inherited_socket(environ: MutableMapping[str, str]) -> socket.socket | None:
    """The socket on which the manager listens for us; None where it does not.

    Raises UsageError when it is not the one that clients know.
    """
    pid, count = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "")
    environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or count in ("", "0"):
        return None
    path = paths.socket_file()
    sock = socket.socket(fileno=_FIRST_FD)
    sock.set_inheritable(False)
    if count != "1" or sock.family != socket.AF_UNIX or os.path.realpath(sock.getsockname()) != os.path.realpath(path):
        raise UsageError(
            f"the service manager listens at {sock.getsockname()}, and clients look at {path}",
            hint="`ingle service install` writes units that fit.",
        )
    path.chmod(0o600)
    return sock


def refuse(sock: socket.socket, error: IngleError) -> None:
    """Answer whoever waits at an inherited socket why nobody will: it would take the next daemon's time, too."""
    body = json.dumps({"error": error.to_wire()}).encode()
    head = f"HTTP/1.0 {error.http_status} -\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):  # nobody is left
        while True:
            connection, _ = sock.accept()
            with connection, contextlib.suppress(OSError):  # gone before it heard
                connection.settimeout(_READ_S)
                connection.recv(65536)
                connection.sendall(head.encode() + body)


def writes_to_journal() -> bool:
    """Whether standard error is the journal."""
    device, _, inode = os.environ.get("JOURNAL_STREAM", "").partition(":")
    with contextlib.suppress(OSError):
        status = os.fstat(2)
        return (device, inode) == (str(status.st_dev), str(status.st_ino))
    return False

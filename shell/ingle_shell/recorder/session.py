"""One command on a pseudo-terminal, the user's terminal before it. Knows bytes and signals, not what they mean."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FrameType

__all__ = ["record"]

_Handler = Callable[[int, FrameType | None], None]
_CHUNK = 64 * 1024
_KEYBOARD, _SCREEN = 0, 1


def record(argv: Sequence[str], environment: Mapping[str, str], seen: Callable[[bytes], None]) -> int:
    """Run `argv` to its end, and tell `seen` what it shows. Returns its exit code, as shells count it.

    Standard input and output must be a terminal. Raises OSError when there is no other one to be had, SystemExit when
    this process is told to end: the command then finds its terminal hung up, as it would without us.
    """
    settings, size = termios.tcgetattr(_KEYBOARD), _size()
    child, terminal = pty.fork()
    if child == 0:
        _become(argv, environment, settings, size)
    try:
        with _raw(settings), _signals(terminal):
            _relay(terminal, seen)
    finally:
        os.close(terminal)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _size() -> bytes:
    """Of the user's terminal, as the kernel keeps it."""
    return fcntl.ioctl(_SCREEN, termios.TIOCGWINSZ, bytes(8))


def _become(argv: Sequence[str], environment: Mapping[str, str], settings: list[object], size: bytes) -> None:
    """In the child, which ends here whatever happens."""
    try:
        termios.tcsetattr(_KEYBOARD, termios.TCSANOW, settings)  # type: ignore[arg-type]
        fcntl.ioctl(_SCREEN, termios.TIOCSWINSZ, size)  # here: the command may look before our parent does anything
        os.execvpe(argv[0], [*argv], environment)  # noqa: S606 - the user's own command
    except OSError as error:
        sys.stderr.write(f"ingle shell: cannot run {argv[0]}: {error.strerror}\n")
        sys.stderr.flush()
    finally:
        os._exit(127)


def _relay(terminal: int, seen: Callable[[bytes], None]) -> None:
    """Until the command has ended, or the keyboard is gone. What is typed waits here while nobody reads it."""
    os.set_blocking(terminal, False)
    typed = b""
    while True:
        readable, writable, _ = select.select([terminal, _KEYBOARD], [terminal] if typed else [], [])
        if terminal in readable:
            if not (shown := _read(terminal)) or not _shown(shown):
                return
            seen(shown)
        if _KEYBOARD in readable:
            if not (keys := _read(_KEYBOARD)):
                return
            typed += keys
        if terminal in writable:
            with contextlib.suppress(BlockingIOError):
                typed = typed[os.write(terminal, typed) :]


def _read(fd: int) -> bytes:
    """What there is to read; nothing at its end, which on a terminal is an error."""
    try:
        return os.read(fd, _CHUNK)
    except BlockingIOError:
        select.select([fd], [], [])
        return _read(fd)
    except OSError:
        return b""


def _shown(data: bytes) -> bool:
    """Show it; whether there still is a screen."""
    try:
        while data:
            data = data[os.write(_SCREEN, data) :]
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _raw(settings: list[object]) -> Iterator[None]:
    """Within it every key goes to the command as it is."""
    tty.setraw(_KEYBOARD)
    try:
        yield
    finally:
        with contextlib.suppress(termios.error):  # the terminal may be gone
            termios.tcsetattr(_KEYBOARD, termios.TCSADRAIN, settings)  # type: ignore[arg-type]


@contextlib.contextmanager
def _signals(terminal: int) -> Iterator[None]:
    """Within it `terminal` is as large as ours, and we leave in good order when we are told to."""

    def resize(_number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(OSError):
            fcntl.ioctl(terminal, termios.TIOCSWINSZ, _size())

    def leave(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    resize(signal.SIGWINCH, None)
    handlers: dict[signal.Signals, _Handler] = {signal.SIGWINCH: resize, signal.SIGHUP: leave, signal.SIGTERM: leave}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

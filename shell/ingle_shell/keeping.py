"""Where a question is kept: in which conversation, of which terminal.

A terminal is the session that its shell leads, known by that shell's process and the moment it began: each window, pane
of tmux, and ssh login has its own, and a script that runs in one belongs to it. Every `ask` imports this.
"""

from __future__ import annotations

import os

from ingle_daemon.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ingle_shell.options import Options

__all__ = ["keep_of", "terminal"]


def keep_of(options: Options, question: str) -> dict[str, object] | None:
    """The request's `keep` (`ingle_daemon.protocol.Keep`); None where nothing is to be kept."""
    if not options.log:
        if options.continues:
            raise UsageError(
                "-n keeps nothing, and -c, --id and --branch go on with what is kept", hint="Leave one out."
            )
        return None
    keep: dict[str, object] = {
        "terminal": terminal(),
        "conversation": options.conversation,
        "last": options.continues and not options.conversation,
        "branch": options.branch,
        "switch": options.switch or bool(options.model),
        "title": options.title or question,
    }
    return {name: value for name, value in keep.items() if value}


def terminal() -> str:
    """This terminal's name, the same for every `ask` in it."""
    leader = os.getsid(0)
    try:
        with open(f"/proc/{leader}/stat", "rb") as file:  # noqa: PTH123 - pathlib costs more than the whole function
            began = file.read().rpartition(b")")[2].split()[19].decode()
    except OSError:
        return str(leader)  # macOS, or a leader that has ended: its number alone must do
    return f"{leader}-{began}"

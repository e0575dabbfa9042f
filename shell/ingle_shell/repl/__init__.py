"""The dialogue: `ask` alone on a terminal.

`loop.py` reads and answers, `chat.py` is the conversation it is in, `commands.py` what a line that begins with `/`
does; `prompt.py`, `completer.py`, `toolbar.py` are what is seen of it while a question is written. Nothing here is
imported by an `ask` that has a question.
"""

from __future__ import annotations

from ingle_shell.options import Options

__all__ = ["run"]


def run(options: Options) -> int:
    """Read questions until there are no more; the exit code."""
    from ingle_shell.repl.loop import Loop

    return Loop(options).run()

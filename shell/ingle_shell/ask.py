"""`ask`: one question, one answer.

The request leaves before anything is imported that only its answer needs, and every import until then is
counted in milliseconds (`tests/bench/startup.py`). This module knows what a question is; the daemon knows who
answers it.
"""

from __future__ import annotations

import os
import sys

from ingle_daemon.client import stream
from ingle_daemon.errors import DoesNotFit, IngleError, NoModel, UsageError
from ingle_shell.options import Options, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main", "question_of", "request_of"]

_LARGEST_INPUT = 64 * 1024 * 1024  # bytes; the daemon takes no more by default, and no model's context holds as much


def main() -> int:
    """The `ask` command."""
    options = parse(sys.argv[1:])
    try:
        request = request_of(options, question_of(options.words, _piped_text()))
        try:
            _ask(request, as_json=options.as_json)
        except NoModel as error:
            if error.code != NoModel.code:
                raise
            from ingle_shell.first_run import install_first_model

            install_first_model(error)
            _ask(request, as_json=options.as_json)
    except BrokenPipeError:
        return 0  # whoever reads the answer has read enough
    except (IngleError, KeyboardInterrupt) as error:
        from ingle_shell.screen import settle

        return settle("ask", error, as_json=options.as_json)
    return 0


def question_of(words: Sequence[str], context: str) -> str:
    """The user's message: the piped text, then the question. Raises UsageError when both are empty."""
    parts = [part for part in (context.rstrip(), _text(" ".join(words)).strip()) if part.strip()]
    if not parts:
        raise UsageError(
            "there is no question",
            hint='Try: ask "how do I list the ten biggest files here?"   or: ask --help',
        )
    return "\n\n".join(parts)


def request_of(options: Options, question: str) -> dict[str, object]:
    """The body of the request, an AskRequest (`ingle_daemon.protocol`) without what is left to the daemon."""
    system = _default_system() if options.system is None else _text(options.system)
    messages = [{"role": "system", "content": system}] if system else []
    request: dict[str, object] = {
        "messages": [*messages, {"role": "user", "content": question}],
        "route": options.route,
        "max_tokens": options.max_tokens,
        "temperature": options.temperature,
    }
    return {key: value for key, value in request.items() if value is not None}


def _default_system() -> str:
    return (
        f"You answer questions in a terminal on {os.uname().sysname}. Be brief and exact. "
        "When a command answers the question, give the command first, in a code block."
    )


def _text(argument: str) -> str:
    """A command-line argument as text: bytes in it that are no UTF-8 (of a file's name, say) become U+FFFD."""
    return argument.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _piped_text() -> str:
    """What stands on standard input, unless that is the user's keyboard."""
    if sys.stdin is None or sys.stdin.isatty():
        return ""
    try:
        data = sys.stdin.buffer.read(_LARGEST_INPUT + 1)
    except OSError as exc:
        raise UsageError(f"cannot read standard input: {exc.strerror}", hint="Give it a file or a pipe.") from exc
    if len(data) > _LARGEST_INPUT:
        raise DoesNotFit(
            f"standard input is larger than {_LARGEST_INPUT >> 20} MiB, which no model can read",
            hint="Send the part that the question is about.",
        )
    if b"\0" in data:
        raise UsageError("standard input is not text", hint="Send text, in UTF-8.")
    return data.decode("utf-8", "replace")


def _ask(request: dict[str, object], *, as_json: bool) -> None:
    with stream("/ingle/ask", request) as events:  # the request is on the wire; now there is time for imports
        from ingle_shell.answer import show
        from ingle_shell.screen import Screen

        show(events, Screen(), as_json=as_json)

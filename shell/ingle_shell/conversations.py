"""Conversations on the command line: list, show, search, rename, delete. The daemon has them; this shows them.

What was said is a stranger's text as much as an answer is: `Screen` keeps escape sequences off the terminal.
"""

from __future__ import annotations

import json
import shutil
import time
from typing import Any, get_args
from urllib.parse import quote

import msgspec

from ingle_daemon.client import call
from ingle_daemon.errors import UsageError
from ingle_daemon.protocol import Conversation, ConversationInfo, Found, StopReason, Turn
from ingle_shell.keeping import terminal
from ingle_shell.layout import Verbatim, cut
from ingle_shell.options import Options
from ingle_shell.render import plain
from ingle_shell.screen import Screen

__all__ = ["as_markdown", "listed", "look_after"]

_PLACE = "/ingle/conversations"
_WHOLE = frozenset(get_args(StopReason))
_LEAST_TITLE = 8  # columns
_UNITS = ((24 * 3600, "d"), (3600, "h"), (60, "min"))


def look_after(options: Options) -> int:
    """Do what the command line asks: list, show, search, delete or rename. The exit code: 1 where nothing was found."""
    if options.title:
        _rename(options)
    elif options.removed:
        for number in options.removed:
            call("DELETE", f"{_PLACE}/{number}")
    elif options.search:
        found = call("GET", f"{_PLACE}/search?q={quote(options.search)}")
        _say(found, options, _found(msgspec.convert(found, list[Found])), "nothing that is kept holds all these words")
        return 0 if found else 1
    elif options.shown is not None:
        place = f"{_PLACE}/{options.shown}" if options.shown else f"{_PLACE}/last?terminal={quote(terminal())}"
        conversation = call("GET", place)
        if options.as_json:
            Screen().tell(Verbatim(json.dumps(conversation)))
        else:
            _show(msgspec.convert(conversation, Conversation), Screen(markdown=True))
    else:
        conversations = call("GET", _PLACE)
        infos = msgspec.convert(conversations, list[ConversationInfo])
        lines = listed(infos, time.time(), shutil.get_terminal_size().columns)
        _say(conversations, options, lines, "no conversation is kept yet")
    return 0


def _rename(options: Options) -> None:
    """Give a conversation the title that the command line says."""
    number = options.conversation
    if not number:
        number = call("GET", f"{_PLACE}/last?terminal={quote(terminal())}")["info"]["id"]
    if options.branch or not options.title.strip():
        raise UsageError("a title is given to one conversation, and is not empty", hint="Try: ask --id 7 --title sums")
    call("POST", f"{_PLACE}/{number}/title", {"title": options.title})


def listed(infos: list[ConversationInfo], now: float, columns: int) -> str:
    """A line for each: number, age, how many questions, title."""
    lines = []
    for info in infos:
        head = f"{info.id:>4}  {_age(now - info.changed):>6}  {info.turns:>3}  "
        lines.append(head + cut(plain(info.title), max(columns - len(head), _LEAST_TITLE)))
    return "\n".join(lines)


def _show(conversation: Conversation, screen: Screen) -> None:
    """All that was said, the answers laid out as they were when they came."""
    screen.tell(f"{conversation.info.title} ({conversation.info.id})")
    for turn in conversation.turns:
        screen.tell("\n", "\n".join(f"> {line}" for line in turn.question.splitlines()))
        if answer := turn.answer.strip():
            screen.tell("\n")
            screen.write(answer)
            screen.end_line()
        screen.tell("\n", _note(turn))


def as_markdown(conversation: Conversation) -> str:
    """The same for a file."""
    parts = [f"# {conversation.info.title}"]
    for turn in conversation.turns:
        parts += [f"## {turn.question}", turn.answer.strip(), f"*{turn.model}, {turn.route}{_ended(turn)}*"]
    return "\n\n".join(filter(None, parts)) + "\n"


def _found(found: list[Found]) -> str:
    """A paragraph for each: the conversation, and the words where they stand."""
    parts = [
        f"{each.info.id}  {plain(each.info.title)}, question {each.turn}\n      {' '.join(plain(each.excerpt).split())}"
        for each in found
    ]
    return "\n".join(parts)


def _note(turn: Turn) -> str:
    return f"({turn.model}, {turn.route}{_ended(turn)})"


def _ended(turn: Turn) -> str:
    """How, if not by itself."""
    if turn.ended in _WHOLE:
        return ""
    return {"": ", being answered", "stopped": ", stopped", "killed": ", cut off when ingled was killed"}.get(
        turn.ended, f", cut off: {turn.ended}"
    )


def _age(seconds: float) -> str:
    return next((f"{int(seconds // size)} {unit}" for size, unit in _UNITS if seconds >= size), "now")


def _say(value: Any, options: Options, text: str, otherwise: str = "") -> None:
    """Show it; `otherwise` is said beside it where it is empty."""
    screen = Screen()
    if not value:
        screen.note(otherwise)
    screen.tell(Verbatim(json.dumps(value)) if options.as_json else text)

"""When an answer is long enough, decided while it streams. Pure functions on the text so far.

A request ended early is tokens saved: the engine stops within a step of the connection's end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ingle_lsp.completion.context import Hole

__all__ = ["Plan", "Stop", "plan_for", "stop_of"]

_OPENS_A_BLOCK = re.compile(r"(?:[:{(\[]|=>|\b(?:then|do))\s*\Z")
_REPEATS = 3
_LINES = 16
"""More than fits beside the user's own code is not read."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the answer may become. `whole_block`: several lines; otherwise it ends with the line, unless that opens one.

    `indent` is that of the cursor's line, `following` the next line of the document with text in it.
    """

    whole_block: bool
    indent: int
    following: str
    one_line: bool


@dataclass(frozen=True, slots=True)
class Stop:
    """The answer ends at `at`, because of `why`."""

    at: int
    why: str


def plan_for(hole: Hole) -> Plan:
    """A line that is begun is finished; on an empty line whatever belongs there is written."""
    following = next((line for line in hole.after[:8192].splitlines()[1:] if line.strip()), "").rstrip()
    return Plan(
        whole_block=not hole.line_before.strip(),
        indent=hole.indent,
        following=following,
        one_line=bool(hole.line_after.strip()),
    )


def stop_of(text: str, plan: Plan, line_before: str) -> Stop | None:
    """Where `text`, the answer so far, is to end; None while it may go on. Only whole lines are judged."""
    lines = text.replace("\r\n", "\n").split("\n")
    if plan.one_line and len(lines) > 1:
        return Stop(len(lines[0]), "line")
    at, written = 0, 0
    first_indent = plan.indent
    for number, line in enumerate(lines[:-1]):
        whole = line_before + line if number == 0 else line
        if why := _ends_before(whole, lines[:number], number, first_indent, plan):
            return Stop(max(at - 1, 0), why)
        at += len(line) + 1
        written += bool(line.strip())  # a line that was complete before is none of the answer's
        if written == 1 and line.strip() and not plan.whole_block and not _OPENS_A_BLOCK.search(whole):
            return Stop(at - 1, "line")
        if written >= _LINES:
            return Stop(at - 1, "lines")
    return None


def _ends_before(line: str, earlier: list[str], number: int, indent: int, plan: Plan) -> str:
    """Why the answer ends before this whole line of it; "" when it does not."""
    if number and not line.strip():
        return "blank" if any(known.strip() for known in earlier) else ""
    if number and plan.following and line.rstrip() == plan.following:
        return "suffix"
    if number and len(line) - len(line.lstrip()) < indent:
        return "dedent"
    if number >= _REPEATS - 1 and all(known.strip() == line.strip() for known in earlier[1 - _REPEATS :]):
        return "repetition"
    return ""

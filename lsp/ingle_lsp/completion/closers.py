"""Closers that an editor puts behind the cursor by itself when their opener is typed: `(` becomes `()`. Pure.

Brackets and quotes are told apart by their characters alone, of whatever language they are. This module knows neither
completions nor editors' settings.
"""

from __future__ import annotations

import re
from itertools import takewhile

__all__ = ["left_open", "put_in", "replaced"]

_SIGHT = 2_048
"""Characters after a cursor that tell one place from another."""
_CLOSER = {"(": ")", "[": "]", "{": "}"}
_QUOTES = "\"'`"
_RUN = re.compile(r"[)\]}\"'`]*")
_MARKS = re.compile(r"\\.|[()\[\]{}\"'`]", re.DOTALL)
_MARKS_OUTSIDE_STRINGS = re.compile(r"'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"|`(?:[^`\\]|\\.)*`|[()\[\]{}]")


def put_in(typed: str, was: str, now: str) -> str | None:
    """What of itself an editor has put before what `was` after the cursor, where `typed` was typed since.

    "" where it is as it was; None where it changed in another way. An editor need not close all that is opened.
    """
    run = _RUN.match(now)
    for length in range(run.end() + 1 if run else 1):
        if now[length : length + _SIGHT] == was[:_SIGHT]:
            opened = iter(left_open(typed))
            return now[:length] if all(closer in opened for closer in now[:length]) else None
    return None


def left_open(text: str) -> str:
    """What closes the brackets and strings that the text leaves open, the innermost first."""
    stack: list[str] = []
    for mark in _MARKS.finditer(text):
        char = mark[0]
        if char in _CLOSER:
            stack.append(_CLOSER[char])
        elif stack and char == stack[-1]:
            stack.pop()
        elif char in _QUOTES:
            if char in stack:
                del stack[stack.index(char) :]
            else:
                stack.append(char)
    return "".join(reversed(stack))


def replaced(text: str, opened: str, closers: str) -> str:
    """The closers behind the cursor that `text` brings itself, so that it takes their place.

    `opened` is what was `left_open` before the text, of which the editor has closed some by `closers`.
    """
    brought = iter(opened[: _brought(text, opened)])
    return "".join(takewhile(lambda closer: closer in brought, closers))


def _brought(text: str, closers: str) -> int:
    """How many of the closers, the innermost first, are in the text and close nothing of its own."""
    count, at = 0, 0
    own: list[str] = []
    while count < len(closers):
        in_string = any(quote in closers[count:] for quote in _QUOTES)
        mark = (_MARKS if in_string else _MARKS_OUTSIDE_STRINGS).search(text, at)
        if mark is None:
            break
        at, char = mark.end(), mark[0]
        if char in _CLOSER:
            own.append(_CLOSER[char])
        elif own and char == own[-1]:
            own.pop()
        elif char in _QUOTES and char in closers[count:]:  # a string's end ends whatever was opened in it
            count = closers.index(char, count) + 1
            own.clear()
        elif not own and char == closers[count]:
            count += 1
    return count

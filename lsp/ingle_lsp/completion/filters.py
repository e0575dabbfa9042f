"""What of an answer is worth showing. Pure functions, each on by a setting of its name.

A filter returns the text, a shorter one, or "" when nothing of it should be shown. The result has LF line ends whatever
the document has: editors put their own, and Neovim would show a CR as text. This module knows no model and no editor.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from ingle_lsp.completion.context import Hole
from ingle_lsp.completion.syntax import Syntax
from ingle_lsp.settings import Filters

__all__ = ["FILTERS", "Shown", "filtered"]

_IN_SIGHT = 8_192
"""Characters after the cursor that an answer is compared with; what a model was shown is not more."""
_CLOSERS = {")": "(", "]": "[", "}": "{"}
_STRINGS = re.compile(r"'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"")


@dataclass(frozen=True, slots=True)
class Shown:
    """The text to show, and the filter that left nothing of it, "" when something is left."""

    text: str
    dropped_by: str = ""


@dataclass(frozen=True, slots=True)
class _Place:
    """What a filter may look at beside the answer."""

    hole: Hole
    after: str
    syntax: Syntax | None


def suffix_lines(text: str, place: _Place) -> str:
    """Up to where it begins to repeat the next line of the document that is not blank."""
    following = next((line for line in place.after.split("\n")[1:] if line.strip()), "").rstrip()
    lines = text.split("\n")
    whole = [place.hole.line_before + lines[0], *lines[1:]]
    for number, line in enumerate(whole):
        if following and line.rstrip() == following:
            return "\n".join(lines[:number])
    return text


def suffix_overlap(text: str, place: _Place) -> str:
    """Without the end that the document goes on with, unless that end begins in the middle of a word."""
    text = text.rstrip()
    for start in range(max(0, len(text) - len(place.after)), len(text)):
        splits_word = start > 0 and re.match(r"\w\w", text[start - 1 :])
        if not splits_word and place.after.startswith(text[start:]):
            return text[:start]
    return text


def line_above(text: str, place: _Place) -> str:
    """Nothing, where it only says again what the line above says."""
    above = place.hole.before[-_IN_SIGHT:].splitlines()
    if place.hole.line_before:
        above.pop()
    nearest = next((line.strip() for line in reversed(above[-8:]) if line.strip()), "")
    first = (place.hole.line_before + text.split("\n", 1)[0]).strip()
    return "" if nearest and first == nearest and len(first) > 3 else text


def stray_closers(text: str, place: _Place) -> str:
    """Up to a closing bracket that closes nothing: not of its own, nor of the cursor's line."""
    depth: dict[str, int] = dict.fromkeys("([{", 0)
    for bracket in _brackets(place.hole.line_before):
        depth[bracket] += 1
    if not place.hole.line_before.strip(" \t)]}"):
        return text  # closers that stand alone close something above
    masked = _STRINGS.sub(lambda found: "." * len(found[0]), text.split("\n", 1)[0])
    for index, char in enumerate(masked):
        if char in depth:
            depth[char] += 1
        elif char in _CLOSERS:
            depth[_CLOSERS[char]] -= 1
            if depth[_CLOSERS[char]] < 0:
                return text[:index]
    return text


def unreadable(text: str, place: _Place) -> str:
    """Nothing, where it would break code that is well formed without it."""
    return "" if place.syntax and place.syntax.breaks(place.hole.at, text) else text


FILTERS: dict[str, Callable[[str, _Place], str]] = {
    "suffix_lines": suffix_lines,
    "suffix_overlap": suffix_overlap,
    "line_above": line_above,
    "stray_closers": stray_closers,
    "unreadable": unreadable,
}


def filtered(answer: str, hole: Hole, settings: Filters, syntax: Syntax | None = None) -> Shown:
    """The part of `answer` to show at `hole`, by every filter that is on."""
    text = _unix(answer)
    if not text.strip():
        return Shown("", "nothing")
    place = _Place(hole, _unix(hole.after[:_IN_SIGHT]), syntax)
    for name, apply in FILTERS.items():
        if not getattr(settings, name):
            continue
        text = apply(text, place)
        if not text.strip():
            return Shown("", name)
    return Shown(text.rstrip())


def _brackets(line: str) -> list[str]:
    """The brackets that `line` leaves open."""
    stack: list[str] = []
    for char in _STRINGS.sub("", line):
        if char in "([{":
            stack.append(char)
        elif char in _CLOSERS and stack and stack[-1] == _CLOSERS[char]:
            stack.pop()
    return stack


def _unix(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")

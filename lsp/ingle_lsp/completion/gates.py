"""When not to ask: places and moments at which a completion would be in the way. Pure.

Each gate is one function, on by a setting of its name. Who asks by hand passes them all.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from ingle_lsp.completion.context import Hole
from ingle_lsp.completion.syntax import Kind
from ingle_lsp.settings import Gates

__all__ = ["GATES", "Situation", "closed_gate"]

_NOTHING_IN_THE_WAY = re.compile(r"[\s)\]}>\"'`:;,]*\Z")
"""After the cursor on its line: closers and what ends a statement."""


@dataclass(frozen=True, slots=True)
class Situation:
    """Where the cursor stands, and how it got there."""

    hole: Hole
    kind: Kind = "code"
    deleted: bool = False


def mid_word(at: Situation) -> bool:
    """The cursor stands inside a word: what is typed there corrects it."""
    return at.hole.line_after[:1].isidentifier()


def mid_line(at: Situation) -> bool:
    """Code follows on the cursor's line."""
    return not _NOTHING_IN_THE_WAY.match(at.hole.line_after)


def in_comment(at: Situation) -> bool:
    """Prose: small models write none that is worth reading."""
    return at.kind == "comment"


def in_string(at: Situation) -> bool:
    """A string's content is the user's own."""
    return at.kind == "string"


def after_deletion(at: Situation) -> bool:
    """Something was just taken away: to offer it again would be a contradiction."""
    return at.deleted


def nothing_yet(at: Situation) -> bool:
    """An empty document says nothing about what it is to become."""
    return not at.hole.before.strip() and not at.hole.after.strip()


GATES: dict[str, Callable[[Situation], bool]] = {
    "mid_word": mid_word,
    "mid_line": mid_line,
    "comment": in_comment,
    "string": in_string,
    "after_deletion": after_deletion,
    "empty": nothing_yet,
}


def closed_gate(at: Situation, settings: Gates) -> str:
    """The name of the first gate that keeps a completion from being asked for; "" when all are open."""
    return next((name for name, closed in GATES.items() if getattr(settings, name) and closed(at)), "")

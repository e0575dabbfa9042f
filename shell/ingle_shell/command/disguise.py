"""A suggestion without what could make it read differently from how it runs. Pure.

What is shown, checked and run is always the text that comes out of here: printable characters, spaces and newlines.
"""

from __future__ import annotations

import re
import unicodedata

import msgspec

from ingle_shell.render import plain

__all__ = ["Undisguised", "undisguise"]

_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")  # letters to Unicode, nothing to the eye
_INVISIBLE = frozenset(("Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"))
_WIDE_GAP = re.compile(r" {12,}")
_NAMED = 3  # strange characters that are named; more of them say no more


class Undisguised(msgspec.Struct, frozen=True):
    """`removed`: how many characters were taken out. `remarks`: what else is odd about the text."""

    text: str
    removed: int = 0
    remarks: tuple[str, ...] = ()


def undisguise(text: str) -> Undisguised:
    """The text without escape sequences, control and invisible characters; unusual spaces become spaces."""
    text = text.replace("\r\n", "\n").strip()
    shown = "".join(_visible(character) for character in plain(text.replace("\t", " "))).strip()
    return Undisguised(shown, len(text) - len(shown), tuple(_remarks(shown)))


def _visible(character: str) -> str:
    if character == "\n" or (character.isascii() and character.isprintable()):
        return character
    category = unicodedata.category(character)
    if category == "Zs":
        return " "
    hidden = category in _INVISIBLE or character in _BLANK or "VARIATION SELECTOR" in unicodedata.name(character, "")
    return "" if hidden else character


def _remarks(text: str) -> list[str]:
    remarks = []
    foreign = list(dict.fromkeys(character for character in text if not character.isascii()))
    if foreign:
        names = ", ".join(f"U+{ord(character):04X} {unicodedata.name(character, '')}" for character in foreign[:_NAMED])
        remarks.append(f"not all of it is ASCII: {names}{' …' if len(foreign) > _NAMED else ''}")
    if _WIDE_GAP.search(text):
        remarks.append("there is a wide gap in it")
    return remarks

"""An attachment as the model reads it: its name, then its text in a code block. Pure."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import NamedTuple

__all__ = ["Attachment", "taken_apart"]

_LABELLED = re.compile(r"([^\n]+):\n(`{3,})[^`\n]*\n(.*?)\n\2(?:\n\n|\Z)", re.DOTALL)
_RANGE = re.compile(r":\d+(-\d+)?\Z")


class Attachment(NamedTuple):
    """`name` is what the user calls it; `text` is all of it, or the lines they asked for; `path` its file, if any."""

    name: str
    text: str
    path: str = ""

    @property
    def labelled(self) -> str:
        """The text behind its name, in a fence that nothing in it can close."""
        runs = re.findall(r"`{3,}", self.text)
        fence = "`" * max([2, *map(len, runs)]) + "`"
        kind = PurePath(re.split(r"[:?# ]", self.name.rpartition("/")[2])[0]).suffix.removeprefix(".")
        return f"{self.name}:\n{fence}{kind}\n{self.text.rstrip()}\n{fence}"


def taken_apart(message: str) -> tuple[list[Attachment], str]:
    """The attachments that a message begins with, their paths as their names say, and what stands behind them."""
    attached, end = [], 0
    while match := _LABELLED.match(message, end):
        path = "" if "://" in match[1] else _RANGE.sub("", match[1])
        attached.append(Attachment(match[1], match[3], path))
        end = match.end()
    return attached, message[end:]

"""An attachment as the model reads it: its name, then its text in a code block. Pure."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import NamedTuple

__all__ = ["Attachment"]


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

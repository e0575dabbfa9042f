"""The first code block of an answer, taken out while it streams. Pure."""

from __future__ import annotations

import re

__all__ = ["FirstBlock"]

_FENCE = re.compile(r"([ \t]*)(`{3,}|~{3,})([^`]*)")


class FirstBlock:
    """Lets through what stands in the first fence, without the fence, line by line."""

    def __init__(self) -> None:
        self._line = ""
        self._indent = ""
        self._fence = ""
        self.ended = False

    @property
    def begun(self) -> bool:
        return bool(self._fence)

    def feed(self, piece: str) -> str:
        """What of the block is known now that it was not before."""
        *whole, self._line = (self._line + piece).split("\n")
        return "".join(self._of_line(line) for line in whole)

    def finish(self) -> str:
        """The rest: the answer is over, and its last line perhaps not ended."""
        last, self._line = self._line, ""
        return self._of_line(last).removesuffix("\n") if last else ""

    def _of_line(self, line: str) -> str:
        fence = _FENCE.fullmatch(line.rstrip("\r"))
        if self.ended:
            return ""
        if not self.begun:
            if fence:
                self._indent, self._fence = fence[1], fence[2]
            return ""
        if fence and fence[2].startswith(self._fence) and not fence[3].strip():
            self.ended = True
            return ""
        return line.removeprefix(self._indent) + "\n"

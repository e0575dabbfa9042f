"""The first code block of an answer, taken out while it streams. Pure.

A small model may leave the first fence out and close the block all the same. What looks like a beginning is then an
end, and what follows is prose, which in a script is worse than nothing. A fence without a language that stands behind
text is therefore believed only where it closes, and the text before it is the block only where that says that it is a
script.
"""

from __future__ import annotations

import re

__all__ = ["FirstBlock"]

_FENCE = re.compile(r"([ \t]*)(`{3,}|~{3,})([^`]*)")
_LEADS_IN = re.compile(r".*[.:!?…][*_\s]*|[\w\s,'-]*")
"""What stands before a block: a sentence, mere words, or an empty line. Few lines of code are that."""
_SCRIPT = "#!"


class FirstBlock:
    """Lets through what stands in the first fence, without the fence, line by line."""

    def __init__(self) -> None:
        self._line = ""
        self._indent = ""
        self._fence = ""  # of the block; while that has not begun, one that may be its beginning
        self._lines: list[str] = []  # what is no block, or not yet known to be one
        self.begun = False
        self.ended = False

    def feed(self, piece: str) -> str:
        """What of the block is known now that it was not before."""
        *whole, self._line = (self._line + piece).split("\n")
        return "".join(self._of_line(line) for line in whole)

    def finish(self) -> str:
        """The rest: the answer is over, and its last line perhaps not ended."""
        last, self._line = self._line, ""
        return self._of_line(last).removesuffix("\n") if last else ""

    def _of_line(self, line: str) -> str:
        if self.ended:
            return ""
        fence = _FENCE.fullmatch(line.rstrip("\r"))
        if self._fence and fence and fence[2].startswith(self._fence):
            if not fence[3].strip():
                return self._close()
            if not self.begun:  # a block that has a language begins: the fence before it was the end of something
                return self._open(fence)
        if self.begun:
            return self._code(line)
        if fence and not self._fence:
            return self._meet(fence)
        self._lines.append(line)
        if self._fence and len(self._lines) == 1 and not line.strip():
            self._fence = ""  # a paragraph begins: that was the end of something
        return ""

    def _meet(self, fence: re.Match[str]) -> str:
        """At a fence outside of every other one."""
        text = "\n".join(self._lines).strip()
        if fence[3].strip() or not text:
            return self._open(fence)
        if text.startswith(_SCRIPT):
            self.begun = self.ended = True
            return f"{text}\n"
        if _LEADS_IN.fullmatch(self._lines[-1]):
            self._indent, self._fence, self._lines = fence[1], fence[2], []
        return ""

    def _open(self, fence: re.Match[str]) -> str:
        self._indent, self._fence, self.begun = fence[1], fence[2], True
        return ""

    def _close(self) -> str:
        held = "" if self.begun else "".join(map(self._code, self._lines))
        self.begun = self.ended = True
        return held

    def _code(self, line: str) -> str:
        return line.removeprefix(self._indent) + "\n"

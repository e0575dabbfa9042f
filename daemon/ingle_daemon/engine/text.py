"""From token pieces to text that may be shown: whole characters only, and nothing of a stop string. Pure.

A token's bytes need not end where a character does, and a stop string need not end where a token does. What might
still become part of either is held back until the next piece decides.
"""

from __future__ import annotations

import codecs
import re

__all__ = ["TextStream"]

_LINE_START = re.compile(r"\n([ \t]*)(?=\S)")
_OPEN_LINE_START = re.compile(r"\n[ \t]*\Z")


class TextStream:
    """Feed it the bytes of each token; it returns the text that is certain by now.

    Bytes that are no UTF-8 become U+FFFD; a character cut off at the very end is dropped. `stopped` names the stop
    string that was met; `dedented` says that a new line was indented by fewer than `min_indent` characters. Either
    ends the text there and swallows what follows. `lines` counts the line breaks let out.
    """

    def __init__(self, stops: tuple[str, ...] = (), min_indent: int = 0) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._stops = tuple(stop for stop in stops if stop)
        self._longest_stop = max(map(len, self._stops), default=0)
        self._min_indent = min_indent
        self._certain = not (self._stops or min_indent)
        """Whatever comes; there is nothing to hold it back for."""
        self._held = ""
        self.lines = 0
        self.stopped = ""
        self.dedented = False

    @property
    def ended(self) -> bool:
        return bool(self.stopped) or self.dedented

    def feed(self, piece: bytes) -> str:
        """More bytes in, certain text out."""
        if self.ended:
            return ""
        text = self._decoder.decode(piece)
        if self._certain:
            self.lines += text.count("\n")
            return text
        self._held += text
        end = self._end() if self._held else None
        if end is None:
            end = len(self._held) - self._undecided()
        return self._release(end)

    def flush(self) -> str:
        """The end has come: what was held back in case more followed."""
        return "" if self.ended else self._release(len(self._held))

    def _release(self, end: int) -> str:
        text, self._held = self._held[:end], self._held[end:]
        self.lines += text.count("\n")
        return text

    def _end(self) -> int | None:
        """Where the text ends for good, if it does.

        What is complete first wins, the earlier begun where two are complete at once: that does not depend on how the
        text was cut into tokens.
        """
        found = ((self._held.find(stop), stop) for stop in self._stops)
        ends = [(where + len(stop), where, stop) for where, stop in found if where >= 0]
        if self._min_indent:
            lines = _LINE_START.finditer(self._held)
            ends += [(m.end() + 1, m.start(), "") for m in lines if len(m[1]) < self._min_indent]
        if not ends:
            return None
        _, where, self.stopped = min(ends)
        self.dedented = not self.stopped
        return where

    def _undecided(self) -> int:
        """How many characters at the end might begin a stop string, or a line whose indent is not known yet."""
        open_line = _OPEN_LINE_START.search(self._held) if self._min_indent else None
        indent = len(self._held) - open_line.start() if open_line else 0
        for length in range(min(self._longest_stop - 1, len(self._held)), indent, -1):
            if any(stop.startswith(self._held[-length:]) for stop in self._stops):
                return length
        return indent

"""What is kept of everything that a terminal is sent: the output of commands. Pure.

The shell's integration marks where a command begins (OSC 133;C) and ends (133;D); what stands between other marks, the
prompt and the line that is typed there, is not kept. Neither are titles of windows, which shells make of that line,
and what full-screen programs draw.
"""

from __future__ import annotations

import re

__all__ = ["Tape"]

_MARK = re.compile(
    rb"\x1b\](?:133;(?P<kind>[CD]))?[^\x07\x1b]*(?:\x07|\x1b\\)"  # a command begins, ends; or the window's title, say
    rb"|\x1b\[\?(?P<modes>[0-9;]*)(?P<on>[hl])"  # the alternate screen, among other modes
)
_UNFINISHED = re.compile(rb"\x1b(?:\](?:[^\x07\x1b]{0,1000}\x1b?)?|\[(?:\?[0-9;]{0,32})?)?\Z")
_ALTERNATE = {b"47", b"1047", b"1049"}


class Tape:
    """Fed what goes to the terminal, in any pieces, gives back what is to be kept: output with the marks around it."""

    def __init__(self) -> None:
        self._held = b""
        self._running = False
        self._full_screen = False

    def feed(self, data: bytes) -> bytes:
        data = self._held + data
        unfinished = _UNFINISHED.search(data)
        end = unfinished.start() if unfinished else len(data)
        data, self._held = data[:end], data[end:]
        kept, begin = bytearray(), 0
        for mark in _MARK.finditer(data):
            kept += self._kept(data[begin : mark.start()])
            kept += self._at(mark)
            begin = mark.end()
        return bytes(kept + self._kept(data[begin:]))

    def _kept(self, text: bytes) -> bytes:
        return text if self._running and not self._full_screen else b""

    def _at(self, mark: re.Match[bytes]) -> bytes:
        if mark["kind"]:
            self._running = mark["kind"] == b"C"
            self._full_screen = False
            return mark[0]
        if mark["on"] and _ALTERNATE.intersection(mark["modes"].split(b";")):
            self._full_screen = mark["on"] == b"h"
        return b""

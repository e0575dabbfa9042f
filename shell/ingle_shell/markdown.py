"""Markdown on a terminal while it is still being written: what is finished is printed once, the rest is redrawn.

Only the last block can still change. Of that, a frame rewrites from the first line that differs, which mostly is the
last one, and never anything that has scrolled away; a block longer than the screen therefore scrolls. After a resize
nobody knows where the terminal has put the lines above the cursor's: they stay as they are. Lines of code are left for
the terminal to wrap, so that they can be copied and follow a resize.

The text is a stranger's. Escape sequences are taken out before it is parsed, and once more after, because Markdown
can spell characters (`&#27;`). This module is imported while the daemon already works on the answer.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from markdown_it import MarkdownIt
from rich.cells import cell_len
from rich.console import COLOR_SYSTEMS, Console
from rich.markdown import CodeBlock, Heading, Markdown, MarkdownElement
from rich.segment import Segment
from rich.style import Style
from rich.syntax import Syntax
from rich.text import Text
from rich.theme import Theme

from ingle_shell.render import TerminalText, plain

if TYPE_CHECKING:
    from rich.console import ConsoleOptions, RenderResult

__all__ = ["LiveMarkdown"]

_PARSER = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"])
"""Without HTML: rich would show nothing of it, and a question about <div> is answered with <div>."""
_THEME = Theme({"markdown.code": "cyan", "markdown.h1": "bold underline", "markdown.h2": "bold"})
_REST = 4
"""Of five parts of the time at most one goes into drawing: the machine has an answer to compute."""


class _Code(CodeBlock):
    """Highlighted, without a frame or a background, its lines as they are."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        code = str(self.text).rstrip()
        yield from _unwrapped(Syntax(code, self.lexer_name, theme="ansi_dark").highlight(code))


def _unwrapped(code: Text) -> Iterable[Text]:
    code.expand_tabs(4)
    for line in code.split("\n", allow_blank=True):
        line.no_wrap, line.overflow, line.end = True, "ignore", "\n"
        yield line


class _Title(Heading):
    """A line of its own, at the left."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        self.text.justify = "left"
        yield self.text


class _Markdown(Markdown):
    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "fence": _Code,
        "code_block": _Code,
        "heading_open": _Title,
    }

    def __init__(self, markup: str) -> None:
        super().__init__(markup, hyperlinks=False)
        self.parsed = _PARSER.parse(markup)


_Part = tuple[str, "Style | None"]


class _Line(NamedTuple):
    """A line with its colours, and how it reads without them."""

    styled: str
    text: str

    def rows(self, columns: int) -> int:
        """How many rows of the screen it takes; a wide character that does not fit in one begins the next."""
        if (width := cell_len(self.text)) <= columns:
            return 1
        if width == len(self.text):
            return -(-width // columns)
        rows, column = 1, 0
        for size in map(cell_len, self.text):
            rows, column = (rows + 1, size) if column + size > columns else (rows, column + size)
        return rows

    @property
    def weight(self) -> int:
        """Letters and digits: as many however the text is laid out, and whether or not its markup is closed yet."""
        return sum(map(str.isalnum, self.text))


class LiveMarkdown:
    """Writes Markdown to a terminal as it comes. `write` gets text that needs no more filtering."""

    def __init__(
        self,
        write: Callable[[str], None],
        size: Callable[[], os.terminal_size],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write = write
        self._size = size
        self._clock = clock
        self._filter = TerminalText()
        self._pen = _Pen()
        self._pending = ""
        self._columns = 0
        self._begun = False
        self._begin_block()
        self._due = 0.0

    @property
    def begun(self) -> bool:
        """Something has been written, and the cursor stands behind it."""
        return self._begun

    def feed(self, piece: str) -> None:
        """More of the text."""
        self._pending += self._filter.feed(piece)
        if (now := self._clock()) >= self._due:
            self._show()
            self._due = now + (self._clock() - now) * _REST

    def finish(self) -> None:
        """There is no more to come: show what is left. The cursor stays at the end of the last line."""
        self._pending += self._filter.finish()
        self._show()

    def _show(self) -> None:
        finished, self._pending = _split(self._pending)
        size = self._size()
        for block in finished:
            self._draw(block, size)
            self._begin_block()
        self._draw(self._pending, size)

    def _begin_block(self) -> None:
        self._drawn: list[_Line] = []  # the block's lines that may be written again
        self._gone: list[_Line] = []  # those above, which may not
        self._skip = 0  # the weight of what was laid out for another width, and is gone too

    def _draw(self, block: str, size: os.terminal_size) -> None:
        """Bring what stands on the screen of the current block to `block`."""
        if size.columns != self._columns:
            self._keep_what_stands(block, size.columns)
        lines = self._pen.lines(block, size.columns, self._skip)[len(self._gone) :]
        if not lines or lines == self._drawn:
            return
        if not self._drawn:
            self._write("\r\n\r\n" if self._begun else "")
            self._begun = True
        self._write(_change(self._drawn, lines, size))
        while len(lines) > 1 and sum(line.rows(size.columns) for line in lines) > size.lines:
            self._gone.append(lines.pop(0))
        self._drawn = lines

    def _keep_what_stands(self, block: str, columns: int) -> None:
        """The terminal has another width: only the line of the cursor can still be found."""
        self._columns = columns
        self._gone += self._drawn[:-1]
        self._drawn = self._drawn[-1:]
        if self._pen.lines(block, columns, self._skip)[: len(self._gone)] != self._gone:
            self._skip += sum(line.weight for line in self._gone)
            self._gone = []


class _Pen:
    """Lays a block out, and turns rich's segments into lines for the terminal."""

    def __init__(self) -> None:
        self._console = Console(
            file=io.StringIO(),
            force_terminal=True,
            legacy_windows=False,
            theme=_THEME,
            highlight=False,
            emoji=False,
            markup=False,
        )
        self._colors = COLOR_SYSTEMS.get(self._console.color_system or "")

    def lines(self, block: str, columns: int, skip: int = 0) -> list[_Line]:
        """The block's lines, without the first `skip` letters and digits."""
        options = self._console.options.update(width=max(columns, 10), height=None)
        rows = Segment.split_lines(self._console.render(_Markdown(block), options))
        lines = []
        for row in rows:
            parts, skip = _behind([(plain(each.text), each.style) for each in row if not each.control], skip)
            lines.append(self._line(parts))
        while lines and not lines[0].text:
            lines.pop(0)
        while lines and not lines[-1].text:
            lines.pop()
        return lines

    def _line(self, parts: list[_Part]) -> _Line:
        while parts and not (parts[-1][0].strip() or (parts[-1][1] and parts[-1][1].bgcolor)):
            parts.pop()
        if parts and not (parts[-1][1] and parts[-1][1].bgcolor):
            parts[-1] = (parts[-1][0].rstrip(), parts[-1][1])
        return _Line("".join(self._styled(*part) for part in parts), "".join(text for text, _ in parts))

    def _styled(self, text: str, style: Style | None) -> str:
        if style is None:
            return text
        shown = style.without_color if self._console.no_color else style
        return shown.render(text, color_system=self._colors)


def _behind(parts: list[_Part], skip: int) -> tuple[list[_Part], int]:
    """What is left behind the first `skip` letters and digits, and how many of these are still to come."""
    if not skip:
        return parts, 0
    kept: list[_Part] = []
    for text, style in parts:
        at = 0
        while at < len(text) and (skip or not kept) and (skip or not text[at].isalnum()):
            skip -= text[at].isalnum()
            at += 1
        if text[at:]:
            kept.append((text[at:], style))
    return kept, skip


def _split(text: str) -> tuple[list[str], str]:
    """The blocks that are finished, because another one has begun behind them, and the one that is not."""
    starts = [token.map[0] for token in _PARSER.parse(text) if token.level == 0 and token.map and token.nesting >= 0]
    starts = sorted(set(starts))
    if len(starts) < 2:
        return [], text
    lines = text.splitlines(keepends=True)
    blocks = ["".join(lines[begin:end]) for begin, end in zip(starts, [*starts[1:], len(lines)], strict=True)]
    return blocks[:-1], blocks[-1]


def _change(old: list[_Line], new: list[_Line], size: os.terminal_size) -> str:
    """What to send so that `new` stands where `old` does. Before and after, the cursor is behind the last line."""
    same = next((at for at, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    if not old:
        return "\r\n".join(line.styled for line in new)
    if same == len(old):
        return "".join("\r\n" + line.styled for line in new[same:])
    if same == len(old) - 1 and same < len(new) and new[same].styled.startswith(old[same].styled):
        added = new[same].styled[len(old[same].styled) :]
        return added + "".join("\r\n" + line.styled for line in new[same + 1 :])
    if same == len(new):
        same -= 1  # it became shorter: its last line is written again, and what was below it erased
    above = sum(line.rows(size.columns) for line in old[same:]) - 1
    up = min(above, size.lines - 1)
    fewer = above >= sum(line.rows(size.columns) for line in new[same:])
    return (f"\x1b[{up}A" if up else "") + _rewritten(new[same:], size.columns, erase_below=fewer)


def _rewritten(lines: list[_Line], columns: int, *, erase_below: bool) -> str:
    """Lines over older ones. Each place is erased just before it is written, so that none is ever seen empty.

    What is below is erased only where there is something: from the top of the screen, tmux would keep it as history.
    """
    *others, last = lines
    body = "".join(f"\r\x1b[K{line.styled}{_cleared(line, columns)}\n" for line in others)
    return f"{body}\r\x1b[{'J' if erase_below else 'K'}{last.styled}{'' if erase_below else _cleared(last, columns)}"


def _cleared(line: _Line, columns: int) -> str:
    """Erases the rest of the last of several rows; behind a full row the cursor would stand on its last character."""
    return "\x1b[K" if line.rows(columns) > 1 and cell_len(line.text) % columns else ""

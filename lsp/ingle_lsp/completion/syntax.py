"""What tree-sitter knows about a document: whether a place is code, and whether an insertion would break it.

One tree a document, kept up to date by its edits' extent alone. A language without a grammar has no `Syntax`, and what
depends on it is left out. This module knows neither models nor editors.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from pathlib import PurePath
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tree_sitter import Node, Parser, Tree

__all__ = ["Kind", "Syntax", "language_of"]

Kind = Literal["code", "string", "comment"]

_LARGEST = 1_000_000
"""Bytes; a larger document has no syntax, because its first parse would be felt."""
_PATIENCE = 0.003
"""Seconds for a tree between two keys."""
_BY_EDITOR = {
    "javascriptreact": "javascript",
    "typescriptreact": "tsx",
    "shellscript": "bash",
    "jsonc": "json",
    "objective-c": "objc",
}
_BY_SUFFIX = {
    ".bash": "bash", ".c": "c", ".cc": "cpp", ".cpp": "cpp", ".cs": "csharp", ".css": "css", ".cxx": "cpp",
    ".go": "go", ".h": "c", ".hpp": "cpp", ".html": "html", ".java": "java", ".js": "javascript", ".json": "json",
    ".jsx": "javascript", ".kt": "kotlin", ".lua": "lua", ".mjs": "javascript", ".php": "php", ".py": "python",
    ".pyi": "python", ".rb": "ruby", ".rs": "rust", ".scala": "scala", ".sh": "bash", ".sql": "sql",
    ".swift": "swift", ".toml": "toml", ".ts": "typescript", ".tsx": "tsx", ".yaml": "yaml", ".yml": "yaml",
    ".zig": "zig",
}  # fmt: skip
_KNOWN = frozenset(_BY_SUFFIX.values())


def language_of(language_id: str, filename: str) -> str:
    """The grammar's name for a document; "" where there is none."""
    name = _BY_EDITOR.get(language_id, language_id)
    return name if name in _KNOWN else _BY_SUFFIX.get(PurePath(filename).suffix.lower(), "")


class Syntax:
    """The syntax tree of one document's latest text."""

    def __init__(self, language: str, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._parser = _parser(language)
        self._text = ""
        self._source = b""
        self._tree: Tree | None = None
        self._stale = False
        self.slow = False

    def update(self, source: str) -> None:
        """The document is `source` now."""
        self._text = source
        new = source.encode("utf-8", "replace") if len(source) <= _LARGEST else b""
        if self._tree is not None and new != self._source:
            _edit(self._tree, self._source, new)
            self._source, self._stale = new, True
            if not self.slow:
                self.settle()
        elif self._tree is None and new:
            self._source = new
            self._tree = self._parser.parse(new)

    def settle(self) -> None:
        """Read again what has changed. It takes long while a bracket is open that all the rest seems to be inside of.

        Then `slow` is set, and until this is called again, in a pause, the tree is the old one with its nodes moved:
        good enough for what is asked of it.
        """
        if self._tree is None or not self._stale:
            return
        begin = self._clock()
        self._tree, self._stale = self._parser.parse(self._source, self._tree), False
        self.slow = self._clock() - begin > _PATIENCE

    def kind_at(self, index: int) -> Kind:
        """What the place before the document's character `index` is in."""
        at = self._bytes(index)
        if self._tree is None or not 0 < at <= len(self._source):
            return "code"
        node = self._tree.root_node.descendant_for_byte_range(at - 1, at)
        while node is not None:
            if node.type in ("interpolation", "template_substitution", "string_interpolation"):
                return "code"
            if "comment" in node.type and (at < node.end_byte or not _closed(self._source[: node.end_byte])):
                return "comment"
            if "string" in node.type and at < node.end_byte:
                return "string"
            node = node.parent
        return "code"

    def breaks(self, index: int, text: str) -> bool:
        """Whether `text`, put in before the character `index`, makes code unreadable that was well formed without it.

        What is not finished at the end of `text` does not count: a header still waits for its block.
        """
        if self._tree is None or self._tree.root_node.has_error:
            return False
        at = self._bytes(index)
        raw = text.encode("utf-8", "replace")
        with_it = self._source[:at] + raw + self._source[at:]
        tree = self._tree.copy()
        _edit(tree, self._source, with_it)
        root = self._parser.parse(with_it, tree).root_node
        return root.has_error and any(node.end_byte < at + len(raw) for node in _errors(root))

    def _bytes(self, index: int) -> int:
        """Where the document's character `index` is in its bytes; 0 where there are none."""
        return len(self._text[:index].encode("utf-8", "replace")) if self._source else 0


def _closed(source: bytes) -> bool:
    return source.endswith((b"*/", b"-->", b"]]"))


def _errors(node: Node) -> list[Node]:
    """The nodes that could not be read, outermost first."""
    if node.is_error or node.is_missing:
        return [node]
    return [error for child in node.children if child.has_error for error in _errors(child)]


def _edit(tree: Tree, old: bytes, new: bytes) -> None:
    """Tell the tree what has changed: all between the common beginning and the common end."""
    start = _common(old, new)
    end = _common(old[start:][::-1], new[start:][::-1])
    old_end, new_end = len(old) - end, len(new) - end
    tree.edit(start, old_end, new_end, _point(old, start), _point(old, old_end), _point(new, new_end))


def _common(a: bytes, b: bytes) -> int:
    """Length of the common beginning, by halving: comparison runs at C speed."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _point(source: bytes, at: int) -> tuple[int, int]:
    return source.count(b"\n", 0, at), at - (source.rfind(b"\n", 0, at) + 1)


@cache
def _parser(language: str) -> Parser:
    from tree_sitter_language_pack import get_parser  # 20 ms and 5 MB, for those who complete something

    parser: Parser = get_parser(language)  # type: ignore[arg-type]
    return parser

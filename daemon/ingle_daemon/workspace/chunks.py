"""Cutting a file into pieces worth finding again, and naming what each piece defines. Pure.

Where there is a grammar, pieces begin and end where functions and classes do; large ones are cut at empty lines, and
so is everything without a grammar. Lines end at LF, as the trees count them. It knows neither disk nor database.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from textwrap import dedent
from typing import TYPE_CHECKING

from tree_sitter import Node, Parser
from tree_sitter_language_pack import get_parser

from ingle_daemon.workspace.languages import CONTAINERS, Language, language_of

if TYPE_CHECKING:
    from tree_sitter_language_pack import SupportedLanguage

__all__ = ["Chunk", "Symbol", "cut"]

_SMALL, _LARGE = 5, 40
"""Lines: fewer join their neighbours, more are cut."""
_MAX_CHARACTERS = 4_000
_HEADER_LINES, _CLASS_LINES, _SIGNATURE_CHARACTERS = 6, 12, 800
_DEEPEST = 16
_MAX_SYMBOLS = 2_000

_FUNCTIONS = frozenset({"function", "method"})
_CUTTING = _FUNCTIONS | CONTAINERS
_PASSABLE = re.compile(
    r"statement|declaration|definition|body|block|_list$|template|preproc|linkage|export|Decl|declarations|lexical|"
    r"binding|section|structure|method_signature|if_|else|try|implementation|ERROR"
)
_IMPASSABLE = re.compile(r"argument|parameter|expression_list|initializer|variable_list|condition|call")
_WRAPPERS = frozenset(
    {"decorated_definition", "export_statement", "template_declaration", "ambient_declaration", "Decl"}
)
_LEADING = re.compile(r"comment|attribute|annotation|decorator|haddock")
_NAME_FIELDS = ("name", "declarator", "pattern", "left", "function", "variable_type_function", "signature", "type")
_IDENTIFIER = re.compile(r"identifier|constant|^name$|_name$|word$|^variable$|constructor|type_head")
_QUALIFIED = frozenset({"qualified_identifier", "dot_index_expression", "method_index_expression", "scoped_identifier"})
_BESIDE_NAME = re.compile(r"comment|attribute|annotation|modifier|method_type|user_type|type_parameters|body|block")
_BODY = re.compile(r"body|block|compound_statement")
_WORD = re.compile(r"[^\W\d][\w$]*")


@dataclass(frozen=True, slots=True)
class Symbol:
    """A definition, from its `line` to its `end`. `signature` is its head: what a reader must see to use it."""

    name: str
    kind: str
    line: int
    end: int
    signature: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a file; lines count from 1."""

    line: int
    text: str
    symbols: tuple[Symbol, ...]


@dataclass(frozen=True, slots=True)
class _Definition:
    """A definition's node; `start` is the row of the first comment or decorator that belongs to it."""

    node: Node
    name: str
    kind: str
    start: int
    end: int
    inner: tuple[_Definition, ...]


def cut(path: str, source: bytes) -> list[Chunk]:
    """The pieces of the file that `path` names, in order, together all of it but empty lines."""
    lines = [line.removesuffix("\r") for line in source.decode("utf-8", "replace").split("\n")]
    language = language_of(path)
    definitions = _definitions(_tree(language, source), language) if language else []
    symbols = list(_symbols(definitions, lines))[:_MAX_SYMBOLS]
    chunks = []
    for begin, end in _pieces(lines, sorted({0, *_boundaries(definitions), len(lines)})):
        first = next((row for row in range(begin, end) if lines[row].strip()), end)
        text = "\n".join(lines[first:end]).rstrip()[:_MAX_CHARACTERS]
        if text:
            defined = tuple(symbol for symbol in symbols if begin < symbol.line <= end)
            chunks.append(Chunk(first + 1, text, defined))
    return chunks


@cache
def _parser(grammar: SupportedLanguage) -> Parser:
    return get_parser(grammar)


def _tree(language: Language, source: bytes) -> Node:
    return _parser(language.grammar).parse(source).root_node


def _definitions(node: Node, language: Language, depth: int = 0, top: bool = True) -> list[_Definition]:
    """What is defined directly below `node`, functions' insides left out."""
    found: list[_Definition] = []
    for child in node.named_children if depth < _DEEPEST else ():
        kind = language.kinds.get(child.type)
        if kind is None:
            if _PASSABLE.search(child.type) and not _IMPASSABLE.search(child.type):
                found += _definitions(child, language, depth + 1, top)
        elif top or kind not in ("variable", "constant"):
            found += _defined(child, kind, language, depth)
    return found


def _defined(node: Node, kind: str, language: Language, depth: int) -> list[_Definition]:
    name = _name(node)
    inner = tuple(_definitions(node, language, depth + 1, top=False)) if kind in CONTAINERS else ()
    needed = ("name", "body") if node.type.endswith("_specifier") else ()
    if not name or not all(map(node.child_by_field_name, needed)):
        return list(inner)  # `struct s *p` mentions s, `struct { … }` has no name: they define nothing
    value = node.child_by_field_name("value")
    if kind == "variable" and value is not None and "function" in value.type:
        kind = "function"
    # In `typedef struct s {…} s` the two are one; a constructor is not its class.
    others = tuple(one for one in inner if one.name != name or one.kind in _FUNCTIONS)
    return [_Definition(node, name, kind, _start(node), node.end_point.row, others)]


def _name(node: Node) -> str:
    """The last word of what names the definition: `m` for `A::m` and for `*m(int)`."""
    for _ in range(_DEEPEST):
        fields = (node.child_by_field_name(field) for field in _NAME_FIELDS)
        named = next((child for child in fields if child is not None), None)
        if named is None or node.type in _QUALIFIED:
            break
        node = named
    words = _WORD.findall(_text(_identifier(node)))
    return str(words[-1]) if words else ""


def _identifier(node: Node) -> Node:
    """The first identifier at or below `node`, or `node`."""
    waiting = [node] if node.type not in _QUALIFIED else []
    while waiting:
        current = waiting.pop()
        if _IDENTIFIER.search(current.type) and not current.named_child_count:
            return current
        waiting.extend(child for child in reversed(current.named_children[:4]) if not _BESIDE_NAME.search(child.type))
    return node


def _start(node: Node) -> int:
    """The row where the definition begins, with its decorators and the comments that touch it."""
    while node.parent is not None and node.parent.type in _WRAPPERS:
        node = node.parent
    row = node.start_point.row
    before = node.prev_named_sibling
    while (
        before is not None
        and _LEADING.search(before.type)
        and before.start_point.column <= node.start_point.column
        and before.end_point.row >= row - 1
    ):
        row = min(row, before.start_point.row)
        before = before.prev_named_sibling
    return row


def _body(node: Node) -> Node | None:
    body = node.child_by_field_name("body")
    if body is not None:
        return body
    last = node.named_children[-1] if node.named_children else None
    return last if last is not None and _BODY.search(last.type) else None


def _text(node: Node) -> str:
    return (node.text or b"").decode("utf-8", "replace")


# --- symbols -------------------------------------------------------------------------------------------------------


def _symbols(definitions: Iterable[_Definition], lines: list[str]) -> Iterator[Symbol]:
    previous = ""
    for definition in definitions:
        if definition.kind != "impl" and definition.name != previous:  # a signature and its equations are one function
            head = _class_head if definition.kind in CONTAINERS else _function_head
            line = definition.node.start_point.row + 1
            signature = head(definition, lines)[:_SIGNATURE_CHARACTERS]
            yield Symbol(definition.name, definition.kind, line, definition.end + 1, signature)
        previous = definition.name
        yield from _symbols(definition.inner, lines)


def _class_head(definition: _Definition, lines: list[str]) -> str:
    """From its first line to its first member function: the fields are what its users need."""
    row = definition.node.start_point.row
    members = [inner.start for inner in definition.inner if inner.start > row]
    end = min([definition.end + 1, row + _CLASS_LINES, *members])
    return dedent("\n".join(lines[row:end])).rstrip()


def _function_head(definition: _Definition, lines: list[str]) -> str:
    """Everything before the body, and the first line of what is said about it."""
    node = definition.node
    row, column = node.start_point
    before = lines[row].encode()[:column].decode("utf-8", "replace")
    body = _body(node)
    text = node.text or b""
    header = (text if body is None else text[: body.start_byte - node.start_byte]).decode("utf-8", "replace")
    whole = (" " * column if re.search(r"[{;]", before) else before) + header  # `export `, `let `, `const `
    head = dedent("\n".join(whole.splitlines()[:_HEADER_LINES])).rstrip(" \t\n{")
    above = lines[definition.start].strip() if definition.start < row else ""
    documented = re.match(r"//|/\*|#(?!\[)|--|;|%|\(\*|'", above)
    return (f"{above}\n{head}" if documented else head) + _docstring(body)


def _docstring(body: Node | None) -> str:
    """The first line of a Python docstring, as the line below the header."""
    first = body.named_children[0] if body is not None and body.named_children else None
    if first is not None and first.type == "expression_statement" and first.named_children:
        first = first.named_children[0]
    if first is None or first.type != "string":
        return ""
    return "\n    " + _text(first).split("\n")[0]


# --- pieces --------------------------------------------------------------------------------------------------------


def _boundaries(definitions: Iterable[_Definition]) -> Iterator[int]:
    """The rows where a piece may begin; the members of a class that is one piece are none."""
    for definition in definitions:
        if definition.kind in _CUTTING:
            yield definition.start
            yield definition.end + 1
            if definition.end - definition.start >= _LARGE:
                yield from _boundaries(definition.inner)


def _pieces(lines: list[str], boundaries: list[int]) -> Iterator[tuple[int, int]]:
    """Rows from and to: small neighbours joined, large pieces cut."""
    begin = previous = 0
    for end in boundaries[1:]:
        too_large = end - begin > _LARGE
        if min(previous - begin, end - previous) >= _SMALL or (too_large and previous > begin):
            yield from _cut_large(lines, begin, previous)
            begin = previous
        previous = end
    yield from _cut_large(lines, begin, previous)


def _cut_large(lines: list[str], begin: int, end: int) -> Iterator[tuple[int, int]]:
    while end - begin > _LARGE:
        candidates = range(begin + _LARGE, begin + _LARGE // 2, -1)
        at = next((row for row in candidates if not lines[row - 1].strip()), begin + _LARGE)
        yield begin, at
        begin = at
    if end > begin:
        yield begin, end

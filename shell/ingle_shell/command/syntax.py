"""What a command is made of: its calls, redirections, and whatever was not understood, nested ones included.

Parsed with tree-sitter's grammars; zsh is read with bash's. This module knows the languages, not what programs do.
Pure. It never raises on any text: what it cannot read becomes an oddity, and the reader of its result fears the worst.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import msgspec

from ingle_shell.command.lists import names

if TYPE_CHECKING:
    from tree_sitter import Node

__all__ = ["Call", "Redirection", "Script", "ShellName", "Word", "read"]

ShellName = Literal["bash", "zsh", "fish", "sh"]

_LONGEST = 8000  # characters; nobody reads through more, and so nobody should run it


class Word(msgspec.Struct, frozen=True):
    """A word as its program gets it, quotes removed. Where that is only known when it runs, its source.

    `known`: the text is what the program gets. `glob`: names of files take its place. `free`: its first character is
    not known, so that it could be an option.
    """

    text: str
    known: bool = True
    glob: bool = False
    free: bool = False


class Call(msgspec.Struct, frozen=True):
    """A program or builtin and its arguments. `assigned`: the variables set for it alone."""

    words: tuple[Word, ...]
    assigned: tuple[str, ...] = ()


class Redirection(msgspec.Struct, frozen=True):
    operator: str
    target: Word


class Script(msgspec.Struct, frozen=True):
    """A whole command. `assigned`: variables that it sets. `functions`: names that it defines itself."""

    calls: tuple[Call, ...] = ()
    redirections: tuple[Redirection, ...] = ()
    assigned: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    oddities: tuple[str, ...] = ()


def read(text: str, shell: ShellName) -> Script:
    """The parts of `text`."""
    if len(text) > _LONGEST:
        return Script(oddities=(f"it is longer than {_LONGEST} characters",))
    from tree_sitter_language_pack import get_parser

    source = f"{text}\n".encode("utf-8", "replace")  # fish's grammar wants the end of the line
    reader = _Reader(shell)
    reader.take(get_parser("fish" if shell == "fish" else "bash").parse(source).root_node)
    return reader.script()


_STATEMENTS = names(
    """
    program redirected_statement pipeline pipe list subshell compound_statement if_statement elif_clause
    else_clause else_if_clause while_statement for_statement c_style_for_statement case_statement case_item
    switch_statement case_clause do_group function_definition negated_command negated_statement
    conditional_execution begin_statement redirect_statement comment command command_name variable_assignment
    variable_assignments declaration_command unset_command test_command file_redirect stream_redirect
    heredoc_redirect herestring_redirect command_substitution process_substitution return break continue
    direction file_descriptor heredoc_start heredoc_body heredoc_end heredoc_content
    """
)
_WORDS = names(
    """
    word string raw_string ansi_c_string translated_string concatenation simple_expansion expansion number
    integer float string_content variable_name special_variable_name single_quote_string double_quote_string
    variable_expansion home_dir_expansion glob escape_sequence brace_expansion brace_expression
    list_element_access index range array subscript regex extglob_pattern arithmetic_expansion
    binary_expression unary_expression ternary_expression postfix_expression parenthesized_expression
    test_operator test_option boolean
    """
)
_EXPANSIONS = names(
    """
    ansi_c_string translated_string simple_expansion expansion variable_expansion command_substitution
    process_substitution arithmetic_expansion brace_expansion brace_expression list_element_access subscript
    array
    """
)
_PLACES = re.compile(r"\$\{?(HOME|PWD|OLDPWD|USER|LOGNAME|TMPDIR|UID)\b\}?")  # never begin with a dash
_SIMPLE_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_BRACES = re.compile(r"\{[^{}]*(?:,|\.\.)[^{}]*\}")
# An index is evaluated even where the name came quoted: test -v 'a[$(rm x)]', printf -v, read, let, arithmetic.
_HIDDEN_CODE = re.compile(r"\[[^\]]*(?:\$\(|`)")
_LITERAL = names("raw_string string_content word single_quote_string")
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)\+?=")


class _Reader:
    """Gathers the parts of one tree. A stack in place of recursion: the text may nest as deep as it likes."""

    def __init__(self, shell: ShellName) -> None:
        self._shell = shell
        self._calls: list[Call] = []
        self._redirections: list[Redirection] = []
        self._assigned: list[str] = []
        self._functions: list[str] = []
        self._oddities: list[str] = []

    def script(self) -> Script:
        return Script(
            tuple(self._calls),
            tuple(self._redirections),
            tuple(self._assigned),
            tuple(self._functions),
            tuple(dict.fromkeys(self._oddities)),
        )

    def take(self, root: Node) -> None:
        if root.has_error:
            self._oddities.append("a part of it could not be parsed")
        stack = [root]
        while stack:
            node = stack.pop()
            self._look_at(node)
            stack.extend(reversed(node.children))

    def _look_at(self, node: Node) -> None:
        kind = node.type
        if kind == "command":
            self._call(node)
        elif kind in ("declaration_command", "unset_command"):
            self._calls.append(Call(tuple(self._word(child) for child in node.children)))
        elif kind == "file_redirect":
            self._redirection(node)
        elif kind == "variable_assignment" and (node.parent is None or node.parent.type != "command"):
            self._assigned.append(_source(node).partition("=")[0].rstrip("+"))
        elif kind == "function_definition":
            self._functions.extend(_source(name) for name in node.children_by_field_name("name"))
        elif kind == "expansion" and "@" in _source(node):
            self._oddities.append(f"{_source(node)} may run what its variable holds")
        elif kind in _LITERAL and _HIDDEN_CODE.search(_source(node)):
            self._oddities.append(f"{_source(node)} would run what stands in its brackets, where it is taken as a name")
        elif kind == "extglob_pattern" and self._shell == "zsh":
            self._oddities.append(f"{_source(node)} may run code of its own")
        elif node.is_named and kind not in _STATEMENTS and kind not in _WORDS and kind != "ERROR":
            self._oddities.append(f"{kind.replace('_', ' ')} is not understood")

    def _call(self, node: Node) -> None:
        words, assigned = [], []
        for index, child in enumerate(node.children):
            if child.type == "variable_assignment":
                assigned.append(_source(child).partition("=")[0].rstrip("+"))
            elif child.type == "command_name":
                words.append(self._word(child.children[0] if child.children else child))
            elif node.field_name_for_child(index) in ("name", "argument"):
                words.append(self._word(child))
        while self._shell == "fish" and words and (match := _ASSIGNMENT.match(words[0].text)):
            assigned.append(match[1])
            del words[0]
        if words:
            self._calls.append(Call(tuple(words), tuple(assigned)))
        else:
            self._assigned.extend(assigned)

    def _redirection(self, node: Node) -> None:
        targets = node.children_by_field_name("destination")
        operator = next(
            (_source(child) for child in node.children if "<" in _source(child) or ">" in _source(child)), ""
        )
        for target in targets:
            self._redirections.append(Redirection(operator, self._word(target)))
        if not targets:
            self._oddities.append(f"the redirection {_source(node)} has no plain target")

    def _word(self, node: Node) -> Word:
        source = _source(node)
        parts = list(_leaves(node))
        known = not any(part.type in _EXPANSIONS for part in parts)
        text = "".join(_unquoted(part, self._shell) for part in parts) if known else source
        bare = "".join(_source(part) for part in parts if part.type in ("word", "glob", "{", "}") or not part.is_named)
        unescaped = _SIMPLE_ESCAPE.sub("", bare)
        if _BRACES.search(unescaped) or "\0" in text:
            known, text = False, source
        free = not known and not source.lstrip("\"'")[:1].isalnum() and not _begins_known(source)
        return Word(text, known, glob=bool(re.search(r"[*?\[]", unescaped)), free=free)


def _begins_known(source: str) -> bool:
    bare = source.lstrip("\"'")
    return bool(_PLACES.match(bare)) or bare[:1] in ("/", "~", ".")


def _leaves(node: Node) -> Iterator[Node]:
    """The parts that a word is put together from, from left to right; an expansion is one part."""
    stack = [node]
    while stack:
        part = stack.pop()
        if part.type == "concatenation" or (part.type in ("string", "double_quote_string") and part.named_child_count):
            stack.extend(reversed(part.children))
        else:
            yield part


def _unquoted(part: Node, shell: ShellName) -> str:
    source = _source(part)
    if part.type in ("raw_string", "single_quote_string"):
        return _SIMPLE_ESCAPE.sub(r"\1", source[1:-1]) if shell == "fish" else source[1:-1]
    if part.type in ("string", "double_quote_string"):
        source = source[1:-1]
    if part.type in ("string_content", "string", "double_quote_string"):
        return re.sub(r"\\([\"\\$`])", r"\1", source)
    if part.type == '"':
        return ""
    if part.type == "escape_sequence" and not re.fullmatch(r"\\[^A-Za-z0-9]", source):
        return "\0"  # a character that is not spelled out: the word is not known
    return _SIMPLE_ESCAPE.sub(r"\1", source)


def _source(node: Node) -> str:
    return (node.text or b"").decode("utf-8", "replace")

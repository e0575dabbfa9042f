"""Which grammar reads a file, and what a definition is called in its tree: one table.

It knows names only: no tree, no text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter_language_pack import SupportedLanguage

__all__ = ["CONTAINERS", "Language", "is_data", "language_of"]

CONTAINERS = frozenset({"class", "struct", "interface", "trait", "enum", "impl", "module", "type"})
"""Kinds that may hold definitions of their own."""


@dataclass(frozen=True, slots=True)
class Language:
    """`kinds`: the tree's node types that define something, and what they define."""

    grammar: SupportedLanguage
    kinds: Mapping[str, str]


def language_of(path: str) -> Language | None:
    name = PurePosixPath(path).name
    return _BY_NAME.get(name) or _BY_SUFFIX.get(PurePosixPath(name).suffix.lower())


def is_data(path: str) -> bool:
    """Text that programs write for programs: it resembles no code that somebody is about to write."""
    name = PurePosixPath(path).name.lower()
    return name.endswith(_DATA_SUFFIXES) or name in _DATA_NAMES


def _kinds(**types: str) -> dict[str, str]:
    """`function="a b"` means: nodes of the types a and b define functions."""
    return {node: kind for kind, nodes in types.items() for node in nodes.split()}


_DATA_SUFFIXES = (
    *(".csv", ".tsv", ".svg", ".log", ".jsonl", ".ndjson", ".geojson", ".ipynb", ".map", ".lock", ".sum", ".diff"),
    *(".patch", ".min.js", ".min.css", ".po", ".pot", ".snap", ".srt", ".vtt", ".dump", ".hex", ".pdb", ".obj"),
)
_DATA_NAMES = frozenset({"package-lock.json", "pnpm-lock.yaml", "npm-shrinkwrap.json"})

_JAVASCRIPT = _kinds(
    function="function_declaration generator_function_declaration",
    method="method_definition",
    **{"class": "class_declaration"},
    variable="variable_declarator",
)
_TYPESCRIPT = _JAVASCRIPT | _kinds(
    function="function_signature",
    method="abstract_method_signature",
    **{"class": "abstract_class_declaration"},
    interface="interface_declaration",
    type="type_alias_declaration",
    enum="enum_declaration",
    module="internal_module module",
)
_C = _kinds(
    function="function_definition",
    struct="struct_specifier union_specifier",
    enum="enum_specifier",
    type="type_definition",
    macro="preproc_def preproc_function_def",
)
_CPP = _C | _kinds(
    **{"class": "class_specifier"}, module="namespace_definition", type="alias_declaration concept_definition"
)
_TABLE: tuple[tuple[str, Language], ...] = (
    (
        ".py .pyi .pyw",
        Language(
            "python", _kinds(function="function_definition", **{"class": "class_definition"}, variable="assignment")
        ),
    ),
    (".js .mjs .cjs .jsx", Language("javascript", _JAVASCRIPT)),
    (".ts .mts .cts", Language("typescript", _TYPESCRIPT)),
    (".tsx", Language("tsx", _TYPESCRIPT)),
    (
        ".go",
        Language(
            "go",
            _kinds(
                function="function_declaration",
                method="method_declaration",
                type="type_spec type_alias",
                constant="const_spec",
                variable="var_spec",
            ),
        ),
    ),
    (
        ".rs",
        Language(
            "rust",
            _kinds(
                function="function_item function_signature_item",
                struct="struct_item union_item",
                enum="enum_item",
                trait="trait_item",
                impl="impl_item",
                module="mod_item",
                type="type_item",
                constant="const_item static_item",
                macro="macro_definition",
            ),
        ),
    ),
    (".c .h", Language("c", _C)),
    (".cc .cpp .cxx .c++ .hpp .hh .hxx .cu .cuh .ino", Language("cpp", _CPP)),
    (
        ".java",
        Language(
            "java",
            _kinds(
                method="method_declaration constructor_declaration",
                **{"class": "class_declaration record_declaration"},
                interface="interface_declaration annotation_type_declaration",
                enum="enum_declaration",
            ),
        ),
    ),
    (
        ".kt .kts",
        Language(
            "kotlin",
            _kinds(
                function="function_declaration",
                **{"class": "class_declaration object_declaration"},
                variable="property_declaration",
                type="type_alias",
            ),
        ),
    ),
    (
        ".cs",
        Language(
            "csharp",
            _kinds(
                method="method_declaration constructor_declaration",
                property="property_declaration",
                **{"class": "class_declaration record_declaration"},
                struct="struct_declaration",
                interface="interface_declaration",
                enum="enum_declaration",
                type="delegate_declaration",
            ),
        ),
    ),
    (
        ".rb .rake .gemspec",
        Language("ruby", _kinds(method="method singleton_method", **{"class": "class"}, module="module")),
    ),
    (
        ".php",
        Language(
            "php",
            _kinds(
                function="function_definition",
                method="method_declaration",
                **{"class": "class_declaration"},
                interface="interface_declaration",
                trait="trait_declaration",
                enum="enum_declaration",
            ),
        ),
    ),
    (
        ".swift",
        Language(
            "swift",
            _kinds(
                function="function_declaration protocol_function_declaration",
                **{"class": "class_declaration"},
                interface="protocol_declaration",
                type="typealias_declaration",
            ),
        ),
    ),
    (
        ".scala .sc",
        Language(
            "scala",
            _kinds(
                function="function_definition function_declaration",
                **{"class": "class_definition object_definition"},
                trait="trait_definition",
                enum="enum_definition",
                type="type_definition",
            ),
        ),
    ),
    (".lua", Language("lua", _kinds(function="function_declaration"))),
    (".sh .bash .zsh", Language("bash", _kinds(function="function_definition"))),
    (".zig", Language("zig", _kinds(function="FnProto", variable="VarDecl"))),
    (
        ".hs",
        Language(
            "haskell",
            _kinds(
                function="signature function",
                type="data_type newtype type_synomym",  # the grammar's own spelling
                **{"class": "class"},
            ),
        ),
    ),
    (
        ".ml .mli",
        Language("ocaml", _kinds(function="let_binding", type="type_binding", module="module_binding")),
    ),
    (
        ".dart",
        Language(
            "dart",
            _kinds(
                function="function_signature",
                **{"class": "class_definition mixin_declaration extension_declaration"},
                enum="enum_declaration",
                type="type_alias",
            ),
        ),
    ),
    (".pl .pm", Language("perl", _kinds(function="subroutine_declaration_statement"))),
    (
        ".jl",
        Language(
            "julia",
            _kinds(
                function="function_definition",
                macro="macro_definition",
                struct="struct_definition",
                module="module_definition",
            ),
        ),
    ),
    (".proto", Language("proto", _kinds(struct="message", interface="service", method="rpc", enum="enum"))),
    (
        ".m .mm",
        Language(
            "objc",
            _C
            | _kinds(
                method="method_declaration method_definition",
                **{"class": "class_interface class_implementation"},
                interface="protocol_declaration",
            ),
        ),
    ),
    (".sql", Language("sql", _kinds(type="create_table create_view create_type", function="create_function"))),
    (
        ".ps1 .psm1",
        Language(
            "powershell",
            _kinds(function="function_statement", **{"class": "class_statement"}, method="class_method_definition"),
        ),
    ),
)
_BY_SUFFIX = {suffix: language for suffixes, language in _TABLE for suffix in suffixes.split()}
_BY_NAME = {
    "Rakefile": _BY_SUFFIX[".rb"],
    "Gemfile": _BY_SUFFIX[".rb"],
    ".bashrc": _BY_SUFFIX[".sh"],
    ".zshrc": _BY_SUFFIX[".sh"],
    "PKGBUILD": _BY_SUFFIX[".sh"],
}

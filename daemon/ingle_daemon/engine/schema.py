"""From a JSON schema to a grammar that only such JSON satisfies, in llama.cpp's GBNF. Pure.

What can be promised is translated, what cannot is refused by name: an answer either follows the whole schema or is not
begun. White space is fixed (", " and ": "), because a small model that may write any amount of it writes no end of it.
Of an object only the listed properties are written. It knows no tokens and no llama.cpp.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ingle_daemon.errors import UsageError

__all__ = ["to_grammar"]

Schema = Mapping[str, Any]

_STRING = r'"\"" char* "\""'
_COMMON = {
    "char": r'[^"\\\x00-\x1F\x7F] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4})',
    "string": _STRING,
    "integer": '"-"? ("0" | [1-9] [0-9]{0,14})',
    "number": '"-"? ("0" | [1-9] [0-9]{0,14}) ("." [0-9]{1,15})? ([eE] [-+]? [0-9]{1,2})?',
    "boolean": '"true" | "false"',
    "null": '"null"',
    "value": "object | array | string | number | boolean | null",
    "object": '"{" (string ": " value (", " string ": " value)*)? "}"',
    "array": '"[" (value (", " value)*)? "]"',
    "date": '[0-9]{4} "-" ("0" [1-9] | "1" [0-2]) "-" ("0" [1-9] | [12] [0-9] | "3" [01])',
    "hour-minute": '([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9]',
    "time": 'hour-minute ":" [0-5] [0-9] ("Z" | [-+] hour-minute)',
    "date-time": 'date "T" time',
    "uuid": '[0-9a-f]{8} "-" [0-9a-f]{4} "-" [0-9a-f]{4} "-" [0-9a-f]{4} "-" [0-9a-f]{12}',
}
_FORMATS = ("date", "time", "date-time", "uuid")
_TYPES = ("string", "integer", "number", "boolean", "null", "object", "array")
_REMARKS = frozenset(
    {"title", "description", "default", "examples", "$schema", "$id", "$comment", "$defs", "definitions"}
    | {"deprecated", "readOnly", "writeOnly"}
)
_KEYWORDS: dict[str, frozenset[str]] = {
    "string": frozenset({"minLength", "maxLength", "format"}),
    "integer": frozenset({"minimum", "maximum"}),
    "number": frozenset(),
    "boolean": frozenset(),
    "null": frozenset(),
    "object": frozenset({"properties", "required", "additionalProperties"}),
    "array": frozenset({"items", "minItems", "maxItems"}),
}
_LITERAL = re.compile(r'"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]])*\]')
_NAME = re.compile(r"[a-z][a-z-]+")
_MOST_REPEATED = 1000
_MOST_INTEGERS = 1000
_DEEPEST = 64


def to_grammar(schema: Schema) -> str:
    """The grammar, whose first rule is `root`. Raises UsageError for what cannot be followed, and names the place."""
    return _Converter(schema).convert()


class _Converter:
    """One schema on its way; `rules` are those it needed so far."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._rules: dict[str, str] = {}
        self._refs: dict[str, str] = {}

    def convert(self) -> str:
        self._rules["root"] = self._visit(self._schema, "$")
        return "\n".join(f"{name} ::= {rule}" for name, rule in self._rules.items())

    def _visit(self, schema: object, at: str) -> str:
        """What `schema` lets through, as the right-hand side of a rule or a part of one."""
        if schema is True or schema == {}:
            return self._common("value")
        if not isinstance(schema, Mapping):
            raise _refusal(at, "is no schema")
        if at.count(".") > _DEEPEST:
            raise _refusal(at, "lies too deep")
        for keyword in ("$ref", "const", "enum", "anyOf", "oneOf"):
            if keyword in schema:
                _only(schema, {keyword, "type"}, at)
                return self._alternatives(keyword, schema[keyword], f"{at}.{keyword}")
        return self._typed(schema, at)

    def _alternatives(self, keyword: str, value: Any, at: str) -> str:
        if keyword == "$ref":
            return self._referred(value, at)
        if keyword == "const":
            return _literal(value)
        if not isinstance(value, list) or not value:
            raise _refusal(at, "is no list of choices")
        if keyword == "enum":
            return _any_of(map(_literal, value))
        return _any_of(self._visit(choice, f"{at}[{number}]") for number, choice in enumerate(value))

    def _typed(self, schema: Schema, at: str) -> str:
        kinds = schema.get("type") or [kind for kind in ("object", "array") if _KEYWORDS[kind] & schema.keys()][:1]
        kinds = kinds if isinstance(kinds, list) else [kinds]
        if not kinds or not set(kinds) <= set(_TYPES):
            raise _refusal(at, f"has no `type` out of {', '.join(_TYPES)}")
        _only(schema, {"type"}.union(*(_KEYWORDS[kind] for kind in kinds)), at)
        return _any_of(self._of_kind(kind, schema, at) for kind in kinds)

    def _of_kind(self, kind: str, schema: Schema, at: str) -> str:
        if kind == "string":
            return self._string(schema, at)
        if kind == "integer":
            return self._integer(schema, at)
        if kind == "array" and not schema.keys().isdisjoint(_KEYWORDS["array"]):
            return self._array(schema, at)
        if kind == "object" and not schema.keys().isdisjoint(_KEYWORDS["object"]):
            return self._object(schema, at)
        return self._common(kind)

    def _string(self, schema: Schema, at: str) -> str:
        if (form := schema.get("format")) in _FORMATS:
            return rf'"\"" {self._common(form)} "\""'
        if "minLength" not in schema and "maxLength" not in schema:
            return self._common("string")
        self._common("char")
        return rf'"\"" char{_repeated(schema, "minLength", "maxLength", at)} "\""'

    def _integer(self, schema: Schema, at: str) -> str:
        low, high = schema.get("minimum"), schema.get("maximum")
        if isinstance(low, int) and isinstance(high, int) and 0 <= high - low < _MOST_INTEGERS:
            return _any_of(f'"{number}"' for number in range(low, high + 1))
        if high is not None or low not in (None, 0, 1):
            raise _refusal(at, f"bounds an integer by more than a range of {_MOST_INTEGERS:,}, or `minimum` 0 or 1")
        natural = "[1-9] [0-9]{0,14}"
        return {None: self._common("integer"), 0: f'("0" | {natural})', 1: natural}[low]

    def _array(self, schema: Schema, at: str) -> str:
        item = self._rule(self._visit(schema.get("items", True), f"{at}.items"))
        low, high = _bounds(schema, "minItems", "maxItems", at)
        if high == 0:
            return '"[" "]"'
        more = f'(", " {item}){{{max(low - 1, 0)},{"" if high is None else high - 1}}}'
        return f'"[" {item} {more} "]"' if low else f'"[" ({item} {more})? "]"'

    def _object(self, schema: Schema, at: str) -> str:
        properties = schema.get("properties", {})
        if not isinstance(properties, Mapping):
            raise _refusal(f"{at}.properties", "is no object")
        required = schema.get("required", [])
        if unknown := [name for name in required if name not in properties]:
            raise _refusal(f"{at}.required", f"names {unknown[0]!r}, which `properties` does not have")
        if not properties:
            return self._map(schema.get("additionalProperties", True), at)
        pairs = [
            (name in required, self._rule(f'{_literal(name)} ": " {self._visit(each, f"{at}.properties.{name}")}'))
            for name, each in properties.items()
        ]
        return f'"{{" {self._listed(pairs)} "}}"'

    def _listed(self, pairs: list[tuple[bool, str]]) -> str:
        """Pairs in their order, the required ones always, each but the first that is there after a comma."""
        after = ""  # what may follow once a pair has been written
        whole = ""  # what may be written when none has been
        for required, pair in reversed(pairs):
            whole = f"{pair} {after}" if required else f"({pair} {after} | {whole})" if whole else f"({pair} {after})?"
            after = self._rule(f'", " {pair} {after}' if required else f'(", " {pair})? {after}')
        return whole

    def _map(self, values: object, at: str) -> str:
        if values is False:
            return '"{" "}"'
        pair = f'{self._common("string")} ": " {self._rule(self._visit(values, f"{at}.additionalProperties"))}'
        return f'"{{" ({pair} (", " {pair})*)? "}}"'

    def _referred(self, ref: object, at: str) -> str:
        """The rule of a schema that lies elsewhere in this one; it may refer to itself."""
        if not isinstance(ref, str) or not ref.startswith("#"):
            raise _refusal(at, "leads out of the schema")
        if ref not in self._refs:
            name = self._refs[ref] = f"ref-{len(self._refs)}"
            self._rules[name] = self._visit(self._target(ref, at), f"${ref}")
        return self._refs[ref]

    def _target(self, ref: str, at: str) -> object:
        target: Any = self._schema
        for step in ref.removeprefix("#").split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(target, Mapping) or name not in target:
                raise _refusal(at, f"refers to {ref}, which is not there")
            target = target[name]
        return target

    def _rule(self, right: str) -> str:
        """The name of a rule that says so."""
        for name, known in self._rules.items():
            if known == right:
                return name
        name = f"r{len(self._rules)}"
        self._rules[name] = right
        return name

    def _common(self, name: str) -> str:
        if name not in self._rules:
            self._rules[name] = _COMMON[name]
            for needed in re.findall(
                r"[a-z][a-z-]+", re.sub(r'"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]])*\]', " ", _COMMON[name])
            ):
                self._common(needed)
        return name


def _literal(value: object) -> str:
    """JSON as a literal of the grammar."""
    text = json.dumps(value, ensure_ascii=False)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _any_of(choices: Iterable[str]) -> str:
    listed = list(choices)
    return listed[0] if len(listed) == 1 else f"({' | '.join(listed)})"


def _repeated(schema: Schema, least: str, most: str, at: str) -> str:
    low, high = _bounds(schema, least, most, at)
    return f"{{{low},{'' if high is None else high}}}"


def _bounds(schema: Schema, least: str, most: str, at: str) -> tuple[int, int | None]:
    low, high = schema.get(least, 0), schema.get(most)
    for name, bound in ((least, low), (most, high)):
        if bound is not None and (not isinstance(bound, int) or not 0 <= bound <= _MOST_REPEATED):
            raise _refusal(f"{at}.{name}", f"is no number from 0 to {_MOST_REPEATED:,}")
    if high is not None and high < low:
        raise _refusal(f"{at}.{most}", f"is less than `{least}`")
    return low, high


def _only(schema: Schema, known: Iterable[str], at: str) -> None:
    if others := sorted(schema.keys() - _REMARKS - set(known)):
        raise _refusal(at, f"has `{others[0]}`, which cannot be promised")


def _refusal(at: str, what: str) -> UsageError:
    return UsageError(
        f"the schema cannot be followed: {at} {what}",
        hint="docs/ask.md lists what a schema may use; leave the rest out and check it afterwards.",
    )

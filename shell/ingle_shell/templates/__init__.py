"""Questions with a name, kept in files: `ask -t NAME`. The built-in ones lie in this folder, the user's in their
configuration (`templates/NAME.toml`) and go before. Imported only for `-t`.

A template is TOML:

    description = "what it is for, in the list"
    system = "instructions in place of the built-in ones"
    prompt = "the question, with ${variables}"
    input = "git diff --staged"      # a command whose output belongs on standard input; without any, it is told
    code = true                      # print the first code block only, as -x does
    max_tokens = 200
    temperature = 0.0
    [variables]                      # their defaults; one without a default must be given with -v
    language = "English"

Its prompt stands after what is piped in or attached, and before the words of the question.
"""

from __future__ import annotations

import os
import re
import string
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import tomli

from ingle_daemon import paths
from ingle_daemon.errors import UsageError, reason

__all__ = ["Template", "filled", "find", "listing", "variables_of"]

_BUILT_IN = Path(__file__).parent


class Template(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One template, as its file has it."""

    prompt: str = ""
    description: str = ""
    system: str | None = None
    input: str = ""
    code: bool = False
    max_tokens: int | None = None
    temperature: float | None = None
    variables: dict[str, str] = {}


def find(name: str) -> Template:
    """The template of that name. Raises UsageError when there is none, or its file is wrong, with the line."""
    for folder in _folders():
        path = folder / f"{name}.toml"
        if os.sep not in name and path.is_file():
            return _read(path)
    known = ", ".join(dict(_all()))
    raise UsageError(f"there is no template {name!r}", hint=f"There are: {known}. Yours go to {_folders()[0]}.")


def filled(name: str, template: Template, given: Mapping[str, str]) -> str:
    """The prompt with its variables. Raises UsageError for one without a value, and for one that it does not have."""
    wanted = {found["named"] or found["braced"] for found in _references(template) if not found["escaped"]}
    if unknown := sorted(given.keys() - wanted):
        has = f"It has: {', '.join(sorted(wanted))}." if wanted else "It has none."
        raise UsageError(f"the template {name} has no variable {unknown[0]}", hint=has)
    values = {**template.variables, **given}
    if missing := sorted(wanted - values.keys()):
        raise UsageError(f"the template {name} wants a value for {missing[0]}", hint=f"Add: -v {missing[0]}=…")
    return string.Template(template.prompt).substitute(values)


def variables_of(pairs: Sequence[str]) -> dict[str, str]:
    """`name=value` pairs. Raises UsageError for what is none."""
    given = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier():
            raise UsageError(f"-v {pair} is no variable", hint="Write it as: -v name=value")
        given[name] = value
    return given


def listing() -> str:
    """Every template with what it is for, one a line."""
    found = dict(_all())
    width = max(map(len, found))
    return "\n".join(f"{name:{width}}  {_read(path).description}".rstrip() for name, path in sorted(found.items()))


def _folders() -> tuple[Path, Path]:
    return paths.config_file().parent / "templates", _BUILT_IN


def _all() -> Iterator[tuple[str, Path]]:
    for folder in reversed(_folders()):
        yield from ((path.stem, path) for path in sorted(folder.glob("*.toml")))


def _read(path: Path) -> Template:
    try:
        text = path.read_text(encoding="utf-8")
        template = msgspec.convert(tomli.loads(text), Template)
    except tomli.TOMLDecodeError as exc:
        raise _mistake(path, exc.lineno, f"not valid TOML: {exc.msg}") from exc
    except msgspec.ValidationError as exc:
        key = (re.findall(r"`\$?\.?([^`.\[]+)", str(exc)) or [""])[-1]
        raise _mistake(path, _line_of(text, key), str(exc)) from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageError(f"cannot read {path}: {reason(exc)}", hint="Make it a readable UTF-8 file.") from exc
    if any(found["invalid"] is not None for found in _references(template)):
        raise _mistake(path, _line_of(text, "prompt"), "a `$` in the prompt begins no variable; write it twice")
    return template


def _references(template: Template) -> Iterator[re.Match[str]]:
    """Every `$` in the prompt, as `string.Template` reads it."""
    return string.Template.pattern.finditer(template.prompt)


def _mistake(path: Path, line: int, what: str) -> UsageError:
    return UsageError(f"{path}:{line}: {what}", hint="docs/ask.md shows what a template may say.")


def _line_of(text: str, key: str) -> int:
    """Where `key` is set; 1 where that cannot be told."""
    found = re.search(rf"(?m)^[ \t]*(?:\[\s*)?{re.escape(key)}\b", text) if key else None
    return text.count("\n", 0, found.start()) + 1 if found else 1

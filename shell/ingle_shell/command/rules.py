"""Which program does what: programs.toml, and the programs whose arguments decide in a way of their own.

Pure but for reading that table once.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import tomli

from ingle_shell.command.risk import SYSTEM_FOLDERS, Effect, Risk, Situation, unknown, worst
from ingle_shell.command.syntax import Word

__all__ = ["has_flag", "known_programs", "operands", "risk_of_call", "risk_of_effect"]

Words = Sequence[Word]
Rule = Callable[[Words, Situation], Risk]


def risk_of_call(words: Words, situation: Situation) -> Risk:
    """The risk of a program with its arguments."""
    from ingle_shell.command.wrappers import WRAPPERS, wrapped

    name = _program(words[0])
    if name is None:
        return unknown(f"what {words[0].text or 'the empty name'} runs is not known")
    words = (Word(name), *words[1:])
    if name in WRAPPERS:
        return wrapped(words, situation)
    if rule := _special().get(name):
        return rule(words, situation)
    return by_table(words)


def _program(word: Word) -> str | None:
    if not word.known or word.glob or not word.text:
        return None
    folder, slash, name = word.text.rpartition("/")
    return name if not slash or folder in SYSTEM_FOLDERS else None


def _special() -> Mapping[str, Rule]:
    from ingle_shell.command.special import SPECIAL

    return SPECIAL


# --- the table ------------------------------------------------------------------------------------------------------


@functools.cache
def _table() -> Mapping[str, Any]:
    data = tomli.loads(Path(__file__).with_name("programs.toml").read_text(encoding="utf-8"))
    plain = {name: effect for effect, names in data["plain"].items() for name in names.split()}
    of = {name: data["of"][rule["like"]] if "like" in rule else rule for name, rule in data["of"].items()}
    return {**plain, **of}


def known_programs() -> frozenset[str]:
    """The names in the table."""
    return frozenset(_table())


def by_table(words: Words) -> Risk:
    """The risk of a program that the table knows, and of one that it does not."""
    rule = _table().get(words[0].text)
    if rule is None:
        return unknown(f"what {words[0].text} does is not known")
    return _by_rule(words[0].text, rule, words[1:])


def _by_rule(name: str, rule: Any, arguments: Words) -> Risk:
    if isinstance(rule, str):
        return risk_of_effect(name, rule)
    flags: Mapping[str, Sequence[str]] = rule.get("flags", {})
    matched = [
        risk_of_effect(f"{name} {flag}", effect)
        for effect, listed in flags.items()
        for flag in listed
        if has_flag(flag, arguments)
    ]
    if (flags or "sub" in rule) and any(word.free for word in arguments):
        matched.append(unknown(f"an argument of {name} could be an option"))
    if "sub" in rule:
        rest = _after_options(arguments, rule.get("valued", ()))
        if rest and rest[0].text in rule["sub"]:
            return worst([*matched, _by_rule(f"{name} {rest[0].text}", rule["sub"][rest[0].text], rest[1:])])
    if "operands" in rule and len(operands(arguments)) > rule["operands"] and not matched:
        return risk_of_effect(name, rule.get("more", "destroys"))
    return worst(matched) if matched else risk_of_effect(name, rule["effect"])


def risk_of_effect(name: str, text: str) -> Risk:
    """The risk that the table's words for it mean."""
    effect, *more = text.split()
    if effect == "unknown":
        risk = unknown(f"what {name} does is not known")
        return Risk(risk.effect, "root" in more, "network" in more, known=False, reasons=risk.reasons)
    reasons = (f"{name} destroys",) if effect == "destroys" else ()
    return Risk(cast("Effect", effect), "root" in more, "network" in more, reasons=reasons)


# --- arguments ------------------------------------------------------------------------------------------------------


def has_flag(flag: str, arguments: Words) -> bool:
    """Whether `flag` is among the options: alone, in a cluster (`-rf`), shortened (`--forc`), with a value (`-n5`)."""
    for word in arguments:
        if word.text == "--":
            return False
        if flag.startswith("--"):
            given = word.text.partition("=")[0]
            if given == flag or (len(given) > 3 and flag.startswith(given)):
                return True
        elif len(flag) > 2 or not flag.startswith("-"):
            if word.text.startswith(flag):
                return True
        elif re.match(r"-[^-]", word.text) and flag[1] in word.text[1:]:
            return True
    return False


def operands(arguments: Words) -> Words:
    """The arguments that are no options; after `--` all."""
    end = next((index for index, word in enumerate(arguments) if word.text == "--"), len(arguments))
    plain = [word for word in arguments[:end] if not word.text.startswith("-") or word.text == "-"]
    return [*plain, *arguments[end + 1 :]]


def _after_options(arguments: Words, valued: Sequence[str]) -> Words:
    index = 0
    while index < len(arguments) and arguments[index].text.startswith("-"):
        if arguments[index].text == "--version":
            break
        index += 2 if arguments[index].text in valued else 1
    return arguments[index:]

"""Programs that run another program: sudo, env, xargs, timeout … The risk is that of both. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from ingle_shell.command.risk import READS, Risk, Situation, unknown, worst
from ingle_shell.command.rules import risk_of_call
from ingle_shell.command.syntax import Word

__all__ = ["WRAPPERS", "unwrap", "wrapped"]


class _Wrapper(msgspec.Struct, frozen=True):
    """`flags` stand alone, `valued` take a value; other options are not understood. `operands` precede the program.

    `own` is the wrapper's own risk, `alone` that of the wrapper without a program.
    """

    flags: str = ""
    valued: str = ""
    operands: int = 0
    own: Risk = READS
    alone: Risk = READS


_ROOT = Risk(root=True)
_SILENT = unknown("what it runs was not read")

WRAPPERS = {
    "sudo": _Wrapper("-E -n -H -S -b -A --non-interactive", "-u -g -h -p", own=_ROOT, alone=_SILENT),
    "doas": _Wrapper("-n", "-u", own=_ROOT, alone=_SILENT),
    "env": _Wrapper("-i - -0", "-u -C"),
    "nice": _Wrapper("", "-n"),
    "ionice": _Wrapper("-t", "-c -n"),
    "nohup": _Wrapper(),
    "time": _Wrapper("-p -v"),
    "timeout": _Wrapper("--foreground --preserve-status -v", "-k -s --signal --kill-after", operands=1),
    "stdbuf": _Wrapper("", "-i -o -e"),
    "setsid": _Wrapper("-f -w --fork --wait"),
    "command": _Wrapper("-v -V -p"),
    "builtin": _Wrapper(),
    "exec": _Wrapper("-c -l", "-a", alone=_SILENT),
    "noglob": _Wrapper(),
    "nocorrect": _Wrapper(),
    "and": _Wrapper(),
    "or": _Wrapper(),
    "not": _Wrapper(),
    "busybox": _Wrapper(),
    "watch": _Wrapper("-d -t -c -x -g -e -b", "-n --interval"),
    "xargs": _Wrapper(
        "-0 -r -t -p -x --null --no-run-if-empty --verbose",
        "-n -I -P -L -d -a -E -s --max-args --max-procs --max-lines --delimiter --arg-file --replace",
    ),
}
_SEE_ALIASES = frozenset(("time", "noglob", "nocorrect", "and", "or", "not"))
_GIVEN = Word("what it is given", known=False, free=True)


def wrapped(words: Sequence[Word], situation: Situation) -> Risk:
    """The risk of a wrapper and of what it runs."""
    name, wrapper = words[0].text, WRAPPERS[words[0].text]
    inner, options = _inner(words[1:], wrapper)
    if inner is None:
        return worst([wrapper.own, unknown(f"an option of {name} is not understood")])
    if name == "command" and options & {"-v", "-V"}:
        return READS
    while name in ("env", "sudo", "doas") and inner and re.match(r"[A-Za-z_]\w*=", inner[0].text):
        options |= {inner[0].text.partition("=")[0]}
        inner = inner[1:]
    assigned = {option for option in options if not option.startswith("-")}
    own = [wrapper.own, *(unknown(f"sets {variable}, which may change what the rest does") for variable in assigned)]
    if not inner:
        return worst([*own, wrapper.alone])
    if name == "watch":
        return _script(inner, situation)
    if name in _SEE_ALIASES and inner[0].text in {*situation.aliases, *situation.functions}:
        return unknown(f"{inner[0].text} is an alias or a function of yours")
    if name == "xargs":
        inner = _with_input(inner, words)
    return worst([*own, risk_of_call(inner, situation)])


def unwrap(words: Sequence[Word]) -> list[Sequence[Word]]:
    """The call itself without what it wraps, and the calls that it wraps."""
    calls: list[Sequence[Word]] = []
    while words and words[0].known and words[0].text in WRAPPERS:
        inner, _ = _inner(words[1:], WRAPPERS[words[0].text])
        while inner and words[0].text in ("env", "sudo", "doas") and re.match(r"[A-Za-z_]\w*=", inner[0].text):
            inner = inner[1:]
        if not inner:
            break
        calls.append(words[: len(words) - len(inner)])
        words = inner
    return [*calls, words] if words else calls


def _inner(arguments: Sequence[Word], wrapper: _Wrapper) -> tuple[Sequence[Word] | None, set[str]]:
    """What follows the wrapper's own arguments, and its options. None: an option is not understood."""
    flags, valued, seen, index = set(wrapper.flags.split()), wrapper.valued.split(), set(), 0
    while index < len(arguments):
        word = arguments[index]
        if word.free:
            return None, set()
        if word.text == "--":
            index += 1
            break
        if not word.text.startswith("-"):
            break
        option = word.text.partition("=")[0] if word.text.startswith("--") else word.text
        if option in valued:
            index += 1 if "=" in word.text else 2
        elif option in flags or _attached(option, valued) or _cluster(option, flags):
            index += 1
        else:
            return None, set()
        seen.add(option)
    return arguments[index + wrapper.operands :], seen


def _attached(option: str, valued: Sequence[str]) -> bool:
    return len(option) > 2 and option[1] != "-" and option[:2] in valued


def _cluster(option: str, flags: set[str]) -> bool:
    return option[1:2] != "-" and len(option) > 1 and all(f"-{letter}" in flags for letter in option[1:])


def _with_input(inner: Sequence[Word], words: Sequence[Word]) -> Sequence[Word]:
    """The program's arguments with what xargs reads: at the end, or wherever its placeholder stands."""
    outer = words[1 : len(words) - len(inner)]
    for index, word in enumerate(outer):
        if word.text.startswith("-I"):
            placeholder = word.text[2:] or (outer[index + 1].text if index + 1 < len(outer) else "{}")
            return [_GIVEN if placeholder in argument.text else argument for argument in inner]
    return [*inner, _GIVEN]


def _script(inner: Sequence[Word], situation: Situation) -> Risk:
    if not all(word.known for word in inner):
        return unknown("a part of the script that it runs is not known")
    return situation.script(" ".join(word.text for word in inner))

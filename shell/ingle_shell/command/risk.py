"""What a command does at worst. Never the model's word: a pure function of what a parser found in it.

What is not known is treated as the worst. What a file's existence decides is asked of `Surroundings`; nothing is run
and nothing is changed. This module combines; which program does what is in rules.py and programs.toml.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from ingle_shell.command.lists import names
from ingle_shell.command.syntax import Call, Redirection, Script, ShellName, Word, read

__all__ = ["READS", "Effect", "Risk", "Situation", "Surroundings", "assess", "unknown", "worst"]

Effect = Literal["reads", "writes", "destroys"]
_ORDER: tuple[Effect, ...] = ("reads", "writes", "destroys")
_DEEPEST = 4  # scripts in scripts (`sh -c`, `eval`): beyond, somebody hides something

# Variables that change what happens only within the program that reads them, and only how it looks or sorts.
_HARMLESS = names("LC_ALL LANG LANGUAGE LC_COLLATE LC_CTYPE LC_NUMERIC LC_TIME TZ NO_COLOR COLUMNS TERM DEBUG")
_SINKS = names("/dev/null /dev/stdout /dev/stderr /dev/tty 1 2 -")
SYSTEM_FOLDERS = ("/bin", "/usr/bin", "/sbin", "/usr/sbin", "/usr/local/bin", "/opt/homebrew/bin")


class Risk(msgspec.Struct, frozen=True):
    """`effect` is the worst of: reads, writes, destroys. `known` is False where that is only feared."""

    effect: Effect = "reads"
    root: bool = False
    network: bool = False
    known: bool = True
    reasons: tuple[str, ...] = ()


READS = Risk()


class Surroundings(Protocol):
    """What of the file system decides what a command does."""

    def overwrites(self, target: str, sources: Sequence[str]) -> bool:
        """Whether a file stands where `target`, or in it as a folder one of `sources`, would be written."""
        ...

    def protected(self, target: str) -> bool:
        """Whether the user may not write there."""
        ...


class Situation(msgspec.Struct, frozen=True):
    """Where a command is to run. `aliases`: the user's own; `functions`: names only, what they do is not known."""

    shell: ShellName
    surroundings: Surroundings
    aliases: Mapping[str, str] = {}
    functions: frozenset[str] = frozenset()
    moved: bool = False
    depth: int = 0

    def target(self, word: Word, sources: Sequence[Word] = ()) -> Risk:
        """The risk of writing to the file or into the folder that `word` names."""
        shown = word.text or "a file"
        if not word.known or word.glob or (self.moved and not word.text.startswith(("/", "~"))):
            return Risk("destroys", known=False, reasons=(f"may overwrite {shown}",))
        if any(not source.known for source in sources):
            return Risk("destroys", known=False, reasons=(f"may overwrite what is in {shown}",))
        if word.text.startswith("/dev/"):
            return Risk("destroys", root=True, reasons=(f"writes to the device {shown}",))
        root = self.surroundings.protected(word.text)
        if self.surroundings.overwrites(word.text, [source.text for source in sources]):
            return Risk("destroys", root, reasons=(f"overwrites {shown}",))
        return Risk("writes", root)

    def script(self, text: str) -> Risk:
        """The risk of a script within the command."""
        if self.depth >= _DEEPEST:
            return unknown("it nests too deep to be followed")
        return assess(read(text, self.shell), msgspec.structs.replace(self, depth=self.depth + 1))


def assess(script: Script, situation: Situation) -> Risk:
    """The worst of all parts of `script`."""
    from ingle_shell.command.rules import risk_of_call

    if any(call.words[0].text in ("cd", "pushd", "popd", "z", "chdir") for call in script.calls):
        situation = msgspec.structs.replace(situation, moved=True)
    own = frozenset(script.functions)
    parts = [unknown(oddity) for oddity in script.oddities]
    parts += [_assigning(name) for name in script.assigned]
    parts += [_redirecting(redirection, situation) for redirection in script.redirections]
    parts += [_defining(name, script.calls) for name in script.functions]
    for call in script.calls:
        parts += [_assigning(name, to_one_call=True) for name in call.assigned]
        name = call.words[0]
        if not (name.known and name.text in own):
            parts.append(_aliased(call, situation) or risk_of_call(call.words, situation))
    return worst(parts)


def worst(risks: Sequence[Risk]) -> Risk:
    """What all of `risks` together come to. Of what only fears the worst, nothing is left where the worst is known."""
    reasons = [reason for risk in risks for reason in risk.reasons]
    return Risk(
        effect=max((risk.effect for risk in risks), key=_ORDER.index, default="reads"),
        root=any(risk.root for risk in risks),
        network=any(risk.network for risk in risks),
        known=all(risk.known for risk in risks),
        reasons=tuple(dict.fromkeys(reasons)),
    )


def unknown(reason: str) -> Risk:
    """As bad as it gets, because it is not known."""
    return Risk("destroys", known=False, reasons=(reason,))


def _aliased(call: Call, situation: Situation) -> Risk | None:
    """What the call does as the user's own alias or function; None where it is neither."""
    name = call.words[0].text
    if name in situation.functions:
        return unknown(f"{name} is a function of yours, which was not read")
    if (meaning := situation.aliases.get(name)) is None:
        return None
    rest = {other: text for other, text in situation.aliases.items() if other != name}
    situation = msgspec.structs.replace(situation, aliases=rest)
    script = read(meaning, situation.shell)
    if not script.calls:
        return unknown(f"{name} is an alias of yours that could not be read")
    last = msgspec.structs.replace(script.calls[-1], words=script.calls[-1].words + call.words[1:])
    return assess(msgspec.structs.replace(script, calls=(*script.calls[:-1], last)), situation)


def _assigning(name: str, *, to_one_call: bool = False) -> Risk:
    """A variable may make a program load or run anything: PATH, LD_PRELOAD, GIT_SSH_COMMAND, PAGER, IFS, BASH_ENV …"""
    if name in _HARMLESS or (not to_one_call and name.islower() and name not in ("path", "fpath", "cdpath")):
        return READS
    return unknown(f"sets {name}, which may change what the rest does")


def _redirecting(redirection: Redirection, situation: Situation) -> Risk:
    operator, target = redirection.operator.lstrip("0123456789&"), redirection.target
    if target.known and target.text.startswith(("/dev/tcp/", "/dev/udp/")):
        return Risk("writes", network=True, reasons=(f"connects to {target.text[9:]}",))
    if operator.startswith("<") and ">" not in operator:
        return READS
    if target.known and (target.text in _SINKS or target.text.startswith("/dev/fd/")):
        return READS
    if operator.startswith(">>") and target.known and not target.text.startswith("/dev/"):
        return Risk("writes", root=situation.surroundings.protected(target.text))
    return situation.target(target)


def _defining(name: str, calls: Sequence[Call]) -> Risk:
    if any(call.words[0].text == name for call in calls) and not name.isidentifier():
        return unknown(f"defines {name} as something else")
    return READS

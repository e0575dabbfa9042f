"""All checks of one command, before anybody sees it: syntax, programs, options, risk. It is read, never run."""

from __future__ import annotations

import glob
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from ingle_shell.command.disguise import undisguise
from ingle_shell.command.flags import documented, is_documented
from ingle_shell.command.risk import Risk, Situation, assess
from ingle_shell.command.shells import Shell, own_names, syntax_error, wraps_program
from ingle_shell.command.syntax import Script, Word, read
from ingle_shell.command.wrappers import unwrap

__all__ = ["Checked", "OptionCheck", "ProgramCheck", "check"]


class ProgramCheck(msgspec.Struct, frozen=True):
    """`kind` "missing": nothing has that name. "unchecked": the name is only known when it runs."""

    name: str
    kind: Literal["program", "builtin", "alias", "function", "missing", "unchecked"]
    path: str = ""


class OptionCheck(msgspec.Struct, frozen=True):
    """`source` is what documents the program's options; "" where nothing does: the verdict is "unchecked"."""

    program: str
    option: str
    verdict: Literal["documented", "undocumented", "unchecked"]
    source: str = ""


class Checked(msgspec.Struct, frozen=True):
    """A command with everything that was found out about it. `syntax`: the shell's objection; None: it was not asked.

    `removed` and `remarks` are about disguises (disguise.py).
    """

    command: str
    shell: str
    syntax: str | None
    programs: tuple[ProgramCheck, ...]
    options: tuple[OptionCheck, ...]
    risk: Risk
    removed: int = 0
    remarks: tuple[str, ...] = ()

    @property
    def runnable(self) -> bool:
        return bool(self.command) and not self.syntax

    @property
    def complaints(self) -> tuple[str, ...]:
        """What a user, or the model that is to try again, should know is wrong."""
        wrong = [f"{self.shell} cannot parse it: {self.syntax}"] if self.syntax else []
        wrong += [
            f"{program.name} is not installed here"
            for program in self.programs
            if program.kind == "missing" and program.name
        ]
        wrong += [
            f"{option.program} documents no option {option.option}"
            for option in self.options
            if option.verdict == "undocumented"
        ]
        return tuple(wrong)


def check(text: str, shell: Shell, environment: Mapping[str, str]) -> Checked:
    """Everything that can be found out about the command `text` without running it."""
    shown = undisguise(text)
    script = read(shown.text, shell.name)
    situation = Situation(shell.name, _Disk(), _aliases(environment), _functions(environment, shell))
    calls = [call for outer in script.calls for call in unwrap(outer.words)]
    return Checked(
        shown.text,
        shell.name,
        syntax_error(shell, shown.text),
        _programs(calls, script, shell, situation),
        _options(calls, script, shell, situation),
        assess(script, situation),
        shown.removed,
        shown.remarks,
    )


def _programs(
    calls: Sequence[Sequence[Word]], script: Script, shell: Shell, situation: Situation
) -> tuple[ProgramCheck, ...]:
    checks = [_program(words[0], script, shell, situation) for words in calls]
    return tuple(dict.fromkeys(checks))


def _program(word: Word, script: Script, shell: Shell, situation: Situation) -> ProgramCheck:
    name = word.text
    if not word.known or word.glob:
        return ProgramCheck(name, "unchecked")
    if name in situation.aliases:
        return ProgramCheck(name, "alias")
    if name in script.functions or name in situation.functions:
        return ProgramCheck(name, "function")
    if name in own_names(shell) and not wraps_program(shell, name):
        return ProgramCheck(name, "builtin")
    path = shutil.which(str(Path(name).expanduser()) if name.startswith("~") else name)
    return ProgramCheck(name, "program", path) if path else ProgramCheck(name, "missing")


def _options(
    calls: Sequence[Sequence[Word]], script: Script, shell: Shell, situation: Situation
) -> tuple[OptionCheck, ...]:
    checks: list[OptionCheck] = []
    for words in calls:
        program = _program(words[0], script, shell, situation)
        given = _given(words)
        if given and program.kind in ("program", "builtin", "alias"):
            checks += _checked(program, words, given)
    return tuple(dict.fromkeys(checks))


def _checked(program: ProgramCheck, words: Sequence[Word], given: Sequence[str]) -> list[OptionCheck]:
    path = program.path or shutil.which(program.name) or ""
    subcommand = next((word.text for word in words[1:] if not word.text.startswith("-")), "")
    subcommand = subcommand if re.fullmatch(r"[a-z][\w-]*", subcommand) else ""
    known = documented(Path(program.name).name, path, subcommand) if path and program.kind == "program" else None
    if known is None:
        return [OptionCheck(program.name, option, "unchecked") for option in given]
    return [
        OptionCheck(
            program.name,
            option,
            "documented" if is_documented(option, known.options) else "undocumented",
            known.source,
        )
        for option in given
    ]


def _given(words: Sequence[Word]) -> list[str]:
    """The options among a call's own words. A number (`head -5`) is none, and what `find -exec` runs has its own."""
    given: list[str] = []
    for word in words[1:]:
        if word.text in ("--", "-exec", "-execdir", "-ok", "-okdir"):
            given += [word.text] if word.text != "--" else []
            break
        if word.known and re.match(r"--?[A-Za-z]", word.text):
            given.append(word.text.partition("=")[0])
    return given


class _Disk:
    """The file system, from the current folder."""

    def overwrites(self, target: str, sources: Sequence[str]) -> bool:
        path = Path(target).expanduser()
        if not path.is_dir():
            return os.path.lexists(path)
        names = [Path(found).name for source in sources for found in glob.glob(str(Path(source).expanduser()))]  # noqa: PTH207
        return any(os.path.lexists(path / name) for name in names)

    def protected(self, target: str) -> bool:
        path = Path(target).expanduser()
        while not path.exists() and path != path.parent:
            path = path.parent
        return not os.access(path, os.W_OK)


def _functions(environment: Mapping[str, str], shell: Shell) -> frozenset[str]:
    """The user's functions. fish comes with some of its own, which wrap the program or builtin of the same name."""
    functions = frozenset(environment.get("INGLE_FUNCTIONS", "").split())
    return functions - own_names(shell) if shell.name == "fish" else functions


def _aliases(environment: Mapping[str, str]) -> dict[str, str]:
    """The user's aliases, as the shell integration hands them on: what the builtin `alias` prints."""
    aliases = {}
    for line in environment.get("INGLE_ALIASES", "").splitlines():
        if match := re.match(r"(?:alias (?:-- )?)?(?P<q>'?)([^\s='\"]+)(?P=q)[= ](.*)", line):
            meaning = read(f"x {match[3]}", "bash").calls
            words = meaning[0].words[1:] if meaning else ()
            aliases[match[2]] = " ".join(word.text for word in words) if words else match[3]
    return aliases

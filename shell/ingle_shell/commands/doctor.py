"""`ingle doctor`: what is wrong here, and what to type against it."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingle_shell.commands.base import Command
from ingle_shell.commands.base import add as _add
from ingle_shell.layout import Verbatim
from ingle_shell.render import plain
from ingle_shell.screen import Screen

if TYPE_CHECKING:
    from ingle_shell.commands.base import Commands

__all__ = ["add"]

_LEAST_WIDTH = 40


def add(commands: Commands) -> None:
    """Declare it."""
    parser = _add(
        commands,
        "doctor",
        "look at everything that may be wrong, and say what to do about it",
        Command(_doctor, lambda answer: Verbatim(_told(answer)), lambda answer: 2 if answer["problems"] else 0),
        as_json=True,
    )
    parser.add_argument("--start", action="store_true", help="start the daemon where it does not run")
    what = "write an archive for a bug report too: versions, sizes, counts; no text, no code, no key"
    parser.add_argument("--bundle", metavar="FILE.zip", help=what)
    parser.epilog = "exit codes: 0 no problem, 2 a problem"


def _doctor(options: argparse.Namespace) -> dict[str, Any]:
    from ingle_shell.doctor import bundle, checks, gather  # other commands need not pay for these

    screen = Screen()
    if screen.interactive:
        screen.note("looking …", dim=True)
    facts = gather.gather(start=options.start)
    findings = checks.examine(facts)
    if options.bundle:
        report = bundle.contents(facts, findings, home=str(Path.home()), user=_user())
        bundle.write(Path(options.bundle), report)
        screen.note(f"{options.bundle} holds report.json: read it before you send it")
    return {
        "problems": sum(finding.level == "problem" for finding in findings),
        "warnings": sum(finding.level == "warning" for finding in findings),
        "findings": [
            {"name": finding.name, "level": finding.level, "what": finding.what, "fix": finding.fix}
            for finding in findings
        ],
    }


def _user() -> str:
    """The user's name, "" where nobody knows it, as in some containers."""
    from getpass import getuser

    with contextlib.suppress(KeyError, OSError):
        return getuser()
    return ""


def _told(answer: dict[str, Any]) -> str:
    """A line a check, and under it what to do. The last line is the sum."""
    width = max(shutil.get_terminal_size().columns, _LEAST_WIDTH)
    lines = [line for finding in answer["findings"] for line in _told_finding(finding, width)]
    problems, warnings = answer["problems"], answer["warnings"]
    if problems or warnings:
        lines.append(f"{_counted(problems, 'problem')}, {_counted(warnings, 'warning')}")
    else:
        lines.append("all is well")
    return "\n".join(lines)


def _told_finding(finding: dict[str, Any], width: int) -> list[str]:
    what = plain(finding["what"]).replace(f"{Path.home()}/", "~/")
    head = f"{finding['level']:<8}{finding['name']}: {what}"
    lines = textwrap.wrap(head, width, subsequent_indent=" " * 8, break_on_hyphens=False, break_long_words=False)
    if finding["fix"]:
        lines.append(f"{' ' * 8}→ {plain(finding['fix'])}")  # never wrapped: it is to be copied
    return lines


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"

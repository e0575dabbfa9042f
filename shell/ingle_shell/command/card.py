"""How a checked command reads, as lines of a width. Pure.

Every line of the command begins with the same bar, so that nothing in it can pass for a line of ours.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import msgspec

from ingle_shell.command.risk import Risk
from ingle_shell.command.verify import Checked
from ingle_shell.render import plain

__all__ = ["as_json", "beside", "card", "checks_line", "needs_word", "risk_line", "warnings"]


def card(checked: Checked, explanation: str, width: int, doubt: str = "") -> list[str]:
    """The whole command, what the model says of it, what was checked, what is wrong, and how far it is believed."""
    lines = [f"│ {piece}" for line in checked.command.splitlines() for piece in _cut(line, width - 2)]
    if explanation:
        lines += _wrapped(plain(explanation).replace("\n", " "), width)
    verdict, *objections = beside(checked, doubt)
    lines += _wrapped(verdict, width)
    for objection in objections:
        lines += textwrap.wrap(objection, width, subsequent_indent="  ")
    return lines


def beside(checked: Checked, doubt: str = "") -> list[str]:
    """What is said of the command with or without a menu: risk and checks, then a line for each flaw."""
    flaws = [*warnings(checked), *([plain(doubt)] if doubt else [])]
    return [f"{risk_line(checked.risk)} · {checks_line(checked)}", *(f"! {flaw}" for flaw in flaws)]


def risk_line(risk: Risk) -> str:
    """The risk in a few words, the reason with it where there is one."""
    effect = risk.effect if risk.known else "may destroy"
    because = f" ({'; '.join(map(plain, risk.reasons[:3]))})" if risk.reasons else ""
    return " · ".join([f"{effect}{because}", *["needs root"] * risk.root, *["network"] * risk.network])


def checks_line(checked: Checked) -> str:
    """What was checked, and what could not be."""
    parse = f"{checked.shell} was not asked" if checked.syntax is None else f"{checked.shell} parses it"
    parts = [parse if not checked.syntax else f"{checked.shell} does not parse it"]
    documented = sum(option.verdict == "documented" for option in checked.options)
    unchecked = [option.option for option in checked.options if option.verdict == "unchecked"]
    if documented:
        parts.append(f"{documented} option{'' if documented == 1 else 's'} documented")
    if unchecked:
        parts.append(f"not checked: {' '.join(map(plain, unchecked))}")
    return " · ".join(parts)


def warnings(checked: Checked) -> list[str]:
    """What is wrong or odd."""
    found = list(map(plain, checked.complaints))
    if checked.removed:
        found.append(f"{checked.removed} hidden characters were taken out")
    return [*found, *checked.remarks]


def needs_word(checked: Checked) -> bool:
    """Whether one key is not enough to run it."""
    risk = checked.risk
    return risk.effect == "destroys" or risk.root or bool(checked.removed or checked.remarks)


def as_json(checked: Checked, explanation: str) -> Mapping[str, object]:
    """The same for programs."""
    return {
        "command": checked.command,
        "explanation": explanation,
        "shell": checked.shell,
        "checks": {
            "syntax": {"checked": checked.syntax is not None, "error": checked.syntax or ""},
            "programs": [msgspec.structs.asdict(program) for program in checked.programs],
            "options": [msgspec.structs.asdict(option) for option in checked.options],
            "hidden_characters": checked.removed,
            "remarks": list(checked.remarks),
        },
        "risk": msgspec.structs.asdict(checked.risk),
    }


def _cut(line: str, width: int) -> list[str]:
    """Pieces of at most `width` characters, every space kept."""
    return [line[start : start + width] for start in range(0, len(line), width)] or [""]


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, initial_indent="  ", subsequent_indent="  ")

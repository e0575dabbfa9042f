"""Makes the pictures of docs/images: what is typed in a scenario, on the screen of a real tmux, drawn as SVG by rich.

    python tests/pictures/make.py [NAME …]

The shell, `ask` and the daemon are real; the model is played by the scenario's script, so that a picture is the same
each time. Scenarios lie in scenarios.toml beside this file.
"""

from __future__ import annotations

import functools
import io
import re
import sys
from pathlib import Path

import msgspec
import tomli
from rich.console import Console
from rich.text import Text

sys.path.insert(0, str(Path(__file__).parents[1]))

import support
from shell.tmux import tmux

HERE = Path(__file__).parent
PICTURES = HERE.parents[1] / "docs/images"


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the model says to a question in which the regular expression `match` is found."""

    match: str
    answer: str


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Type `type`, then press `keys` (tmux's names), then wait until the regular expression `wait` is to be seen."""

    type: str = ""
    keys: tuple[str, ...] = ()
    wait: str = ""


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One picture: a shell in a folder with `files`."""

    title: str
    steps: tuple[Step, ...]
    answers: tuple[Answer, ...] = ()
    files: dict[str, str] = {}
    shell: str = "PS1='$ ' bash --noprofile --norc"
    columns: int = 84
    lines: int = 24
    context: int = 8192


def main() -> None:
    table = tomli.loads((HERE / "scenarios.toml").read_text(encoding="utf-8"))
    scenarios = msgspec.convert(table, dict[str, Scenario])
    for name in sys.argv[1:] or scenarios:
        picture = PICTURES / f"{name}.svg"
        picture.write_text(drawn(scenarios[name], screen_of(scenarios[name])), encoding="utf-8")
        print(picture)


def screen_of(scenario: Scenario) -> str:
    """What stands on the screen at the end, with its colours."""
    instance = support.new_instance(HISTFILE="/dev/null")
    try:
        rules = [{"kind": "chat", "match": each.match, "answer": each.answer} for each in scenario.answers]
        instance.script(rules=rules, token_delay_ms=20, context=scenario.context)
        for name, text in scenario.files.items():
            (instance.root / name).write_text(text)
        instance.start()
        with tmux(instance, scenario.shell, columns=scenario.columns, lines=scenario.lines) as screen:
            screen.wait(bool)
            for step in scenario.steps:
                if step.type:
                    screen.keys("-l", step.type)
                if step.keys:
                    screen.keys(*step.keys)
                screen.wait(functools.partial(_shows, step.wait))
            return screen.colored()
    finally:
        instance.close()


def _shows(wanted: str, lines: list[str]) -> bool:
    return bool(re.search(wanted, "\n".join(lines)))


def drawn(scenario: Scenario, screen: str) -> str:
    console = Console(record=True, width=scenario.columns, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(screen.rstrip("\n")), soft_wrap=True)
    picture = console.export_svg(title=scenario.title, unique_id="picture")
    return re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)  # a picture fetches nothing


if __name__ == "__main__":
    main()

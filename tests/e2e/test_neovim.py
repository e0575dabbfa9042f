"""Someone types in a real Neovim, and sees ghost text."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

import support
from e2e import neovim

pytestmark = pytest.mark.neovim

ADD = "def add(a, b):\n    return a + b"
Open = Callable[[support.Instance, str, str], neovim.Screen]


@pytest.fixture
def open_screen() -> Iterator[Open]:
    """Opens a file with the given text in the given Neovim, and waits until ingle-lsp is attached to it."""
    screens: list[neovim.Screen] = []

    def open_screen(instance: support.Instance, version: str, text: str) -> neovim.Screen:
        screen = neovim.Screen(instance, neovim.binary(version), text)
        screens.append(screen)
        screen.wait(lambda lines: any(line.startswith("attached") for line in lines))
        return screen

    yield open_screen
    for screen in screens:
        screen.close()


@pytest.mark.parametrize("version", ["0.11", "0.12"])
def test_ghost_text_is_seen_goes_away_and_is_accepted(
    instance: support.Instance, open_screen: Open, version: str
) -> None:
    instance.script(rules=[{"kind": "infill", "match": r"def add\Z", "answer": ADD.removeprefix("def add")}])
    screen = open_screen(instance, version, "import os\n")
    screen.keys("o", "def add")
    screen.wait(lambda lines: lines[1:3] == ADD.splitlines())
    screen.keys("Escape")
    screen.wait(lambda lines: lines[1] == "def add")
    screen.keys("A")
    screen.wait(lambda lines: lines[1:3] == ADD.splitlines())
    screen.keys("Tab")
    screen.wait(lambda lines: "attached, line 3" in lines)
    screen.keys("Escape", ":w", "Enter")
    screen.wait(lambda lines: "written" in lines[-1])
    assert screen.file.read_text() == f"import os\n{ADD}\n"


@pytest.mark.model
def test_the_starter_model_makes_ghost_text(real: support.Instance, open_screen: Open) -> None:
    screen = open_screen(real, "0.12", "")
    typed = "def fibonacci(n):"
    screen.keys("i", typed)
    screen.wait(lambda lines: lines[0].startswith(typed) and lines[:2] not in ([typed, "~"], [typed, ""]))

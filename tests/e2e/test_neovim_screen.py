"""What a person sees of the plugin on a real terminal, in both Neovims."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

import support
from e2e.neovim import VERSIONS, Screen

pytestmark = pytest.mark.neovim

ADD = "def add(a, b):\n    return a + b"
Open = Callable[..., Screen]


@pytest.fixture
def open_screen() -> Iterator[Open]:
    """Opens a file with the given text in the given Neovim, and waits until ingle-lsp is attached to it."""
    screens: list[Screen] = []

    def open_screen(instance: support.Instance, version: str, text: str, settings: str = "{}") -> Screen:
        screen = Screen(instance, version, text, settings)
        screens.append(screen)
        # No daemon runs before the first completion, and Neovim's own client shows no ghost text before it is attached.
        screen.wait(lambda lines: any(line.startswith(("ingle: offline", "ingle: error")) for line in lines))
        return screen

    yield open_screen
    for screen in screens:
        screen.close()


@pytest.fixture
def adding(instance: support.Instance) -> support.Instance:
    instance.script(rules=[{"kind": "infill", "match": r"def add\Z", "answer": ADD.removeprefix("def add")}])
    return instance


@pytest.mark.parametrize("version", VERSIONS)
def test_ghost_text_is_seen_goes_away_and_is_accepted(
    adding: support.Instance, open_screen: Open, version: str
) -> None:
    screen = open_screen(adding, version, "import os\n")
    screen.keys("o", "def add")
    screen.wait(lambda lines: lines[1:3] == ADD.splitlines())
    screen.wait(lambda lines: any(line.startswith("ingle: scripted") for line in lines))
    screen.keys("Escape")
    screen.wait(lambda lines: lines[1] == "def add")
    screen.keys("A")
    screen.wait(lambda lines: lines[1:3] == ADD.splitlines())
    screen.keys("M-Right", "M-Right")  # as terminals send Alt with an arrow
    screen.wait(lambda lines: lines[1:3] == ADD.splitlines())
    screen.keys("Tab")
    screen.wait(lambda lines: any(line.endswith("line 3") for line in lines))
    screen.keys("Escape", ":w", "Enter")
    screen.wait(lambda lines: "written" in lines[-1])
    assert screen.file.read_text() == f"import os\n{ADD}\n"


@pytest.mark.parametrize("version", VERSIONS)
def test_of_two_windows_on_a_buffer_only_the_one_that_is_typed_in_shows_it(
    adding: support.Instance, open_screen: Open, version: str
) -> None:
    screen = open_screen(adding, version, "x = 1\n")
    screen.keys(":vsplit", "Enter")
    screen.wait(lambda lines: "│" in lines[0])
    screen.keys("o", "def add")
    screen.wait(lambda lines: lines[1].startswith(ADD.splitlines()[0]))
    left, right = (screen.lines()[1].split("│")[side].rstrip() for side in (0, 1))
    assert (left, right) == (ADD.splitlines()[0], "def add")


@pytest.mark.parametrize("version", VERSIONS)
def test_without_a_model_the_user_is_told_and_not_stopped(
    instance: support.Instance, open_screen: Open, version: str
) -> None:
    del instance.env["INGLE_BACKEND"]
    screen = open_screen(instance, version, "")
    screen.keys("i", "def add")
    screen.wait(lambda lines: lines[-2].startswith("ingle: error"))
    screen.keys("(x", "Escape")
    screen.wait(lambda lines: lines[-1].startswith("ingle: no model") and lines[-1].endswith("…"))
    screen.keys(":Ingle status", "Enter")
    screen.wait(lambda lines: any(line.startswith("language server:") for line in lines))
    assert "".join(screen.lines()).count("`ingle model pull`") == 1
    screen.keys("Enter", "Escape")
    screen.wait(lambda lines: lines[0] == "def add(x")


def test_neovims_own_client_draws_where_that_is_wanted(adding: support.Instance, open_screen: Open) -> None:
    screen = open_screen(adding, "0.12", "", "{ native = true }")
    screen.keys("i", "def add")
    screen.wait(lambda lines: lines[:2] == ADD.splitlines())
    screen.keys("M-Right")
    screen.wait(lambda lines: lines[:2] == ADD.splitlines())
    screen.keys("M-C-Right", "Escape")
    screen.wait(lambda lines: lines[:2] == [ADD.splitlines()[0], "~"])
    screen.keys("a")
    screen.wait(lambda lines: lines[:2] == ADD.splitlines())
    screen.keys("Tab")
    screen.wait(lambda lines: any(line.endswith("line 2") for line in lines))
    screen.keys("Escape", "u")
    screen.wait(lambda lines: lines[:2] == [ADD.splitlines()[0], "~"])


def test_what_neovims_own_client_draws_is_dismissed_until_something_is_typed(
    adding: support.Instance, open_screen: Open
) -> None:
    screen = open_screen(adding, "0.12", "", "{ native = true }")
    screen.keys("i", "def add")
    screen.wait(lambda lines: lines[:2] == ADD.splitlines())
    screen.keys("C-]")
    screen.wait(lambda lines: lines[:2] == ["def add", "~"])
    screen.keys("BSpace", "d")
    screen.wait(lambda lines: lines[:2] == ADD.splitlines())


@pytest.mark.model
@pytest.mark.parametrize("version", VERSIONS)
def test_the_starter_model_makes_ghost_text(real: support.Instance, open_screen: Open, version: str) -> None:
    screen = open_screen(real, version, "")
    typed = "def fibonacci(n):"
    screen.keys("i", typed)
    screen.wait(lambda lines: lines[0].startswith(typed) and lines[:2] not in ([typed, "~"], [typed, ""]), 60)
    seen = screen.lines()[:2]
    screen.keys("Tab", "Escape", ":w", "Enter")
    screen.wait(lambda lines: "written" in lines[-1])
    assert screen.file.read_text().splitlines()[: len(seen)] == [line for line in seen if line != "~"]

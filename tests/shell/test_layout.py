"""How long lines lie on a terminal, and that a pipe gets them as they are."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingle_shell.layout import cells, cut, laid_out
from shell.conftest import Spawn
from shell.fake_daemon import Answer, FakeDaemon
from shell.test_terminal import seen
from support import Instance

NARROW = 40
HINT = "`ingle model list` names those that are here, and `ingle model pull NAME` fetches another"
REFUSED = Answer({"error": {"code": "api_failed", "message": "the model is not here " * 4, "hint": HINT}}, 502)


@pytest.mark.parametrize(
    ("text", "laid"),
    [
        ("short: as it  is ", "short: as it  is "),
        ("tiny · local · 59 of 8,192 tokens · 17.5 t/s", "tiny · local · 59 of 8,192 tokens · 17.5\n    t/s"),
        (
            "route     local, tiny: all of it fits in 8,192\nconfident 0.42, below 0.5, an unsure beginning",
            (
                "route     local, tiny: all of it fits in\n          8,192\n"
                "confident 0.42, below 0.5, an unsure\n          beginning"
            ),
        ),
        (
            "ask: there is no such thing anywhere to be found\n  Type what there is here: `ingle model list` names it",
            (
                "ask: there is no such thing anywhere to\n    be found\n"
                "  Type what there is here:\n  `ingle model list` names it"
            ),
        ),
        (f"kept at /{'x' * 50}/y now", f"kept at\n    /{'x' * 50}/y\n    now"),
        ("Send this and later ones to far.example? [y/N] ", "Send this and later ones to far.example?\n    [y/N] "),
        (f"to        {'x' * 40}", f"to        {'x' * 40}"),
        (
            "It is not sure of this, and asks you. [a] ask a larger model  any other key: keep ",
            "It is not sure of this, and asks you.\n    [a] ask a larger model  any other\n    key: keep ",
        ),
        ("* a-model-with-a-long-name  98 MB  Apache", "* a-model-with-a-long-name\n    98 MB  Apache"),
        ("日本語" * 7, "日本語" * 6 + "日本\n    語"),
    ],
)
def test_it_breaks_at_spaces_and_hangs(text: str, laid: str) -> None:
    assert laid_out(text, NARROW) == laid


@given(st.text(st.sampled_from("ab`\n 日é-")), st.integers(10, 60))
def test_nothing_is_lost_and_no_line_is_longer_than_its_longest_word(text: str, columns: int) -> None:
    laid = laid_out(text, columns)
    assert "".join(laid.split()) == "".join(text.split())
    for line in laid.split("\n"):
        assert cells(line.rstrip()) <= columns or len(line.split()) == 1 or line in text.split("\n")


def test_a_title_is_cut_by_columns() -> None:
    assert [cut("abc", 3), cut("abcd", 3), cut("日本語", 5)] == ["abc", "ab…", "日本…"]


@pytest.mark.parametrize("no_color", ["", "1"])
def test_an_error_and_its_hint_lie_within_the_terminal(spawn: Spawn, daemon: FakeDaemon, no_color: str) -> None:
    daemon.play("/ingle/ask", REFUSED)
    lines = seen(spawn("ask -m other hi", columns=NARROW, NO_COLOR=no_color)).splitlines()
    assert max(map(len, lines)) <= NARROW
    assert "  are here, and `ingle model pull NAME`" in lines


def test_a_pipe_gets_lines_as_they_are(instance: Instance, daemon: FakeDaemon) -> None:
    daemon.play("/ingle/ask", REFUSED)
    assert instance.run("ask", "-m", "other", "hi").stderr.splitlines()[1] == f"  {HINT}"


def test_a_listing_lies_within_the_terminal_and_json_is_not_touched(spawn: Spawn, daemon: FakeDaemon) -> None:
    listed = {"keys": [{"host": "far.example", "from": "keyring", "there": False, "problem": "no " * 30}]}
    daemon.play("/ingle/keys", Answer(listed))
    assert max(map(len, seen(spawn("ingle key list", columns=NARROW)).splitlines())) <= NARROW
    assert json.loads(seen(spawn("ingle key list --json", columns=NARROW))) == listed

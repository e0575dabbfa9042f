from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingle_daemon.protocol import Done, Reading, Route, Timings, Usage
from ingle_shell.render import (
    TerminalText,
    answer_status,
    daemon_status,
    model_list,
    plain,
    reading_notice,
    route_notice,
    size,
    unheeded_notice,
)

LOCAL = Route("local", "tiny", "it fits")
API = Route("api", "big", "9000 tokens do not fit in 2048")

hostile_text = st.text(alphabet=st.sampled_from("ab\n\t0;[]()?m\\\x07\x1b\x9b\x9c\x9d\x90\x00\r\u202e é"), max_size=40)


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("red \x1b[31mtext\x1b[0m", "red text"),
        ("title \x1b]0;owned\x07set", "title set"),
        ("clipboard \x1b]52;c;cm0gLXJm\x1b\\taken", "clipboard taken"),
        ("link \x1b]8;;http://x\x1b\\here\x1b]8;;\x1b\\", "link here"),
        ("device \x1bP1;2|payload\x1b\\string", "device string"),
        ("one-byte \x9b2J forms \x9d0;title\x9c", "one-byte  forms "),
        ("over\rwritten\b\b\x7f", "overwritten"),
        ("reset \x1bc charset \x1b(0", "reset  charset "),
        ("reordered \u202egnp.exe", "reordered gnp.exe"),
        ("tab\tand\nnewline stay, so does é ✓ 漢", "tab\tand\nnewline stay, so does é ✓ 漢"),
    ],
)
def test_a_terminal_gets_the_text_but_no_escape_sequence(hostile: str, shown: str) -> None:
    assert plain(hostile) == shown


def test_an_escape_sequence_in_two_pieces_is_removed() -> None:
    text = TerminalText()
    assert text.feed("before \x1b[3") == "before "
    assert text.feed("1mafter") == "after"


def test_an_escape_sequence_that_never_ends_hides_nothing_for_long() -> None:
    text = TerminalText()
    shown = text.feed("\x1b]0;") + text.feed("x" * 5000) + text.finish()
    assert shown.endswith("x" * 5000)


def test_a_line_break_ends_a_control_string() -> None:
    assert TerminalText().feed("\x1b]0;title\nthe answer") == "0;title\nthe answer"


def test_what_was_held_back_is_shown_at_the_end_without_its_escape() -> None:
    text = TerminalText()
    assert text.feed("done\x1b]0;tail") == "done"
    assert text.finish() == "0;tail"


@given(st.lists(hostile_text, max_size=6))
def test_it_does_not_matter_where_the_pieces_were_cut(pieces: list[str]) -> None:
    text = TerminalText()
    assert "".join([text.feed(piece) for piece in pieces] + [text.finish()]) == plain("".join(pieces))


@given(st.lists(hostile_text, max_size=6))
def test_no_control_character_ever_passes(pieces: list[str]) -> None:
    text = TerminalText()
    shown = "".join([text.feed(piece) for piece in pieces] + [text.finish()])
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown)


@given(st.lists(st.text(alphabet=st.characters(exclude_categories=["C"])), max_size=6))
def test_harmless_text_passes_at_once_and_unchanged(pieces: list[str]) -> None:
    text = TerminalText()
    assert [text.feed(piece) for piece in pieces] == pieces


@pytest.mark.parametrize(
    ("count", "read"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (98_362_432, "98 MB"),
        (999_600_000, "1.0 GB"),
        (1_930_000_000, "1.9 GB"),
    ],
)
def test_sizes_read_as_people_say_them(count: int, read: str) -> None:
    assert size(count) == read


def test_a_local_answer_says_model_place_and_speed() -> None:
    done = Done("end", timings=Timings(predicted_n=30, predicted_ms=1500))
    assert answer_status(LOCAL, done) == "tiny · local · 30 tokens · 20.0 tokens/s"


def test_an_answer_that_was_cut_off_says_so() -> None:
    assert answer_status(LOCAL, Done("limit")).endswith("cut off at the token limit")


def test_an_api_answer_says_tokens_and_cost() -> None:
    assert answer_status(API, Done("end", usage=Usage(9000, 120, 0.0123))) == "big · api · 9000 + 120 tokens · $0.0123"
    assert answer_status(API, Done("end", usage=Usage(9000, 120))).endswith("cost unknown")


def test_only_an_answer_from_elsewhere_is_announced() -> None:
    assert route_notice(LOCAL) == ""
    assert route_notice(API) == "asking big (api): 9000 tokens do not fit in 2048"


def test_the_status_names_the_error_of_a_model_that_did_not_load() -> None:
    status = {
        "version": "1.0",
        "pid": 7,
        "uptime_s": 93784.2,
        "tcp": {"url": "http://127.0.0.1:8080/v1"},
        "model": {"state": "failed", "error": "it is cut short"},
        "requests": {"running": 4, "waiting": 1, "reading": 0, "answering": 3},
        "log": "/state/ingled.log",
    }
    assert daemon_status(status).splitlines() == [
        "ingled 1.0, process 7, up 1 d 2 h",
        "model     (failed)",
        "          it is cut short",
        "requests  3 answering, 1 waiting",
        "listening http://127.0.0.1:8080/v1",
        "log       /state/ingled.log",
    ]


def test_the_current_model_is_marked_in_the_list() -> None:
    models = [
        {"name": "a", "path": "/a", "size_bytes": 98_000_000, "current": False, "license": "MIT"},
        {"name": "b", "path": "/b", "size_bytes": 1_900_000_000, "current": True},
    ]
    assert model_list({"installed": models}) == "  a  98 MB  MIT\n* b  1.9 GB"
    assert "ingle model pull" in model_list({"installed": []})


@pytest.mark.parametrize("wanted", ["", "tiny", "/models/tiny.gguf", "tiny.gguf"])
def test_a_model_that_answers_as_wanted_is_no_news(wanted: str) -> None:
    assert unheeded_notice(LOCAL, wanted) == ""


@pytest.mark.parametrize("wanted", ["large", "/models/large.gguf"])
def test_a_model_that_the_running_daemon_was_not_started_with_is_told(wanted: str) -> None:
    assert f"INGLE_MODEL is {wanted}, but ingled runs tiny" in unheeded_notice(LOCAL, wanted)
    assert unheeded_notice(API, wanted) == ""


@pytest.mark.parametrize(
    ("reading", "told"),
    [
        (Reading(1, 4, 4), "reading part 1 of 4"),
        (Reading(1, 4, 4, 9.0), "reading part 1 of 4"),
        (Reading(1, 4, 4, 290.0), "reading part 1 of 4; at a guess it takes 5 min, Ctrl-C ends it"),
        (
            Reading(1, 16, 19, 9000.0),
            "reading part 1 of 16, those most like the question of 19; at a guess it takes 2 h 30 min, Ctrl-C ends it",
        ),
        (Reading(3, 16, 19, 4800.0), "reading part 3 of 16, about 80 min left"),
        (Reading(16, 16, 19, 20.0), "reading part 16 of 16"),
    ],
)
def test_a_document_that_is_read_in_parts_says_how_long_it_takes(reading: Reading, told: str) -> None:
    assert reading_notice(reading) == told

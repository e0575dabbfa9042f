"""The cursor's place: every position encoding, every line end, bounded prompts, names in the workspace."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingle_lsp.completion.context import TOP, Encoding, Hole, edited, hole_at, index_at, name_in, units

ENCODINGS: tuple[Encoding, ...] = ("utf-8", "utf-16", "utf-32")


@pytest.mark.parametrize(
    ("encoding", "character"), [("utf-8", 12), ("utf-16", 9), ("utf-32", 8)], ids=["utf-8", "utf-16", "utf-32"]
)
def test_columns_are_counted_in_the_negotiated_encoding(encoding: Encoding, character: int) -> None:
    hole = hole_at('x\ns = "é😋" + y', 1, character, encoding)
    assert (hole.line_before, hole.after) == ('s = "é😋"', " + y")


def test_a_column_inside_a_surrogate_pair_stands_before_the_character() -> None:
    assert hole_at("a😋b", 0, 2, "utf-16").before == "a"


@pytest.mark.parametrize("other", ["\f", "\v", "\x85", "\u2028", "\x1c"])
def test_only_line_ends_end_lines(other: str) -> None:
    hole = hole_at(f"one{other}still one\ntwo", 1, 2, "utf-16")
    assert (hole.line_before, hole.line_after) == ("tw", "o")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_line_end_is_kept_as_it_is(end: str) -> None:
    hole = hole_at(f"one{end}two{end}three", 1, 3, "utf-16")
    assert hole == Hole(f"one{end}two", f"{end}three")
    assert (hole.line_before, hole.line_after) == ("two", "")
    assert (hole.prefix, hole.suffix) == (hole.before, hole.after)


@pytest.mark.parametrize(("line", "character", "before"), [(0, 99, "one"), (1, 99, "one\r\ntwo"), (7, 3, "one\r\ntwo")])
def test_a_position_past_the_end_is_at_the_end(line: int, character: int, before: str) -> None:
    assert hole_at("one\r\ntwo", line, character, "utf-16").before == before


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(source=st.text(st.sampled_from("ab \n\r\fé世😋")), at=st.integers(0, 40))
def test_any_position_an_editor_can_mean_is_found_again(encoding: Encoding, source: str, at: int) -> None:
    before = source[:at]
    if before.endswith("\r") and source[at:].startswith("\n"):
        before = before[:-1]  # no editor's cursor stands inside a line end
    line = before.replace("\r\n", "\n").replace("\r", "\n").count("\n")
    line_before = Hole(before, "").line_before
    assert hole_at(source, line, units(line_before, encoding), encoding).before == before


def test_the_prompt_holds_the_nearest_lines_and_no_more() -> None:
    hole = Hole("".join(f"{n}\n" for n in range(1000)) + "here", "".join(f"\n{n}" for n in range(1000)))
    assert hole.prefix == "".join(f"{n}\n" for n in range(768, 1000)) + "here"
    assert hole.suffix == "".join(f"\n{n}" for n in range(63)) + "\n"


@settings(deadline=None)  # the machine may be busy
@given(st.integers(0, 700), st.integers(1, 200), st.sampled_from(["", "x", "x" * 200]), st.sampled_from("\n\r"))
def test_the_window_moves_in_whole_blocks(above: int, typed: int, text: str, end: str) -> None:
    """However many lines are typed, the prompt's head changes once a block."""
    file = "".join(f"{n}{text}{end}" for n in range(above + typed))
    heads = [Hole(file[: file.index(f"{n}{text}{end}")], "").prefix[:20] for n in range(above, above + typed)]
    changes = sum(a[: len(b)] != b[: len(a)] for a, b in itertools.pairwise(heads))
    assert changes <= typed // 64 + 1
    assert len(Hole(file, "").prefix) <= 32_768


def test_a_file_of_one_endless_line_gives_a_bounded_prompt() -> None:
    hole = Hole("x" * 1_000_000, "y" * 1_000_000)
    assert len(hole.prefix) + len(hole.suffix) < 50_000
    assert Hole("x" * 1_000_000, "").prefix != ""


def test_half_a_character_does_not_reach_the_prompt() -> None:
    assert Hole("a\ud83d", "\ude0bb").prefix == "a\N{REPLACEMENT CHARACTER}"


def test_the_indent_is_that_of_the_cursors_line() -> None:
    assert [Hole(before, "").indent for before in ("a\n  b = ", "a\n\t\t", "a", "")] == [2, 2, 0, 0]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/code/app/lib/x.py", ("lib/x.py", "app", "/code/app")),
        ("/code/other/x.py", ("other/x.py", "code", "/code")),
        ("/elsewhere/x.py", ("x.py", "", "")),
        ("Untitled-1", ("Untitled-1", "", "")),
    ],
)
def test_a_file_is_named_inside_the_innermost_folder(path: str, expected: tuple[str, str, str]) -> None:
    assert name_in(["/code", "/code/app"], path) == expected


_TEXTS = st.text(st.sampled_from("ab \n\r\fé世😋"))


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(source=_TEXTS, text=_TEXTS, cut=st.tuples(st.integers(0, 40), st.integers(0, 40)))
def test_an_edit_replaces_what_is_between_two_places(
    encoding: Encoding, source: str, text: str, cut: tuple[int, int]
) -> None:
    start, end = (_place(source, at, encoding) for at in sorted(cut))
    first, last = (index_at(source, *place, encoding) for place in (start, end))
    assert edited(source, start, end, text, encoding).source == source[:first] + text + source[last:]


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r", "\n\r"])
@given(lines=st.lists(st.text("ab", max_size=2), max_size=40), data=st.data())
def test_lines_are_found_from_the_last_edit_as_from_the_top(ends: str, lines: list[str], data: st.DataObject) -> None:
    source, near = ends.join(lines), TOP
    for _ in range(3):
        start, end = sorted(data.draw(st.tuples(st.integers(0, 45), st.integers(0, 3))) for _ in range(2))
        text = data.draw(st.text("a\r\n", max_size=3))
        expected = edited(source, start, end, text, "utf-8").source
        source, near = edited(source, start, end, text, "utf-8", near)
        assert source == expected
        for line in range(45):
            assert hole_at(source, line, 1, "utf-8", near) == hole_at(source, line, 1, "utf-8")


@given(lines=st.lists(st.integers(0, 9_000), min_size=1, max_size=60), place=st.tuples(st.integers(0, 70), st.just(9)))
def test_a_hole_is_what_is_around_it(lines: list[int], place: tuple[int, int]) -> None:
    source = "".join("x" * length + "\n" for length in lines)
    hole, at = hole_at(source, *place, "utf-8"), index_at(source, *place, "utf-8")
    assert hole.at == at
    assert len(hole.before) == at or 32_768 <= len(hole.before) < 65_536
    assert source[hole.skipped : at + len(hole.after)] == hole.before + hole.after
    assert hole.lines_skipped == source[: hole.skipped].count("\n")
    assert (hole.prefix, hole.suffix) == (Hole(source[:at], "").prefix, Hole("", source[at:]).suffix)


def test_a_hole_follows_another_across_a_blocks_edge() -> None:
    source = "".join(f"{n:07}\n" for n in range(20_000))
    for at in range(65_520, 65_560):
        line, column = divmod(at, 8)
        earlier, later = (hole_at(source, line + down, column, "utf-8") for down in (0, 1))
        text = source[at : at + 8]
        assert later.follows(earlier, text)
        assert not later.follows(earlier, text[1:])
        assert not later.follows(earlier, "x" * 8)


@pytest.mark.parametrize("line", [0, 1, 24_999, 25_000, 49_998, 49_999, 50_000, 60_000])
def test_lines_of_a_long_file_are_found(line: int) -> None:
    source = "".join(f"{n:05}\n" for n in range(50_000))
    assert hole_at(source, line, 3, "utf-8").at == min(line * 6 + 3, len(source))


def _place(source: str, at: int, encoding: Encoding) -> tuple[int, int]:
    before = Hole(source[:at], "")
    lines = before.before.replace("\r\n", "\n").replace("\r", "\n").count("\n")
    return lines, units(before.line_before, encoding)

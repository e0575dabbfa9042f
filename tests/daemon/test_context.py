"""Which pieces of other files a prompt gets, and that they stay where they are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ingle_daemon.fim.context import MOST_CHARACTERS, merged, names_near, without_what_is_in_sight
from ingle_daemon.protocol import ContextPiece

pieces = st.lists(
    st.builds(ContextPiece, st.text("ab", min_size=1, max_size=900), st.sampled_from(["a.py", "b.py"])), max_size=8
)


def test_the_nearest_names_come_first_and_imported_ones_last() -> None:
    prefix = "import decimal\n" + "\n" * 60 + "def total(order):\n    price = Price(order)\n    return "
    assert names_near(prefix, "\n    unused") == ["price", "Price", "order", "total", "unused", "decimal"]


@given(pieces, pieces)
def test_what_is_there_stays_in_front_until_it_is_too_much(kept: list[ContextPiece], found: list[ContextPiece]) -> None:
    before = merged((), kept)
    after = merged(before, found)
    size = sum(len(piece.text) for piece in after)
    assert size <= MOST_CHARACTERS or len(after) == 1
    assert after[: len(before)] == before or size <= MOST_CHARACTERS // 2 or len(after) == 1


@given(pieces)
def test_nothing_new_changes_nothing(found: list[ContextPiece]) -> None:
    kept = merged((), found)
    assert merged(kept, kept) == kept


def test_what_the_file_says_itself_is_left_out() -> None:
    ours = ContextPiece("def one():\n    return 1\n", "main.py", "edited")
    other = ContextPiece("def two():\n    return 2\n    return 1\n", "b.py", "visited")
    assert without_what_is_in_sight([ours, other], "x = 1\ndef one():\n    return 1\n", "") == [other]
    assert without_what_is_in_sight([ours, other], "x = 1\n", "\n    return 1\n") == [ours, other]


def test_a_newer_state_of_a_piece_takes_its_place_at_the_end() -> None:
    lines = [f"line_{number} = {number}" for number in range(30)]
    old = ContextPiece("\n".join(lines), "a.py", "edited")
    new = ContextPiece("\n".join([*lines[:-1], "line_29 = 'changed'"]), "a.py", "edited")
    between = ContextPiece("unlike = any_other(thing)", "b.py", "visited")
    assert merged([old, between], [new]) == (between, new)
    assert merged([old, between], [old, between]) == (old, between)


def test_what_was_wrong_and_is_not_any_more_goes() -> None:
    wrong = ContextPiece("undefined name: prise", "a.py", "diagnostics")
    place = ContextPiece("price = Price(order)", "b.py", "edited")
    assert merged([wrong, place], [place]) == (place,)
    assert merged([wrong, place], [wrong]) == (wrong, place)

"""Which pieces of other files a prompt gets, and that they stay where they are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ingle_daemon.fim.context import MOST_CHARACTERS, merged, names_near
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

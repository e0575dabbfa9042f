"""What is written down of a user's doings, and that typing changes none of it."""

from __future__ import annotations

from itertools import pairwise

from ingle_lsp.completion.recent import File, Problem, Recent

ALL = ("edited", "visited", "open", "diagnostics")


def file(name: str, lines: int = 400, root: str = "/code") -> File:
    return File(f"file://{root}/{name}", "\n".join(f"{name} line {n}" for n in range(lines)), name, root)


A, B = file("a.py"), file("b.py")


def told(recent: Recent, where: File = A, sources: tuple[str, ...] = ALL) -> list[tuple[str, str, str, str]]:
    """Source, file, first and last line of each piece."""
    pieces = recent.pieces(where, sources)
    return [(piece.source, piece.filename, piece.text.split("\n")[0], piece.text.split("\n")[-1]) for piece in pieces]


def test_a_place_is_written_down_when_it_is_left() -> None:
    recent = Recent()
    recent.at(B, 100, 100, 0.0, edited=True)
    recent.at(B, 104, 106, 5.0, edited=True)
    assert told(recent) == []
    recent.at(A, 7, 7, 9.0)
    assert told(recent) == [("edited", "b.py", "b.py line 97", "b.py line 109")]


def test_a_place_that_was_only_looked_at_is_a_visit() -> None:
    recent = Recent()
    recent.at(B, 100, 100, 0.0)
    recent.at(A, 7, 7, 9.0)
    assert told(recent) == [("visited", "b.py", "b.py line 88", "b.py line 112")]


def test_looking_on_does_not_widen_what_was_edited() -> None:
    recent = Recent()
    recent.at(B, 100, 100, 0.0)
    recent.at(B, 102, 102, 1.0, edited=True)
    recent.at(B, 110, 110, 2.0)
    recent.at(A, 7, 7, 9.0)
    assert told(recent) == [("edited", "b.py", "b.py line 99", "b.py line 105")]


def test_who_passes_through_was_not_there() -> None:
    recent = Recent()
    for number in range(30):  # a rename in many places
        recent.at(B, number * 50, number * 50, number / 100, edited=True)
    recent.at(A, 7, 7, 0.5)
    assert told(recent) == []


def test_a_far_place_of_the_same_file_is_another_one() -> None:
    recent = Recent()
    recent.at(A, 10, 10, 0.0, edited=True)
    recent.at(A, 300, 300, 5.0, edited=True)
    assert told(recent) == [("edited", "a.py", "a.py line 7", "a.py line 13")]


def test_typing_changes_nothing_of_what_is_told() -> None:
    recent = Recent()
    recent.opened(B)
    recent.at(B, 100, 100, 0.0, edited=True)
    recent.at(A, 7, 7, 9.0, edited=True)
    before = recent.pieces(A, ALL)
    for key in range(1, 200):
        typed = File(A.uri, "x" * key + "\n" * (key // 40) + A.source, A.filename, A.root)
        recent.at(typed, 7 + key // 40, 7 + key // 40, 9.0 + key / 5, edited=True)
        assert recent.pieces(typed, ALL) == before


def test_what_is_new_comes_last_and_the_oldest_go_many_at_once() -> None:
    recent = Recent()
    seen: list[int] = []
    for number in range(120):
        recent.at(file(f"{number}.py"), 100, 100, number * 9.0, edited=True)
        pieces = recent.pieces(A, ALL)
        seen.append(len(pieces))
        assert [piece.filename for piece in pieces] == [
            f"{earlier}.py" for earlier in range(number - len(pieces), number)
        ]
    drops = [before - after for before, after in pairwise(seen) if after < before]
    assert drops
    assert min(drops) > max(seen) // 3


def test_opening_a_file_tells_its_head_to_the_others_until_it_is_closed() -> None:
    recent = Recent()
    recent.opened(A)
    recent.opened(B)
    assert told(recent) == [("open", "b.py", "b.py line 0", "b.py line 23")]
    recent.at(B, 100, 100, 0.0, edited=True)
    recent.closed(B.uri, 9.0)
    assert told(recent) == [("edited", "b.py", "b.py line 97", "b.py line 103")]


def test_another_workspace_is_another_matter() -> None:
    recent = Recent()
    recent.opened(file("c.py", root="/other"))
    assert told(recent) == []


def test_each_source_can_be_left_out() -> None:
    recent = Recent()
    recent.opened(B)
    recent.at(B, 100, 100, 0.0, edited=True)
    recent.at(B, 300, 300, 9.0)
    recent.at(A, 7, 7, 19.0)
    recent.wrong_with(A.uri, [Problem(3, "undefined name")])
    assert [source for source, *_ in told(recent)] == ["open", "edited", "visited", "diagnostics"]
    for source in ALL:
        assert [found for found, *_ in told(recent, sources=(source,))] == [source]


def test_what_is_wrong_is_told_with_its_line_the_worst_first() -> None:
    recent = Recent()
    recent.wrong_with(A.uri, [Problem(9, "unused", 2), Problem(3, "undefined\n  name")])
    (piece,) = recent.pieces(A, ALL)
    assert piece.text == "undefined name: a.py line 3\nunused: a.py line 9"
    assert recent.pieces(B, ALL) == ()


def test_what_is_said_of_some_lines_leaves_the_others() -> None:
    recent = Recent()
    recent.wrong_with(A.uri, [Problem(3, "old"), Problem(50, "far")])
    recent.wrong_with(A.uri, [Problem(4, "new")], within=(0, 10))
    assert recent.pieces(A, ALL)[0].text == "new: a.py line 4\nfar: a.py line 50"
    recent.wrong_with(A.uri, [])
    assert recent.pieces(A, ALL) == ()

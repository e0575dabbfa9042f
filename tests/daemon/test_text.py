"""Text out of token pieces: whole characters, and nothing of a stop string."""

from __future__ import annotations

import codecs
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingle_daemon.engine.text import TextStream

quick = settings(deadline=None)


@st.composite
def chunked(draw: st.DrawFn, raw: bytes) -> list[bytes]:
    """`raw` cut anywhere, inside characters too."""
    cuts = sorted(draw(st.lists(st.integers(0, len(raw)), max_size=8)))
    return [raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]


@st.composite
def texts(draw: st.DrawFn, alphabet: str) -> tuple[str, list[bytes]]:
    """A text over `alphabet` and a way to cut its bytes."""
    text = draw(st.text(alphabet, max_size=30))
    return text, draw(chunked(text.encode()))


def run(stream: TextStream, chunks: list[bytes]) -> str:
    return "".join(stream.feed(chunk) for chunk in chunks) + stream.flush()


def first_end(text: str, stops: list[str], min_indent: int = 0) -> tuple[str, str, bool]:
    """What may be shown, the stop string, whether a dedent ended it: whichever is complete first, character by
    character; of two that are complete at once, the one that began earlier."""
    ends = [(m.end(), m.start(), stop) for stop in stops if stop and (m := re.search(re.escape(stop), text))]
    for match in re.finditer(r"\n([ \t]*)[^ \t\n]", text):
        if len(match[1]) < min_indent:
            ends.append((match.end(), match.start(), ""))
            break
    if not ends:
        return text, "", False
    _, start, stop = min(ends)
    return text[:start], stop, not stop


@quick
@given(st.lists(st.binary(max_size=4)))
def test_any_bytes_decode_as_they_would_in_one_go(chunks: list[bytes]) -> None:
    cut_short_is_dropped, _ = codecs.utf_8_decode(b"".join(chunks), "replace", False)
    assert run(TextStream(), chunks) == cut_short_is_dropped


@quick
@given(texts("aé€😀\ufffd"))
def test_a_character_comes_out_whole_with_its_last_byte(case: tuple[str, list[bytes]]) -> None:
    _, chunks = case
    stream, fed, shown = TextStream(), b"", ""
    for chunk in chunks:
        fed += chunk
        shown += stream.feed(chunk)
        assert shown == codecs.utf_8_decode(fed, "strict", False)[0]


@settings(deadline=None, max_examples=400)
@given(texts("abé"), st.lists(st.text("abé", max_size=4), max_size=3))
def test_text_ends_at_the_first_stop_however_it_is_cut(case: tuple[str, list[bytes]], stops: list[str]) -> None:
    text, chunks = case
    stream = TextStream(tuple(stops))
    shown = run(stream, chunks)
    assert (shown, stream.stopped, stream.dedented) == first_end(text, stops)


@quick
@given(texts("ab"), st.lists(st.text("ab", min_size=1, max_size=5), min_size=1, max_size=3))
def test_nothing_that_may_become_a_stop_is_shown_and_nothing_more_is_held(
    case: tuple[str, list[bytes]], stops: list[str]
) -> None:
    _, chunks = case
    stream, fed, shown = TextStream(tuple(stops)), "", ""
    for chunk in chunks:
        fed += chunk.decode()
        shown += stream.feed(chunk)
        if stream.ended:
            break
        held = fed[len(shown) :]
        assert any(stop.startswith(held) for stop in stops)
        for stop in stops:
            for known in range(min(len(stop), len(fed))):
                if fed.endswith(stop[:known]):
                    assert first_end(fed + stop[known:], stops)[0].startswith(shown)


@settings(deadline=None, max_examples=400)
@given(texts("ab \t\n"), st.integers(1, 4), st.lists(st.text("ab \n", min_size=1, max_size=4), max_size=2))
def test_text_ends_before_the_first_shallow_line_however_it_is_cut(
    case: tuple[str, list[bytes]], min_indent: int, stops: list[str]
) -> None:
    text, chunks = case
    stream = TextStream(tuple(stops), min_indent)
    shown = run(stream, chunks)
    assert (shown, stream.stopped, stream.dedented) == first_end(text, stops, min_indent)


@quick
@given(texts("ab\n"), st.lists(st.text("ab\n", max_size=3), max_size=2), st.integers(0, 2))
def test_lines_counts_the_line_breaks_let_out(case: tuple[str, list[bytes]], stops: list[str], min_indent: int) -> None:
    stream = TextStream(tuple(stops), min_indent)
    assert run(stream, case[1]).count("\n") == stream.lines


def test_a_stop_over_three_tokens_never_shows() -> None:
    stream = TextStream(("<|end|>",))
    assert [stream.feed(piece) for piece in (b"yes<", b"|en", b"d|> and more")] == ["yes", "", ""]
    assert stream.stopped == "<|end|>"


def test_what_looked_like_a_stop_comes_out_once_it_is_none() -> None:
    stream = TextStream(("<|end|>",))
    assert [stream.feed(piece) for piece in (b"a <", b"|e", b"mpty|>")] == ["a ", "", "<|empty|>"]


def test_the_end_releases_what_was_held() -> None:
    stream = TextStream(("###",), min_indent=2)
    assert stream.feed(b"x##") == "x"
    assert stream.flush() == "##"
    assert stream.feed(b"\n") == ""
    assert stream.flush() == "\n"


def test_a_stop_that_begins_before_a_line_break_is_held_together_with_it() -> None:
    stream = TextStream(("b\n    c",), min_indent=2)
    assert [stream.feed(piece) for piece in (b"ab\n", b"    ", b"c")] == ["a", "", ""]


def test_of_two_stops_the_one_complete_first_ends_the_text() -> None:
    whole, split = TextStream(("abcd", "bc")), TextStream(("abcd", "bc"))
    assert run(whole, [b"abcd"]) == run(split, [b"abc", b"d"]) == "a"


def test_a_character_cut_off_at_the_end_is_dropped() -> None:
    assert run(TextStream(), [b"caf\xc3"]) == "caf"


@pytest.mark.parametrize(("stops", "min_indent"), [(("\nb",), 0), ((), 2)], ids=["stop", "dedent"])
def test_after_its_end_a_stream_swallows_everything(stops: tuple[str, ...], min_indent: int) -> None:
    stream = TextStream(stops, min_indent)
    assert stream.feed(b"a\nb") == "a"
    assert stream.ended
    assert stream.feed(b"more") == stream.flush() == ""


def test_a_blank_line_is_no_dedent() -> None:
    stream = TextStream(min_indent=4)
    assert run(stream, [b"x = 1\n", b"\n", b"  \n    y = 2\n", b"z = 3"]) == "x = 1\n\n  \n    y = 2"
    assert stream.dedented

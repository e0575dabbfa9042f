"""Fill-in-the-middle prompts, with a tokenizer whose tokens are characters."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingle_daemon.fim.assemble import assemble, suffix_stop
from ingle_daemon.fim.templates import Template
from ingle_daemon.protocol import ContextPiece, InfillPrompt

quick = settings(deadline=None)

PRE, SUF, MID, REP, SEP, BOS = range(0x110000, 0x110006)  # beyond every character
FULL = Template("full", "psm", PRE, SUF, MID, REP, SEP, BOS)
BARE = Template("bare", "psm", PRE, SUF, MID)
NONE = Template("none", bos=BOS)
SPM = FULL.ordered("spm")
JOINT = FULL.ordered("spm-joint")
CODESTRAL = Template("codestral", "spm", PRE, SUF, header="+++++ ")
NAMES = {PRE: "<PRE>", SUF: "<SUF>", MID: "<MID>", REP: "<REP>", SEP: "<SEP>", BOS: "<BOS>"}


class Characters:
    """One token a character. It would read special tokens if it were asked to."""

    def tokenize(self, text: str, *, special: bool, add_special: bool = False) -> list[int]:
        assert not special, "a file's text is text"
        return [BOS] * add_special + [ord(character) for character in text]


def shown(tokens: list[int]) -> str:
    return "".join(NAMES.get(token) or chr(token) for token in tokens)


def prompt_for(prompt: InfillPrompt, fim: Template = FULL, budget: int = 1000) -> str:
    return shown(assemble(prompt, Characters(), fim, budget).tokens)


pieces = st.lists(st.builds(ContextPiece, st.text("xyz\n", max_size=60), st.sampled_from(["", "a.py"])), max_size=3)
prompts = st.builds(
    InfillPrompt,
    prefix=st.text("abc\n", max_size=200),
    suffix=st.text("def\n", max_size=200),
    extra=pieces.map(tuple),
    filename=st.sampled_from(["", "main.py"]),
    repo=st.sampled_from(["", "ingle"]),
)


@quick
@given(prompts, st.sampled_from([FULL, BARE, NONE, SPM, JOINT, CODESTRAL]), st.integers(8, 300))
def test_the_budget_is_never_exceeded(prompt: InfillPrompt, fim: Template, budget: int) -> None:
    assert len(assemble(prompt, Characters(), fim, budget).tokens) <= budget


@quick
@given(prompts, st.integers(8, 300))
def test_the_file_is_cut_only_at_its_far_ends(prompt: InfillPrompt, budget: int) -> None:
    text = prompt_for(prompt, BARE, budget)
    prefix, _, rest = text.removeprefix("<PRE>").partition("<SUF>")
    suffix = rest.removesuffix("<MID>")
    assert text == f"<PRE>{prefix}<SUF>{suffix}<MID>"
    assert prompt.prefix.endswith(prefix)
    assert prompt.suffix.startswith(suffix)


@quick
@given(prompts)
def test_what_fits_is_not_cut(prompt: InfillPrompt) -> None:
    assert prompt_for(prompt, BARE, budget=408) == f"<PRE>{prompt.prefix}<SUF>{prompt.suffix}<MID>"


def test_the_layout_is_repository_files_then_prefix_suffix_middle() -> None:
    prompt = InfillPrompt("def f(", "):\n", (ContextPiece("x = 1\n\n", "a.py"),), filename="b.py", repo="ingle")
    assert prompt_for(prompt) == (
        "<BOS><REP>ingle\n<SEP>a.py\nx = 1\n<SEP>b.py\n<PRE>def f(<SUF>):\n<MID>"  # as llama-server's /infill
    )


def test_what_has_no_name_gets_one() -> None:
    prompt = InfillPrompt("p", "s", (ContextPiece("x"),))
    assert prompt_for(prompt) == "<BOS><REP>repository\n<SEP>file\nx\n<SEP>file\n<PRE>p<SUF>s<MID>"


def test_a_model_without_file_tokens_gets_the_file_alone() -> None:
    assert prompt_for(InfillPrompt("p", "s", (ContextPiece("x"),), "f.py", "r"), BARE) == "<PRE>p<SUF>s<MID>"


def test_without_other_files_or_a_name_there_is_no_header() -> None:
    assert prompt_for(InfillPrompt("p", "s")) == "<BOS><PRE>p<SUF>s<MID>"


def test_pieces_that_do_not_fit_are_left_out_from_the_first() -> None:
    extra = (ContextPiece("1" * 30, "a"), ContextPiece("2" * 200, "b"), ContextPiece("3" * 20, "c"))
    text = prompt_for(InfillPrompt("p" * 50, "s" * 10, extra, "f"), budget=208)
    assert "1" not in text
    assert "2" not in text
    assert "3" * 20 in text
    assert "p" * 50 in text


def test_other_files_take_no_more_than_their_share() -> None:
    extra = (ContextPiece("x" * 50, "a"),)
    text = prompt_for(InfillPrompt("p" * 50, "s" * 50, extra, "f"), budget=118)
    assert text == f"<BOS><REP>repository\n<SEP>f\n<PRE>{'p' * 50}<SUF>{'s' * 21}<MID>"
    assert prompt_for(InfillPrompt("p" * 50, "s" * 50, extra, "f"), BARE, 118).count("p") == 50


def test_a_short_side_leaves_its_room_to_the_other() -> None:
    assert prompt_for(InfillPrompt("p", "s" * 500), budget=108).count("s") == 82  # all but the prefix's first block
    assert prompt_for(InfillPrompt("p" * 90, "s" * 10), budget=108).count("p") == 90
    crowded = prompt_for(InfillPrompt("p" * 75, "s" * 500), budget=108)
    assert (crowded.count("p"), crowded.count("s")) == (75, 25)


def test_the_suffix_does_not_lose_its_end_while_the_prefix_grows() -> None:
    ends = [prompt_for(InfillPrompt("p" * typed, "s" * 500), budget=108).count("s") for typed in range(20, 36)]
    assert ends == [64] * 16


def test_code_that_spells_a_marker_stays_text() -> None:
    tokens = assemble(InfillPrompt("<SUF>", "<MID>"), Characters(), FULL, 100).tokens
    assert [tokens.count(marker) for marker in (PRE, SUF, MID)] == [1, 1, 1]
    assert shown(tokens) == "<BOS><PRE><SUF><SUF><MID><MID>"


@pytest.mark.parametrize("fim", [FULL, NONE], ids=["psm", "plain"])
def test_typing_moves_the_head_once_a_block(fim: Template) -> None:
    budget, typed = 208, 400
    file = "".join(chr(0x4E00 + n) for n in range(1000))  # every character its own
    heads = [
        assemble(InfillPrompt(file[: 300 + n], "s" * 20), Characters(), fim, budget).tokens[:10] for n in range(typed)
    ]
    moves = sum(1 for before, after in pairwise(heads) if before != after)
    block = (budget - 8 - 20 if fim is FULL else budget) // 4
    assert moves in (typed // block, typed // block + 1)


def test_typing_moves_the_head_once_a_block_with_other_files_too() -> None:
    file, typed = "".join(chr(0x4E00 + n) for n in range(1000)), 400
    extra = tuple(ContextPiece(text * 15, text) for text in "abc")
    heads = []
    for n in range(typed):
        tokens = assemble(InfillPrompt(file[: 300 + n], "s" * 20, extra, "f"), Characters(), FULL, 208).tokens
        heads.append(tokens[: tokens.index(PRE) + 10])
    moves = sum(1 for before, after in pairwise(heads) if before != after)
    block = (int((208 - 8) * 0.7) - 20) // 4  # what the other files leave
    assert moves in (typed // block, typed // block + 1)


@quick
@given(st.integers(0, 600), st.integers(0, 300))
def test_a_cut_prefix_keeps_three_quarters_of_its_room_at_least(length: int, suffix: int) -> None:
    text = prompt_for(InfillPrompt("p" * length, "s" * suffix), BARE, budget=208)
    room = max(150, 200 - suffix)
    kept = text.count("p")
    assert kept == length if length <= room else room - room // 4 <= kept <= room


def test_without_markers_it_is_a_plain_continuation_that_stops_at_the_suffix() -> None:
    plain = assemble(InfillPrompt("def f(", "):\n    return 1"), Characters(), NONE, 100)
    assert shown(plain.tokens) == "<BOS>def f("
    assert plain.stops == ("):",)
    assert assemble(InfillPrompt("a", "b"), Characters(), FULL, 100).stops == ()


@pytest.mark.parametrize(
    ("suffix", "stops"),
    [
        ("", ()),
        ("\n\n  \n", ()),
        (")\nnext", (")",)),
        ("  )\nnext", ("  )",)),
        ("\n    return x\nmore", ("\n    return x",)),
        ("  \n\n\nend", ("\nend",)),
    ],
)
def test_the_stop_is_the_suffix_next_line_with_text(suffix: str, stops: tuple[str, ...]) -> None:
    assert suffix_stop(suffix) == stops


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (SPM, "<BOS><REP>ingle\n<SEP>a.py\nx = 1\n<SEP>b.py\n<SUF>):\n<PRE>def f(<MID>"),
        (JOINT, "<BOS><REP>ingle\n<SEP>a.py\nx = 1\n<SEP>b.py\n<PRE><SUF>):\n<MID>def f("),
        (CODESTRAL, "<SUF>):\n<PRE>+++++ a.py\nx = 1\n+++++ b.py\ndef f("),
        (
            replace(FULL, name_in_prefix=True, repo_end=""),
            "<BOS><REP>ingle<SEP>a.py\nx = 1\n<SEP><PRE>b.py\ndef f(<SUF>):\n<MID>",
        ),
    ],
    ids=["spm", "spm-joint", "codestral", "starcoder2"],
)
def test_each_order_has_its_layout(template: Template, expected: str) -> None:
    prompt = InfillPrompt("def f(", "):\n", (ContextPiece("x = 1\n", "a.py"),), filename="b.py", repo="ingle")
    assert prompt_for(prompt, template) == expected


@pytest.mark.parametrize("template", [SPM, JOINT, CODESTRAL])
def test_with_the_suffix_first_typing_only_appends(template: Template) -> None:
    before, after = (
        assemble(InfillPrompt(text, "\n    return x\n"), Characters(), template, 400).tokens for text in ("ab", "abc")
    )
    kept = len(before) - (template.order == "spm" and template.mid >= 0)
    assert after[:kept] == before[:kept]

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingle_shell.codeblock import FirstBlock


def taken(*pieces: str) -> str:
    block = FirstBlock()
    return "".join([*map(block.feed, pieces), block.finish()])


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("Do this:\n```sh\nls -l\n```\nIt lists.\n```\nno\n```", "ls -l\n"),
        ("~~~\na\n```\nb\n~~~\n", "a\n```\nb\n"),
        ("````md\n```\ninner\n```\n````\n", "```\ninner\n```\n"),
        ("1. so\n   ```py\n   if a:\n       b\n   ```\n", "if a:\n    b\n"),
        ("```\nnever closed", "never closed"),
        ("```\n\n```", "\n"),
        ("no code at all", ""),
        ("a ```word``` b\n", ""),
        ("Do this.\n```\nls\n```\nIt lists.", "ls\n"),
        ("**So:**\n\n```\nls\n```\n", "ls\n"),
        ("So:\n````\n```sh\nls\n```\n````\n", "```sh\nls\n```\n"),
    ],
)
def test_the_first_block_without_its_fence(answer: str, code: str) -> None:
    assert taken(answer) == code


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("\n#!/bin/sh\necho a\n\n```\n\nThis prints.\n```\nno\n```\n", "#!/bin/sh\necho a\n"),
        ("#!/bin/sh\necho a\n\nThis prints.", ""),
        ("print(1)\n```\nThis prints.", ""),
        ("print(1)\n\n```\nThis prints.", ""),
        ("print(1)\n\n```\n\nThis prints.\n\n```\nno", ""),
        ("print(1)\n```\nThis prints:\n\n```sh\nls\n```\n", "ls\n"),
        ("print(1)\n\n```\nThis prints:\n```sh\nls\n```\n", "ls\n"),
    ],
)
def test_prose_is_no_block_where_the_first_fence_was_left_out(answer: str, code: str) -> None:
    assert taken(answer) == code


def test_it_knows_when_the_rest_need_not_be_made() -> None:
    block = FirstBlock()
    block.feed("```\nx\n")
    assert (block.begun, block.ended) == (True, False)
    block.feed("```\n")
    assert block.ended


@given(st.lists(st.text(alphabet="`~ab \n", max_size=8), max_size=12))
def test_it_does_not_matter_where_the_pieces_were_cut(pieces: list[str]) -> None:
    assert taken(*pieces) == taken("".join(pieces))
    assert taken(*pieces) == taken(*re.findall(r"(?s).", "".join(pieces)))

"""The words of code."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingle_daemon.workspace.words import words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("get_user_name", ["get_user_name", "get", "user", "name"]),
        ("getUserName", ["getusername", "get", "user", "name"]),
        ("HTTPServer", ["httpserver", "http", "server"]),
        ("__init__ + x + 42 + utf8", ["init", "utf8"]),
        ("größe = naïve_straße", ["größe", "naïve_straße", "naïve", "straße"]),
        ("a.a.a b2b b2b", ["b2b"]),
        ("x" * 49, []),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert words_of(text) == words


@given(st.text())
def test_a_word_is_letters_digits_and_underscores_and_comes_once(text: str) -> None:
    words = words_of(text)
    assert all(re.fullmatch(r"\w+", word) for word in words)
    assert len(words) == len(set(words))

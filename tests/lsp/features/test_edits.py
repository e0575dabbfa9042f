"""What of a model's answer may replace code."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingle_lsp.features import edits
from ingle_lsp.features.edits import edited, plain


@pytest.mark.parametrize(
    ("answer", "original", "result"),
    [
        ("```python\nx = 2\n```", "x = 1", "x = 2"),
        ("Here it is:\n```\nx = 2\n```\nDone.\n```\ny\n```", "x = 1\n", "x = 2\n"),
        ("x = 2", "x = 1", "x = 2"),
        ("```\ndef f():\n    return 2\n```", "    def f():\n        return 1\n", "    def f():\n        return 2\n"),
        ("```\ndef f():\n    return 2\n```", "def f():\r\n    return 1\r\n", "def f():\r\n    return 2\r\n"),
        ("```\nx = 1\n```", "x = 1", ""),
        ("```\n```", "x = 1", ""),
        ("", "x = 1", ""),
        ("```\nx = '\x1b]0;a\x07\u202e2'\n```", "x = 1", "x = '2'"),
        ("~~~~\n```\nx\n```\n~~~~", "y", "```\nx\n```"),
    ],
)
def test_the_code_is_taken_in_the_shape_of_what_was_there(answer: str, original: str, result: str) -> None:
    assert edited(answer, original) == result


@given(st.text(), st.text(st.sampled_from("ab \t\n\r")))
def test_no_answer_gets_control_characters_into_a_file(answer: str, original: str) -> None:
    text = edited(answer, original)
    assert plain(text) == text.replace("\r\n", "\n")


def test_a_new_test_stands_where_tests_stand(tmp_path: Path) -> None:
    source = tmp_path / "lib/price.py"
    source.parent.mkdir()
    assert edits.test_file(str(source)) == tmp_path / "lib/test_price.py"
    (tmp_path / "tests").mkdir()
    assert edits.test_file(str(source)) == tmp_path / "tests/test_price.py"
    (tmp_path / "tests/test_price.py").touch()
    assert edits.test_file(str(source)) == tmp_path / "tests/test_price_2.py"
    assert edits.test_file(str(tmp_path / "a.unknown")) is None
    assert edits.test_file("untitled:1.py") is None

from __future__ import annotations

import sys

import pytest

from ingle_shell.options import Options, parse


def test_a_plain_question_takes_every_default() -> None:
    options = parse(["what", "is", "this?"])
    assert list(options.words) == ["what", "is", "this?"]
    assert (options.route, options.max_tokens, options.temperature, options.system) == (
        "auto",
        None,
        None,
        None,
    )
    assert not options.as_json


@pytest.mark.parametrize(
    "line",
    [["--api", "--json", "a", "b"], ["a", "b", "--api", "--json"], ["a", "--api", "b", "--json"]],
)
def test_options_stand_before_behind_and_between_the_words(line: list[str]) -> None:
    options = parse(line)
    assert (list(options.words), options.route, options.as_json) == (["a", "b"], "api", True)


def test_a_line_with_an_option_keeps_the_other_defaults() -> None:
    options = parse(["--max-tokens", "5", "a"])
    assert options.max_tokens == 5
    assert (options.route, options.temperature, options.system, options.as_json) == (
        "auto",
        None,
        None,
        False,
    )


def test_options_alone_leave_the_question_to_standard_input() -> None:
    assert list(parse(["--local"]).words) == []


def test_dashes_behind_two_dashes_belong_to_the_question() -> None:
    assert list(parse(["--local", "--", "what", "does", "tar", "-x", "do?"]).words)[-2:] == ["-x", "do?"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["--nope", "a"], "--nope"),
        (["--max-tokens", "0", "a"], "number of tokens (1 or more)"),
        (["--temperature", "hot", "a"], "temperature (0 to 2)"),
        (["--temperature", "nan", "a"], "temperature (0 to 2)"),
        (["--local", "--api", "a"], "not allowed with"),
    ],
)
def test_a_mistake_ends_with_2_and_says_what_is_wrong(
    line: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        parse(line)
    assert end.value.code == 2
    assert said in capsys.readouterr().err


def test_a_plain_question_does_not_need_argparse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "argparse", None)
    assert isinstance(parse(["a", "b"]), Options)

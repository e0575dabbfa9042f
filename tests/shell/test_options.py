from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from ingle_daemon import errors
from ingle_shell.help import EXIT_CODES
from ingle_shell.options import Options, parse
from shell.conftest import Spawn
from shell.test_terminal import seen


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


@pytest.mark.parametrize("columns", [40, 80])
@pytest.mark.parametrize("line", ["ask --help", "ingle --help", "ingle model pull --help", "ingle init --help"])
def test_help_lies_within_the_terminal(spawn: Spawn, line: str, columns: int) -> None:
    lines = seen(spawn(line, columns=columns)).splitlines()
    assert max(map(len, lines)) <= columns
    assert all(len(text) - len(text.lstrip()) <= columns // 2 for text in lines), "a column at the right edge"


def test_a_command_in_the_help_is_not_broken(spawn: Spawn) -> None:
    assert "(`ingle model list`)" in seen(spawn("ask --help", columns=80))


def test_a_mistake_lies_within_the_terminal(spawn: Spawn) -> None:
    lines = seen(spawn("ask --temperature 9 hi", columns=40)).splitlines()
    assert max(map(len, lines)) <= 40
    assert lines[-2:] == ["    invalid temperature (0 to 2) value:", "    '9'"]


def test_what_is_for_the_shells_alone_is_not_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--help"])
    said = capsys.readouterr().out
    assert "--rest" not in said
    assert "--ran" not in said
    assert parse(["--ran", "3"]).ran == 3


def test_every_exit_code_is_told_in_the_help_and_in_the_documents() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.IngleError)]
    codes = {0, *(kind.exit_code for kind in kinds)}
    assert {int(code) for code in re.findall(r"^  (\d+) ", EXIT_CODES, re.MULTILINE)} == codes
    for name in ("README.md", "docs/ask.md"):
        text = Path(__file__).parents[2].joinpath(name).read_text(encoding="utf-8")
        told = text[text.lower().index("0 done") :].partition("interrupted")[0]
        assert {int(code) for code in re.findall(r"(?:^|[·\n] ?)(\d+) ", told)} == codes

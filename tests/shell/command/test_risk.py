"""The risk of a command, by a table of commands, and by whatever text hypothesis comes up with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingle_shell.command.risk import Risk, Situation, assess
from ingle_shell.command.syntax import ShellName, read


class FewFiles:
    """A folder with `there`, `a.txt`, and `folder`, which holds another `a.txt`; below /etc only root may write."""

    def overwrites(self, target: str, sources: Sequence[str]) -> bool:
        return target in ("there", "a.txt") or (target == "folder" and "a.txt" in sources)

    def protected(self, target: str) -> bool:
        return target.startswith("/etc")


def risk_of(command: str, shell: ShellName = "bash", **situation: object) -> Risk:
    return assess(read(command, shell), Situation(shell, FewFiles(), **situation))  # type: ignore[arg-type]


def in_words(risk: Risk) -> str:
    words = [risk.effect, *["network"] * risk.network, *["root"] * risk.root, *["?"] * (not risk.known)]
    return " ".join(sorted(words))


def table() -> list[tuple[str, str]]:
    lines = Path(__file__).with_name("risks.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.split(" | ", 1) for line in lines if not line.startswith("#")]
    return [(" ".join(sorted(expected.split())), command) for expected, command in rows]


@pytest.mark.parametrize(("expected", "command"), table())
def test_a_command_is_as_bad_as_the_table_says(expected: str, command: str) -> None:
    assert in_words(risk_of(command)) == expected


def test_the_table_is_long_enough_to_mean_something() -> None:
    assert len(table()) >= 150


@pytest.mark.parametrize(
    ("expected", "command"),
    [
        ("reads", "for f in *.txt; wc -l $f; end"),
        ("reads", "ls | string match '*.txt'"),
        ("reads", "if test -f a.txt; cat a.txt; else; echo no; end"),
        ("reads", "set name value; echo $name"),
        ("destroys", "for f in *.tmp; rm $f; end"),
        ("destroys", "ls; and begin; rm a.txt; end"),
        ("destroys", "echo (rm a.txt)"),
        ("destroys", "echo hi > there"),
        ("destroys", "while read -l f; rm $f; end < a.txt"),
        ("? destroys", "set -x PATH /tmp"),
        ("? destroys", "eval (cat a.txt)"),
        ("? destroys", "\\x72m a.txt"),
        ("? destroys", "LD_PRELOAD=/tmp/a.so ls"),
    ],
)
def test_fish_is_read_as_fish(expected: str, command: str) -> None:
    assert in_words(risk_of(command, "fish")) == expected


@pytest.mark.parametrize("command", ["ls *(e:'rm x':)", "echo ${(e)x}", "=rm x"])
def test_what_only_zsh_can_do_is_feared(command: str) -> None:
    assert not risk_of(command, "zsh").known


def test_an_alias_is_as_bad_as_what_it_stands_for() -> None:
    aliases = {"ll": "ls -l", "l": "ll -a", "clean": "rm -rf", "ls": "ls --color", "loop": "loop"}
    assert in_words(risk_of("ll /tmp", aliases=aliases)) == "reads"
    assert in_words(risk_of("l", aliases=aliases)) == "reads"
    assert in_words(risk_of("clean build", aliases=aliases)) == "destroys"
    assert in_words(risk_of("git status", aliases={"git": "git -c core.pager=x"})) == "? destroys"
    assert in_words(risk_of("loop", aliases=aliases)) == "? destroys"


def test_a_function_of_the_users_is_not_known() -> None:
    assert in_words(risk_of("ls", functions=frozenset({"ls"}))) == "? destroys"


def test_the_reason_names_what_destroys() -> None:
    assert risk_of("ls && git push -f").reasons == ("git push -f destroys",)


_PIECES = (
    "ls rm -rf / ~ $x ${x} $(ls) `ls` | || && ; & \n ( ) { } [ ] [[ ]] < > >> <<E <<< 2>&1 ' \" \\ * ? # ! = eval "
    "sh -c "
    "find -exec {} + xargs sudo env git -C push -f if then fi for in do done case esac while function f() end begin "
    "sed s/a/b/ awk -i dd of=x curl -o -- - é \u202e \x1b"
)
_WORDS = list(filter(None, _PIECES.split(" ")))


@given(
    st.lists(st.sampled_from(_WORDS), max_size=25).map(" ".join) | st.text(max_size=80),
    st.sampled_from(("bash", "fish", "zsh")),
)
def test_no_text_at_all_raises(text: str, shell: ShellName) -> None:
    assert risk_of(text, shell).effect in ("reads", "writes", "destroys")


@given(st.lists(st.sampled_from(_WORDS), max_size=8).map(" ".join))
def test_nothing_after_it_makes_a_removal_harmless(rest: str) -> None:
    assert risk_of(f"rm -rf a; {rest}").effect == "destroys"


@pytest.mark.parametrize("deep", ["$(" * 3000, "{ " * 3000, "sh -c '" * 9, "((" * 2000, '"$(' * 1500, "eval " * 1500])
def test_deep_nesting_is_feared_not_followed(deep: str) -> None:
    assert risk_of(deep).effect == "destroys"

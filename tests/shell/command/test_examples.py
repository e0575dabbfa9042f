"""The examples before a wish: which are taken, in what order, and that each of them is worth imitating."""

from __future__ import annotations

import os

import pytest

from ingle_shell.command.examples import Example, nearest
from ingle_shell.command.shells import users_shell
from ingle_shell.command.syntax import ShellName, read
from ingle_shell.command.verify import check

EVERY = nearest("", 1000)


def test_the_most_alike_comes_last() -> None:
    wishes = [example.wish for example in nearest("sort names.txt backwards", 4)]
    assert wishes[-1] == "sort words.txt backwards"
    assert "sort" in wishes[-2]


def test_a_rare_word_counts_more_than_many_common_ones() -> None:
    assert nearest("the sha256 of the file in the folder", 1)[0].run == "sha256sum disk.iso"


def test_plural_and_case_make_no_difference() -> None:
    assert nearest("FIND SHELL SCRIPT", 1) == nearest("find shell scripts", 1)


def test_a_wish_like_none_gets_examples_all_the_same() -> None:
    assert len(nearest("xyzzy", 4)) == 4


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize("example", EVERY, ids=lambda example: example.wish)
def test_every_example_is_a_command_of_the_shell(example: Example, shell: ShellName) -> None:
    assert not read(example.command(shell), shell).oddities


@pytest.mark.parametrize("example", EVERY, ids=lambda example: example.wish)
def test_every_example_stands_the_checks_that_a_suggestion_has_to(example: Example) -> None:
    missing = [f"{name} is not" for name in ("ip", "ss", "unzip", "curl", "pkill", "git", "xz")]
    complaints = check(example.run, users_shell("bash", os.environ), os.environ).complaints
    assert [each for each in complaints if not each.startswith(tuple(missing))] == []

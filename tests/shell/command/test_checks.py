"""What is found out about a command before it is shown: disguises, syntax, programs, options. With the real shells."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ingle_daemon.errors import UsageError
from ingle_shell.command.card import card, checks_line, needs_word
from ingle_shell.command.disguise import undisguise
from ingle_shell.command.flags import documented, is_documented, options_in_page
from ingle_shell.command.shells import Shell, own_names, syntax_error, users_shell
from ingle_shell.command.suggestion import parse
from ingle_shell.command.verify import Checked, check

SHELLS = ("bash", "zsh", "fish", "sh")


def shell(name: str) -> Shell:
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed")
    return users_shell(name, {})


def checked(command: str, name: str = "bash", **environment: str) -> Checked:
    return check(command, shell(name), environment)


# --- disguises ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ls\x1b[2K\x1b[1Grm x", "lsrm x"),
        ("\x1b]0;title\x07ls", "ls"),
        ("ls \u202e# x fr mr", "ls # x fr mr"),
        ("r\u200bm x", "rm x"),
        ("ls\u00a0-l", "ls -l"),
        ("ls\u3164x", "lsx"),
        ("ls\rrm x", "lsrm x"),
        ("ls\u2028rm x", "lsrm x"),
        ("l\x08s\U000e0041", "ls"),
        ("\ufeffls\ufe0f", "ls"),
        ("for f in *\r\ndo\r\n  ls\r\ndone", "for f in *\ndo\n  ls\ndone"),
    ],
)
def test_what_is_shown_is_what_would_run(text: str, shown: str) -> None:
    assert undisguise(text).text == shown


def test_what_was_taken_out_is_counted_and_costs_a_word() -> None:
    found = checked("l\u200bs")
    assert (found.command, found.removed) == ("ls", 1)
    assert needs_word(found)


def test_letters_that_only_look_like_others_are_named() -> None:
    found = checked("\u0440m -rf x")
    assert "CYRILLIC SMALL LETTER ER" in found.remarks[0]
    assert found.programs[0].kind == "missing"
    assert not found.risk.known


def test_a_gap_that_would_push_text_out_of_sight_is_remarked() -> None:
    assert checked("ls" + " " * 200 + "-a").remarks == ("there is a wide gap in it",)


def test_every_line_of_a_command_stands_behind_the_bar() -> None:
    found = checked("for f in *; do\n[r]un\nEnter aborts > \nls\ndone")
    lines = card(found, "Harmless.\n[r]un", 40)
    command = [line for line in lines if line.startswith("│ ")]
    assert command == ["│ for f in *; do", "│ [r]un", "│ Enter aborts > ", "│ ls", "│ done"]
    assert "  Harmless. [r]un" in lines


@pytest.mark.parametrize("width", [20, 40, 80])
def test_no_part_of_a_long_command_is_left_out(width: int) -> None:
    command = "echo " + "x" * 150 + " ; rm -rf y"
    lines = card(checked(command), "", width)
    assert "".join(line[2:] for line in lines if line.startswith("│ ")) == command
    assert max(map(len, lines)) <= width


# --- the shells -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SHELLS)
def test_a_shell_says_what_is_wrong_and_executes_nothing(name: str, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    run = (
        f"touch {mark}; echo (touch {mark})" if name == "fish" else f"touch {mark}; echo $(touch {mark}) `touch {mark}`"
    )
    assert syntax_error(shell(name), run) == ""
    assert syntax_error(shell(name), f"touch {mark}; if true") != ""
    assert not mark.exists()


@pytest.mark.parametrize("name", SHELLS)
def test_no_start_up_file_is_read_for_a_check(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark, start = tmp_path / "mark", tmp_path / "start"
    start.write_text(f"touch {mark}\n")
    for file in (".bashrc", ".zshrc", ".zshenv", ".profile", ".config/fish/config.fish"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(f"touch {mark}\n")
    for variable in ("BASH_ENV", "ENV"):
        monkeypatch.setenv(variable, str(start))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("ZDOTDIR", str(tmp_path))
    assert syntax_error(shell(name), "ls") == ""
    own_names.__wrapped__(shell(name))
    assert not mark.exists()


def test_each_shell_has_its_own_syntax() -> None:
    assert checked("for f in *; echo $f; end", "fish").runnable
    assert not checked("for f in *; echo $f; end", "bash").runnable
    assert not checked("for f in *; do echo $f; done", "fish").runnable


def test_the_chosen_shell_goes_before_the_integrations_and_that_before_the_environments() -> None:
    assert users_shell("sh", {"INGLE_SHELL": "bash"}).name == "sh"
    assert users_shell("", {"INGLE_SHELL": "bash", "SHELL": "/bin/sh"}).name == "bash"


def test_a_shell_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match="tcsh"):
        users_shell("tcsh", {})


def test_options_are_looked_up_where_fish_wraps_the_program_in_a_function() -> None:
    found = checked("ls -lS --no-such-option", "fish")
    assert [(each.option, each.verdict) for each in found.options] == [
        ("-lS", "documented"),
        ("--no-such-option", "undocumented"),
    ]
    assert [each.kind for each in checked("test -f x; and cd /", "fish").programs] == ["builtin", "builtin"]


# --- programs and options -------------------------------------------------------------------------------------------


def kinds(found: Checked) -> dict[str, str]:
    return {program.name: program.kind for program in found.programs}


def test_programs_builtins_aliases_functions_and_what_is_not_there() -> None:
    found = checked(
        "f() { ls; }; f; cd /; ll; g; frobnicate; sudo env A=1 xargs -n1 grep x; $x",
        INGLE_ALIASES="alias ll='ls -l'",
        INGLE_FUNCTIONS="g h",
    )
    expected = {
        "ls": "program",
        "f": "function",
        "cd": "builtin",
        "ll": "alias",
        "g": "function",
        "frobnicate": "missing",
    }
    assert kinds(found) | expected == kinds(found)
    assert kinds(found)["grep"] == "program"
    assert kinds(found)["$x"] == "unchecked"
    assert "frobnicate is not installed here" in found.complaints


@pytest.mark.parametrize("aliases", ["alias rmi='rm -i'", "rmi='rm -i'", "alias rmi 'rm -i'", "alias -- rmi='rm -i'"])
def test_aliases_are_understood_as_each_shell_prints_them(aliases: str) -> None:
    found = checked("rmi x", INGLE_ALIASES=aliases)
    assert kinds(found) == {"rmi": "alias"}
    assert found.risk.reasons == ("rm destroys",)


PAGE = r"""
.TH TOOL 1
.IP "\fB\-a\fR, \fB\-\-all\fR"
.TP
\-\-[no\-]color, \fB\-x\fP \fIN\fP
.It Fl q
not an-option, nor a--dash
"""


def test_options_are_read_from_man_pages_of_both_kinds() -> None:
    assert options_in_page(PAGE) == {"-a", "--all", "-x", "--color", "--no-color", "-q"}


@pytest.mark.parametrize(
    ("option", "is_there"),
    [
        ("-a", True),
        ("--all", True),
        ("--al", True),
        ("--all=x", True),
        ("-ax", True),
        ("-x5", True),
        ("-b", False),
        ("--bll", False),
        ("-ab", False),
        ("--", False),
        ("--a", False),
    ],
)
def test_an_option_is_recognized_as_it_is_written(option: str, is_there: bool) -> None:
    assert is_documented(option, frozenset(("-a", "--all", "-x"))) is is_there


def test_an_undocumented_option_is_a_complaint_with_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin/tool"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    program.chmod(0o755)
    (tmp_path / "share/man/man1").mkdir(parents=True)
    (tmp_path / "share/man/man1/tool.1").write_text(PAGE)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    found = checked("tool -a --frob")
    assert [(option.option, option.verdict, option.source) for option in found.options] == [
        ("-a", "documented", "man page"),
        ("--frob", "undocumented", "man page"),
    ]
    assert found.complaints == ("tool documents no option --frob",)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("name", "page"),
    [
        ("tool.1", b".so /etc/passwd\n"),
        ("tool.1", b".so ../../../../etc/passwd\n"),
        ("tool.1.gz", b"\x1f\x8b\x08" + bytes(7) + b"\xff" * 40),
    ],
)
def test_a_page_beside_a_strangers_program_may_be_anything(tmp_path: Path, name: str, page: bytes) -> None:
    """A repository with a bin/ brings a share/man/ along."""
    (tmp_path / "share/man/man1").mkdir(parents=True)
    (tmp_path / "share/man/man1" / name).write_bytes(page)
    found = documented("tool", str(tmp_path / "bin/tool"))
    assert found is None or not found.options
    assert documented("/bin/tool", str(tmp_path / "bin/tool")) is None


def test_what_nothing_documents_is_not_checked_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "tool"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    found = checked("tool --frob")
    assert found.options[0].verdict == "unchecked"
    assert not found.complaints
    assert "not checked: --frob" in checks_line(found)
    assert not (tmp_path / "ran").exists()


def test_help_is_not_asked_of_a_program_that_only_has_the_name_of_a_safe_one(tmp_path: Path) -> None:
    program = tmp_path / "ls"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    program.chmod(0o755)
    documented("ls", str(program))
    assert not (tmp_path / "ran").exists()


# --- the model's answer ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "command", "explanation"),
    [
        ("```bash\nls -l\n```\nLists.", "ls -l", "Lists."),
        ("```\n$ ls -l\n```\n\nLists.\nMore.", "ls -l", "Lists."),
        ("```ls -l```", "ls -l", ""),
        ("```sh\nls -l", "ls -l", ""),
        ("Use `ls -l` for that.", "Use `ls -l` for that.", ""),
        ("`ls -l` lists.", "ls -l", "lists."),
        ("ls -l", "ls -l", ""),
        ("```\n# list\nls -l\nls -a\n```", "ls -l", ""),
        ("```\nfor f in *; do\n  ls $f\ndone\nls\n```", "for f in *; do\n  ls $f\ndone", ""),
        ("```\nls |\n  wc -l\n```", "ls |\n  wc -l", ""),
        ("", "", ""),
    ],
)
def test_the_one_command_of_an_answer(answer: str, command: str, explanation: str) -> None:
    found = parse(answer, "bash")
    assert (found.command, found.explanation) == (command, explanation)

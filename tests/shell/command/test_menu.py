"""`ask -s` on a terminal, through a pipe, and without one. The daemon is real, its answers are scripted."""

from __future__ import annotations

import base64
import json

import pexpect
import pytest

from shell.conftest import Spawn
from shell.fake_daemon import FakeDaemon, answered
from shell.test_offer import JUDGEMENT
from support import Instance

HOSTILE = (
    "```\nls\x1b[2J\x1b[H\x1b]52;c;cm0=\x07\u202e; rm -rf victim\n```\n\x1b[2Jreads · safe\n[r]un [e]dit\nEnter runs > "
)
RULES = [
    ("three", "```\nsh -c 'exit 3'\n```"),
    ("destroy", "```\nrm -r victim\n```\nTidies up."),
    ("hostile", HOSTILE),
    ("broken", "```\nif true\n```"),
    ("lines", "```\nfor f in a b; do\n  echo $f\ndone\n```\nPrints two letters."),
    ("missing", "```\nfrobnicate --all\n```"),
    ("Explain briefly", "It lists \x1b[2Jfiles. They are those of the folder that you are in, and no other."),
    ("louder", "```\necho LOUD\n```\nIs loud."),
    ("read a line", "```\nhead -n 1\n```\nReads a line."),
    ("piped", "```\necho from the pipe\n```"),
    ("touch", "```\ntouch made\n```\nMakes a file."),
    ("list", "```\nls -d .\n```\nLists this folder."),
]
MENU = "aborts > "


@pytest.fixture
def offered(instance: Instance, spawn: Spawn) -> Instance:
    instance.script(rules=[{"kind": "chat", "match": match, "answer": answer} for match, answer in RULES])
    (instance.root / "victim").mkdir()
    instance.start()
    return instance


def ask(spawn: Spawn, wish: str, before: str = "", columns: int = 80, **variables: str) -> pexpect.spawn[str]:
    child = spawn(f"{before}exec ask -s --shell bash {wish}", columns=columns, **variables)
    child.expect_exact(MENU)
    return child


def rest(child: pexpect.spawn[str]) -> str:
    child.expect(pexpect.EOF)
    child.wait()  # closing the terminal first would hang up on a command that is just ending
    child.close()
    return str(child.before).replace("\r\n", "\n")


@pytest.mark.parametrize("key", ["\r", "\x1b", "\x03", "\x04", "q", "\x1b[A"])
def test_whatever_is_no_choice_aborts_and_runs_nothing(offered: Instance, spawn: Spawn, key: str) -> None:
    child = ask(spawn, "touch")
    child.send(key)
    rest(child)
    assert child.exitstatus == 130
    assert not (offered.root / "made").exists()


def test_a_terminal_that_goes_away_aborts(offered: Instance, spawn: Spawn) -> None:
    child = ask(spawn, "touch")
    child.close()
    assert not (offered.root / "made").exists()


def test_run_runs_it(offered: Instance, spawn: Spawn) -> None:
    child = ask(spawn, "touch")
    child.send("r")
    rest(child)
    assert child.exitstatus == 0
    assert (offered.root / "made").exists()


def test_keys_from_before_the_menu_do_not_count(offered: Instance, spawn: Spawn) -> None:
    child = spawn("exec ask -s --shell bash touch")
    child.send("rrr")
    child.expect_exact(MENU)
    child.send("\r")
    rest(child)
    assert child.exitstatus == 130
    assert not (offered.root / "made").exists()


def test_the_exit_code_is_the_commands(offered: Instance, spawn: Spawn) -> None:
    child = ask(spawn, "three")
    child.send("r")
    child.expect_exact("Type run to run it: ")  # what `exit` ends is not known
    child.send("run\r")
    rest(child)
    assert child.exitstatus == 3


@pytest.mark.parametrize("typed", ["\r", "r\r", "yes\r", "\x04", "\x03", "runn\r"])
def test_what_destroys_needs_the_word(offered: Instance, spawn: Spawn, typed: str) -> None:
    child = ask(spawn, "destroy")
    assert "destroys (rm destroys)" in str(child.before)
    child.send("r")
    child.expect_exact("Type run to run it: ")
    child.send(typed)
    rest(child)
    assert child.exitstatus == 130
    assert (offered.root / "victim").exists()


def test_with_the_word_it_destroys(offered: Instance, spawn: Spawn) -> None:
    child = ask(spawn, "destroy")
    child.send("r")
    child.expect_exact("Type run to run it: ")
    child.send("run\r")
    rest(child)
    assert child.exitstatus == 0
    assert not (offered.root / "victim").exists()


@pytest.mark.parametrize("columns", [40, 80])
def test_a_hostile_suggestion_is_shown_as_what_it_is(offered: Instance, spawn: Spawn, columns: int) -> None:
    child = ask(spawn, "hostile", columns=columns, NO_COLOR="1")
    shown = str(child.before).replace("\r\n", "\n")
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "│ ls; rm -rf victim\n" in shown
    assert "  reads · safe" in shown  # what the model says stands apart, as its words
    assert "destroys (rm destroys)" in shown
    assert "hidden characters were" in shown
    child.send("r")
    child.expect_exact("Type run to run it: ")
    child.send("\r")
    rest(child)
    assert (offered.root / "victim").exists()


def test_a_command_of_many_lines_is_shown_whole(offered: Instance, spawn: Spawn) -> None:
    child = ask(spawn, "lines")
    shown = str(child.before).replace("\r\n", "\n")
    assert "│ for f in a b; do\n│   echo $f\n│ done\n" in shown
    child.send("r")
    assert "a\nb\n" in rest(child)


def test_what_the_shell_cannot_parse_cannot_be_run(offered: Instance, spawn: Spawn) -> None:
    child = ask(spawn, "broken")
    assert "bash cannot parse it" in str(child.before)
    assert "[r]un" not in str(child.before)
    child.send("r")
    child.expect_exact(MENU)
    child.send("\r")
    assert rest(child).count("abort") == 1


def test_edit_changes_it_and_checks_it_again(offered: Instance, spawn: Spawn) -> None:
    child = ask(spawn, "list")
    child.send("e")
    child.expect_exact("ls -d .")
    child.send("\x15rm -r victim\r")
    child.expect_exact(MENU)
    assert "destroys (rm destroys)" in str(child.before)
    child.send("\r")
    rest(child)
    assert (offered.root / "victim").exists()


def test_copy_hands_it_to_the_terminal(offered: Instance, spawn: Spawn) -> None:
    child = ask(spawn, "list", SSH_TTY="/dev/pts/9")
    child.send("c")
    assert f"\x1b]52;c;{base64.b64encode(b'ls -d .').decode()}\x07" in rest(child)
    assert child.exitstatus == 0


def test_explain_explains_and_asks_again(offered: Instance, spawn: Spawn) -> None:
    child = ask(spawn, "list", columns=40)
    child.send("x")
    child.expect_exact("It lists files. They are those of the\r\nfolder that you are in, and no other.\r\n")
    child.expect_exact(MENU)
    child.send("\r")
    rest(child)
    assert child.exitstatus == 130


def test_refine_suggests_another(offered: Instance, spawn: Spawn) -> None:
    child = ask(spawn, "list")
    child.send("f")
    child.expect_exact("change:")
    child.send("louder\r")
    child.expect_exact("│ echo LOUD")
    child.expect_exact(MENU)
    child.send("r")
    assert rest(child).endswith("\nLOUD\n")


def test_with_a_pipe_as_input_the_menu_is_on_the_terminal(offered: Instance, spawn: Spawn) -> None:
    child = ask(spawn, "read a line", before="printf 'r\\nr\\n' | ")
    child.send("r")
    child.send("typed\r")  # the command reads the terminal too: the pipe was for the question
    child.expect_exact("typed")
    rest(child)
    assert child.exitstatus == 0


def test_without_a_terminal_it_is_printed_and_nothing_runs(offered: Instance) -> None:
    done = offered.run("ask", "-s", "--shell", "bash", "touch", input="context")
    assert (done.returncode, done.stdout) == (0, "touch made\n")
    assert not (offered.root / "made").exists()


def test_into_a_pipe_it_is_printed_even_on_a_terminal(offered: Instance, spawn: Spawn) -> None:
    child = spawn("ask -s --shell bash touch 2>/dev/null | cat; echo end")
    assert "touch made\nend\n" in rest(child)
    assert not (offered.root / "made").exists()


def test_what_is_wrong_is_said_beside_it(offered: Instance) -> None:
    done = offered.run("ask", "-s", "--shell", "bash", "missing")
    assert done.stdout == "frobnicate --all\n"
    assert "! frobnicate is not installed here\n" in done.stderr


def test_what_was_checked_is_said_without_a_menu_too(offered: Instance) -> None:
    done = offered.run("ask", "-s", "--shell", "bash", "list")
    assert done.stderr == "reads · bash parses it · 1 option documented\n"


def test_whoever_waits_at_a_terminal_for_a_pipe_is_told_so(offered: Instance, spawn: Spawn) -> None:
    child = spawn("ask -s --shell bash list | cat", NO_COLOR="1")
    assert rest(child).startswith("looking for a command …\n")


def test_json_has_the_command_its_checks_and_its_risk(offered: Instance) -> None:
    answer = json.loads(offered.run("ask", "-s", "--json", "--shell", "bash", "destroy").stdout)
    assert (answer["command"], answer["explanation"]) == ("rm -r victim", "Tidies up.")
    assert answer["checks"]["syntax"] == {"checked": True, "error": ""}
    assert answer["checks"]["programs"][0]["kind"] == "program"
    assert answer["risk"] == {"effect": "destroys", "root": False, "network": False, "known": True} | {
        "reasons": ["rm destroys"]
    }
    assert (offered.root / "victim").exists()


def test_no_wish_is_a_mistake(offered: Instance) -> None:
    done = offered.run("ask", "-s")
    assert done.returncode == 2
    assert "there is no wish" in done.stderr


# --- what became of it, and a larger model ---


def fates(instance: Instance) -> dict[str, int]:
    found: dict[str, int] = instance.call("GET", "/ingle/answers/report")["fates"]
    return found


@pytest.mark.parametrize(("wish", "fate"), [("list", "ran"), ("three", "failed")])
def test_how_the_command_ended_says_whether_it_was_right(offered: Instance, spawn: Spawn, wish: str, fate: str) -> None:
    child = ask(spawn, wish)
    child.send("r")
    if wish == "three":
        child.sendline("run")
    rest(child)
    assert fates(offered) == {fate: 1}


def test_a_copied_command_was_right(offered: Instance, spawn: Spawn) -> None:
    child = ask(spawn, "list", SSH_TTY="/dev/pts/0")
    child.send("c")
    rest(child)
    assert fates(offered) == {"kept": 1}


def test_a_larger_model_is_one_key_away_where_the_command_is_doubted(
    instance: Instance, spawn: Spawn, daemon: FakeDaemon
) -> None:
    judgement = {**JUDGEMENT, "reasons": ["guessed words"]}
    daemon.play(
        "/ingle/ask",
        answered("```\nls -d .\n```", judgement=judgement),
        answered("```\nls -A\n```", judgement={"confidence": 0.9, "threshold": 0.5}),
    )
    child = ask(spawn, "list", columns=120)
    assert "as[k] far/model (at most $0.0003)" in str(child.before)
    assert "! not sure of this (34%: guessed words)" in str(child.before)
    child.send("k")
    child.expect_exact(MENU)
    assert "ls -A" in str(child.before)
    assert "as[k]" not in str(child.before)
    child.send("q")
    rest(child)
    first, again = daemon.bodies("/ingle/ask")
    assert again["draft"]["text"] == "```\nls -d .\n```"
    assert (first["task"], again["route"]) == ("command", "api")

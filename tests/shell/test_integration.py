"""`ingle init` in the real shells: the keys, `??`, the last failure, history, and the user's own hooks beside ours."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

import support
from ingle_shell.secrets import without_secrets
from support import Instance

PROMPT = "READY@ "
ARGUMENTS = {
    "bash": ["--noprofile", "--rcfile"],
    "zsh": ["-d", "-i"],
    "fish": ["--init-command"],
}
SETUP = {
    "bash": f"PS1='{PROMPT}'; bind 'set enable-bracketed-paste off'; HISTCONTROL=ignoreboth",
    "zsh": f"PS1='{PROMPT}'; unsetopt prompt_sp; unset zle_bracketed_paste; HISTSIZE=99; bindkey -e",
    "fish": f"function fish_prompt; printf '{PROMPT}'; end; set -g fish_greeting; set -g fish_autosuggestion_enabled 0",
}
INIT = {
    "bash": 'eval "$(ingle init bash)"',
    "zsh": 'eval "$(ingle init zsh)"',
    "fish": "ingle init fish | source",
}
RULES = [
    ("what this .* does", "It says hello."),
    ("failed with exit code 3:\n\nsh -c 'echo x >>count; exit 3'", "```\necho repaired\n```"),
    ("code", "```\nls nowhere\n```\nFails with 2."),
    ("folder", "```\ncd inner\n```\nGoes into the folder."),
    ("alias", "```\nshout\n```\nShouts."),
    ("hello", "```\necho hello >greeting\n```\nSays hello."),
]
Start = Callable[..., "Session"]


class Session:
    """An interactive shell."""

    def __init__(self, instance: Instance, name: str, *, before: str = "", after: str = "") -> None:
        self.name, self.root = name, instance.root
        start = instance.root / f"start.{name}"
        start.write_text("\n".join([SETUP[name], before, INIT[name], after, ""]))
        env = {**instance.env, "ZDOTDIR": str(instance.root), "TERM": "xterm"}
        arguments = [*ARGUMENTS[name]]
        if name == "bash":
            arguments += [str(start), "-i"]
        elif name == "fish":
            arguments += [f"source {start}"]
        else:
            (instance.root / ".zshrc").write_text(start.read_text())
        self.child: pexpect.spawn[str] = pexpect.spawn(
            name, arguments, env=env, cwd=str(instance.root), encoding="utf-8", timeout=15, dimensions=(30, 120)
        )
        self.child.expect_exact(PROMPT)
        self.settle()

    def settle(self) -> None:
        """Wait until the line editor reads keys: it echoes one."""
        self.child.send("#")
        self.child.expect_exact("#")
        self.child.send("\x7f")

    def enter(self, line: str) -> None:
        self.child.send(f"{line}\r")

    def run(self, line: str, shows: str) -> None:
        """Enter a line, wait for what it prints and for the next prompt."""
        self.enter(line)
        self.child.expect(shows)
        self.child.expect_exact(PROMPT)
        self.settle()


@pytest.fixture(params=["bash", "zsh", "fish"])
def start(instance: Instance, request: pytest.FixtureRequest) -> Iterator[Start]:
    name: str = request.param
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed")
    instance.script(rules=[{"kind": "chat", "match": f"(?s){match}", "answer": answer} for match, answer in RULES])
    instance.start()
    (instance.root / "inner").mkdir()
    sessions: list[Session] = []

    def start(**parts: str) -> Session:
        sessions.append(Session(instance, name, **parts))
        return sessions[-1]

    yield start
    for session in sessions:
        session.child.close(force=True)


def test_a_key_turns_the_line_into_a_command_and_then_explains_it_and_runs_nothing(start: Start) -> None:
    session = start()
    session.child.send("say hello")
    session.child.send("\x1bi")
    session.child.expect_exact("looking for a command")
    session.child.expect("writes.*parses it")
    session.child.expect("echo.* .*hello.* .*>greeting")  # fish colours the words
    session.settle()
    session.child.send("\x1bi")
    session.child.expect_exact("It says hello.")
    session.child.expect("echo.* .*hello.* .*>greeting")  # fish colours the words
    assert not (session.root / "greeting").exists()
    session.settle()
    session.enter("")
    support.wait_until((session.root / "greeting").exists)


def test_a_failure_is_corrected_without_being_run_again(start: Start) -> None:
    session = start()
    session.run("sh -c 'echo x >>count; exit 3'", "exit 3'")
    session.run("echo fine", "fine")
    session.child.send("\x1bk")
    session.child.expect("echo.* .*repaired")
    assert (session.root / "count").read_text() == "x\n"


def test_ask_last_explains_a_failure_without_running_it_again(start: Start) -> None:
    session = start()
    session.run("sh -c 'echo x >>count; exit 3'", "exit 3'")
    session.run("ask --last", "echo repaired\r")
    assert (session.root / "count").read_text() == "x\n"


def test_a_command_from_the_menu_runs_in_this_very_shell(start: Start) -> None:
    session = start()
    session.enter("ask -s go to the folder")
    session.child.expect_exact("aborts > ")
    session.child.send("r")
    session.child.expect_exact(PROMPT)
    session.run("pwd", f"{session.root.name}/inner\r")


def test_its_exit_code_is_the_shells(start: Start) -> None:
    session = start()
    session.enter("ask -s which code")
    session.child.expect_exact("aborts > ")
    session.child.send("r")
    session.child.expect_exact(PROMPT)
    session.run("echo code=$status=" if session.name == "fish" else "echo code=$?=", "code=2=")


@pytest.mark.parametrize(("wish", "fate"), [("hello", "ran"), ("code", "failed")])
def test_how_it_ended_is_told(start: Start, instance: Instance, wish: str, fate: str) -> None:
    session = start()
    session.enter(f"ask -s {wish}")
    session.child.expect_exact("aborts > ")
    session.child.send("r")
    session.child.expect_exact(PROMPT)
    support.wait_until(lambda: fate in instance.call("GET", "/ingle/answers/report")["fates"])
    session.run("echo still here", "still here")


def test_aborting_is_no_success_and_runs_nothing(start: Start) -> None:
    session = start()
    session.enter("ask -s say hello")
    session.child.expect_exact("aborts > ")
    session.child.send("\r")
    session.child.expect_exact(PROMPT)
    session.run("echo code=$status=" if session.name == "fish" else "echo code=$?=", "code=130=")
    assert not (session.root / "greeting").exists()


def test_what_ran_is_in_the_history(start: Start) -> None:
    session = start()
    session.enter("?? say hello")
    session.child.expect_exact("aborts > ")
    session.child.send("r")
    session.child.expect_exact(PROMPT)
    support.wait_until((session.root / "greeting").exists)
    lists = {"bash": "history", "zsh": "fc -l 1", "fish": "history search --contains greeting | cat"}
    session.run(lists[session.name], "echo hello >greeting\r")


def test_the_users_own_alias_runs(start: Start) -> None:
    session = start(after="alias shout='echo LOUD'")
    session.enter("ask -s use the alias")
    session.child.expect_exact("aborts > ")
    session.child.send("r")
    which = session.child.expect_exact(["Type run to run it: ", "LOUD"])
    if which == 0:  # fish's aliases are functions, which are not read
        session.child.send("run\r")
        session.child.expect_exact("LOUD")


HOOKS = {
    "bash": (
        "set -u; PROMPT_COMMAND='echo \"mine=$?=\"'",
        "PROMPT_COMMAND+=('echo \"later=$?=\"')",
    ),
    "zsh": (
        'setopt no_unset; mine() { echo "mine=$?=" }; precmd_functions=(mine); precmd() { echo "later=$?=" }',
        "",
    ),
    "fish": (
        "function mine --on-event fish_postexec; echo mine=$status=; end",
        "function later --on-event fish_postexec; echo later=$status=; end",
    ),
}


def test_the_users_own_hooks_see_what_they_would_see_without_ours(start: Start, request: pytest.FixtureRequest) -> None:
    name = request.node.callspec.params["start"]
    before, after = HOOKS[name]
    session = start(before=before, after=after)
    session.enter("sh -c 'exit 5'")
    for seen in ("later=5=", "mine=5=") if name == "zsh" else ("mine=5=", "later="):
        session.child.expect_exact(seen)
    session.child.expect_exact(PROMPT)


def test_set_e_and_u_do_not_end_the_shell_at_the_prompt(start: Start, request: pytest.FixtureRequest) -> None:
    if request.node.callspec.params["start"] == "fish":
        pytest.skip("fish has no such option")
    session = start(after="set -eu")
    session.run("if false; then :; fi; echo on", "on\r")
    session.run("false || ! true || echo still", "still\r")
    session.child.send("say hello")
    session.child.send("\x1bi")
    session.child.expect("echo.* .*hello.* .*>greeting")  # fish colours the words


def test_a_key_that_is_taken_is_left_alone(start: Start, request: pytest.FixtureRequest) -> None:
    mine = {
        "bash": 'bind \'"\\ei": "MINE"\'',
        "zsh": "mine() { BUFFER=MINE }; zle -N mine; bindkey '^[i' mine",
        "fish": "bind \\ei 'commandline -r MINE'",
    }
    session = start(before=mine[request.node.callspec.params["start"]])
    session.child.send("x")
    session.child.send("\x1bi")
    session.child.expect_exact("MINE")


def test_reading_it_twice_changes_nothing(start: Start, request: pytest.FixtureRequest) -> None:
    session = start(after=INIT[request.node.callspec.params["start"]])
    session.run("sh -c 'echo x >>count; exit 3'", "exit 3'")
    session.child.send("\x1bk")
    session.child.expect("echo.* .*repaired")


# --- what is known of a failure -------------------------------------------------------------------------------------


def test_without_the_integration_last_says_how_to_get_it(instance: Instance) -> None:
    done = instance.run("ask", "--last")
    assert done.returncode == 2
    assert "ingle init" in done.stderr


def test_before_any_failure_last_says_so(instance: Instance) -> None:
    done = instance.run("ask", "--last", env={"INGLE_SHELL": "bash"})
    assert (done.returncode, "no command has failed" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    "secret",
    [
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_0123456789abcdefghij0123456789abcdef",
        "sk-proj-0123456789abcdefghij",
        "Authorization: Bearer abcdef",
        "PASSWORD=hunter2",
        'api_key: "hunter2"',
        "--password hunter2",
        "https://me:hunter2@host/",
        "-----BEGIN RSA PRIVATE KEY-----\nhunter2",
    ],
)
def test_obvious_secrets_are_taken_out(secret: str) -> None:
    cleaned = without_secrets(f"before\n{secret}\n")
    assert cleaned.startswith("before\n")
    assert "[removed]" in cleaned
    assert not any(part in cleaned for part in ("hunter2", "AKIA", "ghp_", "0123", "abcdef"))


@pytest.mark.parametrize("word", ["a", "api_key"])
def test_a_long_word_takes_no_time_to_search(word: str) -> None:
    """A command with as much Base64 in it, say, stands in somebody's history."""
    began = time.process_time()
    without_secrets(word * (100_000 // len(word)))
    assert time.process_time() - began < 5


def test_ordinary_output_stays_as_it_is() -> None:
    text = "error: token expected at line 3\nls: cannot access 'x': No such file\nhttps://host:80/a\n"
    assert without_secrets(text) == text


def test_the_integration_is_in_a_built_wheel(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "--wheel-dir", str(tmp_path), str(root)]
    subprocess.run(build, check=True, timeout=250)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    texts = {f"ingle_shell/init/{shell}{part}" for shell in ("bash", "zsh", "fish") for part in ("", "-suggest")}
    assert texts <= names
    assert "ingle_shell/command/programs.toml" in names

"""`ingle shell`: what it keeps of real shells' output, for whom, and that programs do not notice it."""

from __future__ import annotations

import itertools
import re
import shutil
import signal
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest
from hypothesis import given
from hypothesis import strategies as st

import support
from ingle_shell.recorder import OutputLog, Tape, sweep
from ingle_shell.recorder.log import LIMIT
from support import Instance

PROMPT = "READY@ "
SHELLS = {
    "bash": ("bash --noprofile --rcfile {start} -i", f"PS1='{PROMPT}'; eval \"$(ingle init bash)\""),
    "zsh": ("zsh -d -i", f"PS1='{PROMPT}'; unsetopt prompt_sp; bindkey -e; eval \"$(ingle init zsh)\""),
    "fish": ("fish -C 'source {start}'", f"function fish_prompt; printf '{PROMPT}'; end; ingle init fish | source"),
}
Start = Callable[[str], "pexpect.spawn[str]"]


# --- what is kept ---------------------------------------------------------------------------------------------------

BEGIN, END = b"\x1b]133;C;ingle=1.1\x07", b"\x1b]133;D;1;ingle=1.1\x07"
STREAM = (
    b"\x1b]133;A\x07$ secret-typed-line\r\n" + BEGIN + b"\x1b[31mred\x1b[0m one\r\n"
    b"\x1b[?1049h\x1b[?25lfull-screen\x1b[?1049l\x1b[?25hagain\r\n" + END + b"\x1b]133;A\x07$ "
)  # fmt: skip
KEPT = BEGIN + b"\x1b[31mred\x1b[0m one\r\nagain\r\n" + END


def test_output_is_kept_and_prompts_and_full_screen_programs_are_not() -> None:
    assert Tape().feed(STREAM) == KEPT


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_it_does_not_matter_in_what_pieces_it_comes(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    tape = Tape()
    pieces = [tape.feed(STREAM[begin:end]) for begin, end in itertools.pairwise(edges)]
    assert b"".join(pieces) == KEPT


def test_a_full_screen_program_that_was_killed_hides_nothing_after_it() -> None:
    tape = Tape()
    assert tape.feed(BEGIN + b"\x1b[?1049hdrawn" + END + BEGIN + b"text") == BEGIN + END + BEGIN + b"text"


def test_a_sequence_that_never_ends_holds_nothing_back() -> None:
    tape = Tape()
    assert b"x" * 4000 in tape.feed(BEGIN) + tape.feed(b"\x1b]133;C" + b"x" * 4000) + tape.feed(b"y")


# --- where it is kept -----------------------------------------------------------------------------------------------


def test_the_log_is_private_and_bounded_and_keeps_the_end(tmp_path: Path) -> None:
    log = OutputLog(tmp_path / "run")
    for number in range(200):
        log.add(b"%06d\n" % number * 1000)
        assert log.path.stat().st_size <= LIMIT
    assert log.path.read_bytes().endswith(b"000199\n")
    assert len(log.path.read_bytes()) >= LIMIT // 2
    assert stat.S_IMODE(log.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(log.path.parent.stat().st_mode) == 0o700
    log.remove()
    assert not list(log.path.parent.iterdir())


def test_more_than_it_holds_at_once_is_cut_to_its_end(tmp_path: Path) -> None:
    log = OutputLog(tmp_path / "run")
    log.add(b"x" * 3 * LIMIT + b"end")
    assert log.path.stat().st_size <= LIMIT
    assert log.path.read_bytes().endswith(b"xend")
    log.remove()


def test_sweeping_leaves_what_is_alive(tmp_path: Path) -> None:
    log = OutputLog(tmp_path / "run")
    dead = log.path.with_name("output-1.log")
    dead.write_bytes(b"left over")
    sweep(log.path.parent)
    assert (dead.exists(), log.path.exists()) == (False, True)
    log.remove()


# --- real shells ----------------------------------------------------------------------------------------------------


@pytest.fixture
def start(instance: Instance) -> Iterator[Start]:
    """Starts `ingle shell COMMAND` on a terminal."""
    started: list[pexpect.spawn[str]] = []

    def start(command: str) -> pexpect.spawn[str]:
        env = {**instance.env, "ZDOTDIR": str(instance.root), "TERM": "xterm", "PS1": PROMPT}
        child = pexpect.spawn(
            "/bin/sh",
            # pexpect sets the size when the child may be running already; as it is by then, nothing changes.
            ["-c", f"stty rows 30 cols 120; exec ingle shell {command}"],
            env=env,
            cwd=str(instance.root),
            encoding="utf-8",
            timeout=20,
            dimensions=(30, 120),
        )
        started.append(child)
        return child

    yield start
    for child in started:
        child.close(force=True)


def logs(instance: Instance) -> list[Path]:
    return list((instance.socket_file.parent).glob("output-*.log"))


def a_shell(instance: Instance, start: Start, name: str) -> pexpect.spawn[str]:
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed")
    command, setup = SHELLS[name]
    path = instance.root / (".zshrc" if name == "zsh" else f"start.{name}")
    path.write_text(f"{setup}\n")
    child = start(command.format(start=path))
    child.expect_exact(PROMPT)
    settle(child)
    return child


def settle(child: pexpect.spawn[str]) -> None:
    """Wait until the line editor reads keys: it echoes one."""
    child.send("#")
    child.expect_exact("#")
    child.send("\x7f")


def run(child: pexpect.spawn[str], line: str, shows: str) -> None:
    child.send(f"{line}\r")
    child.expect(shows)
    child.expect_exact(PROMPT)
    settle(child)


FAILS = "sh -c 'echo x >>count; echo broken password=hunter2; printf \"\\033[?1049hDRAWN\\033[?1049l\"; exit 3'"


@pytest.mark.parametrize("name", SHELLS)
def test_the_model_gets_the_output_of_the_failure_without_secrets_and_nothing_is_run_again(
    instance: Instance, start: Start, name: str
) -> None:
    output = r"exit code 3(?s:.*)printed:\s*broken password=\[removed\]\s+"
    instance.script(rules=[
        {"kind": "chat", "match": f"{output}Why", "answer": "With it."},
        {"kind": "chat", "match": f"{output}Give the command", "answer": "```\nseq 3\n```"},
        {"kind": "chat", "match": "", "answer": "Without it."},
    ])  # fmt: skip
    instance.start()
    child = a_shell(instance, start, name)
    run(child, FAILS, "exit 3'")
    run(child, "echo something later", "later\r")
    child.send("ask --last\r")
    child.expect("With it|Without it")
    assert child.after == "With it"
    child.expect_exact(PROMPT)
    settle(child)
    child.send("\x1bk")
    child.expect(r"seq.*3")  # fish colours the words
    assert (instance.root / "count").read_text() == "x\n"
    (log,) = logs(instance)
    assert b"DRAWN" not in log.read_bytes()


@pytest.mark.parametrize("name", SHELLS)
def test_only_what_commands_print_is_kept(instance: Instance, start: Start, name: str) -> None:
    child = a_shell(instance, start, name)
    run(child, "env X=typed echo kept", "kept\r")
    child.send("sh -c 'stty -echo; printf Password:; read answer; stty echo; echo; echo got ${#answer}'\r")
    child.expect_exact("Password:")
    child.send("hunter2\r")
    child.expect_exact("got 7\r")
    child.expect_exact(PROMPT)
    (log,) = logs(instance)
    text = log.read_bytes()
    assert b"kept\r\n" in text
    assert b"Password:" in text
    assert not any(word in text for word in (b"hunter2", b"typed", b"READY"))


@pytest.mark.parametrize("name", SHELLS)
def test_switched_off_nothing_more_is_kept(instance: Instance, start: Start, name: str) -> None:
    child = a_shell(instance, start, name)
    run(child, "set -e INGLE_CAPTURE" if name == "fish" else "unset INGLE_CAPTURE", "CAPTURE")
    run(child, "echo unseen", "unseen\r")
    (log,) = logs(instance)
    assert b"unseen" not in log.read_bytes()


def test_programs_find_the_terminal_that_they_would_find_without(start: Start) -> None:
    child = start("sh -c 'test -t 0 && test -t 1 && test -t 2 && stty size && tput colors && ps -o tpgid=,pgid= -p $$'")
    child.expect(r"30 120\r\n8\r\n\s*(\d+)\s+(\d+)\r\n")
    assert isinstance(child.match, re.Match)
    assert child.match[1] == child.match[2]  # it is the terminal's foreground
    child.expect(pexpect.EOF)


def test_a_new_size_of_the_window_is_passed_on(start: Start) -> None:
    child = start("sh -c 'trap \"stty size; exit\" WINCH; echo here; while :; do read line; done'")
    child.expect_exact("here")
    child.setwinsize(20, 77)
    child.expect_exact("20 77")


def test_ctrl_c_and_ctrl_z_reach_what_runs_in_it(instance: Instance, start: Start) -> None:
    child = a_shell(instance, start, "bash")
    child.send("sleep 100\r")
    child.expect_exact("sleep 100")
    child.send("\x1a")
    child.expect_exact("Stopped")
    child.send("fg\r")
    child.expect_exact("sleep 100")
    child.send("\x03")
    child.expect_exact(PROMPT)
    run(child, "echo code=$?", "code=130")


def test_its_exit_code_is_the_shells_and_the_log_goes(instance: Instance, start: Start) -> None:
    child = start("sh -c 'ls $INGLE_LOG; read line; exit 7'")
    child.expect(r"output-\d+\.log")
    assert len(logs(instance)) == 1
    child.send("\r")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 7
    assert not logs(instance)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_told_to_end_it_hangs_up_and_leaves_nothing(instance: Instance, start: Start, number: signal.Signals) -> None:
    child = start("sh -c 'trap \"echo hung up >gone; exit\" HUP; echo here; while :; do sleep 0.05; done'")
    child.expect_exact("here")
    child.kill(number)
    support.wait_until((instance.root / "gone").exists)
    child.expect(pexpect.EOF)
    assert not logs(instance)


def test_what_a_killed_one_left_the_next_one_removes(instance: Instance, start: Start) -> None:
    child = start("sh -c 'echo here; read line'")
    child.expect_exact("here")
    child.kill(signal.SIGKILL)
    child.wait()
    (left,) = logs(instance)
    child = start("sh -c 'echo here; read line'")
    child.expect_exact("here")
    assert not left.exists()
    assert len(logs(instance)) == 1


def test_much_output_arrives_whole(start: Start) -> None:
    child = start("sh -c 'seq 200000; echo end'")
    count = 0
    while True:
        line = child.readline()
        if line.strip() == "end":
            break
        count += 1
        assert line.strip() == str(count)
    assert count == 200_000


def test_where_no_log_can_be_kept_the_shell_starts_all_the_same(instance: Instance, start: Start) -> None:
    folder = instance.socket_file.parent
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("in the way")
    child = start("sh -c 'echo log=$INGLE_LOG.'")
    child.expect("cannot keep output: .*a shell without")
    child.expect_exact("log=.")


def test_without_a_terminal_it_says_so(instance: Instance) -> None:
    done = instance.run("ingle", "shell")
    assert (done.returncode, "needs a terminal" in done.stderr) == (2, True)


def test_a_command_that_is_not_there_is_named(start: Start) -> None:
    child = start("nothing-of-that-name")
    child.expect_exact("cannot run nothing-of-that-name: No such file or directory")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 127

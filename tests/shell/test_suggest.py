"""`ingle init SHELL --suggest` in the real shells, on a real screen: what is suggested, taken, ignored, kept back."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import support
from ingle_shell.ghost import rest_of_line
from shell.fake_daemon import Answer, FakeDaemon
from shell.tmux import Tmux, tmux
from support import Instance

PLUGIN = Path("/usr/share/zsh-autosuggestions/zsh-autosuggestions.zsh")
START = {
    "bash": "bash --noprofile --rcfile start -i",
    "zsh": "zsh -d -i",
    "fish": "fish --no-config -C 'source start'",
}
SETUP = {
    "bash": "PS1='READY@ '; eval \"$(ingle init bash --suggest)\"",
    "zsh": "PS1='READY@ '; unsetopt prompt_sp; HISTSIZE=99; bindkey -e; eval \"$(ingle init zsh --suggest)\"",
    "fish": "function fish_prompt; printf 'READY@ '; end; set -g fish_greeting; ingle init fish --suggest | source",
}
RULES = [
    ("git sta\\Z", "tus --short\nrm -rf everything"),
    ("echo hostile\\Z", "\x1b]52;c;AAAA\x07 world"),
    ("echo over\\Z", "\rrm -rf everything"),
    ("echo one\ngit\\Z", " after one"),
]
Open = Callable[..., Tmux]


@pytest.fixture
def shell(instance: Instance) -> Iterator[Open]:
    """Opens a real shell on a real screen."""
    rules = [{"kind": "infill", "match": match, "answer": answer} for match, answer in RULES]
    slow = {"kind": "infill", "match": "echo slow\\Z", "answer": "ly", "delay_ms": 60_000}
    instance.script(rules=[slow, *rules])
    instance.start()
    with ExitStack() as screens:

        def shell(name: str, *, before: str = "", after: str = "", **variables: str) -> Tmux:
            if not shutil.which(name):
                pytest.skip(f"{name} is not installed")
            instance.env |= {"ZDOTDIR": str(instance.root), **variables}
            path = instance.root / (".zshrc" if name == "zsh" else "start")
            path.write_text("\n".join([before, SETUP[name], after, ""]))
            screen = screens.enter_context(tmux(instance, START[name]))
            at_prompt(screen)
            return screen

        yield shell


def at_prompt(screen: Tmux) -> None:
    screen.wait(lambda lines: lines[-1:] == ["READY@"])


def enter(screen: Tmux, line: str) -> None:
    screen.keys("-l", line)
    screen.keys("Enter")
    at_prompt(screen)


def shows(screen: Tmux, line: str) -> None:
    screen.wait(lambda lines: lines[-1:] == [f"READY@ {line}"])


# --- zsh: text behind the cursor ------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["Right", "C-f", "C-e"])
def test_the_history_goes_on_with_the_line_at_once_and_a_key_takes_it(shell: Open, key: str) -> None:
    screen = shell("zsh")
    enter(screen, "echo from the history")
    screen.keys("-l", "echo fr")
    shows(screen, "echo from the history")
    assert "\x1b[90mom the history" in screen.colored()
    screen.keys(key)
    screen.keys("-l", "!")
    shows(screen, "echo from the history!")
    assert "\x1b[90m" not in screen.colored()


def test_the_model_goes_on_when_typing_pauses_with_one_line(shell: Open) -> None:
    screen = shell("zsh")
    screen.keys("-l", "git sta")
    shows(screen, "git status --short")
    assert "everything" not in "\n".join(screen.text())


def test_enter_runs_what_is_typed_alone_and_leaves_no_grey_text(shell: Open) -> None:
    screen = shell("zsh")
    enter(screen, "echo from the history")
    screen.keys("-l", "echo from")
    shows(screen, "echo from the history")
    screen.keys("Enter")
    at_prompt(screen)
    assert screen.text()[-3:] == ["READY@ echo from", "from", "READY@"]


def test_what_is_typed_as_suggested_keeps_the_rest_and_anything_else_ends_it(shell: Open) -> None:
    screen = shell("zsh")
    screen.keys("-l", "git sta")
    shows(screen, "git status --short")
    screen.keys("-l", "tus")
    shows(screen, "git status --short")
    screen.keys("-l", "x")
    shows(screen, "git statusx")


def test_without_colours_it_is_underlined(shell: Open) -> None:
    screen = shell("zsh", NO_COLOR="1")
    screen.keys("-l", "git sta")
    shows(screen, "git status --short")
    assert "\x1b[4mtus --short" in screen.colored()


@pytest.mark.parametrize("line", ["echo hostile", "echo over"])
def test_what_hides_something_is_not_shown(shell: Open, instance: Instance, line: str) -> None:
    screen = shell("zsh")
    screen.keys("-l", line)
    shows(screen, line)
    support.wait_until(lambda: bool(instance.call("GET", "/ingle/why")["completions"]))
    enter(screen, "")
    screen.keys("-l", "git sta")
    shows(screen, "git status --short")  # so the answer before it has come and gone
    assert "world" not in "\n".join(screen.text())


def test_a_slow_model_holds_up_no_key_and_the_next_one_cancels_it(shell: Open, instance: Instance) -> None:
    screen = shell("zsh")
    screen.keys("-l", "echo slow")
    support.wait_until(lambda: bool(instance.call("GET", "/ingle/status")["requests"]["running"]))
    screen.keys("-l", "er")
    shows(screen, "echo slower")
    support.wait_until(lambda: not instance.call("GET", "/ingle/status")["requests"]["running"])
    screen.keys("Enter")
    screen.wait(lambda lines: lines[-2:] == ["slower", "READY@"])


def test_the_model_knows_what_was_run_before(shell: Open) -> None:
    screen = shell("zsh")
    enter(screen, "echo one")
    screen.keys("-l", "git")
    shows(screen, "git after one")


def test_a_line_that_begins_with_a_space_is_not_sent(shell: Open, instance: Instance) -> None:
    folder = instance.root / "bin"
    folder.mkdir()
    (folder / "ask").write_text('#!/bin/sh\necho "$INGLE_LINE" >>asked\nprintf " more"\n')
    (folder / "ask").chmod(0o755)
    screen = shell("zsh", PATH=f"{folder}:{instance.env['PATH']}")
    screen.keys("-l", " echo secret")
    shows(screen, " echo secret")
    screen.keys("C-u")
    screen.keys("-l", "echo public")
    shows(screen, "echo public more")
    assert (instance.root / "asked").read_text() == "echo public\n"


def test_beside_the_users_own_widgets_and_options(shell: Open) -> None:
    mine = "setopt ksh_arrays no_unset sh_word_split; zle-line-finish() { print -n MINE }; zle -N zle-line-finish"
    screen = shell("zsh", after=mine)
    screen.keys("-l", "git sta")
    shows(screen, "git status --short")
    screen.keys("C-u")
    screen.keys("-l", "echo")
    screen.keys("Enter")
    screen.wait(lambda lines: any("MINE" in line for line in lines))


@pytest.mark.parametrize("order", ["before", "after"])
def test_zsh_autosuggestions_shows_it_where_that_is_loaded(shell: Open, order: str) -> None:
    if not PLUGIN.exists():
        pytest.skip("zsh-autosuggestions is not installed")
    screen = shell("zsh", **{order: f"source {PLUGIN}"})
    enter(screen, "echo from the history")
    screen.keys("-l", "echo fr")
    shows(screen, "echo from the history")
    screen.keys("C-u")
    screen.keys("-l", "git sta")
    shows(screen, "git status --short")
    screen.keys("Right")
    enter(screen, "; echo last:$ZSH_AUTOSUGGEST_STRATEGY[-1] $+widgets[zle-line-pre-redraw]")
    screen.wait(lambda lines: "last:ingle 0" in lines)


# --- bash and fish: a key -------------------------------------------------------------------------------------------


def test_in_bash_a_key_takes_it_from_the_history_or_else_from_the_model(shell: Open) -> None:
    screen = shell("bash")
    enter(screen, "echo from the history")
    screen.keys("-l", "echo fr")
    screen.keys("M-j")
    shows(screen, "echo from the history")
    screen.keys("C-u")
    screen.keys("-l", "git sta")
    screen.keys("M-j")
    shows(screen, "git status --short")
    screen.keys("-l", "!")
    shows(screen, "git status --short!")


def test_in_fish_a_key_takes_it_from_the_model(shell: Open) -> None:
    screen = shell("fish")
    screen.keys("-l", "git sta")
    screen.keys("M-j")
    shows(screen, "git status --short")
    screen.keys("-l", "!")
    shows(screen, "git status --short!")


@pytest.mark.parametrize("name", ["bash", "fish"])
def test_a_key_with_nothing_to_say_leaves_the_line(shell: Open, name: str) -> None:
    screen = shell(name)
    screen.keys("-l", "nothing known")
    screen.keys("M-j")
    screen.keys("-l", "!")
    shows(screen, "nothing known!")


# --- what is asked --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line", ["", "ls", " git status", "\tgit status", "API_KEY=hunter2 run", "curl https://me:hunter2@host/", "a\nb c"]
)
def test_a_private_line_is_not_sent(instance: Instance, daemon: FakeDaemon, line: str) -> None:
    done = instance.run("ask", "--rest", env={"INGLE_LINE": line})
    assert (done.returncode, done.stdout, daemon.requests) == (1, "", [])


def test_private_commands_before_it_are_not_sent(instance: Instance) -> None:
    instance.script(rules=[{"kind": "infill", "match": "\\Aecho one\ngit sta\\Z", "answer": "tus"}])
    instance.start()
    recent = "echo one\n echo two\nexport API_KEY=hunter2"
    done = instance.run("ask", "--rest", env={"INGLE_LINE": "git sta", "INGLE_RECENT": recent})
    assert (done.returncode, done.stdout) == (0, "tus")


def test_what_the_model_is_not_sure_of_is_not_suggested(daemon: FakeDaemon, instance: Instance) -> None:
    for sure, shown in ((-0.5, "tus"), (-1.5, "")):
        event = {"type": "delta", "text": "tus\n", "logprobs": [sure]}
        daemon.play("/ingle/complete", Answer([event, {"type": "done", "reason": "end"}]))
        with instance.active():
            assert rest_of_line({"INGLE_LINE": "git sta"}) == shown


def test_typing_starts_no_daemon(instance: Instance) -> None:
    done = instance.run("ask", "--rest", env={"INGLE_LINE": "git status"})
    assert (done.returncode, done.stdout) == (3, "")
    assert not instance.socket_file.exists()


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (" --short\nrm", " --short"),
        ("\x1b[2K\rrm -rf x", ""),
        ("\u202egnp", ""),
        ("\u0430", ""),
        (" " * 40 + "; rm -rf x", ""),
        ("\n", ""),
    ],
)
def test_the_answer_is_one_line_that_is_what_it_looks_like(instance: Instance, answer: str, shown: str) -> None:
    instance.script(rules=[{"kind": "infill", "match": "", "answer": answer}])
    instance.start()
    with instance.active():
        assert rest_of_line({"INGLE_LINE": "git status"}) == shown

"""The dialogue's logic: keys through prompt_toolkit's pipe, commands, what is kept. The daemon is real."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from prompt_toolkit.completion import CompleteEvent, DummyCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput

from ingle_shell.options import Options
from ingle_shell.repl.completer import DialogueCompleter
from ingle_shell.repl.loop import Loop
from ingle_shell.repl.prompt import RichEditor
from support import Instance

RULES = [
    {"kind": "chat", "match": "fox", "answer": "quick_brown jumps"},
    {"kind": "chat", "match": "BAD", "answer": "half", "error": "engine_lost"},
]


class Dialogue:
    """A dialogue that is fed keys, and what it said."""

    def __init__(self, keys: PipeInput, capsys: pytest.CaptureFixture[str], folder: Path) -> None:
        self._keys = keys
        self._capsys = capsys
        self._folder = folder

    def type(self, *lines: str, **options: object) -> tuple[str, str]:
        """Each line and Enter, then Ctrl-D: standard output and standard error."""
        made = Options()
        for name, value in options.items():
            setattr(made, name, value)
        editor = RichEditor(
            DummyCompleter(),
            lambda columns: "",
            self._folder / "history" if made.log else None,
            input=self._keys,
            output=DummyOutput(),
        )
        self._keys.send_text("".join(f"{line}\r" for line in lines) + "\x03\x04")
        self.loop = Loop(made, editor)
        self.loop.read_all()
        out, err = self._capsys.readouterr()
        return out, err


@pytest.fixture
def dialogue(
    instance: Instance, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Dialogue]:
    instance.script(rules=RULES)
    with ExitStack() as stack:
        stack.enter_context(instance.active())
        monkeypatch.chdir(tmp_path)
        yield Dialogue(stack.enter_context(create_pipe_input()), capsys, tmp_path)


@pytest.mark.parametrize("kept", [True, False])
def test_what_is_private_does_not_leave_a_dialogue(
    dialogue: Dialogue, instance: Instance, tmp_path: Path, kept: bool
) -> None:
    instance.configure('[api]\nurl = "http://127.0.0.1:9/v1"\nmodel = "far"\nallow = true\n')
    (tmp_path / "server.pem").write_text("the key")
    _, err = dialogue.type("/local", "/file server.pem", "what is it?", "/api", "and now?", "@server.pem", log=kept)
    assert err.count("is a file of secrets") == 2


def test_a_workspace_keeps_a_dialogue_here(dialogue: Dialogue, instance: Instance, tmp_path: Path) -> None:
    instance.configure('[api]\nurl = "http://127.0.0.1:9/v1"\nmodel = "far"\nallow = true\n')
    (tmp_path / ".ingle.toml").write_text("offline = true\n")
    _, err = dialogue.type("/api", "may it leave?")
    assert "says `offline = true`" in err


def questions(instance: Instance, number: int = 1) -> list[str]:
    return [turn["question"] for turn in instance.call("GET", f"/ingle/conversations/{number}")["turns"]]


def test_questions_are_answered_in_one_conversation(dialogue: Dialogue, instance: Instance) -> None:
    out, err = dialogue.type("one", "two")
    assert out == "You said: one\nYou said: two\n"
    assert err.count("scripted · local") == 2
    assert questions(instance) == ["one", "two"]


def test_a_pasted_text_is_one_question_and_alt_enter_begins_a_line(dialogue: Dialogue, instance: Instance) -> None:
    dialogue.type("\x1b[200~a\n/clear\nb\x1b[201~", "c\x1b\rd")
    assert questions(instance) == ["a\n/clear\nb", "c\nd"]


def test_the_history_is_private_and_found_again(dialogue: Dialogue, tmp_path: Path, instance: Instance) -> None:
    dialogue.type("the first question", "another")
    assert (tmp_path / "history").stat().st_mode & 0o777 == 0o600
    dialogue.type("\x12first\r")
    assert questions(instance, 2) == ["the first question"]


def test_with_no_log_the_daemon_keeps_nothing_and_the_dialogue_goes_on(
    dialogue: Dialogue, instance: Instance, tmp_path: Path
) -> None:
    dialogue.type("one", "two", "/undo", log=False)
    assert instance.call("GET", "/ingle/conversations") == []
    assert not (tmp_path / "history").exists()
    assert [message["content"] for message in dialogue.loop.chat._said] == ["one", "You said: one"]


def test_an_error_ends_the_answer_and_not_the_dialogue(dialogue: Dialogue) -> None:
    out, err = dialogue.type("BAD", "good", "/nonsense", "/file", "/local here")
    assert out == "half\nYou said: good\n"
    assert "the script says engine_lost" in err
    for said in ("there is no command /nonsense", "/file needs FILE", "/local takes nothing more"):
        assert said in err


def test_undo_takes_back_and_offers_the_question_again(dialogue: Dialogue, instance: Instance) -> None:
    dialogue.type("one", "two", "/undo", "\x01\x0bthree")
    assert questions(instance) == ["one", "three"]


@pytest.mark.parametrize("log", [True, False])
def test_undo_offers_the_words_alone_and_keeps_the_files(
    dialogue: Dialogue, instance: Instance, tmp_path: Path, log: bool
) -> None:
    (tmp_path / "a.txt").write_text("xyzzy\n")
    (tmp_path / "b.txt").write_text("plugh\n")
    out, err = dialogue.type("/file a.txt", "what of @b.txt is it?", "/undo", " then", log=log)
    *_, asked = out.partition("You said: ")[2].split("You said: ")
    assert asked.rstrip() == "a.txt:\n```txt\nxyzzy\n```\n\nb.txt:\n```txt\nplugh\n```\n\nwhat of b.txt is it? then"
    assert err.count("b.txt (6 B) goes with the next question") == 1
    assert "/undo            take the last question back, to change it" in dialogue.type("/help")[1]


def test_retry_sends_the_files_again(dialogue: Dialogue, instance: Instance, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("xyzzy\n")
    dialogue.type("/file a.txt", "what is it?", "/retry")
    assert questions(instance) == ["a.txt:\n```txt\nxyzzy\n```\n\nwhat is it?"]
    assert dialogue.loop.chat.question == "what is it?"
    assert [Path(path).name for path in dialogue.loop.chat.request["paths"]] == ["a.txt"]  # it may be private


def test_retry_asks_again_in_place(dialogue: Dialogue, instance: Instance) -> None:
    out, _ = dialogue.type("one", "/retry")
    assert out.count("You said: one") == 2
    assert questions(instance) == ["one"]


def test_clear_begins_a_new_one_and_branch_goes_on_in_a_copy(dialogue: Dialogue, instance: Instance) -> None:
    dialogue.type("one", "/clear", "two", "/branch", "three")
    assert [questions(instance, number) for number in (1, 2, 3)] == [["one"], ["two"], ["two", "three"]]


def test_it_goes_on_with_the_conversation_it_is_given(dialogue: Dialogue, instance: Instance) -> None:
    dialogue.type("one")
    dialogue.type("two", last=True)
    dialogue.type("three", conversation=1)
    assert questions(instance) == ["one", "two", "three"]


def test_a_file_goes_with_the_next_question_only(dialogue: Dialogue, instance: Instance, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("xyzzy\n")
    (tmp_path / "b.bin").write_bytes(b"\0")
    _, err = dialogue.type("/file a.txt", "what is it?", "and now?", "/file b.bin", "/file none")
    assert questions(instance) == ["a.txt:\n```txt\nxyzzy\n```\n\nwhat is it?", "and now?"]
    assert "b.bin" in err
    assert "none" in err
    assert instance.call("GET", "/ingle/conversations")[0]["title"] == "what is it?"


def test_edit_opens_the_editor_with_the_last_question(
    dialogue: Dialogue, instance: Instance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nstat -c %a "$1" > mode; echo more >> "$1"\n')
    editor.chmod(0o755)
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", str(editor))
    dialogue.type("one", "/edit", "")
    assert questions(instance) == ["one", "onemore"]
    assert (tmp_path / "mode").read_text() == "600\n"
    monkeypatch.setenv("EDITOR", "false")
    assert "nothing is changed" in dialogue.type("/edit")[1]


def test_copy_goes_through_the_terminal_where_no_program_can(
    dialogue: Dialogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_CONNECTION", "there")
    monkeypatch.delenv("TMUX", raising=False)
    out, err = dialogue.type("one", "/copy")
    (copied,) = re.findall("\x1b]52;c;(.*)\a", out)
    assert base64.b64decode(copied) == b"You said: one"
    assert "OSC 52" in err


def test_nothing_is_copied_unless_asked_for(dialogue: Dialogue) -> None:
    assert "\x1b]52" not in dialogue.type("one")[0]


def test_save_writes_all_of_it_and_overwrites_nothing(dialogue: Dialogue, tmp_path: Path) -> None:
    _, err = dialogue.type("one", "/save talk.md", "/save talk.md")
    assert (tmp_path / "talk.md").read_text() == "# one\n\n## one\n\nYou said: one\n\n*scripted, local*\n"
    assert "is there already" in err


def test_why_cost_and_help_answer(dialogue: Dialogue) -> None:
    _, err = dialogue.type("/why", "one", "/why", "/cost", "/help", "/keys dvorak", "/keys vi")
    for said in ("nothing has been answered yet", "scripted (local)", "$0.0000 for 0 of 1", "/retry", "no dvorak keys"):
        assert said in err


def test_another_route_is_asked_for_by_name(dialogue: Dialogue) -> None:
    _, err = dialogue.type("/api", "one", "/local", "two")
    assert "no API model is configured" in err


def test_ctrl_c_gives_a_line_up(dialogue: Dialogue, instance: Instance) -> None:
    dialogue.type("half a\x03one")
    assert questions(instance) == ["one"]


# --- completion ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("/re", ["/retry"]),
        ("/model sm", ["smollm"]),
        ("/file a", ["a.py", "a_folder/"]),
        ("what does @a.", ["@a.py"]),
        ("/file a_folder/", ["a_folder/in.txt"]),
        ("/file .h", [".hidden"]),
        ("what is quick_b", ["quick_brown"]),
        ("what is ", []),
        ("/file nowhere/x", []),
    ],
)
def test_tab_offers_what_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, offered: list[str]) -> None:
    (tmp_path / "a_folder").mkdir()
    for name in ("a.py", ".hidden", "a_folder/in.txt", "a\x1b[2J"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    completer = DialogueCompleter(lambda: "the quick_brown fox", lambda: ["smollm", "qwen"])
    found = completer.get_completions(Document(text), CompleteEvent(completion_requested=True))
    assert [completion.text for completion in found] == offered

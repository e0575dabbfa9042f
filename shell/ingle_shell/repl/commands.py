"""What a line that begins with `/` does. Each command gets its argument, and does its work through a `Host`."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple, Protocol

from ingle_daemon.client import call
from ingle_daemon.errors import UsageError
from ingle_shell.attachments.attachment import Attachment
from ingle_shell.conversations import as_markdown
from ingle_shell.escalation import tell
from ingle_shell.render import answer_status, judgement_lines, model_list, size
from ingle_shell.repl.chat import Chat
from ingle_shell.repl.clipboard import copy

__all__ = ["COMMANDS", "Command", "Host", "run_command"]


class Host(Protocol):
    """What a command may do to the dialogue."""

    @property
    def chat(self) -> Chat: ...
    def say(self, text: str) -> None: ...
    def ask(self, question: str) -> None: ...
    def draft(self, text: str) -> None: ...
    def keys(self, name: str) -> None: ...


class Command(NamedTuple):
    """`argument` is how the help names it; with brackets it may be left out."""

    run: Callable[[Host, str], None]
    argument: str
    what: str


def run_command(host: Host, line: str) -> None:
    """Do what the line says. Raises IngleError, UsageError for a command that there is not."""
    name, _, argument = line[1:].partition(" ")
    command = COMMANDS.get(name)
    if command is None:
        raise UsageError(f"there is no command /{name}", hint="/help lists them. A question may begin with a space.")
    if argument.strip() and not command.argument:
        raise UsageError(f"/{name} takes nothing more")
    if command.argument and not command.argument.startswith("[") and not argument.strip():
        raise UsageError(f"/{name} needs {command.argument}")
    command.run(host, argument.strip())


def _help(host: Host, _: str) -> None:
    for name, command in COMMANDS.items():
        host.say(f"{f'/{name} {command.argument}'.strip():<16} {command.what}")
    host.say("Enter sends, Alt-Enter begins a new line, Ctrl-C stops an answer, Ctrl-D leaves, Ctrl-R searches.")


def _model(host: Host, name: str) -> None:
    if not name:
        host.say(model_list(call("GET", "/ingle/models")))
        return
    installed = [model["name"] for model in call("GET", "/ingle/models")["installed"]]
    if name not in installed:
        raise UsageError(f"the model {name} is not installed", hint="/model lists those that are.")
    host.chat.use_model(name)
    host.say(f"{name} answers here from now on")


def _local(host: Host, _: str) -> None:
    host.chat.use_route("local")
    host.say("answers are made on this machine, or not at all")


def _api(host: Host, _: str) -> None:
    host.chat.use_route("api")
    host.say("the configured API model answers, where it may")


def _file(host: Host, name: str) -> None:
    _say_attached(host, host.chat.attach(name))


def _say_attached(host: Host, attached: Iterable[Attachment]) -> None:
    for each in attached:
        host.say(f"{each.name} ({size(len(each.text.encode()))}) goes with the next question")


def _clear(host: Host, _: str) -> None:
    host.chat.restart()
    host.say("the next question begins a new conversation")


def _undo(host: Host, _: str) -> None:
    host.draft(host.chat.undo())
    host.say("the last question and its answer are taken back")
    _say_attached(host, host.chat.files)


def _retry(host: Host, _: str) -> None:
    host.ask(host.chat.undo())


def _edit(host: Host, _: str) -> None:
    """The last question in the user's editor; what is left of it becomes the next one, to be sent with Enter."""
    editor = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    handle, name = tempfile.mkstemp(prefix="ingle-", suffix=".md")  # private, as mkstemp makes it
    path = Path(name)
    try:
        os.close(handle)
        path.write_text(host.chat.question, encoding="utf-8")
        try:
            code = subprocess.run([*editor, name], check=False).returncode
        except OSError as exc:
            raise UsageError(
                f"cannot start {editor[0]}: {exc.strerror}", hint="Set EDITOR to one that is here."
            ) from exc
        if code:
            raise UsageError(f"{editor[0]} ended with exit code {code}: nothing is changed")
        host.draft(path.read_text(encoding="utf-8", errors="replace").rstrip("\n"))
    finally:
        path.unlink(missing_ok=True)


def _copy(host: Host, _: str) -> None:
    if not host.chat.answer:
        raise UsageError("there is no answer to copy yet")
    host.say(f"copied {copy(host.chat.answer)}")
    tell(host.chat.request.get("id"), "kept")


def _save(host: Host, name: str) -> None:
    text = as_markdown(host.chat.read())
    path = Path(name).expanduser()
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{name} is there already", hint="Choose another name.") from None
    except OSError as exc:
        raise UsageError(f"cannot write {name}: {exc.strerror}") from exc
    host.say(f"saved to {name}")


def _branch(host: Host, _: str) -> None:
    before = host.chat.read().info.id
    host.say(f"going on in conversation {host.chat.branch()}, a copy of {before}")


def _why(host: Host, _: str) -> None:
    chat = host.chat
    if chat.routed is None:
        raise UsageError("nothing has been answered yet")
    host.say(f"{chat.routed.model} ({chat.routed.kind}): {chat.routed.reason}")
    if chat.done:
        host.say(answer_status(chat.routed, chat.done))
        if chat.done.judgement:
            host.say("\n".join(judgement_lines(chat.done.judgement)))


def _cost(host: Host, _: str) -> None:
    chat = host.chat
    if not (chat.kept and chat.conversation):
        host.say(f"${chat.cost:.4f} in this dialogue")
        return
    turns = chat.read().turns
    paid = [turn.usage.cost for turn in turns if turn.usage]
    known = sum(cost for cost in paid if cost is not None)
    unknown = f", and {paid.count(None)} at a price that is not known" if None in paid else ""
    host.say(f"${known:.4f} for {len(paid)} of {len(turns)} answers{unknown}; the others were made here")


def _keys(host: Host, name: str) -> None:
    if name not in ("vi", "emacs"):
        raise UsageError(f"there are no {name} keys", hint="It is /keys vi or /keys emacs.")
    host.keys(name)


COMMANDS = {
    "model": Command(_model, "[NAME]", "list the models, or take one"),
    "local": Command(_local, "", "answer on this machine only"),
    "api": Command(_api, "", "ask the API model"),
    "file": Command(_file, "FILE", "send a file, folder, pattern or web page along"),
    "clear": Command(_clear, "", "begin a new conversation"),
    "undo": Command(_undo, "", "take the last question back, to change it"),
    "retry": Command(_retry, "", "ask it again"),
    "edit": Command(_edit, "", "write it in your editor"),
    "copy": Command(_copy, "", "copy the last answer"),
    "save": Command(_save, "FILE", "write the conversation"),
    "branch": Command(_branch, "", "go on in a copy"),
    "why": Command(_why, "", "where the answer was made, and why"),
    "cost": Command(_cost, "", "what it has cost"),
    "keys": Command(_keys, "vi|emacs", "edit with these keys"),
    "help": Command(_help, "", "this list"),
}

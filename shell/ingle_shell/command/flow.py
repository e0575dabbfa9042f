"""`ask -s`, from the wish to what becomes of the command. Knows the order of things; each of them is elsewhere."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import sys
from collections.abc import Callable

import msgspec

from ingle_daemon.errors import IngleError, Interrupted, NoModel, UsageError
from ingle_shell.command import suggestion as words
from ingle_shell.command.asker import Asker
from ingle_shell.command.card import as_json, beside, card, needs_word
from ingle_shell.command.menu import Terminal, choose
from ingle_shell.command.run import copy, edit, hand_over, run
from ingle_shell.command.shells import Shell, users_shell
from ingle_shell.command.suggestion import Message, Suggestion
from ingle_shell.command.verify import Checked, check
from ingle_shell.escalation import as_offer
from ingle_shell.layout import laid_out
from ingle_shell.options import Options
from ingle_shell.render import plain
from ingle_shell.screen import Screen

__all__ = ["command_for", "suggest"]


def command_for(options: Options, wish: str, context: str) -> int:
    """Suggest a command for `wish`, and do with it what the user chooses. Returns the exit code."""
    if options.failure:
        wish = wish.strip() or "Give the command that was meant."
    if not wish.strip():
        raise UsageError("there is no wish", hint='Try: ask -s "the ten biggest files here"')
    shell = users_shell(options.shell, os.environ)
    asker = Asker(options, Screen(), shell.name)
    try:
        return _command(asker, shell, words.request(wish, shell.name, _system(), context))
    except NoModel as error:
        if error.code != NoModel.code:
            raise
        from ingle_shell.first_run import install_first_model

        install_first_model(error)
        return _command(asker, shell, words.request(wish, shell.name, _system(), context))


def _command(asker: Asker, shell: Shell, messages: list[Message]) -> int:
    terminal = None if asker.options.as_json else Terminal.open()
    if asker.screen.interactive:
        asker.screen.note("looking for a command …", dim=True)
    with terminal.unechoed() if terminal else contextlib.nullcontext():
        suggested, checked = suggest(asker.command, shell, messages)
    if terminal:
        return _offer(asker, shell, messages, suggested, checked, terminal)
    _print(asker, suggested, checked)
    return 0


def suggest(ask: Callable[[list[Message]], str], shell: Shell, messages: list[Message]) -> tuple[Suggestion, Checked]:
    """A suggestion that stands its checks, if the second one does where the first did not. `ask` is the model.

    Raises IngleError when neither answer holds a command.
    """
    first = words.parse(ask(messages), shell.name)
    checked = check(first.command, shell, os.environ)
    if checked.command and not checked.complaints:
        return first, checked
    complaints = checked.complaints or ("there is no command in it",)
    second = words.parse(ask(words.again(messages, first, complaints)), shell.name)
    rechecked = check(second.command, shell, os.environ)
    if rechecked.command and (not checked.command or len(rechecked.complaints) < len(checked.complaints)):
        return second, rechecked
    if not checked.command:
        raise IngleError("the model gave no command", hint="Say it in other words, or ask a larger model.")
    return first, checked


def _print(asker: Asker, suggested: Suggestion, checked: Checked) -> None:
    """Where nobody can choose: the command alone, and beside it what is to be said of it. Nothing is run."""
    if asker.options.as_json:
        route = msgspec.structs.asdict(asker.route) if asker.route else None
        asker.screen.write(json.dumps({**as_json(checked, plain(suggested.explanation)), "route": route}))
    else:
        asker.screen.write(checked.command)
        asker.screen.end_line()  # before what stderr says, which may go to the same terminal
        for line in beside(checked, asker.doubt(suggested)):
            asker.screen.note(line)
    asker.screen.end_line()


def _offer(
    asker: Asker, shell: Shell, messages: list[Message], suggested: Suggestion, checked: Checked, terminal: Terminal
) -> int:
    """Show the command and do what the user chooses, until that ends it."""
    while True:
        lines = card(checked, suggested.explanation, terminal.width, asker.doubt(suggested))
        terminal.write("".join(f"{line}\n" for line in lines))
        offer = asker.offer(suggested)
        larger = as_offer(offer) if offer else ""
        choice = choose(terminal, runnable=checked.runnable, needs_word=needs_word(checked), larger=larger)
        if choice == "run":
            return _ran(asker, shell, suggested, checked.command, terminal)
        if choice == "copy":
            asker.screen.note(copy(checked.command, terminal), dim=True)
            asker.tell(suggested, "kept")
            return 0
        if choice == "edit":
            edited = _typed(checked.command, terminal)
            suggested = Suggestion(edited, "") if edited != checked.command else suggested
            checked = check(edited, shell, os.environ)
        elif choice == "explain":
            with terminal.unechoed():
                text = asker.explanation(checked.command)
            terminal.write(f"{laid_out(plain(text).strip(), terminal.width, flat=0)}\n\n")
        elif choice == "larger":
            with terminal.unechoed():
                suggested = asker.larger(suggested)
            checked = check(suggested.command, shell, os.environ)
        elif choice == "refine":
            change = _typed("", terminal, label="change: ")
            messages = words.refined(messages, suggested, change)
            with terminal.unechoed():
                suggested, checked = suggest(asker.command, shell, messages)
        else:
            return Interrupted.exit_code


def _ran(asker: Asker, shell: Shell, suggested: Suggestion, command: str, terminal: Terminal) -> int:
    """Have it run; the exit code. A shell that waits for the command runs it itself, and says how that went."""
    if hand_over(command, os.environ):
        asker.tell_handed(suggested)
        return 0
    code = run(shell, command, terminal)
    if code != Interrupted.exit_code:
        asker.tell(suggested, "failed" if code else "ran")
    return code


def _typed(text: str, terminal: Terminal, *, label: str = "> ") -> str:
    """What the user makes of `text`. Nothing at all, and Ctrl-D, mean that they want no more of it."""
    try:
        typed = edit(text, terminal, label=label)
    except EOFError:
        typed = ""
    if not typed:
        raise KeyboardInterrupt
    return typed


def _system() -> str:
    """The operating system by the name that models know it by."""
    if sys.platform == "darwin":
        return "macOS"
    try:
        return platform.freedesktop_os_release().get("NAME", "Linux")
    except OSError:
        return platform.system()

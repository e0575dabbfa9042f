"""Finds what one command printed in what a terminal showed. Pure.

Text of three kinds: a screen as it looks, a screen with the marks that shells leave on it (OSC 133), and the log of
`ingle shell`, where each command has a mark of its own. What cannot be told apart for sure is left out.
"""

from __future__ import annotations

import re

from ingle_shell.render import plain

__all__ = ["in_log", "on_marked_screen", "on_screen"]

_LONGEST = 4000  # characters of output: its end is what tells
_PROMPT = re.compile(r"\x1b\]133;A[^\x07\x1b]*(?:\x07|\x1b\\)")
_OUTPUT = re.compile(r"\x1b\]133;C[^\x07\x1b]*(?:\x07|\x1b\\)")
_OVERWRITTEN = re.compile(r"^.*\r(?=[^\n])", re.MULTILINE)


def on_screen(command: str, screen: str) -> str:
    """What follows the last appearance of `command`, up to the next line that begins with the same prompt."""
    lines = plain(screen).rstrip().splitlines()[:-1]
    begin = _last_typed(command, lines)
    if begin is None:
        return ""
    prompt, output = _prompt_before(command, lines[begin]) or "", lines[begin + 1 :]
    end = next((index for index, line in enumerate(output) if prompt.strip() and line.startswith(prompt)), None)
    return _end_of("\n".join(output[:end]))


def on_marked_screen(command: str, screen: str) -> str:
    """The output of the last command at whose prompt `command` stands."""
    blocks = [_OUTPUT.split(block) for block in _PROMPT.split(screen)[1:]]
    begin = _last_typed(command, [plain(block[0]).rstrip() for block in blocks])
    return "" if begin is None else _end_of(plain("".join(blocks[begin][1:])))


def in_log(mark: str, log: str) -> str:
    """The output of the command that the shell's integration called `mark`; the log may have lost its beginning."""
    _, begun, output = log.rpartition(f"\x1b]133;C;ingle={mark}\x07")
    ended = re.search(rf"\x1b\]133;D;\d*;ingle={re.escape(mark)}\x07", output)
    if not mark or not (begun or ended):
        return ""
    return _end_of(plain(_as_it_looks(output[: ended.start() if ended else None])))


def _as_it_looks(output: str) -> str:
    """Without what was erased by backspace or overwritten after a carriage return."""
    shown = list[str]()
    for character in output.replace("\r\n", "\n"):
        if character == "\b" and shown and shown[-1] not in "\n\b":
            shown.pop()
        else:
            shown.append(character)
    return _OVERWRITTEN.sub("", "".join(shown))


def _last_typed(command: str, texts: list[str]) -> int | None:
    """Which of the texts is the last that is a prompt with `command`. `ls make` ends in make, but is another one."""
    prompts = {
        index: prompt for index, text in enumerate(texts) if (prompt := _prompt_before(command, text)) is not None
    }
    for index in sorted(prompts, reverse=True):
        longer_than = (other for other in prompts.values() if other.strip() and len(other) < len(prompts[index]))
        if not any(prompts[index].startswith(other) for other in longer_than):
            return index
    return None


def _prompt_before(command: str, text: str) -> str | None:
    """What stands before `command` where a line ends with it, but for what a prompt has at the right margin."""
    typed = re.search(rf"(?<![\w./-]){re.escape(_first_line(command))}(?:[ ]{{3,}}\S.*|[ ]*)$", text, re.MULTILINE)
    return text[: typed.start()] if typed else None


def _first_line(command: str) -> str:
    return command.strip().partition("\n")[0].rstrip()


def _end_of(text: str) -> str:
    return text.strip()[-_LONGEST:]

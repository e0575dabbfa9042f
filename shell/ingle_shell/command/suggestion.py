"""What a model is told so that it answers with one command, and the command in what it answers. Pure.

Written for small models: a short instruction, and the examples most like the wish as turns of a conversation, which
they imitate better than they follow rules. `tests/bench/command_quality.py` leaves each part out in turn.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from ingle_shell.command.examples import nearest
from ingle_shell.command.syntax import ShellName, read

__all__ = ["Message", "Suggestion", "again", "explaining", "parse", "refined", "request"]

Message = dict[str, str]

_LONGEST_EXPLANATION = 300  # characters
_FENCE = re.compile(r"```(?:[\w-]*[ \t]*\n)?(.*?)(?:```|\Z)", re.DOTALL)
_INLINE = re.compile(r"^\s*(?:[-*] |\d+[.)] )?`([^`\n]+)`", re.MULTILINE)
_PROMPT = re.compile(r"^\s*[$%\u276f] ", re.MULTILINE)

_EXAMPLES = 4


class Suggestion(msgspec.Struct, frozen=True):
    """As the model gave it: untrusted text."""

    command: str
    explanation: str


def request(wish: str, shell: ShellName, system: str, context: str = "") -> list[Message]:
    """The conversation that ends with the user's wish. `context` is text that the wish is about."""
    instruction = (
        f"You write one {shell} command for {system} that does what is asked. "
        "Answer with the command in a code block, then one short sentence that explains it."
    )
    messages = [{"role": "system", "content": instruction}]
    for example in nearest(wish, _EXAMPLES):
        messages += [{"role": "user", "content": example.wish}, _answer(example.command(shell), example.says)]
    content = f"{context.rstrip()}\n\n{wish}" if context.strip() else wish
    return [*messages, {"role": "user", "content": content}]


def refined(messages: Sequence[Message], suggestion: Suggestion, change: str) -> list[Message]:
    """The conversation goes on: the user wants `change` in what was suggested."""
    return [*messages, _answer(suggestion.command, suggestion.explanation), {"role": "user", "content": change}]


def again(messages: Sequence[Message], suggestion: Suggestion, complaints: Sequence[str]) -> list[Message]:
    """The conversation goes on: what was suggested does not stand its checks."""
    return refined(messages, suggestion, f"That does not work: {'; '.join(complaints)}. Give another command.")


def explaining(command: str, shell: str) -> list[Message]:
    """The question what a command does."""
    return [{"role": "user", "content": f"Explain briefly what this {shell} command does, part by part:\n\n{command}"}]


def _answer(command: str, explanation: str) -> Message:
    return {"role": "assistant", "content": f"```\n{command}\n```\n{explanation}"}


def parse(answer: str, shell: ShellName) -> Suggestion:
    """The one command in a model's answer and its explanation; an empty command where there is none."""
    if match := _FENCE.search(answer) or _INLINE.search(answer):
        block, rest = match[1], answer[match.end() :]
    else:
        block, _, rest = answer.strip().partition("\n")
    command = _first_command(_PROMPT.sub("", block).strip("\n"), shell)
    line = next((line.strip() for line in rest.splitlines() if line.strip(" \t:.`#")), "")
    return Suggestion(command, line[:_LONGEST_EXPLANATION])


def _first_command(block: str, shell: ShellName) -> str:
    """The fewest lines that are a command by themselves: a model may list alternatives, but one was asked for."""
    lines = [line for line in block.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    for count in range(1, len(lines) + 1):
        text = "\n".join(lines[:count])
        if not text.rstrip().endswith(("\\", "|", "&&", "||")) and not read(text, shell).oddities:
            return text.strip()
    return "\n".join(lines).strip()

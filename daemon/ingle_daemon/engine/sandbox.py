"""Jinja's sandbox around a model's chat template, which is code out of an untrusted file.

The sandbox keeps the template from everything but text. What it cannot keep it from is taking forever, or all memory:
that is for the process that runs it (`template_process.py`), and only what comes out is bounded here. This module
imports little, because that process starts while the model loads.
"""

from __future__ import annotations

import datetime
from typing import NoReturn

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from ingle_daemon.errors import NoModel, UsageError

__all__ = ["Sandbox", "Turns"]

Turns = list[dict[str, str]]
"""Messages as templates know them: role and content."""

_CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_OWN_TEXT = 1_000_000
"""Characters that a template may add of its own; real ones add some thousand."""
_REPEATS = 4
"""How often it may repeat what it is given."""
_LONGEST_SAYING = 300


class Sandbox:
    """One template. An empty `source` is taken for ChatML, the commonest.

    Raises NoModel when the template does not compile.
    """

    def __init__(self, source: str, *, bos: str, eos: str) -> None:
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.globals.update(raise_exception=_raise, strftime_now=_strftime_now, bos_token=bos, eos_token=eos)
        try:
            self._template = environment.from_string(source or _CHATML)
        except (TemplateError, RecursionError) as exc:
            raise NoModel(
                f"the model's chat template does not compile: {_said(exc)}", hint="Use another GGUF of this model."
            ) from exc

    def render(self, turns: Turns) -> str:
        """The prompt. Raises UsageError when the template refuses the messages, or writes without end."""
        most = _OWN_TEXT + _REPEATS * sum(len(turn["content"]) for turn in turns)
        pieces: list[str] = []
        try:
            for piece in self._template.generate(messages=turns, add_generation_prompt=True):
                pieces.append(piece)
                most -= len(piece)
                if most < 0:
                    raise TemplateError("it makes an endless prompt of them")
        except MemoryError:
            raise  # of this process there is nothing more to be had
        except Exception as exc:
            raise UsageError(
                f"the model's chat template refuses these messages: {_said(exc)}",
                hint="Most templates want an optional system message, then user and assistant in turn.",
            ) from exc
        return _encodable("".join(pieces))


def _said(exc: Exception) -> str:
    """What a template may have put into words itself."""
    return _encodable(str(exc)[:_LONGEST_SAYING])


def _encodable(text: str) -> str:
    """A template can spell halves of characters (`'\\ud800'`), which no tokenizer and no client can be told."""
    return text.encode("utf-8", "replace").decode()


def _raise(message: str) -> NoReturn:
    raise TemplateError(message)


def _strftime_now(form: str) -> str:
    return datetime.datetime.now().astimezone().strftime(form)

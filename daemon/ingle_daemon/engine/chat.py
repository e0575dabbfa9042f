"""A model's own chat template, rendered in a sandbox. Knows text, not tokens.

The template comes out of the GGUF and is untrusted code: Jinja's immutable sandbox runs it. The messages are untrusted
too: text in them that spells a special token must stay text. Such spellings are broken by a mark before rendering, and
the result is split at the marks, so that no piece contains one whole.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from typing import NoReturn

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from ingle_daemon.errors import NoModel, UsageError
from ingle_daemon.protocol import ChatMessage

__all__ = ["ChatTemplate"]

_MARK = "\uf8ff"  # a private-use character; one that stands in a message itself is dropped
_CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


class ChatTemplate:
    """Renders messages. `special` are the spellings of the model's special tokens.

    An empty `source` is taken for ChatML, the commonest. Raises NoModel when the template does not compile.
    """

    def __init__(self, source: str, *, bos: str, eos: str, special: Iterable[str]) -> None:
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.globals.update(raise_exception=_raise, strftime_now=_strftime_now, bos_token=bos, eos_token=eos)
        try:
            self._template = environment.from_string(source or _CHATML)
        except TemplateError as exc:
            raise NoModel(
                f"the model's chat template does not compile: {exc}", hint="Use another GGUF of this model."
            ) from exc
        spellings = sorted((re.escape(s) for s in special if len(s) > 1), key=len, reverse=True)
        # Looked for at every position, so that one that overlaps or contains another is found too.
        self._special = re.compile(f"(?=(?:{'|'.join(spellings)}))(.)", re.DOTALL) if spellings else None

    def render(self, messages: Iterable[ChatMessage]) -> list[str]:
        """The prompt in pieces: tokenize each by itself, special tokens parsed, and join.

        Raises UsageError when the template refuses the messages (roles in an order it does not allow).
        """
        plain = [{"role": message.role, "content": self._defuse(message.content)} for message in messages]
        try:
            return self._template.render(messages=plain, add_generation_prompt=True).split(_MARK)
        except Exception as exc:
            raise UsageError(
                f"the model's chat template refuses these messages: {exc}",
                hint="Most templates want an optional system message, then user and assistant in turn.",
            ) from exc

    def _defuse(self, content: str) -> str:
        content = content.replace(_MARK, "")
        if self._special is None:
            return content
        return self._special.sub(rf"\1{_MARK}", content)


def _raise(message: str) -> NoReturn:
    raise TemplateError(message)


def _strftime_now(form: str) -> str:
    return datetime.datetime.now().astimezone().strftime(form)

"""A conversation as the model's own chat template writes it. Knows text, not tokens.

The template is untrusted code, and somebody else's to run (`template_process.py`). The messages are untrusted too: text
in them that spells a special token must stay text. Such spellings are broken by a mark before rendering, and the result
is split at the marks, so that no piece contains one whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Protocol

from ingle_daemon.engine.sandbox import Turns
from ingle_daemon.protocol import ChatMessage

__all__ = ["ChatTemplate", "Renderer"]

_MARK = "\uf8ff"  # a private-use character; one that stands in a message itself is dropped


class Renderer(Protocol):
    """What runs a template."""

    def render(self, turns: Turns) -> str: ...


class ChatTemplate:
    """Renders messages. `special` are the spellings of the model's special tokens."""

    def __init__(self, renderer: Renderer, *, special: Iterable[str]) -> None:
        self._renderer = renderer
        spellings = sorted((re.escape(s) for s in special if len(s) > 1), key=len, reverse=True)
        # Looked for at every position, so that one that overlaps or contains another is found too.
        self._special = re.compile(f"(?=(?:{'|'.join(spellings)}))(.)", re.DOTALL) if spellings else None

    def render(self, messages: Iterable[ChatMessage]) -> list[str]:
        """The prompt in pieces: tokenize each by itself, special tokens parsed, and join.

        Raises UsageError when the template refuses the messages (roles in an order it does not allow).
        """
        plain = [{"role": message.role, "content": self._defuse(message.content)} for message in messages]
        return self._renderer.render(plain).split(_MARK)

    def _defuse(self, content: str) -> str:
        content = content.replace(_MARK, "")
        if self._special is None:
            return content
        return self._special.sub(rf"\1{_MARK}", content)

"""The server's tokenizer, asked over HTTP; and the same for code that cannot wait, with what was asked last kept.

llama-server and vLLM each have a `/tokenize` of their own. Where a server has none, a prompt is bounded: see `bound`.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from ingle_daemon.backends.team.http import Http
from ingle_daemon.backends.team.probe import Served
from ingle_daemon.errors import EngineLost
from ingle_daemon.protocol import ChatMessage

__all__ = ["BlockingTokenizer", "RemoteTokenizer", "bound"]

_BYTES_A_TOKEN = 2
_NAME_BEGINS = re.compile(
    r"<(?=[|｜\[]|/?s>|(?:fim_|file|repo|PRE>|SUF>|MID>|EOT>|bos>|eos>|pad>|unk>|mask>|start_of|end_of)[^<>\s]*>?)"
    r"|\[(?=(?:PREFIX|SUFFIX|MIDDLE|INST)\])"
)
_REMEMBERED = 64
"""Texts: the suffix, the names and the pieces of a prompt are the same at every keystroke."""


def bound(text: str) -> int:
    """More tokens than `text` takes, unless it is hardly text: tokens of prose and code spell 3 to 4 bytes."""
    return -(-len(text.encode("utf-8", "replace")) // _BYTES_A_TOKEN)


def _without_names(text: str) -> list[str]:
    """`text` cut inside every name of a special token: vLLM reads them wherever they are whole."""
    ends = [match.end() for match in _NAME_BEGINS.finditer(text)]
    return [text[start:end] for start, end in zip([0, *ends], [*ends, len(text)], strict=True)]


class RemoteTokenizer:
    """Text to tokens of the served model and back. Every method raises what `Http` raises."""

    def __init__(self, http: Http, served: Served) -> None:
        self._http = http
        self._served = served

    async def tokenize(self, text: str, *, special: bool, add_special: bool = False) -> list[int]:
        """`special` reads names of special tokens in the text; without it they stay the text that they are."""
        if self._served.kind != "vllm":
            body: dict[str, Any] = {"content": text, "parse_special": special, "add_special": add_special}
            return self._tokens(await self._http.post("/tokenize", body))
        parts = [text] if special else _without_names(text)
        answers = [await self._http.post("/tokenize", self._part(part, add_special)) for part in parts[:1]]
        answers += [await self._http.post("/tokenize", self._part(part, False)) for part in parts[1:]]
        return [token for answer in answers for token in self._tokens(answer)]

    def _part(self, text: str, add_special: bool) -> dict[str, Any]:
        return {"model": self._served.model, "prompt": text, "add_special_tokens": add_special}

    async def count(self, messages: Sequence[ChatMessage]) -> int:
        """Tokens of a conversation as the served model gets it, its template included."""
        turns = [{"role": message.role, "content": message.content} for message in messages]
        if self._served.kind == "vllm":
            answer = await self._http.post("/tokenize", {"model": self._served.model, "messages": turns})
            return len(self._tokens(answer))
        return len(await self.tokenize(await self.render(messages), special=True, add_special=True))

    async def render(self, messages: Sequence[ChatMessage]) -> str:
        """The conversation as text, special tokens spelled out."""
        turns = [{"role": message.role, "content": message.content} for message in messages]
        if self._served.kind == "vllm":
            answer = await self._http.post("/tokenize", {"model": self._served.model, "messages": turns})
            return await self.detokenize(self._tokens(answer))
        answer = await self._http.post("/apply-template", {"messages": turns})
        return str(answer["prompt"]) if answer else "\n".join(message.content for message in messages)

    async def detokenize(self, tokens: Sequence[int]) -> str:
        if self._served.kind == "vllm":
            answer = await self._http.post("/detokenize", {"model": self._served.model, "tokens": list(tokens)})
            return str(answer["prompt"])
        answer = await self._http.post("/detokenize", {"tokens": list(tokens)})
        return str(answer["content"])

    def _tokens(self, answer: Any) -> list[int]:
        tokens = answer.get("tokens") if isinstance(answer, dict) else None
        if not isinstance(tokens, list):
            raise EngineLost(f"{self._http.url} does not tokenize", hint="Check [engine] url.")
        return tokens


class BlockingTokenizer:
    """For a thread beside the event loop: what `fim.assemble` needs. Remembers what it was asked last."""

    def __init__(self, remote: RemoteTokenizer, loop: asyncio.AbstractEventLoop) -> None:
        self._remote = remote
        self._loop = loop
        self._known: OrderedDict[tuple[str, bool, bool], list[int]] = OrderedDict()

    def tokenize(self, text: str, *, special: bool, add_special: bool = False) -> list[int]:
        key = (text, special, add_special)
        tokens = self._known.pop(key, None)
        if tokens is None:
            asked = self._remote.tokenize(text, special=special, add_special=add_special)
            tokens = asyncio.run_coroutine_threadsafe(asked, self._loop).result()
        self._known[key] = tokens
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return tokens

    def special(self, spelling: str) -> int:
        """The special token that is written so; -1 where there is none: no plain text of that length is one token."""
        tokens = self.tokenize(spelling, special=True)
        return tokens[0] if len(tokens) == 1 else -1

    def bos(self) -> int:
        """What the model wants in front; -1 for nothing."""
        tokens = self.tokenize("", special=False, add_special=True)
        return tokens[0] if tokens else -1

"""A backend that answers from a script: no model, no worker, exact answers. Chosen by INGLE_BACKEND=scripted.

It stands behind the same seam as the real one, so that a front end, an editor plugin or a dialect can be tested for
exactness and speed. The script is a JSON file named by INGLE_SCRIPT; see `Script`. Without one, a chat repeats the
last message and a hole in a file stays empty.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Literal

import msgspec

from ingle_daemon.backends.base import Backend
from ingle_daemon.errors import DoesNotFit, UsageError, from_wire, reason
from ingle_daemon.metrics import Metrics
from ingle_daemon.protocol import (
    Begun,
    ChatPrompt,
    Delta,
    Done,
    Fit,
    GenerateRequest,
    InfillPrompt,
    ModelInfo,
    Prompt,
    Sampling,
    Started,
    TextPrompt,
    Timings,
    TokenPrompt,
)

__all__ = ["Rule", "Script", "ScriptedBackend"]

_AT_A_TIME = 100_000
"""Tokens after which the daemon may do something else: 50 MB of text take half a minute."""
_TOKEN = re.compile(r"\w+|\s+|[^\w\s]")


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The answer to every prompt of `kind` in which the regular expression `match` is found.

    It is searched in a chat's last message, and in what stands before a hole. `others` are what is drawn instead, by
    the seed, where the temperature is not 0. `delay_ms` passes before the first token. `logprob` is every token's, 0 is
    certain. `error` is the code of an error to fail with, after the answer, if there is one.
    """

    kind: Literal["chat", "infill"]
    match: str
    answer: str = ""
    others: tuple[str, ...] = ()
    delay_ms: float = 0
    logprob: float = 0
    error: str = ""


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first rule that matches answers. `context` is in tokens: words, white space and other characters."""

    context: int = 2048
    token_delay_ms: float = 0
    rules: tuple[Rule, ...] = ()


class ScriptedBackend(Backend):
    """Answers from a `Script`."""

    def __init__(self, script: Script, metrics: Metrics | None = None) -> None:
        self._script = script
        self._metrics = metrics or Metrics()
        self._ids: dict[str, int] = {}
        self._pieces: list[str] = []
        self._running = 0

    @classmethod
    def from_environment(cls, metrics: Metrics | None = None) -> ScriptedBackend:
        """The script that INGLE_SCRIPT names. Raises UsageError when it cannot be read."""
        path = os.environ.get("INGLE_SCRIPT")
        if not path:
            return cls(Script(), metrics)
        try:
            script = msgspec.json.decode(Path(path).read_bytes(), type=Script)
            for rule in script.rules:
                re.compile(rule.match)
        except (OSError, msgspec.DecodeError, re.error) as exc:
            raise UsageError(f"cannot read the script {path}: {reason(exc)}", hint="Correct INGLE_SCRIPT.") from exc
        return cls(script, metrics)

    async def start(self) -> None:
        """Nothing to load."""

    async def stop(self) -> None:
        """Nothing to free."""

    async def info(self) -> ModelInfo:
        return self._info()

    def _info(self) -> ModelInfo:
        context = self._script.context
        return ModelInfo(
            name="scripted",
            path="",
            description="answers from a script",
            n_ctx=context,
            n_ctx_train=context,
            n_vocab=0,
            n_params=0,
            size_bytes=0,
            fim="psm",
            chat=True,
        )

    def status(self) -> dict[str, object]:
        return {"state": "ready", "info": self._info(), "running": self._running}

    def generate(self, request: GenerateRequest) -> AsyncGenerator[Started | Delta | Done, None]:
        return self._metrics.watch(request.priority, self._answer(request))

    async def _answer(self, request: GenerateRequest) -> AsyncGenerator[Started | Begun | Delta | Done, None]:
        prompt_tokens = len(await self.tokenize(_text_of(request.prompt)))
        if prompt_tokens >= self._script.context:
            raise DoesNotFit(
                f"{prompt_tokens} tokens do not fit in the script's context of {self._script.context}",
                n_prompt_tokens=prompt_tokens,
                n_ctx=self._script.context,
            )
        yield Started(prompt_tokens, self._script.context)
        yield Begun()
        rule = self._rule_for(request.prompt)
        self._running += 1
        try:
            await asyncio.sleep(rule.delay_ms / 1000)
            begin, count = time.monotonic(), 0
            answer = _drawn(rule, request.sampling)
            pieces = _TOKEN.findall(answer)[: request.limits.max_tokens]
            text, stop = _cut_at_stop("".join(pieces), request.limits.stop)
            for piece in _TOKEN.findall(text):
                if self._script.token_delay_ms:
                    await asyncio.sleep(self._script.token_delay_ms / 1000)
                count += 1
                yield Delta(piece, (self._id_of(piece),), (rule.logprob,) if request.logprobs else ())
            if rule.error:
                raise from_wire({"code": rule.error, "message": f"the script says {rule.error}"})
            cut = len(pieces) < len(_TOKEN.findall(answer))
            spent = (time.monotonic() - begin) * 1000
            timings = Timings(prompt_n=prompt_tokens, predicted_n=count, predicted_ms=spent)
            yield Done("stop" if stop else "limit" if cut else "end", stop, timings)
        finally:
            self._running -= 1

    async def fit(self, prompt: Prompt, reserved: int) -> Fit:
        return Fit(len(await self.tokenize(_text_of(prompt))), reserved, self._script.context)

    async def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        tokens: list[int] = []
        for piece in _TOKEN.finditer(text):
            tokens.append(self._id_of(piece[0]))
            if len(tokens) % _AT_A_TIME == 0:
                await asyncio.sleep(0)
        return tokens

    async def render(self, prompt: Prompt) -> str:
        return _text_of(prompt)

    async def detokenize(self, tokens: list[int]) -> str:
        return "".join(self._pieces[token] for token in tokens if token < len(self._pieces))

    def _id_of(self, piece: str) -> int:
        if piece not in self._ids:
            self._ids[piece] = len(self._pieces)
            self._pieces.append(piece)
        return self._ids[piece]

    def _rule_for(self, prompt: Prompt) -> Rule:
        kind: Literal["chat", "infill"] = "infill" if isinstance(prompt, InfillPrompt) else "chat"
        text = _matched_text(prompt)
        for rule in self._script.rules:
            if rule.kind == kind and re.search(rule.match, text):
                return rule
        return Rule(kind, "", "" if kind == "infill" else f"You said: {text}")


def _drawn(rule: Rule, sampling: Sampling) -> str:
    if sampling.temperature == 0 or not rule.others:
        return rule.answer
    return rule.others[(sampling.seed or 0) % len(rule.others)]


def _cut_at_stop(text: str, stops: tuple[str, ...]) -> tuple[str, str]:
    found = [(text.index(stop), stop) for stop in stops if stop and stop in text]
    if not found:
        return text, ""
    where, stop = min(found)
    return text[:where], stop


def _matched_text(prompt: Prompt) -> str:
    if isinstance(prompt, ChatPrompt):
        return prompt.messages[-1].content if prompt.messages else ""
    return _text_of(prompt)


def _text_of(prompt: Prompt) -> str:
    if isinstance(prompt, ChatPrompt):
        return "\n".join(message.content for message in prompt.messages)
    if isinstance(prompt, InfillPrompt):
        return prompt.prefix
    if isinstance(prompt, TextPrompt):
        return prompt.text
    assert isinstance(prompt, TokenPrompt)
    return " ".join(str(token) for token in prompt.tokens)

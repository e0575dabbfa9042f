"""The team's engine as a backend: prompts built here, sent as token ids where the server has a tokenizer to ask.

Nothing is scheduled or cached here: that is the server's. Cancelling is closing the connection. It does not know the
local engine, which `fallback.py` puts behind it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass

from ingle_daemon.backends.base import Backend
from ingle_daemon.backends.team.http import Http
from ingle_daemon.backends.team.probe import Served, probe
from ingle_daemon.backends.team.tokenizer import BlockingTokenizer, RemoteTokenizer, bound
from ingle_daemon.backends.team.wire import Call, Piece, chat_call, completion_call, infill_call, read_piece
from ingle_daemon.config import EngineSettings
from ingle_daemon.engine.text import TextStream
from ingle_daemon.errors import DoesNotFit, EngineLost, IngleError
from ingle_daemon.fim.assemble import assemble, suffix_stop
from ingle_daemon.fim.templates import FimIds, Template, template_for
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
    Started,
    StopReason,
    TextPrompt,
    Timings,
)

__all__ = ["TeamEngine"]

_INFILL_TOKENS = 2048
"""The longest prompt of a completion: a server with a GPU evaluates that in a fraction of a second."""
_INFILL_ANSWER = 128


@dataclass(frozen=True, slots=True)
class _Engine:
    """What was found at the URL."""

    served: Served
    remote: RemoteTokenizer
    tokenizer: BlockingTokenizer
    template: Template


class TeamEngine(Backend):
    """One model of the server at `[engine] url`. Raises EngineLost while the server is not there."""

    def __init__(self, settings: EngineSettings, metrics: Metrics, timeout: float) -> None:
        self._settings = settings
        self._metrics = metrics
        self._http = Http(settings.url, settings.url_key_env, timeout)
        self._found: _Engine | None = None
        self._finding = asyncio.Lock()
        self._running = 0
        self._trouble = ""

    async def start(self) -> None:
        """Nothing to load: the server is asked what it has when it is first needed."""

    async def stop(self) -> None:
        await self._http.close()

    async def info(self) -> ModelInfo:
        engine = await self._engine()
        served, template = engine.served, engine.template
        infills = template.usable or served.infills
        return ModelInfo(
            name=served.model,
            path=self._http.url,
            description=f"{served.kind} at {self._http.url}",
            n_ctx=served.n_ctx,
            n_ctx_train=served.n_ctx,
            n_vocab=0,
            n_params=0,
            size_bytes=0,
            fim=template.order if template.usable else "psm" if infills else "",
            chat=True,
            template=template.name if template.usable else "server" if infills else template.name,
            where="remote-engine",
        )

    def status(self) -> dict[str, object]:
        state: dict[str, object] = {"url": self._http.url, "running": self._running}
        if self._trouble:
            return {"state": "failed", "error": self._trouble, **state}
        return {"state": "ready" if self._found else "idle", **state}

    def generate(self, request: GenerateRequest) -> AsyncGenerator[Started | Delta | Done, None]:
        return self._metrics.watch(request.priority, self._answer(request))

    async def fit(self, prompt: Prompt, reserved: int) -> Fit:
        """Counted by the server's tokenizer and template; bounded from above where it has none to ask."""
        engine = await self._engine()
        with self._noting_loss():
            return Fit(await self._count(engine, prompt), reserved, engine.served.n_ctx)

    async def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        engine = await self._engine()
        with self._noting_loss():
            return await engine.remote.tokenize(text, special=special)

    async def render(self, prompt: Prompt) -> str:
        engine = await self._engine()
        if isinstance(prompt, ChatPrompt):
            return await engine.remote.render(prompt.messages)
        if isinstance(prompt, TextPrompt):
            return prompt.text
        tokens = await self._assembled(engine, prompt) if isinstance(prompt, InfillPrompt) else list(prompt.tokens)
        return tokens if isinstance(tokens, str) else await engine.remote.detokenize(tokens)

    async def detokenize(self, tokens: list[int]) -> str:
        engine = await self._engine()
        return await engine.remote.detokenize(tokens)

    # --- what is there ---

    async def _engine(self) -> _Engine:
        async with self._finding:
            if self._found is None:
                try:
                    self._found = await self._find()
                except IngleError as exc:
                    self._trouble = str(exc)
                    raise
                self._trouble = ""
            return self._found

    async def _find(self) -> _Engine:
        served = await probe(self._http, self._settings.url_model)
        remote = RemoteTokenizer(self._http, served)
        blocking = BlockingTokenizer(remote, asyncio.get_running_loop())
        template = Template("continuation")
        if served.counts:
            template = await asyncio.to_thread(_template, blocking, served.model)
        return _Engine(served, remote, blocking, template)

    # --- one request ---

    async def _answer(self, request: GenerateRequest) -> AsyncGenerator[Started | Begun | Delta | Done, None]:
        self._running += 1
        try:
            with self._noting_loss():
                async with aclosing(self._ask(await self._engine(), request)) as events:
                    async for event in events:
                        yield event
        finally:
            self._running -= 1

    @contextlib.contextmanager
    def _noting_loss(self) -> Iterator[None]:
        """A server that went away may come back as something else, and its status says so meanwhile."""
        try:
            yield
        except EngineLost as exc:
            self._found, self._trouble = None, str(exc)
            raise

    async def _ask(
        self, engine: _Engine, request: GenerateRequest
    ) -> AsyncGenerator[Started | Begun | Delta | Done, None]:
        began = time.monotonic()
        count = 0 if isinstance(request.prompt, InfillPrompt) else await self._count(engine, request.prompt)
        if count >= engine.served.n_ctx:
            raise DoesNotFit(
                f"the prompt takes {count} tokens, the engine at {self._http.url} holds {engine.served.n_ctx}",
                hint="Shorten it.",
                n_prompt_tokens=count,
                n_ctx=engine.served.n_ctx,
            )
        call, stops = await self._call(engine, request)
        reading = _Reading(request, stops, began)
        async with aclosing(self._http.stream(call.path, call.body, request.priority)) as events:
            yield Started(count, engine.served.n_ctx)
            yield Begun()  # as far as anybody here can know
            async for data in events:
                for event in reading.take(read_piece(data)):
                    yield event
                if reading.over:
                    break
        for event in reading.end():
            yield event

    async def _call(self, engine: _Engine, request: GenerateRequest) -> tuple[Call, tuple[str, ...]]:
        """What to send, and where the answer ends besides where it was asked to."""
        prompt, model = request.prompt, engine.served.model
        if isinstance(prompt, ChatPrompt):
            return chat_call(model, prompt.messages, request), ()
        if isinstance(prompt, TextPrompt):
            return completion_call(model, prompt.text, request), ()
        if not isinstance(prompt, InfillPrompt):
            return completion_call(model, list(prompt.tokens), request), ()
        if not engine.template.usable and engine.served.infills:
            return infill_call(prompt, request), ()
        stops = engine.template.stops if engine.template.usable else suffix_stop(prompt.suffix)
        return completion_call(model, await self._assembled(engine, prompt), request), stops

    async def _assembled(self, engine: _Engine, prompt: InfillPrompt) -> str | list[int]:
        """The prompt in the model's own layout; the bare text before the cursor where there is no tokenizer."""
        if not engine.served.counts:
            return prompt.prefix
        budget = min(self._settings.fim_tokens or _INFILL_TOKENS, engine.served.n_ctx - _INFILL_ANSWER)
        assembled = await asyncio.to_thread(assemble, prompt, engine.tokenizer, engine.template, budget)
        return assembled.tokens

    async def _count(self, engine: _Engine, prompt: Prompt) -> int:
        if isinstance(prompt, ChatPrompt):
            if engine.served.counts:
                return await engine.remote.count(prompt.messages)
            return sum(bound(message.content) for message in prompt.messages)
        if isinstance(prompt, TextPrompt):
            if engine.served.counts:
                return len(await engine.remote.tokenize(prompt.text, special=prompt.special, add_special=True))
            return bound(prompt.text)
        if isinstance(prompt, InfillPrompt):
            return self._settings.fim_tokens or _INFILL_TOKENS
        return len(prompt.tokens)


class _Reading:
    """One answer as it comes: pieces in, events out, stopped where the request says. Knows no connection."""

    def __init__(self, request: GenerateRequest, stops: tuple[str, ...], began: float) -> None:
        self._limits = request.limits
        self._warm_up = request.limits.max_tokens == 0
        self._text = TextStream((*request.limits.stop, *stops), request.limits.min_indent)
        self._began = began
        self._first = 0.0
        self._reason: StopReason | None = "limit" if self._warm_up else None
        self._last = Piece()
        self._pieces = 0
        self.over = False
        """Nothing of what is still to come is wanted."""

    def take(self, piece: Piece) -> list[Delta | Done]:
        now = time.monotonic()
        self._first = self._first or now
        if not self._warm_up:
            self._reason = piece.reason or self._reason
        if piece.prompt_tokens is not None:
            self._last = piece
        if self._warm_up or not (piece.text or piece.logprobs):
            return []
        self._pieces += 1
        text = self._text.feed(piece.text.encode())
        limit = self._limits.time_ms
        late = limit is not None and self._text.lines > 0 and (now - self._first) * 1000 > limit
        if self._text.ended or late:
            self._reason = "stop" if self._text.stopped else "indent" if self._text.dedented else "time"
            self.over = True
        return [Delta(text, logprobs=piece.logprobs)]

    def end(self) -> list[Delta | Done]:
        """Raises EngineLost when the stream broke off before it said why it ended."""
        if self._reason is None:
            raise EngineLost("the engine at [engine] url broke off before the answer was complete", hint="Ask again.")
        rest = self._text.flush()
        done = Done(self._reason, self._text.stopped, self._timings())
        return [Delta(rest), done] if rest else [done]

    def _timings(self) -> Timings:
        """Token counts as the server tells them, times as they were here: the network is in them."""
        now, first = time.monotonic(), self._first or time.monotonic()
        return Timings(
            cache_n=self._last.cached_tokens,
            prompt_n=max((self._last.prompt_tokens or 0) - self._last.cached_tokens, 0),
            prompt_ms=(first - self._began) * 1000,
            predicted_n=self._last.completion_tokens or self._pieces,
            predicted_ms=(now - first) * 1000,
        )


def _template(tokenizer: BlockingTokenizer, model: str) -> Template:
    """How the served model fills in, by the markers that its tokenizer knows."""
    return template_for(FimIds(), lambda _: "", tokenizer.special, model=model, bos=tokenizer.bos())

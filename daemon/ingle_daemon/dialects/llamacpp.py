"""llama-server's HTTP shape: /infill, /tokenize, /detokenize, /health, /props, /metrics. Its clients work unchanged.

Completions go straight to the engine at their own priority: they are never routed anywhere else. Fields that
llama-server knows and this engine has no use for (id_slot, samplers, cache_prompt …) are accepted and ignored: its
clients send them always.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ingle_daemon.backends.base import Backend
from ingle_daemon.dialects.http import answer, error_response, json_response, read_body, stream
from ingle_daemon.errors import IngleError, ModelLoading, UsageError
from ingle_daemon.metrics import Metrics
from ingle_daemon.protocol import (
    ContextPiece,
    Delta,
    Done,
    GenerateRequest,
    InfillPrompt,
    Limits,
    Sampling,
    Seed,
    Started,
    Timings,
)

__all__ = ["read_infill", "routes", "to_request"]

Int32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]

_LONGEST_MEMORY = 65536
"""Tokens that the repeat penalty looks back over at most: llama.cpp sets memory aside for as many as it is told."""
_STOP_TYPES = {"end": "eos", "stop": "word", "limit": "limit", "time": "limit", "indent": "limit"}


class InfillBody(msgspec.Struct, frozen=True):
    """What `/infill` takes; `filename` and `repo` are ours."""

    input_prefix: str = ""
    input_suffix: str = ""
    prompt: str = ""
    input_extra: tuple[ContextPiece, ...] = ()
    filename: str = ""
    repo: str = ""
    n_predict: Int32 = -1
    t_max_predict_ms: Int32 = -1
    n_indent: Int32 = 0
    stop: tuple[str, ...] = ()
    temperature: float = 0.8
    top_k: Int32 = 40
    top_p: float = 0.95
    min_p: float = 0.05
    repeat_penalty: float = 1.0
    repeat_last_n: Int32 = 64
    seed: Seed = -1
    stream: bool = False


class TokenizeBody(msgspec.Struct, frozen=True):
    content: str = ""
    add_special: bool = False
    parse_special: bool = True
    with_pieces: bool = False


class DetokenizeBody(msgspec.Struct, frozen=True):
    tokens: tuple[Int32, ...] = ()


def routes(backend: Backend, metrics: Metrics, body_limit: int) -> list[Route]:
    """The routes of this dialect."""

    async def infill(request: Request) -> Response:
        body = read_infill(await read_body(request, dict[str, Any], body_limit))
        events = backend.generate(to_request(body))
        if not body.stream:
            return await answer(request, _collect(events))
        return await stream(request, _pieces(events), _sse, media_type="text/event-stream", on_error=_sse_error)

    async def tokenize(request: Request) -> Response:
        body = await read_body(request, TokenizeBody, body_limit)
        tokens = await backend.tokenize(body.content, special=body.parse_special)
        if not body.with_pieces:
            return json_response({"tokens": tokens})
        pieces = [{"id": token, "piece": await backend.detokenize([token])} for token in tokens]
        return json_response({"tokens": pieces})

    async def detokenize(request: Request) -> Response:
        body = await read_body(request, DetokenizeBody, body_limit)
        return json_response({"content": await backend.detokenize(list(body.tokens))})

    async def health(_: Request) -> Response:
        state = backend.status()["state"]
        if state == "ready":
            return json_response({"status": "ok"})
        return error_response(ModelLoading(f"the model is not ready: {state}"))

    async def props(_: Request) -> Response:
        info = await backend.info()
        settings = {"n_ctx": info.n_ctx}
        return json_response({"model_path": info.path, "default_generation_settings": settings, "total_slots": 1})

    async def scrape(_: Request) -> Response:
        from ingle_daemon import prometheus  # dear to import, and most daemons are never scraped

        return Response(prometheus.exposition(metrics), media_type=prometheus.CONTENT_TYPE)

    return [
        Route("/infill", infill, methods=["POST"]),
        Route("/tokenize", tokenize, methods=["POST"]),
        Route("/detokenize", detokenize, methods=["POST"]),
        Route("/health", health),
        Route("/props", props),
        Route("/metrics", scrape),
    ]


def read_infill(fields: dict[str, Any]) -> InfillBody:
    """As llama-server reads it: null leaves a field to the server, and 40.0 is a whole number. Raises UsageError."""
    given = {
        name: int(value) if isinstance(value, float) and value.is_integer() else value
        for name, value in fields.items()
        if value is not None
    }
    try:
        return msgspec.convert(given, InfillBody)
    except msgspec.ValidationError as exc:
        raise UsageError(f"the request body is not what /infill takes: {exc}") from exc


def to_request(body: InfillBody) -> GenerateRequest:
    """The engine's request. Raises UsageError for an `n_predict` that means nothing."""
    if body.n_predict < -1:
        raise UsageError(f"n_predict is {body.n_predict}", hint="-1 is no limit, 0 only reads the prompt.")
    return GenerateRequest(
        # llama-server puts `prompt`, the text of the cursor's line, behind the prefix.
        prompt=InfillPrompt(
            body.input_prefix + body.prompt, body.input_suffix, body.input_extra, body.filename, body.repo
        ),
        priority="completion" if body.n_predict else "warm-up",
        sampling=Sampling(
            temperature=body.temperature,
            top_k=body.top_k,
            top_p=body.top_p,
            min_p=body.min_p,
            repeat_penalty=body.repeat_penalty,
            repeat_last_n=min(body.repeat_last_n, _LONGEST_MEMORY) if body.repeat_last_n >= 0 else _LONGEST_MEMORY,
            seed=None if body.seed < 0 else body.seed,
        ),
        limits=Limits(
            max_tokens=None if body.n_predict < 0 else body.n_predict,
            stop=body.stop,
            time_ms=body.t_max_predict_ms if body.t_max_predict_ms > 0 else None,
            min_indent=body.n_indent,
        ),
    )


async def _pieces(
    events: AsyncGenerator[Started | Delta | Done, None],
) -> AsyncGenerator[dict[str, Any], None]:
    """llama-server's streamed answer: a piece a token, then one with everything known at the end."""
    prompt_tokens = 0
    async with contextlib.aclosing(events):
        async for event in events:
            if isinstance(event, Started):
                prompt_tokens = event.prompt_tokens
            elif isinstance(event, Delta):
                if event.text:
                    yield {"content": event.text, "stop": False, "index": 0}
            else:
                yield _final("", prompt_tokens, event)


async def _collect(events: AsyncGenerator[Started | Delta | Done, None]) -> dict[str, Any]:
    text: list[str] = []
    async for piece in _pieces(events):
        if piece["stop"]:
            return {**piece, "content": "".join(text)}
        text.append(piece["content"])
    raise AssertionError("a request ends with Done or with an error")


def _final(content: str, prompt_tokens: int, done: Done) -> dict[str, Any]:
    return {
        "index": 0,
        "content": content,
        "stop": True,
        "stop_type": _STOP_TYPES[done.reason],
        "stopping_word": done.stop,
        "tokens_predicted": done.timings.predicted_n,
        "tokens_evaluated": prompt_tokens,
        "tokens_cached": done.timings.cache_n,
        "truncated": False,
        "timings": timings(done.timings),
    }


def timings(cost: Timings) -> dict[str, float]:
    """llama-server's `timings` object, and what it does not have: `shelf_n`, `splice_n`, `queue_ms`, `pauses`."""
    return {
        "cache_n": cost.cache_n,
        "shelf_n": cost.shelf_n,
        "splice_n": cost.splice_n,
        "prompt_n": cost.prompt_n,
        "prompt_ms": cost.prompt_ms,
        "prompt_per_second": _rate(cost.prompt_n, cost.prompt_ms),
        "predicted_n": cost.predicted_n,
        "predicted_ms": cost.predicted_ms,
        "predicted_per_second": _rate(cost.predicted_n, cost.predicted_ms),
        "queue_ms": cost.queue_ms,
        "pauses": cost.pauses,
    }


def _rate(count: int, milliseconds: float) -> float:
    return count / milliseconds * 1000 if milliseconds > 0 else 0.0


def _sse(piece: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(piece) + b"\n\n"


def _sse_error(error: IngleError) -> bytes:
    return b"error: " + msgspec.json.encode(error.to_wire()) + b"\n\n"

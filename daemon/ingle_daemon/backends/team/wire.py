"""What such a server is sent and how its stream reads: OpenAI's completion shape, with what each server adds. Pure.

It knows JSON shapes, neither connections nor tokenizers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from ingle_daemon.errors import EngineLost
from ingle_daemon.protocol import ChatMessage, GenerateRequest, InfillPrompt, StopReason

__all__ = ["Call", "Piece", "chat_call", "completion_call", "infill_call", "read_piece"]

_REASONS: dict[str, StopReason] = {"length": "limit"}


@dataclass(frozen=True, slots=True)
class Call:
    """A POST whose answer is a stream of events."""

    path: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Piece:
    """One event of a stream. `reason` is set by the last one with text, token counts by the last one of all."""

    text: str = ""
    logprobs: tuple[float, ...] = ()
    reason: StopReason | None = None
    prompt_tokens: int | None = None
    cached_tokens: int = 0
    completion_tokens: int = 0


def chat_call(model: str, messages: tuple[ChatMessage, ...], request: GenerateRequest) -> Call:
    """The server renders the messages with its model's own template."""
    turns = [{"role": message.role, "content": message.content} for message in messages]
    body = {"messages": turns, **_common(model, request)}
    if request.logprobs:
        body["logprobs"] = True
    return Call("/v1/chat/completions", body)


def completion_call(model: str, prompt: str | list[int], request: GenerateRequest) -> Call:
    """Text as it stands, or token ids of the server's model."""
    body = {"prompt": prompt, **_common(model, request)}
    if request.logprobs:
        body["logprobs"] = 1
    return Call("/v1/completions", body)


def infill_call(hole: InfillPrompt, request: GenerateRequest) -> Call:
    """llama-server's own route, for a model whose markers only its GGUF names."""
    extra = [{"text": piece.text, "filename": piece.filename} for piece in hole.extra]
    limit = request.limits.max_tokens
    return Call(
        "/infill",
        {
            "input_prefix": hole.prefix,
            "input_suffix": hole.suffix,
            "input_extra": extra,
            "prompt": "",
            "n_predict": -1 if limit is None else limit,
            "n_probs": 1 if request.logprobs else 0,
            "stream": True,
            **_sampling(request),
        },
    )


def _common(model: str, request: GenerateRequest) -> dict[str, Any]:
    body = {"model": model, "stream": True, "stream_options": {"include_usage": True}, **_sampling(request)}
    if request.limits.max_tokens is not None:
        body["max_tokens"] = max(request.limits.max_tokens, 1)  # nobody takes 0; a warm-up draws one and drops it
    return body


def _sampling(request: GenerateRequest) -> dict[str, Any]:
    """Both names of the penalty: llama-server's, and vLLM's. Servers pass over what they do not know."""
    sampling = request.sampling
    body: dict[str, Any] = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "repeat_penalty": sampling.repeat_penalty,
        "repetition_penalty": sampling.repeat_penalty,
    }
    if sampling.seed is not None:
        body["seed"] = sampling.seed
    return body


# --- the answer ----------------------------------------------------------------------------------------------------


class _Logprob(msgspec.Struct):
    logprob: float = 0.0


class _Logprobs(msgspec.Struct):
    """vLLM's completions have `token_logprobs`, chats and llama-server have `content`."""

    token_logprobs: list[float | None] | None = None
    content: list[_Logprob] | None = None


class _Said(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    text: str | None = None
    delta: _Said = msgspec.field(default_factory=_Said)
    logprobs: _Logprobs | None = None
    finish_reason: str | None = None


class _Cached(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _Cached | None = None


class _Event(msgspec.Struct):
    """An event of either shape: `choices` is OpenAI's, `content` and `stop` are of llama-server's `/infill`."""

    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: dict[str, Any] | str | None = None
    content: str = ""
    stop: bool = False
    stop_type: str = ""
    completion_probabilities: list[_Logprob] = []
    tokens_predicted: int = 0
    tokens_evaluated: int = 0
    tokens_cached: int = 0


def read_piece(data: str | bytes) -> Piece:
    """The piece in an event's data. Raises EngineLost for what is none, or says that the server failed."""
    try:
        event = msgspec.json.decode(data, type=_Event)
    except (msgspec.DecodeError, RecursionError) as exc:
        raise EngineLost(
            "the engine at [engine] url sent something that is no completion",
            hint="Check that [engine] url is an OpenAI-compatible server.",
        ) from exc
    if event.error:
        raise EngineLost("the engine at [engine] url failed while it answered", hint="Its own log says why.")
    if event.stop or event.content:
        return _of_infill(event)
    choice = event.choices[0] if event.choices else _Choice()
    usage = event.usage
    cached = usage.prompt_tokens_details if usage else None
    return Piece(
        choice.text or choice.delta.content or "",
        _logprobs(choice.logprobs),
        _REASONS.get(choice.finish_reason, "end") if choice.finish_reason else None,
        usage.prompt_tokens if usage else None,
        (cached.cached_tokens or 0) if cached else 0,
        usage.completion_tokens if usage else 0,
    )


def _of_infill(event: _Event) -> Piece:
    logprobs = tuple(one.logprob for one in event.completion_probabilities)
    if not event.stop:
        return Piece(event.content, logprobs)
    reason: StopReason = "limit" if event.stop_type == "limit" else "end"
    return Piece(event.content, logprobs, reason, event.tokens_evaluated, event.tokens_cached, event.tokens_predicted)


def _logprobs(found: _Logprobs | None) -> tuple[float, ...]:
    if found is None:
        return ()
    if found.content is not None:
        return tuple(one.logprob for one in found.content)
    return tuple(one for one in found.token_logprobs or () if one is not None)

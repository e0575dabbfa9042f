"""OpenAI's HTTP shape: /v1/models, /v1/chat/completions, /v1/completions. The official client works unchanged.

Chats go through the router, which may send them to the API model where the user allowed that; the answer's
`ingle.route` says where it ran. Plain completions go to the local engine.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import AsyncGenerator, Callable
from typing import Annotated, Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ingle_daemon.backends.base import Backend
from ingle_daemon.dialects.http import answer, json_response, read_body, stream
from ingle_daemon.dialects.llamacpp import timings
from ingle_daemon.errors import IngleError, UsageError
from ingle_daemon.protocol import (
    AskRequest,
    ChatMessage,
    Delta,
    Done,
    Drafting,
    GenerateRequest,
    Limits,
    Reading,
    Role,
    Routed,
    Sampling,
    Seed,
    Started,
    TextPrompt,
    Thinking,
)
from ingle_daemon.routing.router import Router

__all__ = ["routes"]

Limit = Annotated[int, msgspec.Meta(ge=-1, le=2**31 - 1)]
Events = AsyncGenerator[Routed | Reading | Drafting | Started | Thinking | Delta | Done, None]

_FINISH = {"end": "stop", "stop": "stop", "indent": "stop", "limit": "length", "time": "length"}
_ids = itertools.count(1)


class TextPart(msgspec.Struct, frozen=True, tag="text", tag_field="type"):
    text: str


class MessageBody(msgspec.Struct, frozen=True):
    """`content` is text, or parts of it; other parts (images, sound) are refused."""

    role: Role | Literal["developer"]
    content: str | tuple[TextPart, ...] | None = None


class JsonSchema(msgspec.Struct, frozen=True):
    """`name` and `strict` are the client's own: a schema is always followed to the letter here."""

    schema: dict[str, Any]


class ResponseFormat(msgspec.Struct, frozen=True):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    @property
    def schema(self) -> dict[str, Any] | None:
        """What the answer has to follow; None for free text."""
        if self.type == "json_schema" and self.json_schema is None:
            raise UsageError("response_format has no json_schema", hint="Send it, or the type json_object.")
        if self.type == "json_object":
            return {"type": "object"}
        return self.json_schema.schema if self.json_schema and self.type == "json_schema" else None


class StreamOptions(msgspec.Struct, frozen=True):
    include_usage: bool = False


class _Common(msgspec.Struct, frozen=True, kw_only=True):
    """OpenAI lets clients send null for what they leave to the server; llama-server's send -1 for no limit."""

    model: str | None = None
    max_tokens: Limit | None = None
    max_completion_tokens: Limit | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: Seed | None = None
    stop: str | tuple[str, ...] | None = None
    n: int | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    @property
    def stops(self) -> tuple[str, ...]:
        return (self.stop,) if isinstance(self.stop, str) else self.stop or ()

    @property
    def longest(self) -> int | None:
        wanted = self.max_completion_tokens if self.max_tokens is None else self.max_tokens
        return None if wanted == -1 else wanted

    @property
    def sampling(self) -> Sampling:
        """As asked for; what is left open is as llama-server has it."""
        usual = Sampling()
        return Sampling(
            temperature=usual.temperature if self.temperature is None else self.temperature,
            top_p=usual.top_p if self.top_p is None else self.top_p,
            seed=self.seed,
        )


class ChatBody(_Common, frozen=True, kw_only=True):
    messages: tuple[MessageBody, ...]
    response_format: ResponseFormat | None = None


class CompletionBody(_Common, frozen=True, kw_only=True):
    prompt: str | tuple[str, ...]


def routes(backend: Backend, router: Callable[[], Router], body_limit: int) -> list[Route]:
    """The routes of this dialect."""

    async def models(_: Request) -> Response:
        info = await backend.info()
        return json_response({"object": "list", "data": [_model(info.name)]})

    async def chat(request: Request) -> Response:
        body = await read_body(request, ChatBody, body_limit)
        _refuse_many(body)
        events = router().ask(_to_ask(body), top_p=body.sampling.top_p, stop=body.stops)
        head = _Head("chatcmpl", "chat.completion", "local")
        return await _respond(request, body, events, head, _chat_piece, _chat_whole)

    async def completions(request: Request) -> Response:
        body = await read_body(request, CompletionBody, body_limit)
        _refuse_many(body)
        info = await backend.info()
        events = backend.generate(_to_generate(body))
        head = _Head("cmpl", "text_completion", info.name)
        return await _respond(request, body, events, head, _text_piece, _text_whole)

    return [
        Route("/v1/models", models),
        Route("/v1/chat/completions", chat, methods=["POST"]),
        Route("/v1/completions", completions, methods=["POST"]),
    ]


# --- in ------------------------------------------------------------------------------------------------------------


def _refuse_many(body: _Common) -> None:
    if body.n not in (None, 1):
        raise UsageError(f"n is {body.n}; ingled gives one answer to a request", hint="Send the request n times.")


def _to_ask(body: ChatBody) -> AskRequest:
    return AskRequest(
        messages=tuple(_to_message(message) for message in body.messages),
        max_tokens=body.longest,
        temperature=body.sampling.temperature,
        repeat_penalty=1.0,
        seed=body.seed,
        schema=body.response_format.schema if body.response_format else None,
    )


def _to_message(message: MessageBody) -> ChatMessage:
    content = message.content
    if not isinstance(content, str):
        content = "".join(part.text for part in content or ())
    return ChatMessage("system" if message.role == "developer" else message.role, content)


def _to_generate(body: CompletionBody) -> GenerateRequest:
    prompts = (body.prompt,) if isinstance(body.prompt, str) else body.prompt
    if len(prompts) != 1:
        raise UsageError(f"there are {len(prompts)} prompts; ingled answers one", hint="Send a request for each.")
    return GenerateRequest(
        prompt=TextPrompt(prompts[0]),
        sampling=body.sampling,
        limits=Limits(max_tokens=body.longest, stop=body.stops),
    )


# --- out -----------------------------------------------------------------------------------------------------------


class _Head:
    """What every piece of one answer repeats. The model's name is known once the request is routed."""

    def __init__(self, kind: str, shape: str, model: str) -> None:
        self.id = f"{kind}-{int(time.time())}-{next(_ids)}"
        self.shape = shape
        self.created = int(time.time())
        self.model = model
        self.route: object = None
        self.prompt_tokens = 0

    def piece(self, choice: dict[str, Any], *, chunk: bool) -> dict[str, Any]:
        shape = f"{self.shape}.chunk" if chunk and self.shape == "chat.completion" else self.shape
        return {
            "id": self.id,
            "object": shape,
            "created": self.created,
            "model": self.model,
            "choices": [{"index": 0, "logprobs": None, **choice}],
        }

    def notice(self, event: Routed | Started) -> None:
        if isinstance(event, Routed):
            self.route, self.model = event.route, event.route.model
        else:
            self.prompt_tokens = event.prompt_tokens

    def closing(self, done: Done) -> dict[str, Any]:
        """Usage and ours, for the end of the answer."""
        prompt = done.usage.prompt_tokens if done.usage else self.prompt_tokens
        completion = done.usage.completion_tokens if done.usage else done.timings.predicted_n
        usage = {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": done.timings.cache_n},
        }
        return {"usage": usage, "timings": timings(done.timings), "ingle": {"route": self.route}}


Shape = Callable[[str, "str | None"], dict[str, Any]]


def _chat_piece(text: str, finish: str | None) -> dict[str, Any]:
    return {"delta": {} if finish else {"role": "assistant", "content": text}, "finish_reason": finish}


def _chat_whole(text: str, finish: str | None) -> dict[str, Any]:
    return {"message": {"role": "assistant", "content": text}, "finish_reason": finish}


def _text_piece(text: str, finish: str | None) -> dict[str, Any]:
    return {"text": text, "finish_reason": finish}


_text_whole = _text_piece


async def _respond(
    request: Request, body: _Common, events: Events, head: _Head, piece: Shape, whole: Shape
) -> Response:
    if not body.stream:
        return await answer(request, _collect(events, head, whole))
    usage = bool(body.stream_options and body.stream_options.include_usage)
    return await stream(
        request,
        _pieces(events, head, piece, usage=usage),
        _sse,
        media_type="text/event-stream",
        last=b"data: [DONE]\n\n",
        on_error=_sse_error,
    )


async def _collect(events: Events, head: _Head, whole: Shape) -> dict[str, Any]:
    text: list[str] = []
    async with contextlib.aclosing(events):
        async for event in events:
            if isinstance(event, Thinking | Reading | Drafting):
                continue
            if isinstance(event, Delta):
                text.append(event.text)
            elif isinstance(event, Done):
                choice = whole("".join(text), _FINISH[event.reason])
                return {**head.piece(choice, chunk=False), **head.closing(event)}
            else:
                head.notice(event)
    raise AssertionError("a request ends with Done or with an error")


async def _pieces(events: Events, head: _Head, piece: Shape, *, usage: bool) -> AsyncGenerator[dict[str, Any], None]:
    async with contextlib.aclosing(events):
        async for event in events:
            if isinstance(event, Reading | Drafting):
                continue
            if isinstance(event, Delta):
                if event.text:
                    yield head.piece(piece(event.text, None), chunk=True)
            elif isinstance(event, Thinking):
                yield head.piece({"delta": {"reasoning_content": event.text}, "finish_reason": None}, chunk=True)
            elif isinstance(event, Done):
                closing = head.closing(event)
                counted = closing.pop("usage")
                yield {**head.piece(piece("", _FINISH[event.reason]), chunk=True), **closing}
                if usage:
                    yield {**head.piece({}, chunk=True), "choices": [], "usage": counted}
            else:
                head.notice(event)


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "ingle"}


def _sse(piece: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(piece) + b"\n\n"


def _sse_error(error: IngleError) -> bytes:
    return b"data: " + msgspec.json.encode({"error": error.to_wire()}) + b"\n\n"

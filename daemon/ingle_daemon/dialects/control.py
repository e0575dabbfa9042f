"""ingle's own HTTP shape, `/ingle/…`: what `ask` and `ingle` speak. Only the Unix socket serves it.

Streams are one JSON event a line, the types of protocol as they are.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ingle_daemon.activity import Activity
from ingle_daemon.conversations import Conversations
from ingle_daemon.dialects import guide, lookup, residence
from ingle_daemon.dialects import models as model_routes
from ingle_daemon.dialects.http import answer, json_response, ndjson, read_body
from ingle_daemon.library import Library
from ingle_daemon.protocol import AskRequest, Delta, Done, Drafting, Reading, Routed, Started, Thinking

__all__ = ["Control", "routes"]


class Control(lookup.Lookup, guide.Guided, residence.Residence, Protocol):
    """What the daemon lets its own clients do to it."""

    def status(self) -> dict[str, Any]: ...
    async def activity(self) -> Activity: ...
    def request_stop(self) -> None: ...
    async def serve_tcp(self, port: int) -> str: ...
    def token(self) -> str: ...
    def models(self) -> dict[str, Any]: ...
    async def use_model(self, name: str) -> str: ...
    @property
    def library(self) -> Library: ...


class ServeBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    port: int


class ModelBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    model: str


def routes(control: Control, conversations: Conversations, body_limit: int) -> list[Route]:
    """The routes of this dialect."""

    async def ask(request: Request) -> Response:
        body = await read_body(request, AskRequest, body_limit)
        return await ndjson(request, _accepted(conversations.ask(body)))

    async def route(request: Request) -> Response:
        body = await read_body(request, AskRequest, body_limit)
        return await answer(request, conversations.plan(body))

    async def status(_: Request) -> Response:
        return json_response(control.status())

    async def activity(request: Request) -> Response:
        return await answer(request, control.activity())

    async def stop(_: Request) -> Response:
        control.request_stop()
        return json_response({"stopping": True})

    async def serve(request: Request) -> Response:
        body = await read_body(request, ServeBody, body_limit)
        return json_response({"url": await control.serve_tcp(body.port)})

    async def token(_: Request) -> Response:
        return json_response({"token": control.token()})

    async def models(_: Request) -> Response:
        return json_response(await asyncio.to_thread(control.models))

    async def use(request: Request) -> Response:
        body = await read_body(request, ModelBody, body_limit)
        return json_response({"current": await control.use_model(body.model)})

    return [
        Route("/ingle/ask", ask, methods=["POST"]),
        Route("/ingle/route", route, methods=["POST"]),
        *lookup.routes(control, body_limit),
        *guide.routes(control, body_limit),
        *residence.routes(control),
        Route("/ingle/status", status),
        Route("/ingle/activity", activity),
        Route("/ingle/stop", stop, methods=["POST"]),
        Route("/ingle/serve", serve, methods=["POST"]),
        Route("/ingle/token", token),
        Route("/ingle/models", models),
        Route("/ingle/models/use", use, methods=["POST"]),
        *model_routes.routes(control.library, body_limit),
    ]


async def _accepted(
    events: AsyncGenerator[Routed | Reading | Drafting | Started | Thinking | Delta | Done, None],
) -> AsyncGenerator[Any, None]:
    """`events`; that this machine answers is told once it has taken the request: what it refuses is a plain error."""
    async with contextlib.aclosing(events):
        held: Routed | None = None
        async for event in events:
            if isinstance(event, Routed) and event.route.kind == "local":
                held = event
                continue
            if held is not None:
                yield held
                held = None
            yield event

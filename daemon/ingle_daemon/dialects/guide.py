"""What `ingle model` asks before anything is fetched: the catalog, one model, what to take. Only the socket has it."""

from __future__ import annotations

import asyncio
from typing import Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ingle_daemon.dialects.http import json_response, read_body
from ingle_daemon.models.guide import Guide, Supposed

__all__ = ["Guided", "routes"]


class Guided(Protocol):
    """Who has a guide to models."""

    def guide(self) -> Guide: ...


class SearchBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    text: str = ""


class InfoBody(Supposed, frozen=True, forbid_unknown_fields=True, kw_only=True):
    model: str


def routes(control: Guided, body_limit: int) -> list[Route]:
    """The routes of this dialect. The driver of a GPU that sleeps takes its time: never on the event loop."""

    async def search(request: Request) -> Response:
        body = await read_body(request, SearchBody, body_limit)
        return json_response({"models": await asyncio.to_thread(control.guide().search, body.text)})

    async def info(request: Request) -> Response:
        body = await read_body(request, InfoBody, body_limit)
        return json_response(await asyncio.to_thread(control.guide().info, body.model, body))

    async def recommended(request: Request) -> Response:
        body = await read_body(request, Supposed, body_limit)
        return json_response(await asyncio.to_thread(control.guide().recommended, body))

    return [
        Route("/ingle/models/search", search, methods=["POST"]),
        Route("/ingle/models/info", info, methods=["POST"]),
        Route("/ingle/models/recommend", recommended, methods=["POST"]),
    ]

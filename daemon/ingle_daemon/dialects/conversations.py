"""Conversations as `ask` looks after them: `/ingle/conversations` and what is below. Only the Unix socket serves it."""

from __future__ import annotations

from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ingle_daemon.conversations import Conversations
from ingle_daemon.dialects.http import json_response, read_body
from ingle_daemon.errors import UsageError

__all__ = ["routes"]

_LIMIT = 50
_Title = Annotated[str, msgspec.Meta(min_length=1)]


class _TitleBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    title: _Title


class _TurnsBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many turns, from the first on; None is all."""

    turns: Annotated[int, msgspec.Meta(ge=0)] | None = None


def routes(conversations: Conversations, body_limit: int) -> list[Route]:
    """The routes of this dialect."""

    async def recent(request: Request) -> Response:
        return json_response(await conversations.recent(_limit(request)))

    async def search(request: Request) -> Response:
        text = request.query_params.get("q", "")
        return json_response(await conversations.search(text, _limit(request)))

    async def last(request: Request) -> Response:
        return json_response(await conversations.last(request.query_params.get("terminal", "")))

    async def read(request: Request) -> Response:
        return json_response(await conversations.read(_number(request)))

    async def rename(request: Request) -> Response:
        body = await read_body(request, _TitleBody, body_limit)
        return json_response(await conversations.rename(_number(request), body.title))

    async def branch(request: Request) -> Response:
        body = await read_body(request, _TurnsBody, body_limit)
        return json_response(await conversations.branch(_number(request), body.turns))

    async def cut(request: Request) -> Response:
        body = await read_body(request, _TurnsBody, body_limit)
        if body.turns is None:
            raise UsageError("`turns` is missing", hint="It is how many turns to keep.")
        return json_response(await conversations.cut(_number(request), body.turns))

    async def remove(request: Request) -> Response:
        await conversations.remove(_number(request))
        return json_response({})

    one = "/ingle/conversations/{number:int}"
    return [
        Route("/ingle/conversations", recent),
        Route("/ingle/conversations/search", search),
        Route("/ingle/conversations/last", last),
        Route(one, read, methods=["GET"]),
        Route(one, remove, methods=["DELETE"]),
        Route(f"{one}/title", rename, methods=["POST"]),
        Route(f"{one}/branch", branch, methods=["POST"]),
        Route(f"{one}/cut", cut, methods=["POST"]),
    ]


def _number(request: Request) -> int:
    number: int = request.path_params["number"]
    if number >= 2**63:  # SQLite has no such number
        raise UsageError(f"there is no conversation {number}", hint="`ask --list` shows which there are.")
    return number


def _limit(request: Request) -> int:
    text = request.query_params.get("n", str(_LIMIT))
    if not text.isdecimal() or len(text) > 9:
        raise UsageError(f"n is {text!r}", hint="It is how many to tell about.")
    return int(text)

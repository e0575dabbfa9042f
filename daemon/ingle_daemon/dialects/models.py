"""ingle's own HTTP shape of what is done to models, `/ingle/models/…`. Streams are one JSON event a line."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ingle_daemon.dialects.http import answer, json_response, ndjson, read_body
from ingle_daemon.library import Library
from ingle_daemon.protocol import ImportRequest, PullRequest

__all__ = ["routes"]


class VerifyBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    model: str = ""
    """"" is every model."""


class RemoveBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    model: str
    force: bool = False


def routes(library: Library, body_limit: int) -> list[Route]:
    """The routes of this dialect."""

    async def pull(request: Request) -> Response:
        body = await read_body(request, PullRequest, body_limit)
        return await ndjson(request, library.pull(body))

    async def found(request: Request) -> Response:
        return await answer(request, library.find())

    async def take(request: Request) -> Response:
        body = await read_body(request, ImportRequest, body_limit)
        return await ndjson(request, library.take(body))

    async def verify(request: Request) -> Response:
        body = await read_body(request, VerifyBody, body_limit)
        return await ndjson(request, library.verify(body.model))

    async def remove(request: Request) -> Response:
        body = await read_body(request, RemoveBody, body_limit)
        await library.remove(body.model, force=body.force)
        return json_response({"removed": body.model})

    return [
        Route("/ingle/models/pull", pull, methods=["POST"]),
        Route("/ingle/models/found", found),
        Route("/ingle/models/import", take, methods=["POST"]),
        Route("/ingle/models/verify", verify, methods=["POST"]),
        Route("/ingle/models/remove", remove, methods=["POST"]),
    ]

"""What ingle's own editors speak, `/ingle/complete` and what belongs to it. Only the Unix socket serves it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ingle_daemon.completions import Completions
from ingle_daemon.dialects.http import json_response, ndjson, number, read_body
from ingle_daemon.protocol import CompletionRequest, Outcome

__all__ = ["routes"]


def routes(completions: Completions, body_limit: int) -> list[Route]:
    """The routes of this dialect."""

    async def complete(request: Request) -> Response:
        body = await read_body(request, CompletionRequest, body_limit)
        return await ndjson(request, completions.complete(body))

    async def outcomes(request: Request) -> Response:
        await completions.outcomes(await read_body(request, list[Outcome], body_limit))
        return json_response({})

    async def why(request: Request) -> Response:
        count = number(request, "n", 1)
        return json_response(await completions.why(count, with_prompt="prompt" in request.query_params))

    async def stats(request: Request) -> Response:
        return json_response(await completions.stats(number(request, "days", 30)))

    return [
        Route("/ingle/complete", complete, methods=["POST"]),
        Route("/ingle/outcomes", outcomes, methods=["POST"]),
        Route("/ingle/why", why),
        Route("/ingle/stats", stats),
    ]

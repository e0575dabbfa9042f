"""What ingle's own editors speak, `/ingle/complete` and what belongs to it. Only the Unix socket serves it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ingle_daemon.completions import Completions
from ingle_daemon.dialects.http import json_response, ndjson, read_body
from ingle_daemon.errors import UsageError
from ingle_daemon.protocol import CompletionRequest, Outcome

__all__ = ["routes"]

_MOST_DIGITS = 5
"""More days, or more completions, than anybody has."""


def routes(completions: Completions, body_limit: int) -> list[Route]:
    """The routes of this dialect."""

    async def complete(request: Request) -> Response:
        body = await read_body(request, CompletionRequest, body_limit)
        return await ndjson(request, completions.complete(body))

    async def outcomes(request: Request) -> Response:
        await completions.outcomes(await read_body(request, list[Outcome], body_limit))
        return json_response({})

    async def why(request: Request) -> Response:
        count = _number(request, "n", 1)
        return json_response(await completions.why(count, with_prompt="prompt" in request.query_params))

    async def stats(request: Request) -> Response:
        return json_response(await completions.stats(_number(request, "days", 30)))

    return [
        Route("/ingle/complete", complete, methods=["POST"]),
        Route("/ingle/outcomes", outcomes, methods=["POST"]),
        Route("/ingle/why", why),
        Route("/ingle/stats", stats),
    ]


def _number(request: Request, name: str, default: int) -> int:
    """A number from the query. Raises UsageError when it is none, or larger than any that means something."""
    text = request.query_params.get(name, str(default))
    if not text.isdecimal() or len(text) > _MOST_DIGITS:
        raise UsageError(f"{name} is {text[:20]!r}", hint=f"It is a number of at most {_MOST_DIGITS} digits.")
    return int(text)

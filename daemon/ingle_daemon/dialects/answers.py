"""What became of local answers, how the last questions were decided, and how good confidence is. Unix socket only."""

from __future__ import annotations

import time

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ingle_daemon.dialects.http import json_response, number, read_body
from ingle_daemon.protocol import AnswerOutcome
from ingle_daemon.routing.judge import Judge
from ingle_daemon.routing.report import report

__all__ = ["routes"]

_DAY = 24 * 3600.0


def routes(judge: Judge, body_limit: int) -> list[Route]:
    """The routes of this dialect."""

    async def outcome(request: Request) -> Response:
        judge.hear(await read_body(request, AnswerOutcome, body_limit))
        return json_response({})

    async def decided(request: Request) -> Response:
        return json_response({"answers": judge.recent(number(request, "n", 1))})

    async def reliability(request: Request) -> Response:
        days = number(request, "days", 180)
        return json_response(report(await judge.since(time.time() - days * _DAY)))

    return [
        Route("/ingle/answers", outcome, methods=["POST"]),
        Route("/ingle/answers", decided),
        Route("/ingle/answers/report", reliability),
    ]

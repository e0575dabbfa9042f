"""`/ingle/load` and `/ingle/unload`: the model's place in memory, at a user's word."""

from __future__ import annotations

from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ingle_daemon.dialects.http import answer, json_response

__all__ = ["Residence", "routes"]


class Residence(Protocol):
    """What the daemon lets its clients do with the model's memory."""

    async def load_model(self) -> str: ...
    def unload_model(self) -> bool: ...


def routes(residence: Residence) -> list[Route]:
    """The routes of this part."""

    async def load(request: Request) -> Response:
        return await answer(request, _loaded(residence))

    async def unload(_: Request) -> Response:
        return json_response({"unloaded": residence.unload_model()})

    return [Route("/ingle/load", load, methods=["POST"]), Route("/ingle/unload", unload, methods=["POST"])]


async def _loaded(residence: Residence) -> dict[str, str]:
    return {"model": await residence.load_model()}

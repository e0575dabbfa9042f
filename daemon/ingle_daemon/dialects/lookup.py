"""What `ask` looks up before it asks: where a symbol is defined, which files of a folder may be sent."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ingle_daemon.dialects.http import answer, read_body

__all__ = ["Lookup", "routes"]


class Lookup(Protocol):
    """What the daemon knows of people's files."""

    async def find_symbol(self, root: str, name: str) -> dict[str, Any]: ...
    async def list_files(self, folder: str) -> dict[str, Any]: ...


class SymbolBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    root: str
    name: str


class FolderBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    folder: str


def routes(lookup: Lookup, body_limit: int) -> list[Route]:
    """The routes of this dialect."""

    async def symbol(request: Request) -> Response:
        body = await read_body(request, SymbolBody, body_limit)
        return await answer(request, lookup.find_symbol(body.root, body.name))

    async def files(request: Request) -> Response:
        body = await read_body(request, FolderBody, body_limit)
        return await answer(request, lookup.list_files(body.folder))

    return [
        Route("/ingle/symbol", symbol, methods=["POST"]),
        Route("/ingle/files", files, methods=["POST"]),
    ]

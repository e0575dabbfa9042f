"""What `ingle ledger`, `ingle consent` and `ingle key` ask for: receipts, consent and keys. On the Unix socket only.

A key travels in a request's body, and no answer ever holds one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ingle_daemon.backends import keys
from ingle_daemon.dialects.http import json_response, read_body
from ingle_daemon.errors import UsageError
from ingle_daemon.routing.budget import dollars
from ingle_daemon.routing.egress import Egress

__all__ = ["routes"]

_USUAL_RECEIPTS = 20
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class ConsentBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    host: Name
    given: bool


class KeyBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Name
    key: Annotated[str, msgspec.Meta(min_length=1, max_length=16384)]


class NameBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Name


def routes(now: Callable[[], Egress], body_limit: int) -> list[Route]:
    """The routes of this dialect; `now` is the door under the settings of the moment."""

    async def ledger(request: Request) -> Response:
        count = request.query_params.get("n", str(_USUAL_RECEIPTS))
        if not count.isdigit():
            raise UsageError(f"n is {count!r}, not a number")
        bodies = request.query_params.get("bodies") == "1"
        return json_response(await asyncio.to_thread(_ledger, now(), int(count) or None, bodies))

    async def consents(_: Request) -> Response:
        egress = now()
        given = [{"host": host, "at": at} for host, at in sorted(egress.consent.given().items())]
        return json_response({"given": given, "configured": egress.by_configuration()})

    async def consent(request: Request) -> Response:
        body = await read_body(request, ConsentBody, body_limit)
        if body.given:
            now().consent.grant(body.host)
        else:
            now().consent.revoke(body.host)
        return json_response({"host": body.host, "given": body.given})

    async def list_keys(_: Request) -> Response:
        return json_response({"keys": await now().keys()})

    async def set_key(request: Request) -> Response:
        body = await read_body(request, KeyBody, body_limit)
        await keys.store(body.name, body.key)
        return json_response({"name": body.name})

    async def remove_key(request: Request) -> Response:
        body = await read_body(request, NameBody, body_limit)
        await keys.remove(body.name)
        return json_response({"name": body.name})

    return [
        Route("/ingle/ledger", ledger),
        Route("/ingle/consent", consents),
        Route("/ingle/consent", consent, methods=["POST"]),
        Route("/ingle/keys", list_keys),
        Route("/ingle/keys/set", set_key, methods=["POST"]),
        Route("/ingle/keys/remove", remove_key, methods=["POST"]),
    ]


def _ledger(egress: Egress, limit: int | None, bodies: bool) -> dict[str, Any]:
    spent, limits = egress.ledger.spent(), egress.ledger.limits
    return {
        "spent": {"day": dollars(spent.day), "month": dollars(spent.month)},
        "budget": {"day": limits.day, "month": limits.month},
        "receipts": egress.ledger.receipts(limit, bodies=bodies),
    }

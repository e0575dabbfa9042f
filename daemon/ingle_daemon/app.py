"""The ASGI application: every dialect's routes in one place, errors translated, and the guard of the TCP door.

It assembles; what a route does stands in `dialects/`, and who listens where in `server.py`.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ingle_daemon.backends.base import Backend
from ingle_daemon.completions import Completions
from ingle_daemon.conversations import Conversations
from ingle_daemon.dialects import answers, completion, control, conversations, egress, llamacpp, openai
from ingle_daemon.dialects.control import Control
from ingle_daemon.dialects.http import error_response
from ingle_daemon.errors import IngleError, RefusedByPrivacy, UsageError
from ingle_daemon.metrics import Metrics
from ingle_daemon.routing.router import Router

__all__ = ["TcpDoor", "build"]

_log = logging.getLogger(__name__)


class _Unauthorized(UsageError):
    code = "invalid_api_key"
    http_status = 401


class _NotFound(UsageError):
    code = "not_found"
    http_status = 404


def build(
    backend: Backend,
    router: Callable[[], Router],
    daemon: Control,
    completions: Completions,
    kept: Conversations,
    metrics: Metrics,
    body_limit: int,
) -> Starlette:
    """The application behind the Unix socket. `router` gives that of the moment: an edit replaces it."""
    return Starlette(
        routes=[
            *openai.routes(backend, router, body_limit),
            *llamacpp.routes(backend, metrics, body_limit),
            *control.routes(daemon, kept, body_limit),
            *completion.routes(completions, body_limit),
            *conversations.routes(kept, body_limit),
            *egress.routes(lambda: router().egress, body_limit),
            *answers.routes(router().judge, body_limit),
        ],
        exception_handlers={
            IngleError: _on_ingle_error,
            HTTPException: _on_http_error,
            Exception: _on_defect,
        },
    )


async def _on_ingle_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, IngleError)
    return error_response(error)


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        return error_response(UsageError(f"{request.scope['path']} does not take {request.method}"))
    return error_response(_NotFound(f"there is nothing at {request.scope['path']}"))


async def _on_defect(request: Request, error: Exception) -> Response:
    """A defect of ours. Its message may quote the user's text, so that the log gets its kind and place only."""
    _log.error("defect", extra={"path": request.scope["path"], "error": type(error).__name__})
    return error_response(IngleError(f"ingled met a defect of its own: {type(error).__name__}"))


class TcpDoor:
    """The same application for loopback TCP: a bearer token, a Host header that names this machine, no `/ingle/…`.

    The Host check stops DNS rebinding: a web page whose name resolves to 127.0.0.1 still sends its own name.
    """

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self._app = app
        self._token = token.encode()
        self._hosts = {f"{name}:{port}".encode() for name in ("127.0.0.1", "localhost", "[::1]")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif refusal := self._refuse(dict(scope["headers"]), scope["path"]):
            response = error_response(refusal)
            response.headers["connection"] = "close"  # or the rest of its body could come for ever
            await response(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _refuse(self, headers: dict[bytes, bytes], path: str) -> IngleError | None:
        if headers.get(b"host", b"").lower() not in self._hosts:
            return RefusedByPrivacy("the Host header names another machine", hint="Use http://127.0.0.1:PORT/v1.")
        kind, _, token = headers.get(b"authorization", b"").partition(b" ")
        if kind.lower() != b"bearer" or not hmac.compare_digest(token.strip(), self._token):
            return _Unauthorized("the bearer token is missing or wrong", hint="`ingle token` prints the right one.")
        if path.startswith("/ingle/"):
            return _NotFound(f"there is nothing at {path}", hint="It is served on the Unix socket only.")
        return None

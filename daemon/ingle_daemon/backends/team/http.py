"""Connections to the team's engine: JSON calls and streams of events, foreign errors translated. Owns the connections.

Completions have connections of their own, so that one is never queued behind an answer. httpx2 is imported when the
first call is made: a daemon without `[engine] url` never pays for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

from ingle_daemon.backends.proxy import on_this_machine
from ingle_daemon.errors import DoesNotFit, EngineLost, IngleError, UsageError
from ingle_daemon.protocol import Priority

if TYPE_CHECKING:
    import httpx2

__all__ = ["Http"]

_CONNECT_S = 3.0
_LONGEST_SAYING = 300


class Http:
    """Talks to one server at `url`. `key_env` names the environment variable with its key, if it wants one."""

    def __init__(self, url: str, key_env: str, timeout: float) -> None:
        self.url = url.rstrip("/").removesuffix("/v1")
        self._key_env = key_env
        self._timeout = timeout
        self._clients: dict[str, httpx2.AsyncClient] = {}

    async def get(self, path: str) -> Any:
        """The JSON at `path`; None where the server has nothing there."""
        return await self._json("GET", path, None)

    async def post(self, path: str, body: object) -> Any:
        """The JSON answer to `body`; None where the server has nothing at `path`."""
        return await self._json("POST", path, body)

    async def stream(self, path: str, body: object, priority: Priority) -> AsyncGenerator[str, None]:
        """The data of every event. Closing the generator closes the connection, which cancels at the server."""
        client = await self._client(priority)
        import httpx2

        with self._translated():
            async with client.stream("POST", path, json=body) as response:
                if response.status_code != 200:
                    await response.aread()
                    raise self._refusal(response)
                async for event in httpx2.EventSource(response):
                    if event.data and event.data != "[DONE]":
                        yield event.data

    async def close(self) -> None:
        clients, self._clients = list(self._clients.values()), {}
        await asyncio.gather(*(client.aclose() for client in clients))

    async def _json(self, method: str, path: str, body: object) -> Any:
        client = await self._client("control")
        with self._translated():
            response = await client.request(method, path, json=body)
            if response.status_code in (404, 405, 501):
                return None
            if response.status_code != 200:
                raise self._refusal(response)
            try:
                return response.json()
            except (ValueError, RecursionError) as exc:
                raise EngineLost(f"{self.url}{path} answered with no JSON", hint="Check [engine] url.") from exc

    async def _client(self, use: str) -> httpx2.AsyncClient:
        if use not in self._clients:
            await asyncio.to_thread(importlib.import_module, "httpx2")  # 0.2 s, not on the event loop
            import httpx2

            timeout = httpx2.Timeout(self._timeout, connect=_CONNECT_S)
            local = on_this_machine(self.url)  # what this machine serves is not asked by way of a proxy
            client = httpx2.AsyncClient(
                base_url=self.url, timeout=timeout, headers=self._headers(), trust_env=not local
            )
            self._clients.setdefault(use, client)
        return self._clients[use]

    def _headers(self) -> dict[str, str]:
        if not self._key_env:
            return {}
        key = os.environ.get(self._key_env, "").strip()
        if not key or not key.isascii() or not key.isprintable():
            raise UsageError(
                f"the environment variable {self._key_env} holds no key for {self.url}",
                hint="Export it where ingled starts, then run `ingle stop` so that it starts anew.",
            )
        return {"Authorization": f"Bearer {key}"}

    @contextlib.contextmanager
    def _translated(self) -> Any:
        import httpx2

        try:
            yield
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as exc:
            raise UsageError(f"[engine] url is not an HTTP address: {exc}", hint="Correct it.") from exc
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as exc:
            raise EngineLost(
                f"cannot reach the engine at {self.url}", hint="Check the network and [engine] url."
            ) from exc
        except httpx2.HTTPError as exc:
            raise EngineLost(
                f"the connection to the engine at {self.url} broke off: {type(exc).__name__}", hint="Ask again."
            ) from exc

    def _refusal(self, response: httpx2.Response) -> IngleError:
        """What a server that refuses says: it cannot now (5xx), or it will not (4xx)."""
        said = "".join(filter(str.isprintable, _saying(response)))[:_LONGEST_SAYING]
        if response.status_code == 400 and "context" in said:
            return DoesNotFit(f"the engine at {self.url} refuses it: {said}", hint="Shorten the question.")
        what = f"the engine at {self.url} answered HTTP {response.status_code}{': ' + said if said else ''}"
        if response.status_code >= 500:
            return EngineLost(what, hint="Its own log says why.")
        return UsageError(what, hint="Check [engine] url, url_model and url_key_env.")


def _saying(response: httpx2.Response) -> str:
    try:
        answer = response.json()
    except (ValueError, RecursionError):
        return ""
    error = answer.get("error", answer) if isinstance(answer, dict) else answer
    message = error.get("message", "") if isinstance(error, dict) else error
    return message if isinstance(message, str) else ""

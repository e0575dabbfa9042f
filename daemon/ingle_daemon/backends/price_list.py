"""What providers say of their models, as OpenRouter's `/models` does: prices, context, longest answer. Kept for a day.

The list is public and asked for without a key. It is fetched only where questions may go too; without it, and for
providers that have none, the settings must say. A price that cannot be understood is not known, never zero.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from pathlib import Path

import msgspec

from ingle_daemon.backends import transport
from ingle_daemon.errors import ApiFailed, UsageError

__all__ = ["Listed", "PriceList"]

_FRESH_S = 24 * 3600.0
_AFTER_FAILURE_S = 600.0


class Listed(msgspec.Struct, frozen=True):
    """One model. Prices in US dollars a million tokens."""

    context: int | None = None
    max_tokens: int | None = None
    price_in: float | None = None
    price_out: float | None = None


class _Kept(msgspec.Struct, frozen=True):
    at: float
    models: dict[str, Listed]


class _Pricing(msgspec.Struct):
    prompt: str | float | None = None
    completion: str | float | None = None


class _Top(msgspec.Struct):
    max_completion_tokens: int | None = None


class _Model(msgspec.Struct):
    id: str
    context_length: int | None = None
    pricing: _Pricing | None = None
    top_provider: _Top | None = None


class _Models(msgspec.Struct):
    data: list[_Model]


class PriceList:
    """The lists by provider, and a copy of them in `path`, which may be deleted at any time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lists: dict[str, _Kept] | None = None
        self._tried: dict[str, float] = {}
        self._lock = asyncio.Lock()

    async def find(self, url: str, model: str, *, may_ask: bool) -> Listed:
        """What is known of `model` at the API `url`; with `may_ask`, after asking it if that is a day ago."""
        async with self._lock:
            lists = self._read()
            kept = lists.get(url)
            stale = kept is None or not 0 <= time.time() - kept.at < _FRESH_S
            if stale and may_ask and self._may_try(url):
                kept = await self._fetched(url) or kept
        return kept.models.get(model, Listed()) if kept else Listed()

    def _may_try(self, url: str) -> bool:
        return time.monotonic() - self._tried.get(url, -_AFTER_FAILURE_S) >= _AFTER_FAILURE_S

    async def _fetched(self, url: str) -> _Kept | None:
        self._tried[url] = time.monotonic()
        try:
            body = await transport.fetch(f"{url.rstrip('/')}/models", {})
            models = msgspec.json.decode(body, type=_Models).data
        except (ApiFailed, UsageError, msgspec.DecodeError, RecursionError):
            return None  # the question itself will meet what is wrong, and say it
        kept = _Kept(time.time(), {model.id: _listed(model) for model in models})
        self._lists = {**self._read(), url: kept}
        with contextlib.suppress(OSError):  # a cache that cannot be written is fetched again
            await asyncio.to_thread(self._write, msgspec.json.encode(self._lists))
        return kept

    def _read(self) -> dict[str, _Kept]:
        if self._lists is None:
            try:
                self._lists = msgspec.json.decode(self._path.read_bytes(), type=dict[str, _Kept])
            except (OSError, msgspec.DecodeError):  # a cache: what cannot be read is fetched again
                self._lists = {}
        return self._lists

    def _write(self, data: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_suffix(f".{os.getpid()}")
        partial.write_bytes(data)
        partial.replace(self._path)


def _listed(model: _Model) -> Listed:
    pricing = model.pricing or _Pricing()
    return Listed(
        context=_possible(model.context_length),
        max_tokens=_possible(model.top_provider.max_completion_tokens) if model.top_provider else None,
        price_in=_per_million(pricing.prompt),
        price_out=_per_million(pricing.completion),
    )


def _possible(tokens: int | None) -> int | None:
    """Less than one would set a negative price aside, which a budget takes for money."""
    return tokens if tokens is not None and tokens > 0 else None


def _per_million(per_token: str | float | None) -> float | None:
    """OpenRouter gives dollars a token, as text; -1 stands for a price that varies."""
    try:
        price = float(per_token) * 1e6 if per_token is not None else -1.0
    except ValueError:
        return None
    return round(price, 9) if 0 <= price < 1e6 else None

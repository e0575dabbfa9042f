"""Edits of the configuration while the daemon runs: what of it takes effect when, and hearing of them.

A good edit is adopted, a bad one changes nothing and is told. This module knows which settings are read when; what
adopting means is for whoever holds them.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec

from ingle_daemon import config
from ingle_daemon.config import Settings
from ingle_daemon.errors import UsageError

__all__ = ["Configuration", "Effect", "effect"]

_log = logging.getLogger(__name__)
_QUIET_MS, _LONGEST_MS = 250, 1_000
"""An editor writes a file in several steps: it is read when there was none for so long."""
_POLL_MS = 2_000
_AT_ONCE = ("offline", "api", "privacy", "budget", "tasks", "ask", "completion")
"""Sections that are read anew for every request."""
_AT_LOAD = frozenset(
    f"engine.{name}"
    for name in (
        *("model", "context", "threads", "gpu_layers", "kv_type", "exact", "batch", "splice"),
        *("fim", "fim_tokens", "fim_seconds"),
    )
)


class Effect(msgspec.Struct, frozen=True):
    """The settings in which two configurations differ, by when the new value counts."""

    at_once: tuple[str, ...] = ()
    at_load: tuple[str, ...] = ()
    at_start: tuple[str, ...] = ()


def effect(old: Settings, new: Settings) -> Effect:
    """What an edit changes. Everything that is not known to be read later is read when the daemon starts."""
    before, after = _flat(msgspec.to_builtins(old)), _flat(msgspec.to_builtins(new))
    names = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    at_once = [name for name in names if name.partition(".")[0] in _AT_ONCE or _opens_tcp(name, old)]
    at_load = [name for name in names if name in _AT_LOAD]
    return Effect(tuple(at_once), tuple(at_load), tuple(name for name in names if name not in {*at_once, *at_load}))


def _opens_tcp(name: str, old: Settings) -> bool:
    """A port can be opened at any time. One that is open has clients, who keep it."""
    return name == "server.tcp_port" and not old.server.tcp_port


def _flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in table.items():
        flat.update(_flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value})
    return flat


class Configuration:
    """The settings in force, and the edit that is not: `problem` says what is wrong with it, "" where nothing is."""

    def __init__(self, settings: Settings, path: Path) -> None:
        self.now = settings
        self.problem = ""
        self._path = path

    async def follow(self, adopt: Callable[[Settings, Settings], None]) -> None:
        """Read the file anew whenever it changes, for ever. `adopt` gets the settings before and after."""
        async for _ in _edits(self._path):
            self.read_again(adopt)

    def read_again(self, adopt: Callable[[Settings, Settings], None]) -> None:
        """Take over what stands in the file now, if it can be understood."""
        try:
            settings = config.load(self._path)
        except UsageError as error:
            if error.message != self.problem:
                place = f"{self._path}:{error.details.get('line', '')}"
                _log.warning("the configuration is wrong: what held before goes on", extra={"path": place})
            self.problem = error.message
            return
        self.problem = ""
        before, self.now = self.now, settings
        if settings != before:
            _log.info("the configuration has changed")
            adopt(before, settings)


async def _edits(path: Path) -> AsyncIterator[None]:
    """Whenever something changed where `path` stands, or would; at first, once it is heard.

    A link is followed: it and the file that it leads to may both be replaced.
    """
    # The library's documented lower half: its generators begin to hear only after they are first waited for.
    rust = await asyncio.to_thread(importlib.import_module, "watchfiles._rust_notify")
    polling, end = False, threading.Event()
    try:
        while True:
            folders = _folders(path)
            try:
                with rust.RustNotify([*map(str, folders)], False, polling, _POLL_MS, False, False) as notify:
                    yield
                    while _folders(path) == folders:
                        await asyncio.to_thread(notify.watch, _LONGEST_MS, _QUIET_MS, 0, end)
                        yield
            except (OSError, rust.WatchfilesRustInternalError) as error:  # the system's limit of watches is reached
                if polling:
                    await asyncio.sleep(_POLL_MS / 1000)
                _log.warning("the configuration is looked at now and then", extra={"error": type(error).__name__})
                polling = True
    finally:
        end.set()


def _folders(path: Path) -> frozenset[Path]:
    """The folders to watch: where the file stands and where its link leads, or the nearest above that is there."""
    places = {Path(os.path.abspath(path)), Path(os.path.realpath(path))}  # noqa: PTH100 - a link's own name counts
    return frozenset(next(folder for folder in place.parents if folder.is_dir()) for place in places)

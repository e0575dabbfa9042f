"""Keys of API providers: in the keyring, in the environment, or from a program that prints them.

A key is looked up for a request that is to be sent, and lives as long as that. It stands in no file of ours, no log, no
error, no command line: `ingle key set` reads it from the terminal or from standard input.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
from typing import Any

from ingle_daemon.config import ProviderSettings
from ingle_daemon.errors import UsageError

__all__ = ["Pocket", "find", "remove", "store", "stored"]

_SERVICE = "ingle"
_PATIENCE_S = 30.0
"""For a program that may have to ask its user for a passphrase."""
_LONGEST = 16 * 1024


class Pocket:
    """The keys of one request. Each is looked up once: a program that prints one may ask its user for a passphrase."""

    def __init__(self) -> None:
        self._found: dict[tuple[object, ...], str] = {}

    async def key(self, settings: ProviderSettings, host: str) -> str:
        """As `find`."""
        source = (settings.key_env, settings.key_command, settings.key)
        if source not in self._found:
            self._found[source] = await find(settings, host)
        return self._found[source]


async def find(settings: ProviderSettings, host: str) -> str:
    """The key that these settings name; "" where they name none. Raises UsageError when it is not there."""
    if settings.key_env:
        found, where = os.environ.get(settings.key_env, ""), f"the environment variable {settings.key_env}"
        hint = f"Export {settings.key_env} where ingled starts, then run `ingle stop` so that it starts anew."
    elif settings.key_command:
        found, where = await _printed(settings.key_command), f"what {settings.key_command[0]} prints"
        hint = "Run `[api] key_command` by hand: it must print the key and end with success."
    elif settings.key:
        found, where = await stored(settings.key) or "", f"the keyring's entry {settings.key!r}"
        hint = f"`ingle key set {settings.key}` puts one there."
    else:
        return ""
    key = found.strip()
    if not key or not key.isascii() or not key.isprintable():
        raise UsageError(f"{where} holds no key for {host}", hint=hint)
    return key


_KEYRING_SAYS = {"NoKeyringError": "there is no keyring here", "KeyringLocked": "the keyring is locked"}


async def stored(name: str) -> str | None:
    """The key of this name in the keyring."""
    key: str | None = await _ask_keyring("get_password", name)
    return key


async def store(name: str, key: str) -> None:
    await _ask_keyring("set_password", name, key)


async def remove(name: str) -> None:
    if await stored(name) is None:
        raise UsageError(f"the keyring has no key {name!r}", hint="`ingle key list` shows those in use.")
    await _ask_keyring("delete_password", name)


async def _ask_keyring(method: str, *arguments: str) -> Any:
    def call() -> Any:
        keyring = importlib.import_module("keyring")  # takes longer than the rest of a request
        errors = importlib.import_module("keyring.errors")
        try:
            return getattr(keyring, method)(_SERVICE, *arguments)
        except errors.KeyringError as exc:
            kind = type(exc).__name__
            raise UsageError(
                _KEYRING_SAYS.get(kind, f"the keyring cannot be used ({kind})"),
                hint="Without a desktop's keyring, use `[api] key_env` or `key_command`.",
            ) from None  # a backend's message may quote what it was given

    return await asyncio.to_thread(call)


async def _printed(command: tuple[str, ...]) -> str:
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError as exc:
        raise UsageError(f"cannot run {command[0]}: {exc.strerror}", hint="Correct `[api] key_command`.") from exc
    try:
        output, _ = await asyncio.wait_for(process.communicate(), _PATIENCE_S)
    except asyncio.TimeoutError:
        raise UsageError(f"{command[0]} printed no key in {_PATIENCE_S:g} s", hint="Run it by hand.") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode or len(output) > _LONGEST:
        return ""
    return output.decode("ascii", "replace").split("\n", 1)[0]

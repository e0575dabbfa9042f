"""What an editor's own plugin and the server tell each other beyond LSP: see docs/completion.md, which is the contract.

Parameters come from outside: what does not fit is passed over, with a word in the log. This module knows LSP's types
and the names of the contract; what a notification means for completions is `completion/`'s.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcException

from ingle_daemon import client
from ingle_daemon.errors import IngleError
from ingle_lsp.completion.status import Status, ask_status

if TYPE_CHECKING:
    from ingle_lsp.language_server import IngleLanguageServer

__all__ = ["Wishes", "register", "show_status", "wishes"]

_log = logging.getLogger(__name__)
_MOST_WHY = 64


class Wishes(msgspec.Struct, frozen=True, rename="camel"):
    """What a plugin says of itself in `capabilities.experimental.ingle`. Unknown fields are a newer plugin's."""

    status: bool = False
    shown: bool = False
    waited_ms: Annotated[float, msgspec.Meta(ge=0)] = 0


class _Id(msgspec.Struct, frozen=True):
    id: str


class _Part(msgspec.Struct, frozen=True, rename="camel"):
    id: str
    accepted_length: int


class _Position(msgspec.Struct, frozen=True):
    line: int


class _Range(msgspec.Struct, frozen=True):
    start: _Position


class _Diagnostic(msgspec.Struct, frozen=True):
    """As much of an LSP diagnostic as is used."""

    range: _Range
    message: str
    severity: int = 1


class _Diagnostics(msgspec.Struct, frozen=True):
    uri: str
    diagnostics: tuple[_Diagnostic, ...]


def wishes(capabilities: lsp.ClientCapabilities) -> Wishes:
    """The plugin's wishes; none where it says nothing of the kind."""
    experimental = _plain(capabilities.experimental)
    return _converted(experimental.get("ingle", {}) if isinstance(experimental, dict) else {}, Wishes) or Wishes()


def show_status(server: IngleLanguageServer, status: Status) -> None:
    """`ingle/status`."""
    fields = {"state": status.state, "model": status.model, "reason": status.reason}
    server.protocol.notify("ingle/status", fields)


def register(server: IngleLanguageServer) -> None:
    """The notifications and commands of the contract that are not LSP's."""
    _register_notifications(server)
    _register_commands(server)


def _register_notifications(server: IngleLanguageServer) -> None:
    @server.feature("ingle/shown")
    def shown(params: Any) -> None:
        if found := _converted(params, _Id):
            server.inline.offers.shown(found.id)

    @server.feature("ingle/partlyAccepted")
    def partly_accepted(params: Any) -> None:
        if found := _converted(params, _Part):
            server.inline.offers.partly(found.id, found.accepted_length)

    @server.feature("ingle/diagnostics")
    def diagnostics(params: Any) -> None:
        if found := _converted(params, _Diagnostics):
            server.doings.wrong_with(found.uri, found.diagnostics)

    @server.feature("ingle/rejected")
    def rejected(params: Any) -> None:
        if found := _converted(params, _Id):
            server.inline.offers.rejected(found.id)


def _register_commands(server: IngleLanguageServer) -> None:
    @server.command("ingle.enable")
    def enable() -> None:
        server.switch(on=True)

    @server.command("ingle.disable")
    def disable() -> None:
        server.switch(on=False)

    @server.command("ingle.status")
    async def status() -> dict[str, Any]:
        try:
            daemon = await ask_status()
        except IngleError:
            daemon = None
        now = server.status.now
        return {"state": now.state, "model": now.model, "reason": now.reason, "daemon": daemon}

    @server.command("ingle.why")
    async def why(*number: Any) -> Any:
        wanted = number[0] if number and isinstance(number[0], int) else 1
        count = min(max(wanted, 1), _MOST_WHY)
        try:
            return await client.acall("GET", f"/ingle/why?n={count}", autostart=False)
        except IngleError as error:
            raise JsonRpcException(f"{error.message}. {error.hint}".strip(), lsp.LSPErrorCodes.RequestFailed) from error


def _converted(params: object, kind: type[Any]) -> Any:
    """The parameters as a `kind`; None where they are none."""
    try:
        return msgspec.convert(_plain(params), kind)
    except msgspec.ValidationError as error:
        _log.warning("a plugin's message is passed over: %s", error)
        return None


def _plain(value: object) -> object:
    """pygls makes named tuples of objects that it has no type for."""
    if hasattr(value, "_asdict"):
        return {name: _plain(field) for name, field in value._asdict().items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value

"""What pygls and lsprotocol get wrong, or slow, put right in one place.

This module knows those two packages, and of ingle only how positions are counted.
"""

from __future__ import annotations

import codecs
import contextlib
import functools
import io
import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import attrs

from ingle_lsp.completion.context import TOP, Edited, Encoding, Landmark, edited

if TYPE_CHECKING:
    from cattrs import Converter
    from lsprotocol.types import TextDocumentContentChangePartial
    from pygls.workspace import TextDocument

__all__ = ["edit_as_lsp", "edited_near", "forget_what_is_handled", "lean_attrs", "read_any_bytes", "tolerant_converter"]


@contextlib.contextmanager
def lean_attrs() -> Iterator[None]:
    """Around the import of lsprotocol: much of its time goes into `__repr__` and `__eq__` of 554 classes.

    Nothing here compares or prints a whole LSP message. Measured, process start to `initialize` reply: 0.59 s
    without this, 0.45 s with it. (Pausing the garbage collector as well gained nothing more, and cost 8 MB.)
    """
    define = attrs.define
    attrs.define = functools.partial(define, repr=False, eq=False)
    try:
        yield
    finally:
        attrs.define = define


def tolerant_converter() -> Converter:
    """Old clients count trigger kinds from 0; pygls never answers a request with a value it does not know."""
    from lsprotocol.types import InlineCompletionTriggerKind
    from pygls.protocol import default_converter

    def trigger_kind(value: object, _: object) -> InlineCompletionTriggerKind:
        return InlineCompletionTriggerKind.Invoked if value in (0, 1) else InlineCompletionTriggerKind.Automatic

    converter: Converter = default_converter()  # type: ignore[no-untyped-call]
    converter.register_structure_hook(InlineCompletionTriggerKind, trigger_kind)
    return converter


def edit_as_lsp() -> None:
    """Lines end where LSP says; pygls also splits at form feeds and the like, and edits go astray.

    An edit is cut into the text where it stands. pygls takes the whole document apart and writes it line by line: 24 ms
    a keystroke in a file of 100,000 lines.
    """
    from lsprotocol.types import PositionEncodingKind
    from pygls.workspace import TextDocument

    def lines(document: TextDocument) -> tuple[str, ...]:
        return tuple(io.StringIO(document.source, newline=""))

    def apply(document: TextDocument, change: TextDocumentContentChangePartial) -> None:
        start, end = change.range.start, change.range.end
        encoding: Encoding = PositionEncodingKind(document.position_codec.encoding).value
        source, places = document.source, ((start.line, start.character), (end.line, end.character))
        after = edited(source, *places, change.text, encoding, edited_near(document))
        document._source = after.source  # noqa: SLF001 - pygls has no other place for it
        vars(document)["_edited"] = after

    TextDocument.lines = property(lines)  # type: ignore[assignment, method-assign]
    TextDocument._apply_incremental_change = apply  # type: ignore[assignment, method-assign]  # noqa: SLF001


def edited_near(document: TextDocument) -> Landmark:
    """The line in which the document was edited last, if that is all that happened to it."""
    last: Edited | None = vars(document).get("_edited")
    return last.near if last and last.source is document.source else TOP


def forget_what_is_handled() -> None:
    """pygls keeps the future of every notification that it handles itself: 2 kB a keystroke, for ever."""
    from pygls.protocol import JsonRPCProtocol

    execute = JsonRPCProtocol._execute_handler  # noqa: SLF001

    def executed(
        protocol: JsonRPCProtocol, msg_id: str | int, handler: Any, callback: Callable[[Any], Any], **how: Any
    ) -> None:
        def finished(future: Any) -> None:
            protocol._request_futures.pop(msg_id, None)  # noqa: SLF001
            callback(future)

        execute(protocol, msg_id, handler, callback=finished, **how)

    JsonRPCProtocol._execute_handler = executed  # type: ignore[method-assign,assignment]  # noqa: SLF001


def read_any_bytes() -> None:
    """Neovim sends a file's bytes as they are, UTF-8 or not, and pygls drops a message that is not.

    A byte that is no text is read as a question mark, one long in every encoding of positions, as Neovim counts it.
    """
    from pygls import io_

    def mark_each(error: UnicodeError) -> tuple[str, int]:
        assert isinstance(error, UnicodeDecodeError)
        return "?" * (error.end - error.start), error.end

    def loads(body: bytes, **how: Any) -> Any:
        try:
            return json.loads(body, **how)
        except UnicodeDecodeError:
            return json.loads(body.decode("utf-8", "ingle"), **how)

    codecs.register_error("ingle", mark_each)
    vars(io_)["json"] = SimpleNamespace(loads=loads)

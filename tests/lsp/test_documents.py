"""The server's document is the editor's, whatever is typed into it; and nonsense on its input never hangs it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lsprotocol import types as lsp
from pygls import io_
from pygls.workspace import PositionCodec, TextDocument, Workspace

from ingle_lsp import quirks
from ingle_lsp.completion.context import Encoding, Hole, units
from ingle_lsp.language_server import create
from lsp.editor import SERVER

ENCODINGS: tuple[Encoding, ...] = ("utf-8", "utf-16", "utf-32")
TEXTS = st.text(st.sampled_from("ab \t\n\r\f\v\x85\u2028é世😋"), max_size=30)


@dataclass(frozen=True)
class Edit:
    """What an editor replaces: from and to, in characters of the whole text."""

    cut: tuple[int, int]
    text: str


EDITS = st.lists(st.builds(Edit, st.tuples(st.integers(0, 60), st.integers(0, 60)), TEXTS), max_size=12)


@pytest.fixture(autouse=True)
def _as_lsp() -> None:
    quirks.edit_as_lsp()


def test_bytes_that_are_no_text_are_read_one_by_one() -> None:
    quirks.read_any_bytes()
    assert vars(io_)["json"].loads(b'["x\xff\xe2\x82y", "\xc3\xa9"]') == ["x???y", "é"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(source=TEXTS, edits=EDITS)
def test_any_edits_leave_both_with_the_same_text(encoding: Encoding, source: str, edits: list[Edit]) -> None:
    document = TextDocument("file:///a", source, position_codec=PositionCodec(lsp.PositionEncodingKind(encoding)))
    text = source
    for edit in edits:
        start, end = (_between_characters(text, at) for at in sorted(min(at, len(text)) for at in edit.cut))
        where = lsp.Range(_position(text, start, encoding), _position(text, end, encoding))
        document.apply_change(lsp.TextDocumentContentChangePartial(range=where, text=edit.text))
        text = text[:start] + edit.text + text[end:]
        assert document.source == text
    assert "".join(document.lines) == text


@settings(max_examples=10, deadline=None)
@given(
    st.lists(st.one_of(st.binary(max_size=200), st.sampled_from([b"Content-Length: 9\r\n\r\n", b"{}", b"\r\n\r\n"])))
)
def test_nonsense_on_the_input_ends_with_the_input(junk: list[bytes]) -> None:
    with subprocess.Popen(SERVER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as server:
        server.communicate(b"".join(junk), timeout=20)


def _between_characters(text: str, at: int) -> int:
    """No editor's cursor stands inside a line end."""
    return at - 1 if text[at - 1 : at] == "\r" and text[at : at + 1] == "\n" and at else at


def _position(text: str, at: int, encoding: Encoding) -> lsp.Position:
    before = Hole(text[:at], "")
    line = before.before.replace("\r\n", "\n").replace("\r", "\n").count("\n")
    return lsp.Position(line, units(before.line_before, encoding))


async def test_what_was_handled_is_forgotten() -> None:
    server = create()
    protocol = server.protocol
    protocol._workspace = Workspace(None)
    item = lsp.TextDocumentItem("file:///a.py", lsp.LanguageKind.Python, 1, "x\n")
    protocol._handle_notification(lsp.TEXT_DOCUMENT_DID_OPEN, lsp.DidOpenTextDocumentParams(item))
    here = lsp.Range(lsp.Position(0, 0), lsp.Position(0, 0))
    for version in range(2, 52):
        change = lsp.TextDocumentContentChangePartial(range=here, text="y")
        document = lsp.VersionedTextDocumentIdentifier(uri=item.uri, version=version)
        protocol._handle_notification(lsp.TEXT_DOCUMENT_DID_CHANGE, lsp.DidChangeTextDocumentParams(document, [change]))
    assert server.workspace.get_text_document(item.uri).source == "y" * 50 + "x\n"
    assert protocol._request_futures == {}

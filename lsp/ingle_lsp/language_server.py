"""The server's wiring: which LSP message goes where. pygls speaks the protocol and keeps the documents.

This module knows neither how a completion is made nor how the process is run.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from urllib.parse import unquote

import msgspec
from lsprotocol import types as lsp
from pygls.lsp.server import LanguageServer
from pygls.uris import to_fs_path
from pygls.workspace import TextDocument

from ingle_daemon import __version__
from ingle_lsp import quirks
from ingle_lsp.completion.context import Encoding, hole_at, name_in
from ingle_lsp.completion.status import Status, StatusBoard
from ingle_lsp.features.actions import COMMAND, Actions, listed
from ingle_lsp.features.doings import Doings
from ingle_lsp.features.inline import ACCEPTED, Document, InlineCompletion
from ingle_lsp.features.items import as_inline_params, as_item
from ingle_lsp.features.plugin import Wishes, register, show_status, wishes
from ingle_lsp.settings import Settings, parse

__all__ = ["IngleLanguageServer", "create"]

log = logging.getLogger(__name__)


class IngleLanguageServer(LanguageServer):
    """One editor's server: its settings, and its inline completion."""

    def __init__(self) -> None:
        super().__init__("ingle-lsp", __version__, converter_factory=quirks.tolerant_converter)
        self.status = StatusBoard(self._show)
        self.inline = InlineCompletion(self.tell, self.status)
        self.actions = Actions(self, self.tell)
        self.doings = Doings()
        self.settings = Settings()
        self.wishes = Wishes()

    def configure(self, options: object) -> None:
        """Use the settings that the editor sent."""
        self.settings, complaint = parse(options)
        self.switch(on=self.settings.enabled)
        if complaint:
            self.tell(complaint)

    def switch(self, *, on: bool) -> None:
        """Complete, or do not until further notice."""
        self.settings = msgspec.structs.replace(self.settings, enabled=on)
        self.status.switch(on=on)

    def tell(self, message: str) -> None:
        """Show a message to the user, and leave it in the editor's log."""
        self.window_show_message(lsp.ShowMessageParams(lsp.MessageType.Warning, message))
        self.window_log_message(lsp.LogMessageParams(lsp.MessageType.Warning, message))

    def document(self, open_document: TextDocument) -> Document:
        """The document as it is now, under its name in the workspace."""
        encoding: Encoding = lsp.PositionEncodingKind(self.workspace.position_encoding).value
        folders = [to_fs_path(folder.uri) or "" for folder in self.workspace.folders.values()]
        roots = [root for root in (*folders, self.workspace.root_path) if root]
        filename, repo, root = name_in(roots, open_document.path)
        language = str(open_document.language_id or "")
        near = quirks.edited_near(open_document)
        return Document(open_document.uri, open_document.source, encoding, filename, repo, root, language, near=near)

    def document_at(self, open_document: TextDocument, line: int) -> Document:
        """The document with what may help to complete in it; the user is in this line of it."""
        document = self.document(open_document)
        self.doings.visited(document, line)
        return replace(document, context=self.doings.context(document, self.settings.context))

    def _show(self, status: Status) -> None:
        if self.wishes.status:
            show_status(self, status)

    def report_server_error(self, error: Exception, source: object) -> None:
        """A message that cannot be handled goes to the log; pygls would show each to the user."""
        log.error("%s: %s", source, error)


def create() -> IngleLanguageServer:
    """A server with everything registered, not yet running."""
    quirks.edit_as_lsp()
    quirks.forget_what_is_handled()
    quirks.read_any_bytes()
    server = IngleLanguageServer()
    _register_settings(server)
    _register_documents(server)
    _register_inline_completion(server)
    _register_completion(server)
    _register_actions(server)
    register(server)
    return server


def _register_settings(server: IngleLanguageServer) -> None:
    @server.feature(lsp.INITIALIZE)
    def initialize(ls: IngleLanguageServer, params: lsp.InitializeParams) -> None:
        ls.wishes = wishes(params.capabilities)
        ls.inline.editor_tells_shown = ls.wishes.shown
        ls.inline.editor_waited = ls.wishes.waited_ms / 1000
        ls.configure(params.initialization_options)

    @server.feature(lsp.INITIALIZED)
    async def initialized(ls: IngleLanguageServer, _: lsp.InitializedParams) -> None:
        await ls.status.begin()

    @server.feature(lsp.WORKSPACE_DID_CHANGE_CONFIGURATION)
    def did_change_configuration(ls: IngleLanguageServer, params: lsp.DidChangeConfigurationParams) -> None:
        if isinstance(params.settings, dict) and "ingle" in params.settings:
            ls.configure(params.settings["ingle"])


def _register_documents(server: IngleLanguageServer) -> None:
    @server.feature(lsp.TEXT_DOCUMENT_DID_OPEN)
    def did_open(ls: IngleLanguageServer, params: lsp.DidOpenTextDocumentParams) -> None:
        if opened := ls.workspace.text_documents.get(params.text_document.uri):
            ls.doings.opened(ls.document(opened))

    @server.feature(lsp.TEXT_DOCUMENT_DID_CHANGE)
    def did_change(ls: IngleLanguageServer, params: lsp.DidChangeTextDocumentParams) -> None:
        if changed := ls.workspace.text_documents.get(params.text_document.uri):
            ls.doings.changed(ls.document(changed), params.content_changes)

    @server.feature(lsp.TEXT_DOCUMENT_DID_CLOSE)
    def did_close(ls: IngleLanguageServer, params: lsp.DidCloseTextDocumentParams) -> None:
        ls.inline.close(params.text_document.uri)
        ls.doings.closed(params.text_document.uri)


def _register_inline_completion(server: IngleLanguageServer) -> None:
    # Without the options pygls does not advertise the feature, and no editor asks.
    @server.feature(lsp.TEXT_DOCUMENT_INLINE_COMPLETION, lsp.InlineCompletionOptions())
    async def inline_completion(
        ls: IngleLanguageServer, params: lsp.InlineCompletionParams
    ) -> lsp.InlineCompletionList:
        open_document = ls.workspace.text_documents.get(unquote(params.text_document.uri))
        if open_document is None:
            return lsp.InlineCompletionList([])
        document = ls.document_at(open_document, params.position.line)
        return lsp.InlineCompletionList(await ls.inline.items(document, params, ls.settings))

    @server.command(ACCEPTED)
    async def accepted(ls: IngleLanguageServer, completion: str) -> None:
        await ls.inline.accepted(completion, ls.settings)


def _register_completion(server: IngleLanguageServer) -> None:
    @server.feature(lsp.TEXT_DOCUMENT_COMPLETION, lsp.CompletionOptions())
    async def completion(ls: IngleLanguageServer, params: lsp.CompletionParams) -> lsp.CompletionList:
        open_document = ls.workspace.text_documents.get(unquote(params.text_document.uri))
        if open_document is None or not ls.settings.completion_items:
            return lsp.CompletionList(is_incomplete=False, items=[])
        document = ls.document_at(open_document, params.position.line)
        items = await ls.inline.items(document, as_inline_params(params), ls.settings)
        place = params.position
        hole = hole_at(document.source, place.line, place.character, document.encoding, document.near)
        found = [as_item(item, hole.line_before, params.position, document.encoding) for item in items]
        return lsp.CompletionList(is_incomplete=True, items=found)


def _register_actions(server: IngleLanguageServer) -> None:
    @server.feature(lsp.TEXT_DOCUMENT_CODE_ACTION)
    def code_action(ls: IngleLanguageServer, params: lsp.CodeActionParams) -> list[lsp.CodeAction]:
        if at := ls.workspace.text_documents.get(unquote(params.text_document.uri)):
            ls.doings.looked_at(ls.document(at), params)
        return listed(params)

    @server.command(COMMAND)
    async def act(ls: IngleLanguageServer, name: str, uri: str, span: list[int], words: str) -> None:
        await ls.actions.act(name, uri, span, words)

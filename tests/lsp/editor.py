"""An editor as the language server sees one: pytest-lsp's client, with documents that can be typed in."""

from __future__ import annotations

import asyncio
import sys
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest_lsp
from lsprotocol import types as lsp
from pytest_lsp.client import make_test_lsp_client

import support

URI = "file:///code/app/lib/x.py"
SERVER = (sys.executable, "-m", "ingle_lsp.server", "--stdio")


_ABLE = lsp.WorkspaceClientCapabilities(
    workspace_edit=lsp.WorkspaceEditClientCapabilities(
        document_changes=True,
        resource_operations=[lsp.ResourceOperationKind.Create],
        change_annotation_support=lsp.ChangeAnnotationsSupportOptions(),
    )
)


@dataclass(frozen=True)
class Answer:
    """What a request will be answered with."""

    request_id: str | int
    result: asyncio.Future[Any]

    async def items(self) -> list[lsp.InlineCompletionItem]:
        answer = await self.result
        assert isinstance(answer, lsp.InlineCompletionList)
        return list(answer.items)


class Editor:
    """One running `ingle-lsp`, and documents that were opened in it."""

    def __init__(self, client: pytest_lsp.LanguageClient) -> None:
        self.client = client
        self.answer: lsp.InitializeResult | None = None
        self._versions: dict[str, int] = {}
        self._offered: list[lsp.WorkspaceEdit] = []
        self._status_came = asyncio.Event()

        self.statuses: list[dict[str, str]] = []
        """Every `ingle/status` so far."""

        @client.feature("ingle/status")  # type: ignore[untyped-decorator]
        def note(params: Any) -> None:
            self.statuses.append(params._asdict())
            self._status_came.set()

        @client.feature(lsp.WORKSPACE_APPLY_EDIT)  # type: ignore[untyped-decorator]
        def take(params: lsp.ApplyWorkspaceEditParams) -> lsp.ApplyWorkspaceEditResult:
            self._offered.append(params.edit)
            return lsp.ApplyWorkspaceEditResult(applied=True)

    @property
    def pid(self) -> int:
        assert self.client._server
        return self.client._server.pid

    @property
    def shown(self) -> list[str]:
        """What the user was shown so far."""
        return [message.message for message in self.client.messages]

    def offered(self) -> list[lsp.WorkspaceEdit]:
        """The edits that were offered since this was asked last."""
        edits, self._offered = self._offered, []
        return edits

    async def status(self, state: str) -> dict[str, str]:
        """The newest `ingle/status`, as soon as it says this."""
        while not self.statuses or self.statuses[-1]["state"] != state:
            self._status_came.clear()
            await asyncio.wait_for(self._status_came.wait(), 30)
        return self.statuses[-1]

    def notify(self, method: str, **params: object) -> None:
        """A notification as it stands, valid or not."""
        self.client.protocol.notify(method, params)

    async def command(self, name: str, *arguments: object) -> Any:
        """What a command of the server's answers."""
        return await self.client.workspace_execute_command_async(
            lsp.ExecuteCommandParams(command=name, arguments=list(arguments))
        )

    async def initialize(
        self, encoding: str, options: object, *, able: bool, wishes: Mapping[str, object], folder: str
    ) -> None:
        capabilities = lsp.ClientCapabilities(
            general=lsp.GeneralClientCapabilities(position_encodings=[lsp.PositionEncodingKind(encoding)]),
            text_document=lsp.TextDocumentClientCapabilities(
                inline_completion=lsp.InlineCompletionClientCapabilities()
            ),
            workspace=_ABLE if able else None,
            experimental={"ingle": dict(wishes)} if wishes else None,
            window=lsp.WindowClientCapabilities(work_done_progress=True) if able else None,
        )
        self.answer = await self.client.initialize_session(
            lsp.InitializeParams(
                capabilities=capabilities,
                initialization_options=options,
                workspace_folders=[lsp.WorkspaceFolder(folder, "app")],
            )
        )

    def open(self, text: str, uri: str = URI) -> None:
        """Open a document, or open it anew."""
        if uri in self._versions:
            self.client.text_document_did_close(lsp.DidCloseTextDocumentParams(lsp.TextDocumentIdentifier(uri)))
        self._versions[uri] = 1
        document = lsp.TextDocumentItem(uri, lsp.LanguageKind.Python, 1, text)
        self.client.text_document_did_open(lsp.DidOpenTextDocumentParams(document))

    def type(self, line: int, character: int, text: str, uri: str = URI) -> None:
        """Insert text."""
        self._change(lsp.Range(lsp.Position(line, character), lsp.Position(line, character)), text, uri)

    def erase(self, line: int, character: int, uri: str = URI) -> None:
        """Take a character back."""
        self._change(lsp.Range(lsp.Position(line, character), lsp.Position(line, character + 1)), "", uri)

    def _change(self, where: lsp.Range, text: str, uri: str) -> None:
        self._versions[uri] += 1
        change = lsp.TextDocumentContentChangePartial(range=where, text=text)
        document = lsp.VersionedTextDocumentIdentifier(uri=uri, version=self._versions[uri])
        self.client.text_document_did_change(lsp.DidChangeTextDocumentParams(document, [change]))

    def ask(
        self,
        line: int,
        character: int,
        *,
        uri: str = URI,
        kind: lsp.InlineCompletionTriggerKind = lsp.InlineCompletionTriggerKind.Invoked,
        selected: lsp.SelectedCompletionInfo | None = None,
    ) -> Answer:
        """Ask for the items at a position; the request is sent when this returns."""
        answer = self.client.text_document_inline_completion(
            lsp.InlineCompletionParams(
                context=lsp.InlineCompletionContext(kind, selected),
                text_document=lsp.TextDocumentIdentifier(uri),
                position=lsp.Position(line, character),
            )
        )
        return Answer(list(self.client.protocol._request_futures)[-1], asyncio.wrap_future(answer))

    async def complete(self, line: int, character: int, **how: Any) -> list[lsp.InlineCompletionItem]:
        """The items offered at a position."""
        return await self.ask(line, character, **how).items()

    async def texts(self, line: int, character: int, **how: Any) -> list[str]:
        """What the offered items insert."""
        return [str(item.insert_text) for item in await self.complete(line, character, **how)]

    async def send(self, method: str, params: Mapping[str, object], result: Any = None) -> Any:
        """The answer to a request that is sent as it stands, valid or not; as a `result`, or as the protocol says."""
        protocol = self.client.protocol
        request_id = str(uuid.uuid4())
        answer: Future[Any] = Future()
        protocol._request_futures[request_id] = answer
        protocol._result_types[request_id] = result or protocol.get_result_type(method)
        protocol._send_data({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})
        return await asyncio.wrap_future(answer)

    def cancel(self, answer: Answer) -> None:
        self.client.cancel_request(lsp.CancelParams(answer.request_id))


@asynccontextmanager
async def started(
    env: Mapping[str, str],
    *,
    encoding: str = "utf-16",
    options: object = None,
    able: bool = False,
    wishes: Mapping[str, object] | None = None,
    folder: Path = Path("/code/app"),
) -> AsyncIterator[Editor]:
    """A new editor whose server runs with the environment `env`.

    An `able` one confirms edits and shows progress; `wishes` is what its plugin says of itself.
    """
    client = make_test_lsp_client()
    await client.start_io(*SERVER, env=dict(env))
    editor = Editor(client)
    await editor.initialize(encoding, options, able=able, wishes=wishes or {}, folder=folder.as_uri())
    yield editor
    await client.shutdown_session()
    await client.stop()  # type: ignore[no-untyped-call]


async def until_busy(instance: support.Instance) -> None:
    """Wait until a request has reached the engine."""
    await _until_running(instance, True)


async def until_idle(instance: support.Instance) -> None:
    """Wait until the engine runs nothing."""
    await _until_running(instance, False)


async def _until_running(instance: support.Instance, running: bool) -> None:
    deadline = time.monotonic() + 5
    while bool(instance.call("GET", "/ingle/status")["requests"]["running"]) is not running:
        assert time.monotonic() < deadline, f"waited in vain for running requests: {running}"
        await asyncio.sleep(0.01)  # the daemon has no event for it

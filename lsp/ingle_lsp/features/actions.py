"""Code actions: explain, fix, document, test, edit by instruction. Listed at once, asked of the daemon when chosen.

A result that changes code is an edit for the editor to show and the user to confirm, never text put in place silently.
This module knows LSP's types and the daemon's `/ingle/ask`; what an answer may become is `edits.py`'s.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from lsprotocol import types as lsp
from pygls.lsp.server import LanguageServer
from pygls.uris import from_fs_path, to_fs_path

from ingle_daemon import client
from ingle_daemon.errors import IngleError
from ingle_lsp.completion.context import Encoding, hole_at, index_at, units
from ingle_lsp.features.edits import edited, plain, test_file

__all__ = ["COMMAND", "Actions", "Task", "listed"]

COMMAND = "ingle.act"
_ONLY_CODE = "Answer with the code alone, in one fenced block, and nothing else."
_LARGEST = 40_000
"""Characters of code in a question; more would be another kind of work."""

Ask = Callable[[dict[str, object]], AsyncGenerator[dict[str, Any], None]]


@dataclass(frozen=True, slots=True)
class Task:
    """One thing that can be done with a piece of code. `changes` it, or only tells of it."""

    title: str
    kind: lsp.CodeActionKind
    instruction: str
    changes: bool = True


TASKS = {
    "explain": Task("Explain this", lsp.CodeActionKind.Empty, "Explain what this code does, briefly.", changes=False),
    "fix": Task("Fix", lsp.CodeActionKind.QuickFix, f"Rewrite this code so that the problem is gone. {_ONLY_CODE}"),
    "docstring": Task(
        "Write a docstring",
        lsp.CodeActionKind.RefactorRewrite,
        f"Add a documentation comment to this code, as is usual in its language, and nothing else. {_ONLY_CODE}",
    ),
    "test": Task("Write a test", lsp.CodeActionKind.Empty, f"Write a unit test for this code. {_ONLY_CODE}"),
    "edit": Task("Edit by instruction", lsp.CodeActionKind.RefactorRewrite, f"{_ONLY_CODE}"),
}


def listed(params: lsp.CodeActionParams) -> list[lsp.CodeAction]:
    """What can be done at a range: nothing is asked for this. `edit` needs words, and is a command for plugins."""
    uri, where = params.text_document.uri, params.range
    actions = [
        _action("fix", f"Fix: {_short(diagnostic.message)}", uri, diagnostic.range, diagnostic)
        for diagnostic in params.context.diagnostics
    ]
    if where.start != where.end:
        actions += [_action(name, TASKS[name].title, uri, where) for name in ("explain", "docstring", "test")]
    return actions


def _action(
    name: str, title: str, uri: str, where: lsp.Range, diagnostic: lsp.Diagnostic | None = None
) -> lsp.CodeAction:
    words = diagnostic.message if diagnostic else ""
    span = [where.start.line, where.start.character, where.end.line, where.end.character]
    command = lsp.Command(title=f"ingle: {title}", command=COMMAND, arguments=[name, uri, span, words])
    diagnostics = [diagnostic] if diagnostic else None
    return lsp.CodeAction(f"ingle: {title}", kind=TASKS[name].kind, diagnostics=diagnostics, command=command)


def _short(message: str) -> str:
    line = plain(message).strip().split("\n")[0]
    return line if len(line) <= 60 else f"{line[:59]}…"


class Actions:
    """Carries actions out in one editor. `tell` shows the user a message."""

    def __init__(
        self,
        server: LanguageServer,
        tell: Callable[[str], None],
        ask: Ask = lambda body: client.astream("/ingle/ask", body),
    ) -> None:
        self._server = server
        self._tell = tell
        self._ask = ask

    async def act(self, name: str, uri: str, span: list[int], words: str) -> None:
        """Do what an action's command says."""
        document = self._server.workspace.text_documents.get(uri)
        task = TASKS.get(name)
        if document is None or task is None or len(span) != 4:
            self._tell(f"ingle: there is nothing to do for {name!r} here")
            return
        encoding: Encoding = lsp.PositionEncodingKind(self._server.workspace.position_encoding).value
        where = _whole_lines(document.source, span, encoding) if name in ("fix", "docstring") else span
        original = _between(document.source, where, encoding)
        if not original.strip() or len(original) > _LARGEST:
            self._tell("ingle: select some code first" if not original.strip() else "ingle: that is too much code")
            return
        answer = await self._answer(name, to_fs_path(uri) or "", original, words)
        if answer is None:
            return
        if name == "test":
            await self._offer_file(task, uri, edited(answer, ""))
        elif not task.changes:
            self._server.window_show_message(lsp.ShowMessageParams(lsp.MessageType.Info, plain(answer).strip()))
        elif _between(document.source, where, encoding) != original:
            self._tell("ingle: the code was changed meanwhile; the answer does not fit any more")
        elif replacement := edited(answer, original):
            await self._offer(task, uri, document.version, where, replacement)
        else:
            self._tell("ingle: the model would change nothing")

    async def _answer(self, name: str, path: str, code: str, words: str) -> str | None:
        """The model's answer, with progress; None when there is none, which was told."""
        task = TASKS[name]
        question = f"{task.instruction}\n{words}\n\nFile {PurePath(path).name}:\n```\n{code}\n```"
        body: dict[str, object] = {"messages": [{"role": "user", "content": question.strip()}], "task": name}
        if path:  # it may be private, and so may its folder
            body |= {"root": str(PurePath(path).parent), "paths": [path]}
        async with _Progress(self._server, task.title) as progress:
            reading = asyncio.ensure_future(self._read(body, progress))
            either: list[asyncio.Future[Any]] = [reading, progress.cancelled]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
                return None
            try:
                return reading.result()
            except IngleError as error:
                self._tell(f"ingle: {error.message}. {error.hint}".rstrip())
                return None

    async def _read(self, body: dict[str, object], progress: _Progress) -> str | None:
        text = ""
        async with aclosing(self._ask(body)) as events:
            async for event in events:
                if event["type"] == "routed":
                    progress.report(f"{event['route']['kind']} · {event['route']['model']}")
                elif event["type"] == "delta":
                    text += event["text"]
                elif event["type"] == "done" and event["reason"] == "limit":
                    self._tell("ingle: the answer was cut off at the token limit, and is not used")
                    return None
        return text

    async def _offer(self, task: Task, uri: str, version: int | None, where: list[int], text: str) -> None:
        """An edit that the editor shows before it is made, where it can."""
        span = lsp.Range(lsp.Position(where[0], where[1]), lsp.Position(where[2], where[3]))
        capabilities = self._server.client_capabilities.workspace
        edits = capabilities.workspace_edit if capabilities else None
        identifier = lsp.OptionalVersionedTextDocumentIdentifier(uri=uri, version=version)
        if edits and edits.change_annotation_support:
            change = lsp.TextDocumentEdit(identifier, [lsp.AnnotatedTextEdit("ingle", span, text)])
            whole = lsp.WorkspaceEdit(document_changes=[change], change_annotations={"ingle": _confirmed(task)})
        elif edits and edits.document_changes:
            whole = lsp.WorkspaceEdit(document_changes=[lsp.TextDocumentEdit(identifier, [lsp.TextEdit(span, text)])])
        else:
            whole = lsp.WorkspaceEdit(changes={uri: [lsp.TextEdit(span, text)]})
        await self._apply(whole, task)

    async def _offer_file(self, task: Task, uri: str, text: str) -> None:
        """A new file, where the editor can make one; otherwise its text is shown."""
        capabilities = self._server.client_capabilities.workspace
        edits = capabilities.workspace_edit if capabilities else None
        can_create = edits and lsp.ResourceOperationKind.Create in (edits.resource_operations or ())
        path = test_file(to_fs_path(uri) or "") if can_create else None
        if not text:
            self._tell("ingle: the model wrote no test")
        elif path is None:
            self._server.window_show_message(lsp.ShowMessageParams(lsp.MessageType.Info, text))
        else:
            target = from_fs_path(str(path)) or ""
            start = lsp.Range(lsp.Position(0, 0), lsp.Position(0, 0))
            new = lsp.OptionalVersionedTextDocumentIdentifier(uri=target)
            whole = lsp.WorkspaceEdit(
                document_changes=[
                    lsp.CreateFile(uri=target, annotation_id="ingle"),
                    lsp.TextDocumentEdit(new, [lsp.AnnotatedTextEdit("ingle", start, text + "\n")]),
                ],
                change_annotations={"ingle": _confirmed(task)},
            )
            await self._apply(whole, task)

    async def _apply(self, edit: lsp.WorkspaceEdit, task: Task) -> None:
        label = f"ingle: {task.title}"
        result = await self._server.workspace_apply_edit_async(lsp.ApplyWorkspaceEditParams(edit, label))
        if not result.applied:
            self._tell("ingle: the editor did not apply the edit")


def _confirmed(task: Task) -> lsp.ChangeAnnotation:
    return lsp.ChangeAnnotation(label=f"ingle: {task.title}", needs_confirmation=True)


class _Progress:
    """Progress in the editor for as long as it lasts; `cancelled` ends when the user has had enough."""

    def __init__(self, server: LanguageServer, title: str) -> None:
        self._server = server
        self._title = title
        window = server.client_capabilities.window
        self._token = uuid.uuid4().hex if window and window.work_done_progress else ""
        self.cancelled: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> _Progress:
        if self._token:
            await self._server.work_done_progress.create_async(self._token)
            begin = lsp.WorkDoneProgressBegin(title=f"ingle: {self._title}", cancellable=True)
            self._server.work_done_progress.begin(self._token, begin)
            loop = asyncio.get_running_loop()
            self._server.work_done_progress.tokens[self._token].add_done_callback(
                lambda _: loop.call_soon_threadsafe(self._end)
            )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._token:
            self._server.work_done_progress.end(self._token, lsp.WorkDoneProgressEnd())
            del self._server.work_done_progress.tokens[self._token]

    def report(self, message: str) -> None:
        """Where it runs, say."""
        if self._token:
            self._server.work_done_progress.report(self._token, lsp.WorkDoneProgressReport(message=message))

    def _end(self) -> None:
        if not self.cancelled.done():
            self.cancelled.set_result(None)


def _between(source: str, span: list[int], encoding: Encoding) -> str:
    return source[index_at(source, span[0], span[1], encoding) : index_at(source, span[2], span[3], encoding)]


def _whole_lines(source: str, span: list[int], encoding: Encoding) -> list[int]:
    """The lines that a range touches, all of each: code is rewritten by the line."""
    end = hole_at(source, span[2], span[3], encoding)
    return [span[0], 0, span[2], units(end.line_before + end.line_after, encoding)]

"""What the rest of a workspace has to say to a completion, by its index and its editor: kept still during typing.

A document's context is put together when it is first completed in. Later, when the engine has nothing better to do, it
is put together again, and evaluated ahead before it is used: no keystroke ever pays for it. What an editor sends is
held to the same rules as the index: no secrets, nothing that is ignored or private. This module knows the index and the
backend's seam, not how a prompt is laid out.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from ingle_daemon.backends.base import Backend
from ingle_daemon.errors import IngleError
from ingle_daemon.fim.context import merged, names_near, text_near, without_what_is_in_sight
from ingle_daemon.protocol import CompletionRequest, ContextPiece, GenerateRequest, InfillPrompt, Limits
from ingle_daemon.workspace.ignore import Ignore, is_secret
from ingle_daemon.workspace.workspaces import Snippet, Workspaces

__all__ = ["Surroundings"]

_log = logging.getLogger(__name__)
_DOCUMENTS = 32
_AGAIN_AFTER = 20.0
"""Seconds between two looks for one document."""
_PATIENCE = 0.05
"""Seconds that the first completion in a document waits for the index."""
_DEFINITIONS, _SIMILAR = 8, 2
_FROM_THE_INDEX = ("definition", "import", "similar")


@dataclass(slots=True)
class _Kept:
    """A document's context, and when it was last looked for."""

    pieces: tuple[ContextPiece, ...]
    at: float


class Surroundings:
    """The context of every document that is completed in. Without `workspaces` there is none but from editors.

    While `saving` nothing is evaluated ahead: what a document has stays.
    """

    def __init__(
        self,
        backend: Backend,
        workspaces: Workspaces | None,
        clock: Callable[[], float] = time.monotonic,
        *,
        saving: Callable[[], bool] = lambda: False,
    ) -> None:
        self._backend = backend
        self._workspaces = workspaces
        self._clock = clock
        self._saving = saving
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()
        self._task: asyncio.Task[None] | None = None

    def use(self, workspaces: Workspaces | None) -> None:
        """Take what an index has from these from now on; None takes nothing, and forgets what was taken."""
        if workspaces is not self._workspaces:
            self._workspaces = workspaces
            self._kept.clear()

    async def of(self, request: CompletionRequest) -> tuple[ContextPiece, ...]:
        """The pieces for this request. The first time they are looked for, if the index answers at once."""
        key = (request.root, request.filename)
        if not request.context and (self._workspaces is None or not request.root):
            self._kept.pop(key, None)
            return ()
        kept = self._kept.get(key)
        if kept is None:
            try:
                pieces = await asyncio.wait_for(self._found(request), _PATIENCE)
            except asyncio.TimeoutError:
                pieces = ()
            kept = self._kept[key] = _Kept(merged((), pieces), self._clock())
        self._kept.move_to_end(key)
        if len(self._kept) > _DOCUMENTS:
            self._kept.popitem(last=False)
        return kept.pieces

    def look_again(self, request: CompletionRequest) -> None:
        """The request was answered: see whether there is better context by now, unless that was done just before."""
        kept = self._kept.get((request.root, request.filename))
        busy = self._task is not None and not self._task.done()
        if kept is None or busy or self._saving() or self._clock() - kept.at < _AGAIN_AFTER:
            return
        kept.at = self._clock()
        self._task = asyncio.create_task(self._renew(kept, request))

    async def close(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _renew(self, kept: _Kept, request: CompletionRequest) -> None:
        said = {piece.source for piece in request.context}
        stay = [piece for piece in kept.pieces if piece.source in _FROM_THE_INDEX or piece.source in said]
        stay = without_what_is_in_sight(stay, request.prefix, request.suffix)
        pieces = merged(stay, await self._found(request))
        if pieces == kept.pieces:
            return
        prompt = InfillPrompt(request.prefix, request.suffix, pieces, request.filename, request.repo)
        warm_up = GenerateRequest(prompt, "warm-up", limits=Limits(max_tokens=0))
        try:
            async with aclosing(self._backend.generate(warm_up)) as events:
                async for _ in events:
                    pass
        except IngleError as error:
            _log.info("context was not evaluated ahead", extra={"code": error.code})
            return
        kept.pieces = pieces

    async def _found(self, request: CompletionRequest) -> tuple[ContextPiece, ...]:
        """What the editor sent and may be read, what looks alike, definitions of what is named near the cursor.

        Where there is no room for all, the last ones are taken.
        """
        sent = await asyncio.to_thread(_readable, request) if request.root else _readable(request)
        pieces = [*sent, *await self._indexed(request)]
        return tuple(without_what_is_in_sight(pieces, request.prefix, request.suffix))

    async def _indexed(self, request: CompletionRequest) -> tuple[ContextPiece, ...]:
        root, filename = request.root, request.filename
        if self._workspaces is None or not root:
            return ()
        try:
            await self._workspaces.open(root)
        except IngleError as error:
            _log.info("a folder is not indexed", extra={"code": error.code})
            return ()
        names = names_near(request.prefix, request.suffix)
        definitions = await self._workspaces.definitions(root, names, limit=_DEFINITIONS, not_in=filename)
        similar = await self._workspaces.similar(root, text_near(request.prefix), limit=_SIMILAR, not_in=filename)
        return tuple(_piece(snippet) for snippet in (*similar, *reversed(definitions)))


def _readable(request: CompletionRequest) -> list[ContextPiece]:
    """What the editor sent, without what may not be read. Its own file is being completed in, which was allowed."""
    ignore = Ignore(Path(request.root)) if request.root else None
    if ignore and ignore.private:
        return []
    return [
        piece
        for piece in request.context
        if not is_secret(piece.filename)
        and (ignore is None or piece.filename == request.filename or ignore.keeps(piece.filename))
    ]


def _piece(snippet: Snippet) -> ContextPiece:
    return ContextPiece(snippet.text, snippet.path, snippet.source)

"""Conversations: which one a question goes on with, who may answer it, and keeping the answer while it comes.

Every piece of an answer is on disk before its client has it. The model of a conversation does not change unless that
was asked for. This module knows the router and the journal, and no HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sqlite3
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import msgspec

from ingle_daemon.errors import IngleError, UsageError
from ingle_daemon.journal.conversations import Ending, Log, Places, title_of
from ingle_daemon.protocol import (
    AskRequest,
    ChatMessage,
    Conversation,
    ConversationInfo,
    Delta,
    Done,
    Drafting,
    Found,
    Keep,
    Plan,
    Reading,
    Route,
    Routed,
    Started,
    Thinking,
    Turn,
)
from ingle_daemon.routing.policy import ESCALATED
from ingle_daemon.routing.router import Router

__all__ = ["Conversations"]

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_Event = Routed | Reading | Drafting | Started | Thinking | Delta | Done


class Conversations:
    """What is kept of questions and answers. With `enabled` False nothing new is, whatever a request says."""

    def __init__(self, router: Callable[[], Router], log: Log, *, enabled: bool) -> None:
        self._router = router
        self._log = log
        self._enabled = enabled
        self._answering: set[int] = set()
        self._disk = _Disk()

    def keep(self, enabled: bool) -> None:
        """Whether what is asked from now on is kept."""
        self._enabled = enabled

    async def close(self) -> None:
        """Wait for what is being written."""
        await self._disk.close()

    async def ask(self, request: AskRequest) -> AsyncGenerator[_Event, None]:
        """The router's events; Routed tells the conversation, Done whether the answer could be kept.

        Raises UsageError when there is no such conversation, when it is being answered, or when another model than
        before would answer.
        """
        keep = request.keep
        if keep and not self._enabled and not (keep.last or keep.conversation):
            keep = None
        events = self._kept(request, keep) if keep else self._router().ask(request, judged=True)
        async with contextlib.aclosing(events):
            async for event in events:
                yield event

    async def plan(self, request: AskRequest) -> Plan:
        """Where it would run and what would be sent, all that was said before included. Raises what `ask` would."""
        if request.keep and (before := await self._before(request.keep)):
            request = _continued(request, before, *_taken_apart(request.messages))
            request = await self._as_private(request, before)
        return await self._router().plan(request)

    # --- asking ---

    async def _kept(self, request: AskRequest, keep: Keep) -> AsyncGenerator[_Event, None]:
        system, question = _taken_apart(request.messages)
        before = await self._before(keep)
        if before and keep.branch:
            copy = await self._disk.run(self._log.branch, before.info.id, len(before.turns), time.time())
            before = await self.read(copy)
        continued = request
        if before:
            continued = await self._as_private(_continued(request, before, system, question), before)
        with self._reserved(before):
            async with contextlib.aclosing(self._router().ask(continued, judged=True)) as events:
                writing: _Writing | None = None
                try:
                    async for event in events:
                        if isinstance(event, Routed):
                            if before and not keep.switch and event.route.rule != ESCALATED:
                                _refuse_another_model(before, request, event.route)
                            if writing is None:
                                places = Places(request.root, request.paths)
                                writing = await self._begin(before, keep, system, question, event.route, places)
                            else:
                                await writing.reroute(event.route)
                            yield msgspec.structs.replace(event, conversation=writing.conversation)
                        else:
                            assert writing, "a route is the first event of every answer"
                            yield await writing.note(event)
                except BaseException as exc:
                    if writing:
                        await writing.interrupted(exc)
                    raise

    async def _before(self, keep: Keep) -> Conversation | None:
        """The conversation that is continued; None where a new one begins."""
        number = keep.conversation
        if keep.last and not number:
            found = await self._disk.run(self._log.last, keep.terminal)
            if found is None:
                raise UsageError(
                    "this terminal has no conversation yet",
                    hint="`ask --list` shows those of all terminals; `ask --id N` goes on with one.",
                )
            number = found
        return await self.read(number) if number else None

    async def _as_private(self, request: AskRequest, before: Conversation) -> AskRequest:
        """The request, about all that was said before: where that may not leave, neither may this."""
        said = await self._disk.run(self._log.places, before.info.id)
        roots = dict.fromkeys(places.root for places in said if places.root)
        paths = (path for places in said for path in _absolute(places.root, places.paths))
        return msgspec.structs.replace(
            request,
            paths=tuple(dict.fromkeys([*_absolute(request.root, request.paths), *paths])),
            roots=tuple(dict.fromkeys([*request.roots, *roots])),
        )

    @contextlib.contextmanager
    def _reserved(self, before: Conversation | None) -> Iterator[None]:
        """While a conversation is answered nobody else asks in it: the two answers would not know of each other."""
        if before is None:
            yield
            return
        number = before.info.id
        self._refuse_if_answering(number)
        self._answering.add(number)
        try:
            yield
        finally:
            self._answering.discard(number)

    def _refuse_if_answering(self, number: int) -> None:
        if number in self._answering:
            raise UsageError(
                f"conversation {number} is just being answered",
                hint="Wait for the answer, or ask in a copy of it: `ask --branch`.",
            )

    async def _begin(
        self, before: Conversation | None, keep: Keep, system: str, question: str, route: Route, places: Places
    ) -> _Writing:
        """The question is on disk when this returns; where it cannot be, the answer is none the worse for it."""

        def write() -> tuple[int, int]:
            now = time.time()
            number = before.info.id if before else self._log.create(title_of(keep.title or question), system, now)
            turn = self._log.begin(number, question, route, now, places)
            self._log.use(keep.terminal, number, now)
            return number, turn

        writing = _Writing(self._log, self._disk)
        await writing.begin(write)
        return writing

    # --- looking after them ---

    async def recent(self, limit: int) -> list[ConversationInfo]:
        """The conversations, the last one used first."""
        return await self._disk.run(self._log.recent, limit)

    async def read(self, number: int) -> Conversation:
        """The whole conversation. Raises UsageError when there is none of that number."""
        conversation = await self._disk.run(self._log.read, number)
        if conversation is None:
            raise UsageError(f"there is no conversation {number}", hint="`ask --list` shows which there are.")
        return conversation

    async def last(self, terminal: str) -> Conversation:
        """The terminal's last one. Raises UsageError when it has none."""
        conversation = await self._before(Keep(terminal=terminal, last=True))
        assert conversation, "what is last is there, or an error is raised"
        return conversation

    async def search(self, text: str, limit: int) -> list[Found]:
        """The turns that hold all words of `text`, the best first."""
        return await self._disk.run(self._log.search, text, limit)

    async def rename(self, number: int, title: str) -> ConversationInfo:
        """Give it another title. Raises UsageError when there is none of that number."""
        await self.read(number)
        await self._disk.run(self._log.rename, number, title_of(title))
        return (await self.read(number)).info

    async def branch(self, number: int, turns: int | None) -> ConversationInfo:
        """Copy its first `turns`, or all, into a new one."""
        before = await self.read(number)
        count = len(before.turns) if turns is None else turns
        copy = await self._disk.run(self._log.branch, number, count, time.time())
        return (await self.read(copy)).info

    async def cut(self, number: int, turns: int) -> ConversationInfo:
        """Delete all turns but the first `turns`."""
        await self.read(number)
        self._refuse_if_answering(number)
        await self._disk.run(self._log.cut, number, turns)
        return (await self.read(number)).info

    async def remove(self, number: int) -> None:
        """Delete it. Raises UsageError when there is none of that number, or when it is being answered."""
        await self.read(number)
        self._refuse_if_answering(number)
        await self._disk.run(self._log.remove, number)


class _Disk:
    """Where the journal is waited for: a thread of its own, so that what is written keeps its order."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "journal")

    async def run(self, work: Callable[..., _T], *arguments: object) -> _T:
        """The result of `work`, which is done to its end even when nobody waits any more."""
        done = asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(*arguments))
        try:
            return await asyncio.shield(done)
        except (OSError, sqlite3.Error) as exc:
            raise _Unkept(f"the journal cannot be used: {exc}", hint="Check the disk and its permissions.") from exc

    async def close(self) -> None:
        await asyncio.to_thread(self._thread.shutdown)


class _Unkept(UsageError):
    """The disk is full, or the file is somebody else's."""


class _Writing:
    """A turn on its way to the disk. Where that fails it is given up, and Done says so."""

    def __init__(self, log: Log, disk: _Disk) -> None:
        self._log = log
        self._disk = disk
        self._answer: list[str] = []
        self._turn = 0
        self._unkept = ""
        self.conversation = 0

    async def begin(self, write: Callable[[], tuple[int, int]]) -> None:
        """`write` puts the question on disk: the numbers of its conversation and its turn."""
        with self._giving_up():
            self.conversation, self._turn = await self._disk.run(write)

    async def reroute(self, route: Route) -> None:
        """The first provider said nothing; another one answers."""
        if self._turn:
            with self._giving_up():
                await self._disk.run(self._log.reroute, self._turn, route)

    async def note(self, event: _Event) -> _Event:
        """Keep what it says; what its client is to have of it."""
        if isinstance(event, Delta):
            self._answer.append(event.text)
            if not self._unkept:
                with self._giving_up():
                    await self._disk.run(self._log.append, self._turn, event.text)
        elif isinstance(event, Done):
            await self._end(Ending(event.reason, event.timings, event.usage))
            return msgspec.structs.replace(event, unkept=self._unkept)
        return event

    async def interrupted(self, by: BaseException) -> None:
        """There will be no more: its client went away, or an error ended it."""
        await self._end(Ending(by.code if isinstance(by, IngleError) else "stopped"))

    async def _end(self, ending: Ending) -> None:
        if self._turn:
            with self._giving_up():
                await self._disk.run(self._log.end, self._turn, "".join(self._answer), ending)

    @contextlib.contextmanager
    def _giving_up(self) -> Iterator[None]:
        try:
            yield
        except _Unkept as exc:
            self._unkept = exc.message
            _log.warning("an answer is not kept", extra={"error": type(exc.__cause__).__name__})


def _taken_apart(messages: tuple[ChatMessage, ...]) -> tuple[str, str]:
    """The instructions, and the question. Raises UsageError where the messages are something else."""
    roles = [message.role for message in messages]
    if roles not in (["user"], ["system", "user"]):
        raise UsageError(
            "what is to be kept is one question, with or without instructions before it",
            hint="Leave `keep` out to send whole dialogues.",
        )
    return "".join(message.content for message in messages[:-1]), messages[-1].content


def _continued(request: AskRequest, before: Conversation, system: str, question: str) -> AskRequest:
    """The request with all that was said before. A turn that got no answer is left out: roles must alternate."""
    if system and system != before.system:
        raise UsageError(
            f"conversation {before.info.id} keeps the instructions that it began with",
            hint="Begin a new one to give others.",
        )
    answered = _standing(before, question if request.draft else None)
    messages = [ChatMessage("system", before.system)] if before.system else []
    for turn in answered:
        messages += [ChatMessage("user", turn.question), ChatMessage("assistant", turn.answer)]
    messages.append(ChatMessage("user", question))
    route = request.route
    if route == "auto" and (last := _last_by_rule(before)) and last.route == "api":
        route = "api"
    return msgspec.structs.replace(request, messages=tuple(messages), route=route)


def _absolute(root: str, paths: Sequence[str]) -> list[str]:
    """As the router takes them, wherever the next question is asked."""
    return [os.path.join(root or "/", os.path.expanduser(path)) for path in paths]  # noqa: PTH111, PTH118 - kept as it is


def _standing(before: Conversation, asked_again: str | None) -> list[Turn]:
    """The turns that were answered. Of a question that was escalated, or now is, the local answer does not count."""
    standing: list[Turn] = []
    for turn in before.turns:
        if standing and turn.rule == ESCALATED and standing[-1].question == turn.question:
            standing.pop()
        if turn.answer:
            standing.append(turn)
    if asked_again is not None and standing and standing[-1].question == asked_again:
        standing.pop()
    return standing


def _last_by_rule(before: Conversation) -> Turn | None:
    """The last turn that was answered where its conversation is at home: an escalation is an exception."""
    return next((turn for turn in reversed(before.turns) if turn.answer and turn.rule != ESCALATED), None)


def _refuse_another_model(before: Conversation, request: AskRequest, route: Route) -> None:
    """Unless the user asked for another kind of model, whoever answered last answers again."""
    last = _last_by_rule(before)
    if last is None or (last.route, last.model) == (route.kind, route.model):
        return
    if request.route != "auto" and last.route != route.kind:
        return
    raise UsageError(
        f"conversation {before.info.id} was answered by {last.model} ({last.route}), and {route.model} ({route.kind})"
        " would answer now",
        hint=f"`--switch` goes on with that one; `-m {last.model}` asks an installed one again.",
        was=last.model,
        now=route.model,
    )

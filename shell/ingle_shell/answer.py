"""Shows an answer while it comes: its text to standard output, where it was made and what it cost beside it.

This module is imported while the daemon already works on the request. It knows events, not their origin.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol

import msgspec

from ingle_daemon.errors import DaemonUnreachable, DoesNotFit, IngleError
from ingle_daemon.protocol import Delta, Done, Drafting, Event, Judgement, Reading, Routed, Started, Thinking
from ingle_shell.codeblock import FirstBlock
from ingle_shell.patience import Patience
from ingle_shell.render import (
    answer_status,
    doubt_notice,
    reading_notice,
    route_notice,
    unheeded_notice,
    why_notice,
)

__all__ = ["Output", "Shown", "show"]


_DRAFTING = "answering here first, to see how sure that is "


class Shown(NamedTuple):
    """What was shown. `taken_early`: all that was wanted of it had come before its end."""

    answer: str
    routed: Routed | None
    judgement: Judgement | None = None
    taken_early: bool = False


class Output(Protocol):
    """What `show` needs of a screen."""

    @property
    def interactive(self) -> bool: ...
    def write(self, text: str) -> None: ...
    def end_line(self) -> None: ...
    def note(self, text: str, *, dim: bool = False, end: str = ...) -> None: ...


def show(
    events: Iterable[Mapping[str, object]],
    output: Output,
    *,
    as_json: bool = False,
    code_only: bool = False,
    complete: bool = False,
    why: bool = False,
) -> Shown:
    """Show the whole answer; what was shown. What `events` raises passes through.

    `as_json`: as one object at its end. `code_only`: its first code block. `complete`: at its end, if it was not cut
    off: half of a JSON value is none. `why`: behind it, which rule sent it where, and the facts.
    """
    answer = _Answer(output, at_once=not (as_json or complete), block=FirstBlock() if code_only else None)
    try:
        for event in _without_asides(_awaited(map(_typed, events), output), output):
            if isinstance(event, Routed):
                answer.routed = event
                _announce(event, output)
            elif isinstance(event, Reading):
                output.note(reading_notice(event), dim=True)
            elif isinstance(event, Started):
                answer.started = event
            elif isinstance(event, Delta):
                answer.add(event.text)
                if answer.enough:
                    answer.end_early()
                    return Shown(answer.whole, answer.routed, taken_early=True)
            elif isinstance(event, Done):
                answer.end(event, as_json=as_json, complete=complete)
                answer.explain(event, wanted=why)
                return Shown(answer.whole, answer.routed, event.judgement)
    except IngleError as error:
        if answer.whole:
            error.details.setdefault("answer", answer.whole)  # what came before it broke off is not lost
        raise
    finally:
        output.end_line()
    return Shown(answer.whole, answer.routed)


class _Answer:
    """An answer on its way: what is shown of it, and what is known about it."""

    def __init__(self, output: Output, *, at_once: bool, block: FirstBlock | None) -> None:
        self.routed: Routed | None = None
        self.started: Started | None = None
        self._output = output
        self._at_once = at_once
        self._block = block
        self._pieces: list[str] = []  # what waits for the end
        self.whole = ""

    @property
    def enough(self) -> bool:
        """What was asked for is there: the rest need not be made."""
        return self._at_once and self._block is not None and self._block.ended

    def add(self, piece: str) -> None:
        self.whole += piece
        if self._block:
            piece = self._block.feed(piece)
        self._show(piece)

    def end(self, done: Done, *, as_json: bool, complete: bool) -> None:
        assert self.routed, "a route is the first event of every answer"
        if self._block:
            self._show(self._block.finish())
            self._expect_block()
        if complete and done.reason == "limit":
            raise _cut_off(done)
        if as_json:
            self._output.write(_as_json("".join(self._pieces), self.routed, done))
        elif not self._at_once:
            self._output.write("".join(self._pieces))
        self._output.end_line()
        self._output.note(answer_status(self.routed.route, done, self.started), dim=True)
        if done.unkept:
            self._output.note(f"this answer is not kept: {done.unkept}")
        if done.judgement:
            self._doubt(done.judgement)

    def explain(self, done: Done, *, wanted: bool) -> None:
        if wanted and self.routed:
            self._output.note(why_notice(self.routed, done.judgement), dim=True)

    def _doubt(self, judgement: Judgement) -> None:
        """Said here where nobody is asked what to do about it."""
        for notice in (judgement.note, "" if judgement.offer else doubt_notice(judgement)):
            if notice:
                self._output.note(notice)

    def end_early(self) -> None:
        assert self.routed, "a route is the first event of every answer"
        self._output.end_line()
        route = self.routed.route
        self._output.note(f"{route.model} · {route.kind} · stopped after the code block", dim=True)

    def _show(self, piece: str) -> None:
        if self._at_once:
            self._output.write(piece)
        else:
            self._pieces.append(piece)

    def _expect_block(self) -> None:
        if self._block and not self._block.begun:
            self._output.note(self.whole)
            raise IngleError("there is no code block in the answer, which stands above", hint="Ask without -x.")


def _cut_off(done: Done) -> DoesNotFit:
    return DoesNotFit(
        f"the answer was cut off after {done.timings.predicted_n:,} tokens, before its JSON was complete",
        hint="Raise --max-tokens, or bound the schema's strings and arrays (maxLength, maxItems).",
        n_predicted=done.timings.predicted_n,
    )


def _announce(event: Routed, output: Output) -> None:
    for notice in (route_notice(event.route), unheeded_notice(event.route, os.environ.get("INGLE_MODEL", ""))):
        if notice:
            output.note(notice)


def _without_asides(events: Iterable[Event], output: Output) -> Iterator[Event]:
    """The events that make the answer. What a model thinks, and that an answer grows unseen, goes beside it, dimmed."""
    aside: Event | None = None
    for event in events:
        if isinstance(event, Thinking):
            output.note(event.text, dim=True, end="")
        elif isinstance(event, Drafting):
            output.note("." if isinstance(aside, Drafting) else _DRAFTING, dim=True, end="")
        elif aside:
            output.note("")
        aside = event if isinstance(event, Thinking | Drafting) else None
        if not aside:
            yield event


def _awaited(events: Iterable[Event], output: Output) -> Iterator[Event]:
    """The events. Somebody who watches is told what there is to wait for: the model, and what it has to read."""
    if not output.interactive:
        yield from events
        return
    patience = Patience(lambda what: output.note(f"{what} …", dim=True))
    patience.expect("waiting for the model")
    try:
        for event in events:
            patience.over()
            yield event
            if isinstance(event, Started):
                patience.expect(f"reading {event.prompt_tokens:,} tokens")
            elif isinstance(event, Routed) and event.route.kind == "local":
                patience.expect("waiting for the model")
    finally:
        patience.over()


def _as_json(answer: str, routed: Routed, done: Done) -> str:
    parts = {
        "route": routed.route,
        "fit": routed.fit,
        "timings": done.timings,
        "usage": done.usage,
        "judgement": done.judgement,
    }
    full = {name: msgspec.structs.asdict(part) if part else None for name, part in parts.items()}
    whole = {"answer": answer, "reason": done.reason, **full, "conversation": routed.conversation}
    return json.dumps(whole, default=msgspec.structs.asdict)


def _typed(event: Mapping[str, object]) -> Event:
    try:
        typed: Event = msgspec.convert(event, Event)
    except msgspec.ValidationError as exc:
        raise DaemonUnreachable(
            "the running ingled is of another version",
            hint="`ingle stop` ends it; the next question starts the new one.",
        ) from exc
    return typed

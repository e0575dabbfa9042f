"""Shows an answer while it comes: its text to standard output, where it was made and what it cost beside it.

This module is imported while the daemon already works on the request. It knows events, not their origin.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import Protocol

import msgspec

from ingle_daemon.errors import DaemonUnreachable
from ingle_daemon.protocol import Delta, Done, Event, Routed
from ingle_shell.render import answer_status, route_notice, unheeded_notice

__all__ = ["Output", "show"]


class Output(Protocol):
    """What `show` needs of a screen."""

    def write(self, text: str) -> None: ...
    def end_line(self) -> None: ...
    def note(self, text: str, *, dim: bool = False) -> None: ...


def show(events: Iterable[Mapping[str, object]], output: Output, *, as_json: bool) -> None:
    """Show the whole answer; with `as_json` as one object at its end. What `events` raises passes through."""
    routed, pieces = None, []
    try:
        for event in map(_typed, events):
            if isinstance(event, Routed):
                routed = event
                if notice := route_notice(routed.route):
                    output.note(notice)
                if notice := unheeded_notice(routed.route, os.environ.get("INGLE_MODEL", "")):
                    output.note(notice)
            elif isinstance(event, Delta) and as_json:
                pieces.append(event.text)
            elif isinstance(event, Delta):
                output.write(event.text)
            elif isinstance(event, Done):
                assert routed, "a route is the first event of every answer"
                if as_json:
                    output.write(_as_json("".join(pieces), routed, event))
                output.end_line()
                output.note(answer_status(routed.route, event), dim=True)
    finally:
        output.end_line()


def _as_json(answer: str, routed: Routed, done: Done) -> str:
    parts = {
        "route": routed.route,
        "fit": routed.fit,
        "timings": done.timings,
        "usage": done.usage,
    }
    full = {name: msgspec.structs.asdict(part) if part else None for name, part in parts.items()}
    return json.dumps({"answer": answer, "reason": done.reason, **full})


def _typed(event: Mapping[str, object]) -> Event:
    try:
        typed: Event = msgspec.convert(event, Event)
    except msgspec.ValidationError as exc:
        raise DaemonUnreachable(
            "the running ingled is of another version",
            hint="`ingle stop` ends it; the next question starts the new one.",
        ) from exc
    return typed

"""Completions for an editor, and what became of them."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from ingle_daemon.protocol.prompts import ContextPiece
from ingle_daemon.protocol.values import Count, Seed, Value

__all__ = [
    "CompletionRequest",
    "Outcome",
    "OutcomeKind",
]


class CompletionRequest(Value, frozen=True, forbid_unknown_fields=True):
    """`POST /ingle/complete`: a hole in a file. Answered by one JSON event a line: Started, Delta …, Done or Failed.

    Every Delta carries log-probabilities. Decoding is greedy where `temperature` is 0. `id` is the client's own and
    names the completion in an `Outcome`. `root` is the workspace's folder, `filename` the path below it. `context` is
    what the editor knows, the oldest first; the daemon decides what of it goes into a prompt, and when, and adds what
    its index of `root` has. With `ahead` nobody waits for the answer yet: it gives way to everything else.
    """

    id: str
    prefix: str
    suffix: str = ""
    filename: str = ""
    repo: str = ""
    root: str = ""
    language: str = ""
    context: tuple[ContextPiece, ...] = ()
    max_tokens: Count | None = None
    time_ms: Count | None = None
    min_indent: Count = 0
    ahead: bool = False
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] = 0.0
    seed: Seed | None = None


OutcomeKind = Literal["skipped", "hidden", "failed", "shown", "accepted", "partly", "rejected", "kept", "changed"]
"""skipped: a gate kept it from being asked for. hidden: nothing of the answer was worth showing. kept and changed: what
became of an accepted one after 30 seconds."""


class Outcome(Value, frozen=True, forbid_unknown_fields=True):
    """What became of a completion, as the editor's server tells it (`POST /ingle/outcomes`, a list of them).

    `by` names the gate or the filter. `characters` were shown, accepted or kept, as `kind` says. `score` is the
    geometric mean of the shown tokens' probabilities. `phases` are milliseconds: debounce, wait, filters. The text
    itself is `text`: kept in memory for `ingle why`, and on disk only where the user asked for that.
    """

    id: str
    kind: OutcomeKind
    by: str = ""
    language: str = ""
    characters: Count = 0
    lines: Count = 0
    score: float | None = None
    phases: dict[str, float] = {}
    text: str = ""

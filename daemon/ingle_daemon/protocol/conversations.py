"""Conversations: questions and answers that are kept."""

from __future__ import annotations

from ingle_daemon.protocol.answers import Timings, Usage
from ingle_daemon.protocol.values import Count, Value

__all__ = [
    "Conversation",
    "ConversationInfo",
    "Found",
    "Keep",
    "Turn",
]


class Keep(Value, frozen=True, forbid_unknown_fields=True):
    """Where a question and its answer are kept: in a new conversation, in `conversation`, or in the terminal's `last`.

    With `branch` in a copy of that. `switch` lets another model answer than the one that did before. `title`: of a new
    one, in place of its first question.
    """

    terminal: str = ""
    conversation: Count = 0
    last: bool = False
    branch: bool = False
    switch: bool = False
    title: str = ""


class Turn(Value, frozen=True):
    """A question and its answer. `asked` is a time in seconds since 1970; `route`, `model`, `reason`, `rule` are its
    Route's.

    `ended` is a StopReason of a whole answer. Of a part it says what ended it: "stopped" by its user, "killed" with the
    daemon, or the code of an error. It is "" while the answer is being written.
    """

    asked: float
    question: str
    answer: str
    ended: str
    route: str
    model: str
    reason: str
    timings: Timings = Timings()
    usage: Usage | None = None
    rule: str = ""


class ConversationInfo(Value, frozen=True):
    """A conversation as a list shows it. `model` answered last, by the route `route`."""

    id: int
    title: str
    begun: float
    changed: float
    turns: int
    model: str = ""
    route: str = ""


class Conversation(Value, frozen=True):
    """A whole conversation. `system` are the instructions that it began with."""

    info: ConversationInfo
    system: str
    turns: tuple[Turn, ...]


class Found(Value, frozen=True):
    """A turn in which what was searched for is found, and where: `excerpt`, the words between [ and ]."""

    info: ConversationInfo
    turn: int
    excerpt: str

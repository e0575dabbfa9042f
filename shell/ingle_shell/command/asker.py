"""Asks the daemon on behalf of `ask -s`, and knows of each suggestion in which answer it stood."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from ingle_daemon.client import stream
from ingle_daemon.protocol import Delta, Done, Event, Offer, Route, Routed
from ingle_shell.answer import Shown
from ingle_shell.ask import folder, name_for, task_of
from ingle_shell.command import suggestion as words
from ingle_shell.command.suggestion import Message, Suggestion
from ingle_shell.command.syntax import ShellName
from ingle_shell.escalation import escalated, tell, tell_handed
from ingle_shell.options import Options
from ingle_shell.render import doubt_notice, route_notice
from ingle_shell.screen import Screen

__all__ = ["Asker"]

_LONGEST_ANSWER = 300  # tokens: a command and a sentence
_EXPLANATION = 500


class _Asked(NamedTuple):
    """A request, and its answer."""

    request: dict[str, object]
    shown: Shown


class Asker:
    """Says what there is to say beside the answers. `route` is that of the last one."""

    def __init__(self, options: Options, screen: Screen, shell: ShellName) -> None:
        self.options, self.screen = options, screen
        self.route: Route | None = None
        self._shell = shell
        self._asked: dict[Suggestion, _Asked] = {}

    def command(self, messages: Sequence[Message]) -> str:
        """The answer that holds a command."""
        body = {**self._body(messages, _LONGEST_ANSWER), "task": task_of(self.options) or "command"}
        if name := name_for(self.options):
            body["id"] = name
        return self._remembered(body).shown.answer

    def larger(self, suggested: Suggestion) -> Suggestion:
        """What the larger model suggests that was offered for this suggestion."""
        before = self._asked[suggested]
        answer = self._remembered(escalated(before.request, before.shown)).shown.answer
        return words.parse(answer, self._shell)

    def explanation(self, command: str) -> str:
        body = {**self._body(words.explaining(command, self._shell), _EXPLANATION), "task": "explain"}
        return self._ask(body).answer

    def doubt(self, suggested: Suggestion) -> str:
        """What is said of it where it is doubted."""
        asked = self._asked.get(suggested)
        return doubt_notice(asked.shown.judgement) if asked and asked.shown.judgement else ""

    def offer(self, suggested: Suggestion) -> Offer | None:
        """The larger model that may be asked instead."""
        asked = self._asked.get(suggested)
        return asked.shown.judgement.offer if asked and asked.shown.judgement else None

    def tell(self, suggested: Suggestion, fate: str) -> None:
        """What became of it. Of a command that its user has changed nothing is told."""
        if asked := self._asked.get(suggested):
            tell(asked.request.get("id"), fate)

    def tell_handed(self, suggested: Suggestion) -> None:
        """It was handed to the shell, which says later how it ran."""
        if asked := self._asked.get(suggested):
            tell_handed(asked.request.get("id"))

    def _remembered(self, body: dict[str, object]) -> _Asked:
        asked = _Asked(body, self._ask(body))
        self._asked[words.parse(asked.shown.answer, self._shell)] = asked
        return asked

    def _body(self, messages: Sequence[Message], limit: int) -> dict[str, object]:
        options = self.options
        body: dict[str, object] = {
            "messages": list(messages),
            "route": options.route,
            "temperature": options.temperature or 0.0,
            "repeat_penalty": 1.0,  # a command repeats the words of the wish: a penalty would misspell them
            "max_tokens": options.max_tokens or limit,
        }
        if here := folder():  # it may be private
            body["root"] = here
        return body

    def _ask(self, body: dict[str, object]) -> Shown:
        pieces, routed, judgement = [], None, None
        with stream("/ingle/ask", body) as events:
            for event in (msgspec.convert(event, Event) for event in events):
                if isinstance(event, Routed):
                    routed, self.route = event, event.route
                    if notice := route_notice(event.route):
                        self.screen.note(notice)
                elif isinstance(event, Delta):
                    pieces.append(event.text)
                elif isinstance(event, Done):
                    judgement = event.judgement
        return Shown("".join(pieces), routed, judgement)

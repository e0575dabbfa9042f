"""The conversation that a dialogue is in: its questions to the daemon, and what is known of the answers.

It knows the daemon's HTTP shape, and no terminal.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from ingle_daemon import client
from ingle_daemon.errors import IngleError, UsageError
from ingle_daemon.protocol import Conversation, Done, Fit, Route, Routed
from ingle_shell.ask import default_system, folder, name_for
from ingle_shell.attachments.attachment import Attachment, taken_apart
from ingle_shell.attachments.collect import collect
from ingle_shell.keeping import terminal
from ingle_shell.options import Options

__all__ = ["Chat"]

_PLACE = "/ingle/conversations"
_LARGEST = 64 * 1024 * 1024  # bytes; no model's context holds as much


class Chat:
    """What has been said, and where the next question goes."""

    def __init__(self, options: Options, note: Callable[[str], object]) -> None:
        self._options = options
        self._note_to_user = note
        self.route = options.route
        self.conversation = options.conversation
        self._last = options.continues and not options.conversation
        self._branch = options.branch
        self._switch = options.switch or bool(options.model)
        self.model = ""
        self._wanted_model = options.model
        self.routed: Route | None = None
        self.fit: Fit | None = None
        self.done: Done | None = None
        self.request: Mapping[str, Any] = {}
        self.question = ""
        self.answer = ""
        self.cost = 0.0
        self.files: list[Attachment] = []
        self._sent: dict[str, Attachment] = {}
        self._said: list[dict[str, str]] = []
        """Everything, where nothing is kept: then nobody else remembers it."""
        self._said_of: list[str] = []
        """The files whose text stands in that."""

    @property
    def kept(self) -> bool:
        return self._options.log

    # --- asking ---

    def ask(self, question: str) -> Iterator[Mapping[str, Any]]:
        """The events of the answer. Closing the iterator, as Ctrl-C does, stops it in the engine too."""
        self.question, self.answer = question, ""
        mentioned, words = collect([], question, _LARGEST, self._note_to_user)
        message = "\n\n".join([*(each.labelled for each in [*self.files, *mentioned]), words])
        paths = [each.path for each in [*self.files, *mentioned] if each.path]
        self._sent |= {each.labelled: each for each in [*self.files, *mentioned]}
        return self._stream(self._request(message, paths), message)

    def ask_again(self, request: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """The events of another answer to the last question, in place of the one that there is."""
        self.answer = ""
        if not self.kept:
            self._said = self._said[:-2]
        return self._stream(request, request["messages"][-1]["content"])

    def _stream(self, request: Mapping[str, Any], message: str) -> Iterator[Mapping[str, Any]]:
        self.request = request
        with contextlib.closing(client.stream("/ingle/ask", request)) as events:
            try:
                for event in events:
                    self._note(event)
                    yield event
            finally:
                if self.answer:
                    self.files = []
                    if not self.kept:
                        self._said += [_message("user", message), _message("assistant", self.answer)]
                        self._said_of = list(request.get("paths", []))

    def _request(self, message: str, paths: list[str]) -> dict[str, Any]:
        options = self._options
        request: dict[str, Any] = {"messages": self._messages(message), "route": self.route}
        given = {
            "max_tokens": options.max_tokens,
            "temperature": options.temperature,
            "model": self._wanted_model or None,
            "id": name_for(options),
            "root": folder(),  # it may be private, and so may the files
            "paths": [*self._said_of, *paths] or None,
        }
        request |= {name: value for name, value in given.items() if value is not None}
        if self.kept:
            request["keep"] = {
                "terminal": terminal(),
                "conversation": self.conversation,
                "last": self._last,
                "branch": self._branch,
                "switch": self._switch,
                "title": options.title or self.question,
            }
        return request

    def _messages(self, message: str) -> list[dict[str, str]]:
        system = default_system() if self._options.system is None else self._options.system
        goes_on = self.kept and (self.conversation or self._last)
        begin = [_message("system", system)] if system and not goes_on else []
        return [*begin, *self._said, _message("user", message)]

    def _note(self, event: Mapping[str, Any]) -> None:
        if event["type"] == "routed":
            routed = msgspec.convert(event, Routed)
            self.routed, self.fit, self.model = routed.route, routed.fit, routed.route.model
            self.conversation = routed.conversation or self.conversation
            self._last = self._branch = self._switch = False
        elif event["type"] == "delta":
            self.answer += event["text"]
        elif event["type"] == "done":
            self.done = msgspec.convert(event, Done)
            self.cost += (self.done.usage.cost or 0.0) if self.done.usage else 0.0

    # --- changing what was said, or where it goes ---

    def restart(self) -> None:
        """The next question begins a new conversation."""
        self.conversation, self._last, self._branch = 0, False, False
        self.question, self.answer, self.fit, self._said, self._said_of = "", "", None, [], []

    def undo(self) -> str:
        """Take back the last question and its answer; the question. What it brought along goes with the next one."""
        attached, question = taken_apart(self._undo())
        sent = [self._sent.get(each.labelled, each) for each in attached]  # with its path: it may be private
        self.files = list(dict.fromkeys([*sent, *self.files]))
        return question

    def _undo(self) -> str:
        if not self.kept:
            if not self._said:
                raise _nothing_yet()
            message = self._said[-2]["content"]
            self._said = self._said[:-2]
            return message
        turns = self.read().turns
        if not turns:
            raise _nothing_yet()
        client.call("POST", f"{_PLACE}/{self.conversation}/cut", {"turns": len(turns) - 1})
        self.fit = None
        self.answer = turns[-2].answer if len(turns) > 1 else ""
        return turns[-1].question

    def branch(self) -> int:
        """Go on in a copy; its number."""
        self.read()
        self.conversation = client.call("POST", f"{_PLACE}/{self.conversation}/branch", {})["id"]
        return self.conversation

    def read(self) -> Conversation:
        """All of it. Raises UsageError where nothing has been said, or nothing is kept."""
        if not self.kept:
            raise UsageError("nothing of this dialogue is kept (-n)")
        if not self.conversation:
            if not self._last:
                raise _nothing_yet()
            self.conversation = client.call("GET", f"{_PLACE}/last?terminal={terminal()}")["info"]["id"]
        return msgspec.convert(client.call("GET", f"{_PLACE}/{self.conversation}"), Conversation)

    def use_model(self, name: str) -> None:
        """From now on this model of the machine answers here."""
        self.model = self._wanted_model = name
        self.route, self._switch = "auto", True

    def use_route(self, route: str) -> None:
        self.route, self._switch = route, True
        if route == "api":
            self._wanted_model = ""

    def attach(self, source: str) -> list[Attachment]:
        """Send a file, folder, pattern or web page along with the next question; what that is."""
        attached, _ = collect([source], "", _LARGEST, self._note_to_user)
        self.files += attached
        return attached

    def look(self, then: Callable[[], object]) -> None:
        """Learn which model would answer; starts the daemon where it is away. To be run beside the prompt."""
        with contextlib.suppress(IngleError):  # the first question will say what is wrong
            info = client.call("GET", "/ingle/status")["model"].get("info") or {}
            if not self.model:
                self.model = str(info.get("name", ""))
            then()


def _message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def _nothing_yet() -> UsageError:
    return UsageError("nothing has been asked yet")

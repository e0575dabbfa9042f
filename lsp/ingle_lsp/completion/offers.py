"""What an editor was sent to show, and what became of it: shown, accepted, partly, rejected, still there later.

An offer is known by its completion's id; what is told of it is an `Outcome`. This module knows neither LSP's types nor
the daemon.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from ingle_daemon.protocol import Outcome
from ingle_lsp.completion.cache import Completed
from ingle_lsp.completion.context import Encoding, Hole, index_in

__all__ = ["Offer", "Offers", "Spot"]

_KEPT = 64
"""Offers that may still be told of: an editor's word on one may come after it has asked for the next."""
_JUDGED_AFTER = 30.0
"""Seconds after which an accepted completion counts as kept or changed."""


@dataclass(frozen=True, slots=True)
class Spot:
    """Where something was offered."""

    uri: str
    hole: Hole
    encoding: Encoding
    language: str


@dataclass(slots=True)
class Offer:
    """A completion as it was sent last. Of its text `part` was accepted since; `earlier`, of what went before it."""

    spot: Spot
    completed: Completed
    earlier: int = 0
    part: int = 0
    seen: bool = False
    rejected: bool = False


class Offers:
    """The offers of all documents. `tell` gets the outcomes; `text_of` is a document's text now, None once closed."""

    def __init__(
        self,
        tell: Callable[[Outcome, str], None],
        text_of: Callable[[str], str | None],
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._tell = tell
        self._text_of = text_of
        self._sleep = sleep
        self._offers: OrderedDict[str, Offer] = OrderedDict()
        self._judgements: set[asyncio.Task[None]] = set()

    def send(self, spot: Spot, choices: Sequence[Completed]) -> None:
        """These are sent, to choose from. The rest of one that was sent before is the same offer."""
        for completed in choices:
            offer = Offer(spot, completed)
            if before := self._offers.pop(completed.id, None):
                offer.seen, offer.earlier = before.seen, before.earlier + before.part
            self._offers[completed.id] = offer
        while len(self._offers) > _KEPT:
            self._offers.popitem(last=False)

    def shown(self, completion: str) -> None:
        """The user sees it."""
        offer = self._offers.get(completion)
        if offer is not None and not offer.seen and offer.completed.made is not None:
            offer.seen = True
            self._tell(offer.completed.made, offer.spot.language)

    def partly(self, completion: str, accepted: int) -> None:
        """Of the cursor's whole line and what was offered behind it, as much as `accepted` is in the document now.

        It is counted in the editor's units, and a line end is one.
        """
        offer = self._offers.get(completion)
        if offer is None:
            return
        line = offer.spot.hole.line_before
        part = index_in(line + offer.completed.text, accepted, offer.spot.encoding) - len(line)
        if part > offer.part:
            self.shown(completion)
            offer.part = part
            outcome = Outcome(completion, "partly", characters=offer.earlier + part)
            self._tell(outcome, offer.spot.language)

    def accepted(self, completion: str) -> Offer | None:
        """The user took all of it. None where it is not known."""
        self.shown(completion)
        offer = self._offers.pop(completion, None)
        if offer is None:
            return None
        characters = offer.earlier + len(offer.completed.text)
        self._tell(Outcome(completion, "accepted", characters=characters), offer.spot.language)
        task = asyncio.create_task(self._judge(offer))
        self._judgements.add(task)
        task.add_done_callback(self._judgements.discard)
        return offer

    def rejected(self, completion: str) -> None:
        """The user does not want it. What was never seen, or partly taken, was not rejected."""
        offer = self._offers.get(completion)
        if offer is not None and offer.seen and not (offer.rejected or offer.part or offer.earlier):
            offer.rejected = True
            self._tell(Outcome(completion, "rejected"), offer.spot.language)

    def overtaken(self, uri: str, hole: Hole) -> None:
        """The document's cursor has other text before it now than any offer leads to, or the whole of one.

        In the second case the editor's word that it was accepted may still come.
        """
        for completion, offer in self._offers.items():
            if offer.spot.uri == uri and not hole.follows(offer.spot.hole, offer.completed.text):
                self.rejected(completion)

    async def _judge(self, offer: Offer) -> None:
        """Whether an accepted completion is still there after a while, as far as the document is still open."""
        await self._sleep(_JUDGED_AFTER)
        text = self._text_of(offer.spot.uri)
        if text is not None:
            stays = offer.completed.text.strip() in text.replace("\r\n", "\n")
            self._tell(Outcome(offer.completed.id, "kept" if stays else "changed"), offer.spot.language)

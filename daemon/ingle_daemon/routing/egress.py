"""The one door to API models: every byte that leaves goes through here, redacted, counted, with a receipt.

    prepare: redact → build the body → estimate its price          nothing has left
    send:    reserve the price and write the receipt → stream → put the secrets back → settle

What is sent needs its key first: a request that cannot leave for want of one has no receipt, and sets nothing aside.

Whether a request may leave was decided before (`policy.py`); what a provider does is known by `backends/remote.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Literal

import msgspec

from ingle_daemon.backends import keys
from ingle_daemon.backends.price_list import Listed, PriceList
from ingle_daemon.backends.remote import ApiModel
from ingle_daemon.config import ApiSettings, Settings
from ingle_daemon.errors import ApiRefused, ApiUnreachable, CaptivePortal, IngleError, UsageError
from ingle_daemon.protocol import AskRequest, Delta, Done, Fit, Letter, Started, Thinking
from ingle_daemon.routing import budget, gate
from ingle_daemon.routing.budget import Estimate, Price
from ingle_daemon.routing.consent import Consent
from ingle_daemon.routing.detectors import detectors
from ingle_daemon.routing.ledger import Draft, Ledger, Limits, over
from ingle_daemon.routing.redact import Redacted, Restorer, redact

__all__ = ["Egress", "Prepared", "Terms"]

_log = logging.getLogger(__name__)

Events = AsyncGenerator[Started | Thinking | Delta | Done, None]

_REASONING_TOKENS = 8192
"""The longest answer of a reasoning model, thoughts included, where nobody says."""
_NOT_CHARGED = (ApiUnreachable, ApiRefused, CaptivePortal, UsageError)
"""What ends a request before a provider has worked for it."""


class Terms(msgspec.Struct, frozen=True):
    """On which a request would go to `model`: what the policy needs to know of it."""

    model: ApiModel
    consent: Literal["given", "asked for", "refused"]
    fit: Fit
    price: Price | None
    estimate: Estimate
    over_budget: str


class Prepared(msgspec.Struct, frozen=True):
    """A request that is ready to leave, and what is needed to read its answer."""

    terms: Terms
    body: bytes
    sha256: str
    redacted: Redacted
    task: str
    reason: str

    @property
    def letter(self) -> Letter:
        """What the user may see of it before it leaves."""
        model, nano = self.terms.model, self.terms.estimate.nano
        return Letter(
            destination=model.host,
            url=model.url,
            model=model.name,
            body=self.body.decode(),
            sha256=self.sha256,
            redactions=self.redacted.counts,
            estimate=None if nano is None else budget.dollars(nano),
        )


class Egress:
    """Sends requests to the API models of the settings."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        consent: Consent,
        prices: PriceList,
        home: str,
        *,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        known: Sequence[ApiModel] = (),
    ) -> None:
        self._settings = settings
        self._prices = prices
        self._home = home
        self.ledger = ledger
        self.consent = consent
        self._pause = pause
        self._models = _models(settings.api, pause, known)

    def under(self, settings: Settings) -> Egress:
        """The same door with other settings, for what is sent from now on. What is known of a provider stays known."""
        self.ledger.limit(Limits(settings.budget.day, settings.budget.month))
        known = tuple(self._models.values())
        return Egress(settings, self.ledger, self.consent, self._prices, self._home, pause=self._pause, known=known)

    def candidates(self, role: Literal["default", "reasoning"]) -> list[ApiModel]:
        """The models for this role, in the order in which they are asked; empty where none is configured."""
        first = self._models.get(role)
        if first is None:
            return []
        return [first, *(model for name, model in self._models.items() if name not in ("default", "reasoning"))]

    def consented(self, model: ApiModel) -> Literal["given", "asked for", "refused"]:
        if model.settings.allow is not None:
            return "given" if model.settings.allow else "refused"
        return "given" if self.consent.to(model.host) else "asked for"

    def by_configuration(self) -> list[str]:
        """The hosts that `allow = true` consents to."""
        return sorted({model.host for model in self._models.values() if model.settings.allow})

    async def keys(self) -> list[dict[str, object]]:
        """Of each provider where its key is to be found, and whether it is there: never the key."""
        return [await _key_state(model) for model in self._models.values()]

    async def terms(self, model: ApiModel, request: AskRequest, counted: Fit | None) -> Terms:
        """What it would take to send `request` to `model`. `counted`: its prompt in tokens of the local model."""
        consent = self.consented(model)
        may_ask = consent == "given" and not self._settings.offline and not model.settled
        listed = await self._prices.find(model.settings.url, model.name, may_ask=may_ask)
        context = model.context(listed)
        answer = gate.reserve(model.longest(request.max_tokens, listed), context, self._longest(model))
        tokens = counted.prompt_tokens if counted else None
        n_bytes = sum(len(message.content.encode(errors="replace")) for message in request.messages)
        price = _price(model, listed)
        estimate = budget.estimate(tokens, n_bytes, answer, price)
        fit = Fit(tokens if tokens is not None else estimate.prompt_tokens, answer, context, exact=tokens is not None)
        spent = await asyncio.to_thread(self.ledger.spent)
        refusal = over(self.ledger.limits, spent, estimate.nano)
        return Terms(model, consent, fit, price, estimate, refusal.message if refusal else "")

    async def prepare(self, terms: Terms, request: AskRequest, temperature: float | None, reason: str = "") -> Prepared:
        """The bytes that would leave, and why. Raises RefusedByPrivacy when the search for secrets fails."""
        redacted = await asyncio.to_thread(redact, request.messages, detectors(self._home))
        body = terms.model.body(
            redacted.messages, max_tokens=terms.fit.reserved, temperature=temperature, schema=request.schema
        )
        return Prepared(terms, body, hashlib.sha256(body).hexdigest(), redacted, request.task, reason)

    async def send(self, prepared: Prepared, key: str) -> Events:
        """The answer, its secrets put back. Raises BudgetSpent before anything left, and the model's own errors.

        Whatever becomes of the answer, its receipt is closed once: at what it cost if that is known, at nothing if
        the provider did nothing, else at its estimate.
        """
        receipt = _Receipt(self.ledger, prepared.terms.estimate)
        await asyncio.to_thread(receipt.open, self._draft(prepared))
        received = 0
        text, thoughts = Restorer(prepared.redacted.secrets), Restorer(prepared.redacted.secrets)
        try:
            events = prepared.terms.model.send(prepared.body, key, max_tokens=prepared.terms.fit.reserved)
            async with contextlib.aclosing(events):
                yield Started(0, prepared.terms.fit.n_ctx)
                async for event in events:
                    if isinstance(event, Done):
                        charge = self._charge(prepared, event, received)
                        await asyncio.to_thread(receipt.close, "answered", charge)
                        for rest in _rests(text, thoughts):
                            yield rest
                        yield Done(event.reason, event.stop, usage=charge.usage)
                    else:
                        received += len(event.text.encode(errors="replace"))
                        if piece := _restored(event, text, thoughts):
                            yield piece
        except IngleError as error:
            for rest in _rests(text, thoughts):
                yield rest
            free = isinstance(error, _NOT_CHARGED) and not received
            await asyncio.to_thread(receipt.close, error.code, budget.NOTHING if free else None)
            raise
        finally:
            receipt.close("cut off")  # here and now: a request that is cancelled has nothing more to wait with

    def _charge(self, prepared: Prepared, done: Done, received: int) -> budget.Charge:
        terms = prepared.terms
        return budget.settled(done.usage, terms.estimate, terms.price, len(prepared.body), received)

    def _draft(self, prepared: Prepared) -> Draft:
        terms = prepared.terms
        return Draft(
            destination=terms.model.host,
            model=terms.model.name,
            sha256=prepared.sha256,
            n_bytes=len(prepared.body),
            redactions=prepared.redacted.counts,
            estimate=terms.estimate.nano,
            task=prepared.task,
            reason=prepared.reason,
            body=prepared.body if self._settings.privacy.keep_bodies else None,
        )

    def _longest(self, model: ApiModel) -> int:
        reasoning = model is self._models.get("reasoning")
        return max(self._settings.ask.max_tokens, _REASONING_TOKENS) if reasoning else self._settings.ask.max_tokens


async def _key_state(model: ApiModel) -> dict[str, object]:
    settings = model.settings
    sources = {"key_env": settings.key_env, "key_command": " ".join(settings.key_command[:1]), "key": settings.key}
    where = next((f"{name} {value}" for name, value in sources.items() if value), "no key")
    try:
        await keys.find(settings, model.host)
    except UsageError as exc:
        return {"host": model.host, "model": model.name, "from": where, "there": False, "problem": exc.message}
    return {"host": model.host, "model": model.name, "from": where, "there": True}


class _Receipt:
    """One receipt, closed once. What cannot be written stays charged at its estimate."""

    def __init__(self, ledger: Ledger, estimate: Estimate) -> None:
        self._ledger = ledger
        self._estimate = estimate
        self._number: int | None = None

    def open(self, draft: Draft) -> None:
        self._number = self._ledger.reserve(draft)

    def close(self, outcome: str, charge: budget.Charge | None = None) -> None:
        """`charge` None: nobody knows how far it came."""
        number, self._number = self._number, None
        if number is None:
            return
        try:
            self._ledger.settle(number, charge or budget.unsettled(self._estimate), outcome)
        except UsageError as exc:
            _log.error("a receipt cannot be closed", extra={"error": type(exc.__cause__).__name__})


def _models(
    api: ApiSettings, pause: Callable[[float], Awaitable[None]], known: Sequence[ApiModel]
) -> dict[str, ApiModel]:
    """By role; fallbacks have their place in the order as a name. Those `known` with the same settings are taken on."""
    same = {model.settings: model for model in known}
    chosen = api.default or (api if api.model else None)  # settings made without a file have only [api] itself
    fallbacks = {f"fallback {number}": settings for number, settings in enumerate(api.fallback)}
    roles = {"default": chosen, "reasoning": api.reasoning, **fallbacks}
    usable = {role: found for role, found in roles.items() if found and found.url and found.model}
    return {role: same.get(found) or ApiModel(found, pause=pause) for role, found in usable.items()}


def _price(model: ApiModel, listed: Listed) -> Price | None:
    prices = model.prices(listed)
    return Price(*prices) if prices else None


def _restored(event: Delta | Thinking, text: Restorer, thoughts: Restorer) -> Delta | Thinking | None:
    if isinstance(event, Thinking):
        piece = thoughts.feed(event.text)
        return Thinking(piece) if piece else None
    piece = text.feed(event.text)
    return Delta(piece) if piece else None


def _rests(text: Restorer, thoughts: Restorer) -> Sequence[Delta | Thinking]:
    thought, rest = thoughts.finish(), text.finish()
    return [*([Thinking(thought)] if thought else []), *([Delta(rest)] if rest else [])]

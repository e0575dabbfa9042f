"""The API models that may be asked, as facts for the policy: which come into question, and the one that is meant."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ingle_daemon.backends.remote import ApiModel
from ingle_daemon.routing.egress import Egress, Terms
from ingle_daemon.routing.policy import Facts

__all__ = ["before", "beside", "best"]


def before(facts: Facts, models: Sequence[ApiModel], egress: Egress) -> Facts:
    """The facts, where the first of `models` is in question and nobody has asked yet what it would take."""
    if not models:
        return facts
    return msgspec.structs.replace(
        facts,
        api_configured=True,
        api_model=models[0].name,
        api_host=models[0].host,
        api_consent=egress.consented(models[0]),
        api_down=models[0].down,
    )


def beside(facts: Facts, offer: Terms | None) -> Facts:
    """The facts, where `offer` is the API model in question."""
    if offer is None:
        return facts
    return msgspec.structs.replace(
        facts,
        api_model=offer.model.name,
        api_host=offer.model.host,
        api_consent=offer.consent,
        api_fit=offer.fit,
        api_down=offer.model.down,
        over_budget=offer.over_budget,
    )


def best(offers: Sequence[Terms]) -> Terms | None:
    """The first that may be asked and is not known to be down; else the first, so that it is said what is wrong."""
    ready = (offer for offer in offers if offer.consent == "given" and not offer.model.down)
    return next(ready, offers[0] if offers else None)

"""Which model of the catalog to take on a machine, and why. Pure: a catalog and a machine in, picks out.

`docs/models.md` tells the rules to people. This module does not know what is installed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from ingle_daemon.models.catalog import Catalog, Entry
from ingle_daemon.models.fit import Machine, Plan, Wish, plan

__all__ = ["Pick", "recommend"]

Kind = Literal["first", "chat", "completion", "restricted"]
Role = Literal["completion", "chat"]

CPU_BYTES = 1_200_000_000
"""What the CPU may read for a token: each reads every weight that it uses, and laptops read some 20 GB a second."""
AS_ABLE = 0.8
"""A model with so many of another's parameters is taken for as able; what it uses of them for a token decides then."""
WORTH_NAMING = 1.25
"""Another model is named beside the first pick where it has so many more parameters."""


class Pick(msgspec.Struct, frozen=True, kw_only=True):
    """A model for this machine. `kind` "first" is the one to take; the others are for who wants more."""

    kind: Kind
    entry: Entry
    plan: Plan | None
    why: tuple[str, ...]


def recommend(catalog: Catalog, machine: Machine, context: int = Wish().context) -> tuple[Pick, ...]:
    """The pick for everything, then what is better for one thing, or under a licence that asks for consent."""
    fitting = [found for entry in catalog.entries if (found := _fitted(entry, machine, context))]
    free = [found for found in fitting if found.entry.open]
    first = _best(free, ("completion", "chat")) or _best(free)
    if first is None:
        return (_starter(catalog, machine, context),)
    picks = [_pick("first", first, machine)]
    others: tuple[tuple[Kind, list[_Fitted], tuple[Role, ...]], ...] = (
        ("chat", free, ("chat",)),
        ("completion", free, ("completion",)),
        ("restricted", fitting, ()),
    )
    for kind, among, roles in others:
        found = _best(among, roles)
        if found and _is_worth_naming(found.entry, [pick.entry for pick in picks]):
            picks.append(_pick(kind, found, machine))
    return tuple(picks)


class _Fitted(msgspec.Struct, frozen=True):
    entry: Entry
    plan: Plan


def _fitted(entry: Entry, machine: Machine, context: int) -> _Fitted | None:
    """The model with its plan, where it is quick here: whole on the GPU, or small enough for the CPU."""
    if entry.shape is None:
        return None
    found = plan(entry.shape, machine, Wish(context=context, chat="chat" in entry.roles))
    quick = found.full or _read_bytes(entry) <= CPU_BYTES
    whole = found.context >= min(context, entry.shape.context)
    return _Fitted(entry, found) if found.fits and quick and whole else None


def _best(fitted: Iterable[_Fitted], roles: tuple[Role, ...] = ()) -> _Fitted | None:
    """Of those as able as the largest, the one that uses the fewest parameters for a token; the larger of equals."""
    suiting = [found for found in fitted if set(roles) <= set(found.entry.roles)]
    largest = max((found.entry.parameters for found in suiting), default=0)
    able = [found for found in suiting if found.entry.parameters >= AS_ABLE * largest]
    return min(able, key=lambda found: (_used(found.entry), -found.entry.parameters), default=None)


def _is_worth_naming(entry: Entry, named: list[Entry]) -> bool:
    return entry not in named and entry.parameters >= WORTH_NAMING * max(other.parameters for other in named)


def _used(entry: Entry) -> int:
    """The parameters that a token passes through."""
    a = entry.architecture
    if a is None or not a.experts:
        return entry.parameters
    return entry.parameters - 3 * a.layers * a.embedding * a.feed_forward * (a.experts - a.experts_used)


def _read_bytes(entry: Entry) -> int:
    return entry.size_bytes * _used(entry) // max(entry.parameters, 1)


def _starter(catalog: Catalog, machine: Machine, context: int) -> Pick:
    entry = catalog.starter
    found = plan(entry.shape, machine, Wish(context=context)) if entry.shape else None
    return Pick(kind="first", entry=entry, plan=found, why=("Nothing larger fits: this one runs anywhere.",))


# --- in words --------------------------------------------------------------------------------------------


def _pick(kind: Kind, found: _Fitted, machine: Machine) -> Pick:
    return Pick(kind=kind, entry=found.entry, plan=found.plan, why=tuple(_reasons(found, machine)))


def _reasons(found: _Fitted, machine: Machine) -> Iterator[str]:
    entry = found.entry
    yield {
        ("chat", "completion"): "It completes code and answers questions: one model for editors and shell.",
        ("chat",): "It answers questions; it was not trained to complete code.",
        ("completion",): "It completes code; it was not trained to answer questions.",
    }[tuple(sorted(entry.roles))]
    yield from found.plan.why
    if not machine.devices:
        yield "Without a GPU a larger model would write slower than you read."
    elif (used := _used(entry)) < entry.parameters:
        yield f"It uses {used / 1e9:.0f} of its {entry.parameters / 1e9:.0f} billion parameters for a token."
    if more := _more_exact(found, machine):
        yield f"{more} would fit as well: more exact, and slower."
    if not entry.open:
        yield f"Its licence is to be accepted first: {entry.license}, {entry.license_url}"


def _more_exact(found: _Fitted, machine: Machine) -> str:
    """The most exact quantization that is as well off, "" where the default one is it."""
    entry, least = found.entry, found.plan
    for quant in entry.quants:
        other = entry.quantized(quant.name)
        if quant.size_bytes <= entry.size_bytes or not machine.devices or other.shape is None:
            break
        wish = Wish(context=least.context, kv_type=least.kv_type, chat="chat" in entry.roles)
        if (better := plan(other.shape, machine, wish)).full and better.context >= least.context:
            return other.ref
    return ""

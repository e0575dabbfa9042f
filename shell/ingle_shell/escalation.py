"""A local answer that is doubted: a larger model is offered, one key has it asked. And what became of local answers.

One key is read and no more: `a` asks, every other one, and half a minute without any, keeps the answer. Nobody is asked
where output or notes go elsewhere than to the terminal, where `ask` runs in the background, or where its user has typed
ahead: then they are on with something else, and what they typed is left for that.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping

import msgspec

from ingle_daemon.client import call
from ingle_daemon.errors import IngleError, Interrupted
from ingle_daemon.protocol import Draft, Judgement, Offer
from ingle_shell.answer import Shown
from ingle_shell.command.menu import Terminal
from ingle_shell.keeping import terminal
from ingle_shell.layout import laid_out
from ingle_shell.render import doubt_notice, plain
from ingle_shell.screen import Screen

__all__ = ["afterwards", "as_offer", "escalated", "question", "tell", "tell_handed", "tell_how_it_ran"]

_KEY = "a"
_PATIENCE_S = 30.0


def afterwards(request: Mapping[str, object], shown: Shown, *, asks: bool = True) -> dict[str, object] | None:
    """What is left to do when an answer has been shown: the request to send now, where its user wants that."""
    name = request.get("id")
    if shown.taken_early:
        tell(name, "kept")
    if shown.judgement is None or shown.judgement.offer is None:
        return None
    pressed = _pressed(shown.judgement, shown.judgement.offer) if asks else None
    if pressed is None:
        Screen().note(f"{doubt_notice(shown.judgement)}; `ask --api` asks {plain(shown.judgement.offer.model)}")
    elif pressed.lower() == _KEY:
        return escalated(request, shown)
    elif pressed:
        tell(name, "declined")
    return None


def _pressed(judgement: Judgement, offer: Offer) -> str | None:
    """The key by which the user says what becomes of the answer; None where nobody was asked."""
    window = Terminal.open() if sys.stderr and sys.stderr.isatty() else None
    if window is None:
        return None
    with contextlib.closing(window):
        return window.answer(laid_out(question(judgement, offer), window.width), _PATIENCE_S)


def question(judgement: Judgement, offer: Offer) -> str:
    """The question."""
    notice = plain(doubt_notice(judgement))
    return f"{notice[0].upper()}{notice[1:]}. [{_KEY}] ask {as_offer(offer)}  any other key: keep "


def as_offer(offer: Offer) -> str:
    """Who would be asked, and for how much."""
    price = "price unknown" if offer.estimate is None else f"at most ${offer.estimate:.4f}"
    return f"{plain(offer.model)} ({price})"


def escalated(request: Mapping[str, object], shown: Shown) -> dict[str, object]:
    """The request that asks the API model instead, in the conversation that the answer is kept in."""
    assert shown.judgement, "only a judged answer is a draft"
    draft = Draft(shown.answer, shown.judgement.confidence, shown.judgement.reasons)
    again = {**request, "route": "api", "draft": msgspec.to_builtins(draft)}
    keep = request.get("keep")
    if isinstance(keep, Mapping) and shown.routed and shown.routed.conversation:
        where = {"terminal": keep.get("terminal", ""), "conversation": shown.routed.conversation, "switch": True}
        again["keep"] = where
    return again


def tell(answer: object, fate: str) -> None:
    """Tell the daemon what became of an answer, if that has a name."""
    if answer:
        _tell({"id": answer, "fate": fate})


def tell_handed(answer: object) -> None:
    """The command in the answer was handed to the shell of this terminal, which says later how it ran."""
    if answer:
        _tell({"id": answer, "fate": "handed", "terminal": terminal()})


def tell_how_it_ran(code: int) -> None:
    """What was handed to the shell of this terminal has ended with this exit code."""
    if code != Interrupted.exit_code:
        _tell({"fate": "failed" if code else "ran", "terminal": terminal()})


def _tell(outcome: Mapping[str, object]) -> None:
    """Nothing is the worse where it cannot be told."""
    with contextlib.suppress(IngleError):
        call("POST", "/ingle/answers", outcome, autostart=False)

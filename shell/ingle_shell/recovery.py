"""What can still be done about a question that failed: consent that is missing, an answer that broke off.

The user is asked, and only on a terminal: for a script an error stays an error. This module is imported when something
has failed; it knows no network and no provider.
"""

from __future__ import annotations

from collections.abc import Mapping

from ingle_daemon.client import call
from ingle_daemon.errors import ApiCutOff, IngleError
from ingle_shell.render import plain
from ingle_shell.screen import Screen, agrees

__all__ = ["another_try"]

_GO_ON = "Your answer broke off there. Go on exactly where it ends, without repeating any of it."


def another_try(error: IngleError, request: Mapping[str, object]) -> dict[str, object] | None:
    """The request to send now, if the user wants it; None where nothing can be done or they do not."""
    screen = Screen()
    if not screen.interactive:
        return None
    if isinstance(host := error.details.get("consent"), str):
        return dict(request) if _consents(error, host, screen) else None
    begun = error.details.get("answer")
    if isinstance(error, ApiCutOff) and isinstance(begun, str):
        return _finished_here(error, request, begun, screen)
    return None


def _consents(error: IngleError, host: str, screen: Screen) -> bool:
    """Whether questions may go to `host` from now on. The daemon remembers it."""
    screen.note(f"ask: {error.message}")
    screen.note("Secrets that are recognised are hidden before anything leaves; `ask --dry-run` shows every byte.")
    question = f"Send this and later questions to {plain(host)} ({error.details.get('model')})?"
    if not agrees(question, screen, otherwise=False):
        return False
    call("POST", "/ingle/consent", {"host": host, "given": True})
    return True


def _finished_here(
    error: IngleError, request: Mapping[str, object], begun: str, screen: Screen
) -> dict[str, object] | None:
    """The same conversation for the local model, which is to go on where the answer broke off."""
    screen.note(f"ask: {error.message}")
    if not agrees("Finish it with the local model?", screen, otherwise=True):
        return None
    messages = request["messages"]
    assert isinstance(messages, list)
    said = [{"role": "assistant", "content": begun}, {"role": "user", "content": _GO_ON}]
    return {**request, "messages": [*messages, *said], "route": "local"}

"""Asks the daemon to fill a hole, and keeps its troubles from being told at every keystroke.

This module knows llama-server's `/infill` as the daemon speaks it. It knows no editor, and no clock but the
one that is passed in.
"""

from __future__ import annotations

from ingle_daemon import client
from ingle_daemon.errors import Busy, DoesNotFit, IngleError, ModelLoading, NoModel
from ingle_lsp.completion.context import Hole
from ingle_lsp.settings import Settings

__all__ = ["Outage", "infill", "infill_body"]

_PASSING = (Busy, DoesNotFit, ModelLoading)  # no news for someone who types
_START_AGAIN_AFTER = 10.0  # seconds


def infill_body(hole: Hole, filename: str, repo: str, settings: Settings) -> dict[str, object]:
    """The request, as llama.vim asks: greedy, short, ended by time and by the end of the block."""
    return {
        "input_prefix": hole.prefix,
        "input_suffix": hole.suffix,
        "prompt": "",
        "filename": filename,
        "repo": repo,
        "n_predict": settings.max_tokens,
        "t_max_predict_ms": settings.max_time_ms,
        "n_indent": hole.indent,
        "temperature": 0.0,
        "top_k": 1,
        "cache_prompt": True,
        "stream": False,
    }


async def infill(body: dict[str, object], *, autostart: bool) -> str:
    """What the model writes into the hole. Cancelling closes the connection, and with it the request."""
    answer = await client.acall("POST", "/infill", body, autostart=autostart)
    return str(answer["content"])


class Outage:
    """What is wrong with the daemon at present: said once, and over as soon as it answers."""

    def __init__(self) -> None:
        self._told: set[str] = set()
        self._no_start_before = 0.0

    def may_start(self, now: float) -> bool:
        """Whether to start a daemon that is not running: not at every keystroke once that failed twice."""
        return now >= self._no_start_before

    def began(self, error: IngleError, now: float) -> str:
        """What to tell the user; "" when that was said already or is not worth saying."""
        if isinstance(error, _PASSING) or not self.may_start(now):
            return ""
        if self._told:
            self._no_start_before = now + _START_AGAIN_AFTER
        if error.code in self._told:
            return ""
        self._told.add(error.code)
        hint = error.hint
        if isinstance(error, NoModel):
            hint = f"{hint} In a terminal, `ask` and `ingle model pull` get you a model.".lstrip()
        return f"ingle: {error.message}. {hint}".rstrip()

    def ended(self) -> None:
        """The daemon answered."""
        self._told.clear()
        self._no_start_before = 0.0

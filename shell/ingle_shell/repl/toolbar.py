"""The line below the prompt: model, route, how full the context is, cost. Pure: values in, text out."""

from __future__ import annotations

from ingle_daemon.protocol import Done, Fit
from ingle_shell.render import plain

__all__ = ["toolbar"]

_GAUGE = 8
_NARROW = 60


def toolbar(model: str, route: str, fit: Fit | None, done: Done | None, cost: float, columns: int) -> str:
    """As much of it as the columns hold; the gauge goes before the model's name does."""
    narrow = columns < _NARROW
    name = plain(model) or "no model yet"
    if len(name) > (longest := 14 if narrow else 40):
        name = f"{name[: longest - 1]}…"
    parts = [name, *([] if route == "auto" else [route])]
    if fit:
        used = fit.prompt_tokens + (done.timings.predicted_n if done else 0)
        share = min(used / fit.n_ctx, 1.0) if fit.n_ctx else 0.0
        filled = round(share * _GAUGE)
        bar = "" if narrow else f"{'█' * filled}{'░' * (_GAUGE - filled)} "
        parts.append(f"{bar}{share:.0%}" if narrow else f"{bar}{used:,} of {fit.n_ctx:,}")
    if cost:
        parts.append(f"${cost:.4f}")
    if not narrow:
        parts.append("/help")
    return " · ".join(parts)[: max(columns - 1, 1)]

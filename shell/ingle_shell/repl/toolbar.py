"""The line below the prompt: model, route, how full the context is, cost. Pure: values in, text out."""

from __future__ import annotations

from ingle_daemon.protocol import Done, Fit
from ingle_shell.render import plain

__all__ = ["toolbar"]

_GAUGE = 8
_NARROW = 60
_SHORTEST_NAME = 14
_BETWEEN = " · "
_HELP = f"{_BETWEEN}/help"


def toolbar(model: str, route: str, fit: Fit | None, done: Done | None, cost: float, columns: int) -> str:
    """As much of it as the columns hold; the gauge and `/help` go before the model's name does."""
    parts = [*([] if route == "auto" else [route])]
    if fit:
        used = fit.prompt_tokens + (done.timings.predicted_n if done else 0)
        share = min(used / fit.n_ctx, 1.0) if fit.n_ctx else 0.0
        filled = round(share * _GAUGE)
        bar = f"{'█' * filled}{'░' * (_GAUGE - filled)} {used:,} of {fit.n_ctx:,}"
        parts.append(f"{share:.0%}" if columns < _NARROW else bar)
    if cost:
        parts.append(f"${cost:.4f}")
    name = plain(model) or "no model yet"
    room = columns - 1 - sum(len(_BETWEEN) + len(part) for part in parts)
    if len(name) > (longest := max(room, _SHORTEST_NAME)):
        name = f"{name[: longest - 1]}…"
    line = _BETWEEN.join([name, *parts])
    if len(line) + len(_HELP) < columns:
        line += _HELP
    return line[: max(columns - 1, 1)]

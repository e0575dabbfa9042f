"""How `ingle stats` reads: what became of completions. Pure: values in, text out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ingle_shell.render import plain

__all__ = ["statistics"]


def statistics(stats: Mapping[str, Any]) -> str:
    """`ingle stats` for people; fits in 40 columns."""
    total = stats["all"]
    if not total["asked"] and not stats["skipped"]:
        return "nothing was completed in that time"
    lines = [
        f"asked      {total['asked']}",
        f"shown      {total['shown']}",
        f"accepted   {total['accepted']} ({_percent(total['acceptance'])} of the shown)",
        f"           {total['characters']} characters",
        f"kept       {_percent(total['kept'])} after 30 s",
        f"wait       {_ms(total['wait_ms']['p50'])} median, {_ms(total['wait_ms']['p95'])} p95",
    ]
    lines += _section("by language", {name: _of(each) for name, each in stats["languages"].items()})
    lines += _section("not asked, by gate", stats["skipped"])
    lines += _section("not shown, by filter", stats["hidden"])
    taken = {
        f"{bucket['from']:.1f} to {bucket['to']:.1f}": f"{_percent(bucket['taken'])} of {bucket['shown']}"
        for bucket in stats["calibration"]
        if bucket["shown"]
    }
    return "\n".join(lines + _section("accepted, by score", taken))


def _section(title: str, values: Mapping[str, object]) -> list[str]:
    if not values:
        return []
    return ["", title, *(f"  {plain(name) or 'unknown':<18} {value}" for name, value in values.items())]


def _of(summary: Mapping[str, Any]) -> str:
    return f"{summary['accepted']} of {summary['shown']} accepted"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} ms"

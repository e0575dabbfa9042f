"""How `ingle route --report` reads: how far confidence could be trusted, what escalation cost. Values in, text out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ingle_shell.render import plain

__all__ = ["reliability"]


def reliability(report: Mapping[str, Any]) -> str:
    """For people; fits in 40 columns."""
    if not report["answers"]:
        return "no local answer was judged yet"
    lines = [f"judged     {report['answers']} local answers", *_models(report["models"]), *_fates(report["fates"])]
    judged, fewest = report["judged"], report["fewest"]
    lines += ["", f"of {judged} it is known whether they were right"]
    if report["ece"] is None:
        lines.append(f"too few to tell more: {fewest} are wanted")
    else:
        lines += [f"AUC {report['auc']:.2f}, calibration error (ECE) {report['ece']:.2f}", *_bins(report["bins"])]
        lines += _risk(report["risk"])
    return "\n".join([*lines, "", *_escalation(report["escalation"])])


def _models(models: Mapping[str, int]) -> list[str]:
    return [f"  {plain(name):<26} {count}" for name, count in models.items()]


def _fates(fates: Mapping[str, int]) -> list[str]:
    return ["what became of them", *(f"  {plain(name):<26} {count}" for name, count in fates.items())]


def _bins(bins: list[Mapping[str, Any]]) -> list[str]:
    rows = [f"  {held['confidence']:>8.0%} {held['right']:>8.0%} {held['answers']:>8}" for held in bins]
    return ["", "  believed    right  answers", *rows]


def _risk(points: list[Mapping[str, Any]]) -> list[str]:
    rows = [f"  {point['coverage']:>8.0%} {point['threshold']:>8.2f} {point['risk']:>8.0%}" for point in points]
    return ["", "     kept    above    wrong", *rows]


def _escalation(told: Mapping[str, Any]) -> list[str]:
    unknown = f", {told['cost_unknown']} at a price not known" if told["cost_unknown"] else ""
    return [
        f"believed   {told['believed']}, doubted {told['doubted']}",
        f"offered    {told['offered']}, taken {told['taken']}",
        f"automatic  {told['automatic']}",
        f"retried    {told['retried']} by their users",
        f"kept here  {told['kept']}",
        f"cost       ${told['cost']:.4f}{unknown}",
    ]

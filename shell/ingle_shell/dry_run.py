"""`--dry-run`: what would be sent, where to, and how large it is. Nothing is asked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ingle_daemon.client import call
from ingle_shell.layout import Verbatim
from ingle_shell.render import consent_notice
from ingle_shell.screen import Screen

__all__ = ["plan_parts", "show_plan"]


def show_plan(request: Mapping[str, object], *, as_json: bool) -> None:
    """Have the daemon count and decide, and show what it says."""
    plan = call("POST", "/ingle/route", request)
    Screen().tell(*([Verbatim(json.dumps(plan))] if as_json else plan_parts(plan)))


def plan_parts(plan: Mapping[str, Any]) -> tuple[str, str]:
    """The plan for people: facts first, then every message as it would leave."""
    route, fit = plan["route"], plan.get("fit")
    lines = [f"to      {route['model']} ({route['kind']}): {route['reason']}"]
    if fit:
        lines.append(f"tokens  {fit['prompt_tokens']:,} of {fit['n_ctx']:,}, {fit['reserved']:,} kept for the answer")
    if route["kind"] == "local":
        lines.append("price   nothing, and nothing leaves this machine")
    if letter := plan.get("letter"):
        price = "unknown" if letter.get("estimate") is None else f"at most ${letter['estimate']:.4f}"
        hidden = ", ".join(f"{count} {kind}" for kind, count in letter["redactions"].items()) or "nothing"
        if unconsented := consent_notice(plan):
            lines.append(f"consent {unconsented}")
        lines += [f"price   {price}", f"hidden  {hidden}", f"url     {letter['url']}", f"SHA-256 {letter['sha256']}"]
        return "\n".join(lines), Verbatim(f"\n--- the body, to the byte\n{letter['body']}")
    messages = (f"\n--- {message['role']}\n{message['content']}" for message in plan["messages"])
    return "\n".join(lines), Verbatim("\n".join(messages))

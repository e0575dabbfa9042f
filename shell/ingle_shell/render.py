"""How things read: what a terminal may be sent, sizes, status lines. Pure: text in, text out."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from ingle_daemon.protocol import Done, Judgement, Reading, Route, Routed, Started
from ingle_shell.machinery import model_lines

__all__ = [
    "TerminalText",
    "answer_status",
    "consent_notice",
    "daemon_status",
    "doubt_notice",
    "duration",
    "fact_lines",
    "found_models",
    "judgement_lines",
    "limit_text",
    "model_list",
    "plain",
    "reading_notice",
    "route_notice",
    "size",
    "stages",
    "unheeded_notice",
    "verified",
    "why_notice",
]

# ECMA-48: a control sequence, a control string, or any other escape; ESC and its one-character C1 forms.
_CSI = r"(?:\x1b\[|\x9b)[0-?]*[ -/]*"
_STRING = r"(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x00-\x1f\x7f-\x9f]*"
_ESCAPE = r"\x1b[ -/]*"
# A lone control character; and those that reorder what is displayed (a command must read as it runs).
_CONTROL = r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"

_UNSAFE = re.compile(rf"{_CSI}[@-~]|{_STRING}(?:\x07|\x1b\\|\x9c)|{_ESCAPE}[0-~]|{_CONTROL}")
_UNFINISHED = re.compile(rf"(?:{_CSI}|{_STRING}\x1b?|{_ESCAPE})\Z")
_LONGEST_HELD = 4096  # an escape that never ends may not hide the answer


class TerminalText:
    """Makes streamed text of a stranger safe for a terminal: no escape sequences, no control characters.

    A model's answer could otherwise set the clipboard, retitle the window or overwrite what is on the screen.
    Newline and tab stay. An escape sequence may straddle any number of pieces.
    """

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """What of the text so far may be shown now."""
        text = self._held + piece
        unfinished = _UNFINISHED.search(text)
        end = unfinished.start() if unfinished and len(text) - unfinished.start() <= _LONGEST_HELD else len(text)
        self._held = text[end:]
        return _UNSAFE.sub("", text[:end])

    def finish(self) -> str:
        """The rest: there is no more to come."""
        held, self._held = self._held, ""
        return _UNSAFE.sub("", held)


def plain(text: str) -> str:
    """A whole text, safe for a terminal."""
    return _UNSAFE.sub("", text)


def size(count: int) -> str:
    """Bytes as people read them: 98 MB, 1.9 GB."""
    value, units = float(count), ["B", "kB", "MB", "GB", "TB"]
    while value >= 999.5 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.1f} {units[0]}" if value < 9.95 and units[0] != "B" else f"{value:.0f} {units[0]}"


def limit_text(amount: float) -> str:
    """A budget in dollars with as many digits as it has, and two at least: it may be less than a cent."""
    whole, _, rest = f"{amount:.9f}".rstrip("0").partition(".")
    return f"${whole}.{rest:0<2}"


def route_notice(route: Route) -> str:
    """What is said before an answer that is not made here, or is made here against the user's wish."""
    return route.note if route.kind == "local" else f"asking {route.model} ({route.kind}): {route.reason}"


def unheeded_notice(route: Route, wanted: str) -> str:
    """What is said when `wanted`, this shell's INGLE_MODEL, does not answer: the daemon read its own at its start."""
    name = PurePath(wanted).stem if "/" in wanted or wanted.endswith(".gguf") else wanted
    if not name or route.kind != "local" or name == route.model:
        return ""
    return f"INGLE_MODEL is {wanted}, but ingled runs {route.model}: `ingle stop`, and the next `ask` takes it"


def fact_lines(facts: Mapping[str, object]) -> list[str]:
    """Every fact that a decision used, one a line."""
    return [f"fact      {name} = {plain(json.dumps(value))}" for name, value in facts.items()]


def consent_notice(plan: Mapping[str, Any]) -> str:
    """What is said of a plan that waits for consent; "" of one that does not."""
    return "not given yet: you would be asked first" if plan.get("consent") == "asked for" else ""


def why_notice(routed: Routed, judgement: Judgement | None = None) -> str:
    """Where an answer was made, by which row of the table in docs/routing.md, and what facts; what is thought of it."""
    route = routed.route
    head = [f"route     {route.kind}, {route.model}: {route.reason}", f"rule      {route.rule}"]
    return "\n".join([*head, *fact_lines(routed.facts), *(judgement_lines(judgement) if judgement else [])])


def judgement_lines(judgement: Judgement) -> list[str]:
    """How far a local answer is believed, by what signs, and which row of the second table said what becomes of it."""
    signs = ", ".join(f"{name} {value:g}" for name, value in judgement.signs.items())
    sides = "below" if judgement.confidence < judgement.threshold else "at least"
    return [
        f"confident {judgement.confidence:.2f}, {sides} {judgement.threshold:g}"
        + "".join(f", {reason}" for reason in judgement.reasons),
        f"signs     {signs}",
        f"then      {judgement.rule}",
        *fact_lines(judgement.facts),
    ]


def doubt_notice(judgement: Judgement) -> str:
    """What is said of a local answer that is doubted; "" of one that is believed."""
    if judgement.confidence >= judgement.threshold:
        return ""
    because = f": {', '.join(judgement.reasons)}" if judgement.reasons else ""
    return f"not sure of this ({judgement.confidence:.0%}{because})"


def reading_notice(reading: Reading) -> str:
    """How far a document that is read in parts has been read, how much of it will be, and how long that takes."""
    first = reading.part == 1
    some = f", those most like the question of {reading.of}" if first and reading.of > reading.parts else ""
    minutes = round((reading.left_s or 0) / 60)
    time = f"{minutes // 60} h {minutes % 60} min" if minutes >= 120 else f"{minutes} min"
    if not minutes:
        left = ""
    elif first:  # the speed falls with the length of what is read, and with what else the machine does
        left = f"; at a guess it takes {time}, Ctrl-C ends it"
    else:
        left = f", about {time} left"
    return f"reading part {reading.part} of {reading.parts}{some}{left}"


def answer_status(route: Route, done: Done, started: Started | None = None) -> str:
    """What is said after an answer: who gave it, where, how much of the context it took, how fast or for how much."""
    parts = [route.model, route.kind]
    if done.usage:
        parts.append(f"{done.usage.prompt_tokens} + {done.usage.completion_tokens} tokens")
        parts.append("cost unknown" if done.usage.cost is None else f"${done.usage.cost:.4f}")
    else:
        count, spent = done.timings.predicted_n, done.timings.predicted_ms
        used = f"{started.prompt_tokens + count:,} of {started.n_ctx:,}" if started else f"{count:,}"
        parts.append(f"{used} token{'' if used == '1' else 's'}")
        if count and spent:
            parts.append(f"{1000 * count / spent:.1f} tokens/s")
        if done.timings.cache_n:
            parts.append(f"{done.timings.cache_n} of {done.timings.cache_n + done.timings.prompt_n} reused")
    if done.reason == "limit":
        parts.append("cut off at the token limit")
    return " · ".join(parts)


def daemon_status(status: Mapping[str, Any]) -> str:
    """`ingle status` for people."""
    requests = status["requests"]
    lines = [
        f"ingled {status['version']}, process {status['pid']}, up {duration(status['uptime_s'])}",
        *model_lines(status),
        *(f"broken    {bad}; `ingle model list`" for bad in status.get("broken", ())),
        f"requests  {stages(requests['answering'], requests['reading'], requests['waiting'])}",
    ]
    if tcp := status.get("tcp"):
        lines.append(f"listening {tcp['url']}")
    lines += _told_configuration(status)
    lines.append(f"log       {status.get('journal') or status['log']}")
    return "\n".join(lines)


def stages(answering: int, reading: int, waiting: int) -> str:
    """What the requests in hand do. Of one that waits nothing has been read yet."""
    told = {"answering": answering, "reading": reading, "waiting": waiting}
    return ", ".join(f"{count} {stage}" for stage, count in told.items() if count) or "none"


def _told_configuration(status: Mapping[str, Any]) -> list[str]:
    """What of the configuration does not hold: an edit that is wrong, settings that are read later."""
    pending = status.get("config_pending", {})
    lines = [f"settings  {status['config_problem']}; what held before goes on"] if status.get("config_problem") else []
    for when, what in (("at_load", "when the model is loaded next"), ("at_start", "after `ingle stop`")):
        if names := pending.get(when):
            lines.append(f"settings  {', '.join(names)}: {what}")
    return lines


def model_list(models: Mapping[str, Any]) -> str:
    """`ingle model list` for people: the installed models, the current one marked, and what is not whole."""
    lines = [
        f"{'*' if model['current'] else ' '} {model['name']}  {size(model['size_bytes'])}"
        + (f"  {plain(model['license'])}" if model.get("license") else "")
        + (f"  in place: {model['path']}" if model.get("elsewhere") else "")
        for model in models["installed"]
    ]
    lines = lines or ["no model is installed; `ingle model recommend` names one, `ingle model pull` fetches it"]
    for bad in models.get("broken", ()):
        lines.append(f"! {bad['name']}  {bad['path']} {bad['reason']}; `ingle model rm {bad['name']}` forgets it")
    for part in models.get("interrupted", ()):
        share = f"{size(part['done_bytes'])} of {size(part['size_bytes'])}"
        lines.append(f"… {part['name']}  {share}, interrupted; `ingle model pull` goes on, `ingle model rm` drops it")
    return "\n".join(lines)


def found_models(answer: Any) -> str:
    """`ingle model import` for people: what other programs keep; nothing where a model was imported."""
    if isinstance(answer, dict):
        return ""
    lines = [
        f"{model['program']:<9}  {model.get('name') or model['path']}  "
        + (f"! {model['problem']}" if model.get("problem") else size(model.get("size_bytes", 0)))
        for model in answer
    ]
    return "\n".join(lines) or "no other program keeps a model here; `ingle model import PATH` takes any GGUF file"


def verified(found: Sequence[Mapping[str, Any]]) -> str:
    """`ingle model verify` for people."""
    return "\n".join(f"{model['model']} is as it was installed" for model in found) or "no model is installed"


def duration(seconds: float) -> str:
    """A time as people say it, to two units: 3 h 4 min."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    first = next((index for index, (value, _) in enumerate(parts) if value), len(parts) - 1)
    return " ".join(f"{value} {unit}" for value, unit in parts[first : first + 2])

"""How `ingle why` reads: the last completions, why there was nothing to see, and the last questions. Pure."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import msgspec

from ingle_daemon.protocol import Judgement, Route, Routed
from ingle_shell.layout import Verbatim
from ingle_shell.render import plain, why_notice

__all__ = ["decisions"]

_GATES = {
    "mid_word": "the cursor stands inside a word",
    "mid_line": "code follows on the cursor's line",
    "comment": "the cursor stands in a comment",
    "string": "the cursor stands in a string",
    "after_deletion": "something was just deleted",
    "empty": "the document is empty",
}
_FILTERS = {
    "nothing": "the model had nothing to say",
    "suffix_lines": "it repeated the next line",
    "suffix_overlap": "all of it is there already",
    "line_above": "it repeated the line above",
    "stray_closers": "it closed a bracket that was not open",
    "unreadable": "it would have broken well-formed code",
    "score": "the model was not sure enough (setting minScore)",
}
_ENDED = {
    "end": "the model ended it",
    "limit": "at the token limit",
    "time": "at the time limit",
    "indent": "at the end of the block",
    "by the editor": "by the editor, who had read enough or typed on",
}


def decisions(answer: Mapping[str, Any]) -> list[str]:
    """`ingle why` for people: completions, then questions, the newest first."""
    told = [_one(entry) for entry in answer["completions"]]
    if prompt := answer.get("prompt"):
        told.append(Verbatim(f"the newest prompt, as the model got it:\n{plain(prompt)}"))
    told += [_question(one) for one in answer.get("answers", ())]
    if not told:
        nothing = "nothing was completed or asked since the daemon started"
        return [f"{nothing}; type in an editor that runs ingle-lsp, and ask again"]
    return [part for one in told for part in ("\n", one)][1:]


def _question(entry: Mapping[str, Any]) -> str:
    """A question's route, and what was thought of the answer."""
    at = time.strftime("%H:%M:%S", time.localtime(entry["at"]))
    routed = Routed(msgspec.convert(entry["route"], Route), facts=entry["facts"])
    judgement = msgspec.convert(entry["judgement"], Judgement | None)
    return f"{at}  a question\n{why_notice(routed, judgement)}"


def _one(entry: Mapping[str, Any]) -> str:
    at = time.strftime("%H:%M:%S", time.localtime(entry["at"]))
    outcome: Mapping[str, Any] = entry.get("outcome") or {}
    if "id" not in entry:
        times = f", {entry['count']} times" if entry["count"] > 1 else ""
        return f"{at}  not asked{times}: {_because(_GATES, 'gates', outcome['by'])}"
    lines = [f"{at}  {plain(entry['filename'] or 'a document without a name')}: {_became(entry, outcome)}"]
    if entry["answer"].strip():
        lines.append(f"answer    {plain(entry['answer'].strip(chr(10)))!r}")
    if outcome.get("score") is not None:
        lines[-1] += f" (score {outcome['score']:.2f})"
    lines.append(f"ended     {_ENDED.get(entry['ended'], entry['ended'])}")
    lines += _cost(entry, outcome.get("phases", {}))
    lines += [
        f"context   {plain(piece['filename'] or 'unnamed')}, {piece['source'] or 'from the client'},"
        f" {piece['characters']} characters"
        for piece in entry["context"]
    ]
    return "\n".join(lines)


def _became(entry: Mapping[str, Any], outcome: Mapping[str, Any]) -> str:
    if entry["ahead"] and not outcome:
        return "made ahead"
    if not outcome:
        return "superseded: the next key came first" if not entry["answer"] else "sent"
    if outcome["kind"] == "hidden":
        return f"not shown: {_because(_FILTERS, 'filters', outcome['by'])}"
    return f"failed: {outcome['by']}" if outcome["kind"] == "failed" else str(outcome["kind"])


def _because(reasons: Mapping[str, str], section: str, name: str) -> str:
    words = name.split("_")
    setting = words[0] + "".join(word.title() for word in words[1:])
    switch = "" if name in ("nothing", "score") else f" (setting {section}.{setting})"
    return reasons.get(name, plain(name)) + switch


def _cost(entry: Mapping[str, Any], phases: Mapping[str, float]) -> list[str]:
    timings = entry["timings"]
    if timings is None:
        return [f"prompt    {entry['prompt_tokens']} tokens"] if entry["prompt_tokens"] else []
    means = {"shelf_n": "from the shelf", "splice_n": "lent"}
    reused = ", ".join(f"{timings[name]:.0f} {by}" for name, by in means.items() if timings[name])
    spent = {
        "queue": timings["queue_ms"],
        "prefill": timings["prompt_ms"],
        "decode": timings["predicted_ms"],
        "filters": phases.get("filters", 0.0),
    }
    return [
        f"prompt    {entry['prompt_tokens']} tokens: {timings['prompt_n']} evaluated, {timings['cache_n']} reused"
        + (f" ({reused})" if reused else ""),
        "time      " + ", ".join(f"{name} {milliseconds:.0f} ms" for name, milliseconds in spent.items()),
    ]

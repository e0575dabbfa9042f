"""Measures one installed model after the other through the daemon, and leaves the user's own in its place.

A model that a question names is loaded for it, as by `ask -m`, and stays for a while after. Prompts are new each time:
nothing of them is in the cache. Nothing that is asked here is kept, and nothing leaves this machine.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import tomli

from ingle_daemon.client import call, stream
from ingle_daemon.errors import Busy, IngleError, NoModel
from ingle_shell.bench.results import Result, Run, Score, matches

__all__ = ["Plan", "measure"]

_WORDS = ("time", "way", "day", "thing", "woman", "life", "child", "world", "school", "state", "family", "problem")
_FIRST_GUESS = 1.3
"""Tokens a word, until the model has counted some."""
_WRITE = "Write a long story that begins so. "
_SHORTEST_ANSWER = 16


class Plan(msgspec.Struct, frozen=True):
    """How much is measured: models, tokens of the prompt and of the answer, and how often."""

    models: tuple[str, ...]
    prompt_tokens: int
    answer_tokens: int
    repeat: int


class _Questions(msgspec.Struct, frozen=True):
    ask: tuple[dict[str, str], ...]
    fill: tuple[dict[str, str], ...]


def measure(plan: Plan, note: Callable[[str], None], *, force: bool) -> Iterator[Result]:
    """The results as they come. Raises Busy where the daemon answers somebody and `force` does not say to go on."""
    models = call("GET", "/ingle/models")["installed"]
    names = plan.models or tuple(model["name"] for model in models)
    _refuse_unknown(names, [model["name"] for model in models])
    running = sum(work["running"] for work in call("GET", "/ingle/activity")["work"].values())
    if running and not force:
        what = "a request is" if running == 1 else f"{running} requests are"
        raise Busy(f"{what} being answered, which would wait, and disturb", hint="Later, or --force.")
    was_loaded = call("GET", "/ingle/status")["model"]["state"] == "ready"
    try:
        for name in names:
            yield _measured(name, plan, lambda text, name=name: note(f"{name}: {text}"))  # type: ignore[misc]
    finally:
        _put_back(note, loaded=was_loaded)


def _refuse_unknown(names: tuple[str, ...], installed: list[str]) -> None:
    if not names:
        raise NoModel("no model is installed", hint="`ingle model pull` fetches one.")
    for name in names:
        if name not in installed:
            raise NoModel(f"the model {name!r} is not installed", hint=f"Installed: {', '.join(installed) or 'none'}.")


def _put_back(note: Callable[[str], None], *, loaded: bool) -> None:
    """The user's own model, in memory only if it was."""
    note("loading your own model again" if loaded else "leaving the memory")
    try:
        _ask("", "", ".", 1)
        if not loaded:
            call("POST", "/ingle/unload")
    except IngleError as error:  # it did not answer before, either
        note(f"your own model: {error.message}")


def _measured(name: str, plan: Plan, note: Callable[[str], None]) -> Result:
    try:
        note("loading")
        load_s = _load(name)
        engine, completes = _engine_of(name)
        info = engine["info"]
        runs = tuple(_runs(name, plan, note))
        worker_bytes, vram_bytes = _memory(_engine_of(name)[0]["worker_pid"])
        questions = _questions()
        note("asking what has one right answer")
        answered = _score([_answers(name, one) for one in questions.ask])
        filled = None
        if info.get("fim") and completes:
            note("filling in what has one right line")
            filled = _score([_fills(name, one) for one in questions.fill])
    except IngleError as error:
        return Result(model=name, error=error.message)
    return Result(
        model=name,
        load_s=load_s,
        context=info["n_ctx"],
        fim=info.get("fim", ""),
        runs=runs,
        worker_bytes=worker_bytes,
        vram_bytes=vram_bytes,
        answered=answered,
        filled=filled,
    )


# --- speed ----------------------------------------------------------------------------------------------------------


def _load(name: str) -> float | None:
    """Seconds until it has answered with one token, from not being in memory; None where others keep one there."""
    try:
        call("POST", "/ingle/unload")
        free = True
    except Busy:
        free = False
    began = time.monotonic()
    _ask(name, "", ".", 1)
    return round(time.monotonic() - began, 2) if free else None


def _runs(name: str, plan: Plan, note: Callable[[str], None]) -> Iterator[Run]:
    chance = random.Random()  # noqa: S311 - so that no prompt begins as one before
    per_word = _FIRST_GUESS
    for number in range(plan.repeat):
        note(f"reading {plan.prompt_tokens} tokens, writing {plan.answer_tokens} ({number + 1} of {plan.repeat})")
        words = [str(chance.randrange(1000)), *chance.choices(_WORDS, k=max(int(plan.prompt_tokens / per_word), 1))]
        text = " ".join(words)
        run = _ask(name, _WRITE, text, plan.answer_tokens)[1]
        per_word = max(run.prompt_tokens / len(words), 0.5)
        yield run


def _ask(model: str, instruction: str, text: str, max_tokens: int) -> tuple[str, Run]:
    """The answer, and its times."""
    request = {
        "messages": [{"role": "user", "content": f"{instruction}{text}"}],
        "model": model,
        "route": "local",
        "max_tokens": max_tokens,
        "temperature": 0.0,
    }
    began, first, pieces = time.monotonic(), 0.0, []
    timings: dict[str, Any] = {}
    with stream("/ingle/ask", request) as events:
        for event in events:
            if event["type"] == "delta":
                first = first or time.monotonic()
                pieces.append(event["text"])
            elif event["type"] == "done":
                timings = event.get("timings", {})
    return "".join(pieces), Run(
        first_token_ms=round(1000 * ((first or time.monotonic()) - began), 1),
        prompt_tokens=timings.get("prompt_n", 0),
        prompt_ms=timings.get("prompt_ms", 0.0),
        generated=timings.get("predicted_n", 0),
        generated_ms=timings.get("predicted_ms", 0.0),
    )


def _engine_of(name: str) -> tuple[dict[str, Any], bool]:
    """The state of the engine that has loaded it, and whether completions go there, too."""
    status = call("GET", "/ingle/status")
    for part in ("model", "chat"):
        engine = status.get(part) or {}
        if (engine.get("info") or {}).get("name") == name:
            return engine, part == "model"
    raise NoModel(f"{name} was loaded, and is no more", hint="Somebody else asked for another model: try again.")


def _memory(pid: int) -> tuple[int | None, int | None]:
    """What the worker takes of the machine's memory, and of GPUs'."""
    import psutil

    gpus = call("GET", "/ingle/activity")["gpus"]
    holders = [process for gpu in gpus for process in gpu.get("processes", ()) if process["pid"] == pid]
    vram = sum(process.get("used_bytes") or 0 for process in holders)
    try:
        return int(psutil.Process(pid).memory_info().rss), vram or None
    except psutil.Error:
        return None, vram or None


# --- quality --------------------------------------------------------------------------------------------------------


def _questions() -> _Questions:
    return msgspec.convert(tomli.loads(Path(__file__).with_name("questions.toml").read_text("utf-8")), _Questions)


def _answers(name: str, one: dict[str, str]) -> bool:
    return matches(_ask(name, "", one["question"], _SHORTEST_ANSWER)[0], one["answer"])


def _fills(name: str, one: dict[str, str]) -> bool:
    _ask(name, "", ".", 1)  # completions go to the model that is loaded: it is to be this one
    body = {
        "input_prefix": one["prefix"],
        "input_suffix": one["suffix"],
        "n_predict": _SHORTEST_ANSWER,
        "temperature": 0.0,
        "cache_prompt": False,
    }
    first_line = str(call("POST", "/infill", body)["content"]).split("\n", 1)[0]
    return first_line.strip() == one["line"]


def _score(right: list[bool]) -> Score:
    return Score(sum(right), len(right))

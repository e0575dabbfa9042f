"""A person types real code, and every keystroke asks for a completion: what it costs, and when something is shown.

A function of a standard-library file is taken out and typed again, character by character at a human rhythm, with
pauses, typing errors taken back, and lines accepted whole. The same keystrokes at the same moments go to ingle, as
ingle-lsp asks (a newer keystroke cancels the older request), and, where LLAMA_SERVER names it, to llama-server as
llama.vim drives it (256 and 64 lines, one request in flight, `cache_prompt`, `--cache-reuse 256`). A keystroke is
answered in time when its first line has come before the next keystroke.

The model is the starter with fill-in-the-middle tokens named in it: only its cost is of worth.

    [LLAMA_SERVER=.../llama-server] PYTHONPATH=tests python tests/bench/typing_replay.py [--json] [--rounds KEYSTROKES]
"""

from __future__ import annotations

import argparse as typed_module
import asyncio
import json
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from prometheus_client.parser import text_string_to_metric_families

import support
from bench import report
from bench.peer import infill_body, llama_server
from ingle_lsp.completion.context import Hole

LONGEST = 48
"""Tokens of a completion."""
DEBOUNCE = 0.05
"""Seconds that the editor waits for a pause."""
FUNCTION = "def _parse_known_args(self"
KEY_SECONDS, PAUSE_SECONDS = 0.17, 1.5
TYPO_SHARE, PAUSE_SHARE, ACCEPT_SHARE = 0.03, 0.25, 0.15
"""Of characters, of lines, and of lines."""

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Keystroke:
    """`wait` seconds after the one before, the text around the cursor became this."""

    wait: float
    before: str
    after: str


@dataclass(slots=True)
class Figures:
    """Of one engine: prompt tokens evaluated, and the seconds to a first line that came before the next keystroke."""

    evaluated: list[float] = field(default_factory=list)
    """Of ingle for every keystroke, with what was cancelled; of llama-server, which is not cancelled, a request."""
    shown_s: list[float] = field(default_factory=list)
    request_s: list[float] = field(default_factory=list)
    """From a request to its first line, in time or not."""
    keystrokes: int = 0
    in_background: float | None = None


def main() -> None:
    options = report.options("Typing replayed.", rounds=250)
    script = _script(options.rounds)
    ingle = asyncio.run(_through_ingle(script))
    rows = [_row("ingle", ingle)]
    remarks = ["tokens: prompt tokens evaluated, of ingle a keystroke, of llama-server a request"]
    if server := report.peer("LLAMA_SERVER"):
        peer = asyncio.run(_through_llama_server(server, script))
        rows.append(_row("llama-server as llama.vim asks", peer))
        ratio = statistics.median(ingle.shown_s) / statistics.median(peer.request_s)
        remarks.append(f"p50, ingle's keystroke to line / llama-server's request to line: {ratio:.3f}")
    else:
        remarks.append("llama-server is left out: LLAMA_SERVER does not name it.")
    report.show(f"{len(script)} keystrokes", rows, as_json=options.as_json, remarks=remarks)


def _row(name: str, figures: Figures) -> report.Row:
    def at(values: list[float], percent: int) -> float | None:
        return round(report.percentile(values, percent), 1) if len(values) > 1 else None

    shown = [seconds * 1000 for seconds in figures.shown_s]
    background = figures.in_background / figures.keystrokes if figures.in_background is not None else None
    return {
        "": name,
        "tokens p50": at(figures.evaluated, 50),
        "p95": at(figures.evaluated, 95),
        "mean": round(statistics.mean(figures.evaluated), 1),
        "in pauses, a key": background,
        "request to line ms p50": at([seconds * 1000 for seconds in figures.request_s], 50),
        "keystroke to line p50": at(shown, 50),
        "p95 ": at(shown, 95),
        "in time": round(len(shown) / figures.keystrokes, 2),
    }


# --- the person ----------------------------------------------------------------------------------------------------


def _script(count: int) -> list[Keystroke]:
    """The first `count` keystrokes that write FUNCTION's body again; the same in every run."""
    rng = random.Random(1)
    text = Path(typed_module.__file__).read_text(encoding="utf-8")
    start = text.index("\n", text.index(FUNCTION)) + 1
    end = text.index("\n    def ", start)
    before, after = text[:start], text[end:]
    keys = [Keystroke(0, before, after)]
    for line in text[start:end].splitlines(keepends=True):
        keys += [Keystroke(wait, before + done, after) for wait, done in _line(line, rng)]
        before += line
    return keys[:count]


def _line(line: str, rng: random.Random) -> list[tuple[float, str]]:
    """How a line is written: the waits, and what of it stands there after each."""
    indent = len(line) - len(line.lstrip(" "))  # the editor writes it
    pause = PAUSE_SECONDS if rng.random() < PAUSE_SHARE else 0
    accepted_at = indent + rng.randrange(3, 9) if rng.random() < ACCEPT_SHARE else len(line)
    keys = [(pause + _gap(rng), line[:indent])] if indent else []
    for length in range(indent + 1, len(line) + 1):
        if length > accepted_at and length < len(line):
            keys.append((3 * _gap(rng), line.rstrip("\n")))
            keys.append((_gap(rng), line))
            break
        if rng.random() < TYPO_SHARE:
            keys += [(_gap(rng), f"{line[: length - 1]}q"), (2 * _gap(rng), line[: length - 1])]
        keys.append((_gap(rng), line[:length]))
    return keys


def _gap(rng: random.Random) -> float:
    return KEY_SECONDS * rng.lognormvariate(0, 0.35)


# --- asking --------------------------------------------------------------------------------------------------------


async def _ask(client: httpx2.AsyncClient, body: Body, on_line: Callable[[float], None]) -> Body:
    """Ask to the end; tells when the first line stood there, or the whole when there was no more than that."""
    shown, text = False, ""
    async with client.stream("POST", "/infill", json=body | {"stream": True}) as response:
        response.raise_for_status()
        async for line in response.aiter_lines():
            if not line.startswith("data: {"):
                continue
            piece: Body = json.loads(line.removeprefix("data: "))
            text += piece["content"]
            if not shown and ("\n" in text.lstrip() or piece.get("stop")):
                shown = True
                on_line(time.perf_counter())
            if piece.get("stop"):
                return piece
    raise RuntimeError("the answer has no end")


async def _through_ingle(script: list[Keystroke]) -> Figures:
    figures = Figures(keystrokes=len(script))
    instance = support.fim_instance()
    try:
        instance.call("GET", "/v1/models")
        transport = httpx2.AsyncHTTPTransport(uds=str(instance.socket_file))
        async with httpx2.AsyncClient(transport=transport, base_url="http://ingle", timeout=600) as client:
            await _ask(client, _ingle_body(script[0]), lambda _: None)  # the file is opened
            before = await _counted(client)
            await _type(client, script, figures)
            after = await _counted(client)
    finally:
        instance.close()
    figures.in_background = after["warm-up"] - before["warm-up"]
    return figures


async def _type(client: httpx2.AsyncClient, script: list[Keystroke], figures: Figures) -> None:
    """As ingle-lsp: wait for a moment, ask, and let go of what was asked before."""
    task: asyncio.Task[None] | None = None
    counted = (await _counted(client))["completion"]

    async def complete(key: Keystroke, pressed: float) -> None:
        await asyncio.sleep(DEBOUNCE)
        asked = time.perf_counter()

        def on_line(shown: float) -> None:
            figures.request_s.append(shown - asked)
            figures.shown_s.append(shown - pressed)

        await _ask(client, _ingle_body(key), on_line)

    for key in script[1:]:
        await asyncio.sleep(key.wait)
        if task:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.result()
        so_far = (await _counted(client))["completion"]
        figures.evaluated.append(so_far - counted)
        counted = so_far
        task = asyncio.create_task(complete(key, time.perf_counter()))
    if task:
        await task


def _ingle_body(key: Keystroke) -> Body:
    return infill_body(Hole(key.before, key.after), "argparse.py", LONGEST)


async def _counted(client: httpx2.AsyncClient) -> dict[str, float]:
    """Prompt tokens evaluated so far, by priority."""
    metrics = (await client.get("/metrics")).text
    return {
        sample.labels["priority"]: sample.value
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
        if sample.name == "ingle_prompt_tokens_evaluated_total"
    }


async def _through_llama_server(program: str, script: list[Keystroke]) -> Figures:
    figures = Figures(keystrokes=len(script))
    with llama_server(program, "-np", "1", "--cache-reuse", "256") as port:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=600) as client:
            await _ask(client, _vim_body(script[0]), lambda _: None)
            await _type_in_vim(client, script, figures)
    return figures


async def _type_in_vim(client: httpx2.AsyncClient, script: list[Keystroke], figures: Figures) -> None:
    """As llama.vim: one request at a time, never cancelled; while it runs, look again every 100 ms."""
    current, pressed, typing = script[0], time.perf_counter(), True

    async def serve() -> None:
        asked = script[0]
        while typing or asked is not current:
            if asked is current:
                await asyncio.sleep(0.005)
                continue
            asked, when = current, pressed

            begin = time.perf_counter()

            def on_line(shown: float, asked: Keystroke = asked, when: float = when, begin: float = begin) -> None:
                figures.request_s.append(shown - begin)
                if asked is current:
                    figures.shown_s.append(shown - when)

            answer = await _ask(client, _vim_body(asked), on_line)
            figures.evaluated.append(answer["timings"]["prompt_n"])
            if asked is not current:
                await asyncio.sleep(0.1 * random.random())  # until the timer looks again

    server = asyncio.create_task(serve())
    for key in script[1:]:
        await asyncio.sleep(key.wait)
        current, pressed = key, time.perf_counter()
    typing = False
    await server


def _vim_body(key: Keystroke) -> Body:
    """llama.vim's request (autoload/llama.vim, `llama#fim`), greedy as ours."""
    *lines, middle = key.before.split("\n")
    return {
        "id_slot": 0,
        "input_prefix": "".join(f"{line}\n" for line in lines[-256:]),
        "input_suffix": "\n".join(key.after.split("\n")[:65]),
        "prompt": middle,
        "n_predict": 128,
        "t_max_predict_ms": 250,
        "n_indent": len(middle) - len(middle.lstrip()),
        "temperature": 0.0,
        "top_k": 1,
        "cache_prompt": True,
    }


if __name__ == "__main__":
    main()

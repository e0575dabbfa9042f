"""What a completion waits while an answer streams, against an idle engine; what the answer pays for it.

Through the real daemon: `/infill` requests, each in another place of a real file, idle and then each sent when a long
`/ingle/ask` answer has come some tokens further. A new answer is asked whenever the last one ended. Every answer must
equal the same greedy question asked alone, letter for letter. The same goes to llama-server with two slots where
LLAMA_SERVER names it. The model is the starter with fill-in-the-middle tokens named in it: only its cost is of worth.

    [LLAMA_SERVER=.../llama-server] PYTHONPATH=tests python tests/bench/mixed_load.py [--json] [--rounds N]
"""

from __future__ import annotations

import http.client
import json
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import support
from bench import report
from bench.bare import source_text
from bench.peer import llama_server
from ingle_daemon.config import AskSettings

PER_ROUND = 10
PREFIX_CHARS, SUFFIX_CHARS = 180, 90  # some sixty tokens together, and the markers
PREDICT = 12
ANSWER_TOKENS = 512
STEP = 8
"""Tokens by which an answer comes further before the next completion is sent."""
QUESTION = "Tell me a very long story about a lighthouse keeper, his daughter, and the ships that pass by."

Body = dict[str, Any]


class Peer(Protocol):
    """An engine under test."""

    def complete(self, body: Body) -> Body:
        """`/infill`, to its end."""

    def answer(self) -> Iterator[str]:
        """The answer to QUESTION, piece by piece, greedy."""


def main() -> None:
    options = report.options("Completions while an answer streams, against idle.", rounds=3)
    rows: list[report.Row] = []
    with _ingle() as ingle:
        rows.append(_row("ingle", measure(ingle, options.rounds)))
    server = report.peer("LLAMA_SERVER")
    if server:
        with _llama_server(server) as peer:
            rows.append(_row("llama-server, 2 slots", measure(peer, options.rounds)))
    report.show(
        f"completions of {PREDICT} tokens, milliseconds; answers of {ANSWER_TOKENS} tokens, seconds",
        rows,
        as_json=options.as_json,
        remarks=[] if server else ["llama-server is left out: LLAMA_SERVER does not name it."],
    )


# --- what is measured ----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Figures:
    """Of one engine. `loaded` are the seconds of answers with completions meanwhile, `between` how many these were."""

    idle_ms: list[float] = field(default_factory=list)
    busy_ms: list[float] = field(default_factory=list)
    evaluated: list[int] = field(default_factory=list)
    alone_s: list[float] = field(default_factory=list)
    loaded_s: list[float] = field(default_factory=list)
    between: list[int] = field(default_factory=list)
    exact: bool = True


class Answer:
    """An answer on its way, read in a thread of its own."""

    def __init__(self, pool: ThreadPoolExecutor, pieces: Callable[[], Iterator[str]]) -> None:
        self._pieces = pieces
        self._moved = threading.Condition()
        self._text: list[str] = []
        self._ended = False
        self.completions = 0
        self._reading = pool.submit(self._read)

    def comes_further(self, by: int) -> bool:
        """Wait until it has `by` tokens more than now; False when it ends before."""
        with self._moved:
            goal = len(self._text) + by
            self._moved.wait_for(lambda: self._ended or len(self._text) >= goal)
            return not self._ended

    def finish(self) -> tuple[str, float]:
        """Its text, and the seconds it took, once it is there."""
        return self._reading.result()

    def _read(self) -> tuple[str, float]:
        begin = time.perf_counter()
        try:
            for piece in self._pieces():
                with self._moved:
                    self._text.append(piece)
                    self._moved.notify_all()
            return "".join(self._text), time.perf_counter() - begin
        finally:
            with self._moved:
                self._ended = True
                self._moved.notify_all()


def measure(peer: Peer, rounds: int) -> Figures:
    """Idle and busy in turn, so that both meet the same cache and the same machine."""
    figures = Figures()
    bodies = _places()
    peer.complete(next(bodies))
    with ThreadPoolExecutor(1) as pool:
        expected, _ = Answer(pool, peer.answer).finish()  # and its prompt is in the cache from now on
        for _ in range(rounds):
            text, seconds = Answer(pool, peer.answer).finish()
            figures.alone_s.append(seconds)
            figures.exact &= text == expected
            figures.idle_ms += [_complete(peer, next(bodies), figures) for _ in range(PER_ROUND)]
            _round_under_load(peer, pool, bodies, figures, expected)
    return figures


def _round_under_load(
    peer: Peer, pool: ThreadPoolExecutor, bodies: Iterator[Body], figures: Figures, expected: str
) -> None:
    answer = Answer(pool, peer.answer)
    for _ in range(PER_ROUND):
        while not answer.comes_further(STEP):
            _note(answer, figures, expected)
            answer = Answer(pool, peer.answer)
        figures.busy_ms.append(_complete(peer, next(bodies), figures))
        answer.completions += 1
    _note(answer, figures, expected)


def _note(answer: Answer, figures: Figures, expected: str) -> None:
    text, seconds = answer.finish()
    figures.exact &= text == expected
    figures.loaded_s.append(seconds)
    figures.between.append(answer.completions)


def _complete(peer: Peer, body: Body, figures: Figures) -> float:
    begin = time.perf_counter()
    answer = peer.complete(body)
    milliseconds = (time.perf_counter() - begin) * 1000
    figures.evaluated.append(answer["timings"]["prompt_n"])
    return milliseconds


def _places() -> Iterator[Body]:
    """Places in a real file, none of which shares anything with another; a run uses a fraction of them."""
    text = source_text()
    for begin in range(0, len(text), PREFIX_CHARS + SUFFIX_CHARS):
        cursor = begin + PREFIX_CHARS
        yield {
            "input_prefix": text[begin:cursor],
            "input_suffix": text[cursor : cursor + SUFFIX_CHARS],
            "n_predict": PREDICT,
            "temperature": 0,
        }


def _row(name: str, figures: Figures) -> report.Row:
    idle, busy = figures.idle_ms, figures.busy_ms
    return {
        "": name,
        "prompt": int(statistics.median(figures.evaluated)),
        **{f"idle p{p}": round(report.percentile(idle, p), 1) for p in (50, 95)},
        **{f"busy p{p}": round(report.percentile(busy, p), 1) for p in (50, 95)},
        **{f"ratio p{p}": round(report.percentile(busy, p) / report.percentile(idle, p), 3) for p in (50, 95)},
        "answer alone": report.Spread.of(figures.alone_s),
        "loaded": report.Spread.of(figures.loaded_s),
        "slowdown": round(statistics.median(figures.loaded_s) / statistics.median(figures.alone_s), 2),
        "completions each": round(statistics.mean(figures.between), 1),
        "exact": figures.exact,
    }


# --- ingle ---------------------------------------------------------------------------------------------------------


class _Ingle:
    def __init__(self, instance: support.Instance) -> None:
        self._instance = instance

    def complete(self, body: Body) -> Body:
        answer: Body = self._instance.call("POST", "/infill", body)
        return answer

    def answer(self) -> Iterator[str]:
        question = {"messages": [{"role": "user", "content": QUESTION}]}
        settings = {"temperature": 0, "max_tokens": ANSWER_TOKENS}
        with self._instance.stream("/ingle/ask", question | settings) as events:
            for event in events:
                if event["type"] == "delta":
                    yield event["text"]


@contextmanager
def _ingle() -> Iterator[Peer]:
    instance = support.fim_instance()
    try:
        instance.call("GET", "/v1/models")
        yield _Ingle(instance)
    finally:
        instance.close()


# --- llama-server --------------------------------------------------------------------------------------------------


class _LlamaServer:
    def __init__(self, port: int) -> None:
        self._port = port

    def complete(self, body: Body) -> Body:
        with self._post("/infill", body) as response:
            answer: Body = json.load(response)
            return answer

    def answer(self) -> Iterator[str]:
        question = {"messages": [{"role": "user", "content": QUESTION}], "stream": True}
        penalty = {"repeat_penalty": AskSettings().repeat_penalty, "repeat_last_n": 64}  # as `ask` does
        settings = {"temperature": 0, "max_tokens": ANSWER_TOKENS, **penalty}
        with self._post("/v1/chat/completions", question | settings) as response:
            for line in response:
                if line.startswith(b"data: {"):
                    yield from self._content(json.loads(line.removeprefix(b"data: ")))

    @staticmethod
    def _content(piece: Body) -> Iterator[str]:
        for choice in piece["choices"]:
            if content := choice["delta"].get("content"):
                yield content

    @contextmanager
    def _post(self, path: str, body: Body) -> Iterator[http.client.HTTPResponse]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=600)
        try:
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            response = connection.getresponse()
            if response.status != 200:
                raise RuntimeError(f"llama-server answered HTTP {response.status}: {response.read(500)!r}")
            yield response
        finally:
            connection.close()


@contextmanager
def _llama_server(program: str) -> Iterator[Peer]:
    with llama_server(program, "-np", "2", "--kv-unified") as port:
        yield _LlamaServer(port)


if __name__ == "__main__":
    main()

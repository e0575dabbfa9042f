"""The first completion after a restart with the same file open, against evaluating its prompt cold.

Each round: a fresh state folder, the model loaded, a completion in a real file (cold); then the daemon is stopped and
started again, the model loaded, and the next character's completion asked for (warm). Loading is not counted: it is
the same in both. llama-server keeps nothing over a restart: its cold time stands beside where LLAMA_SERVER names it.

    [LLAMA_SERVER=.../llama-server] PYTHONPATH=tests python tests/bench/restart.py [--json] [--rounds N]
"""

from __future__ import annotations

import http.client
import json
import statistics
import time
from typing import Any

import support
from bench import report
from bench.bare import source_text
from bench.peer import infill_body, llama_server
from ingle_lsp.completion.context import Hole

CURSOR_AT = "    def add_argument(self"
TYPED = "x"

Body = dict[str, Any]


def main() -> None:
    options = report.options("The first completion after a restart against a cold one.", rounds=3)
    pairs = [_round() for _ in range(options.rounds)]
    cold, warm = ([pair[0] for pair in pairs], [pair[1] for pair in pairs])
    ratio = statistics.median(ms for ms, _ in warm) / statistics.median(ms for ms, _ in cold)
    rows = [_row("cold", cold), _row("after a restart", warm)]
    if server := report.peer("LLAMA_SERVER"):
        rows.append(_row("llama-server, cold", [_llama_server_cold(server) for _ in range(options.rounds)]))
    report.show(
        "first completion, one token, milliseconds", rows, as_json=options.as_json, remarks=[f"ratio: {ratio:.3f}"]
    )


def _row(name: str, measured: list[tuple[float, int]]) -> report.Row:
    return {
        "": name,
        "ms": report.Spread.of([milliseconds for milliseconds, _ in measured]),
        "tokens evaluated": report.Spread.of([float(tokens) for _, tokens in measured]),
    }


def _round() -> tuple[tuple[float, int], tuple[float, int]]:
    """Milliseconds and prompt tokens evaluated: cold, and after a restart."""
    instance = support.fim_instance()
    try:
        cold = _complete(instance, "")
        stopped = instance.run("ingle", "stop")
        assert stopped.returncode == 0, stopped.stderr
        return cold, _complete(instance, TYPED)
    finally:
        instance.close()


def _complete(instance: support.Instance, typed: str) -> tuple[float, int]:
    instance.call("GET", "/v1/models")  # the model is loaded
    begin = time.perf_counter()
    answer = instance.call("POST", "/infill", _body(typed))
    return (time.perf_counter() - begin) * 1000, answer["timings"]["prompt_n"]


def _body(typed: str) -> Body:
    text = source_text()
    cursor = text.index(CURSOR_AT)
    return infill_body(Hole(f"{text[:cursor]}{typed}", f"\n{text[cursor:]}"), "argparse.py", 1)


def _llama_server_cold(program: str) -> tuple[float, int]:
    with llama_server(program) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        begin = time.perf_counter()
        connection.request("POST", "/infill", json.dumps(_body("")), {"Content-Type": "application/json"})
        answer: Body = json.load(connection.getresponse())
        return (time.perf_counter() - begin) * 1000, answer["timings"]["prompt_n"]


if __name__ == "__main__":
    main()

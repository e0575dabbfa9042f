"""`[engine] url` against real engines: a llama-server and a vLLM on a CPU, where `.ci/engines` could fetch them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import support
from support import Instance

pytestmark = [pytest.mark.engines, pytest.mark.timeout(600)]

QUESTION = "Name the three primary colours."


class Engine:
    """A running server, and how to see what it does."""

    def __init__(self, port: int, process: subprocess.Popen[bytes], running: str) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.process = process
        self._running = running

    def requests_running(self) -> float:
        """As its own metrics tell."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(self._running))


@contextmanager
def _server(program: Path, *flags: str, running: str, log: Path, **env: str) -> Iterator[Engine]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [program, *flags, "--host", "127.0.0.1", "--port", str(port)],
            stdout=output,
            stderr=output,
            env={**os.environ, **env},
        ) as process,
    ):
        try:
            support.wait_until(lambda: process.poll() is not None or _healthy(port))
            assert process.poll() is None, log.read_text()[-2000:]
            yield Engine(port, process, running)
        finally:
            process.terminate()


def _healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=30) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _llama_server() -> Path:
    found = sorted(support.cache_dir().glob("llama.cpp-*/bin/llama-server"))
    named = os.environ.get("LLAMA_SERVER")
    if not (named or found):
        pytest.skip("no llama-server: `.ci/engines` builds one, LLAMA_SERVER names one")
    return Path(named) if named else found[-1]


@pytest.fixture(scope="module")
def llama_server(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    flags = ("-m", str(starter), "-c", "4096", "-np", "2", "--no-webui", "--metrics", "--alias", "starter")
    log = tmp_path_factory.mktemp("llama-server") / "log"
    with _server(_llama_server(), *flags, running="llamacpp:requests_processing", log=log) as engine:
        yield engine


@pytest.fixture(scope="module")
def vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder = support.cache_dir() / "vllm-0.32.0"
    if not (folder / "ready").exists():
        pytest.skip("no vLLM: `.ci/engines` installs one for the CPU")
    flags = ("serve", str(folder / "model"), "--max-model-len", "2048", "--enforce-eager")
    with _server(
        folder / "venv/bin/vllm",
        *flags,
        "--served-model-name",
        "starter",
        running="vllm:num_requests_running",
        log=tmp_path_factory.mktemp("vllm") / "log",
        HF_HUB_OFFLINE="1",
        VLLM_CPU_KVCACHE_SPACE="1",
        PATH=f"{folder}/venv/bin:{os.environ['PATH']}",
    ) as engine:
        yield engine


@pytest.fixture(params=["llama_server", "vllm"])
def engine(request: pytest.FixtureRequest) -> Engine:
    found: Engine = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def ingle(engine: Engine, starter: Path) -> Iterator[Instance]:
    """An ingle that is pointed at the engine, with the same model on this machine behind it."""
    made = support.new_instance(INGLE_MODEL=str(starter))
    made.configure(f'[engine]\nurl = "{engine.url}"\ncontext = 2048\n')
    yield made
    made.close()


def test_an_answer_comes_from_there_and_its_question_is_counted_exactly(ingle: Instance) -> None:
    there = json.loads(ingle.run("ask", "--json", "--max-tokens", "16", QUESTION, timeout=300).stdout)
    assert there["route"]["kind"] == "remote-engine"
    assert there["route"]["model"] == "starter"
    assert there["answer"].strip()
    here = json.loads(ingle.run("ask", "--json", "--local", "--max-tokens", "1", QUESTION, timeout=300).stdout)
    assert here["route"]["kind"] == "local"
    assert there["fit"]["prompt_tokens"] == here["fit"]["prompt_tokens"]


def test_what_does_not_fit_there_is_refused_with_the_numbers(ingle: Instance) -> None:
    done = ingle.run("ask", "--json", "word " * 3000, timeout=300)
    assert done.returncode == 5
    assert json.loads(done.stdout)["error"]["n_ctx"] == 2048


def test_a_completion_comes_from_there_with_its_probabilities(ingle: Instance) -> None:
    hole = {"id": "1", "prefix": "def add(a, b):\n    return a", "suffix": "\n", "max_tokens": 8}
    with ingle.stream("/ingle/complete", hole) as events:
        pieces = [event for event in events if event["type"] == "delta"]
    assert "".join(piece["text"] for piece in pieces).strip()
    assert all(logprob <= 0 for piece in pieces for logprob in piece.get("logprobs", ()))
    assert any(piece.get("logprobs") for piece in pieces)
    assert "worker_pid" not in ingle.call("GET", "/ingle/status")["model"], "nothing was loaded here"


def test_whoever_leaves_ends_the_work_there(ingle: Instance, engine: Engine) -> None:
    request = {"messages": [{"role": "user", "content": "Tell a very long story."}], "max_tokens": 1500}
    with ingle.stream("/ingle/ask", request) as events:
        next(event for event in events if event["type"] == "delta")
        assert engine.requests_running() == 1
    support.wait_until(lambda: engine.requests_running() == 0)


def test_the_local_model_stands_in_once_it_is_gone(starter: Path, tmp_path: Path) -> None:
    flags = ("-m", str(starter), "-c", "2048", "--no-webui", "--alias", "starter")
    instance = support.new_instance(INGLE_MODEL=str(starter))
    try:
        with _server(_llama_server(), *flags, running="", log=tmp_path / "log") as engine:
            instance.configure(f'[engine]\nurl = "{engine.url}"\n')
            first = json.loads(instance.run("ask", "--json", "--max-tokens", "4", QUESTION, timeout=300).stdout)
            assert first["route"]["kind"] == "remote-engine"
            engine.process.kill()
            engine.process.wait()
            second = json.loads(instance.run("ask", "--json", "--max-tokens", "4", QUESTION, timeout=300).stdout)
        assert second["route"]["kind"] == "local"
        assert second["answer"]
        status = instance.call("GET", "/ingle/status")["model"]
        assert "cannot reach" in status["instead_of"]["error"] or "broke off" in status["instead_of"]["error"]
    finally:
        instance.close()


def test_the_names_of_special_tokens_in_a_file_reach_no_engine_as_such(ingle: Instance) -> None:
    with ingle.active():
        import asyncio

        from ingle_daemon.backends.team.engine import TeamEngine
        from ingle_daemon.config import EngineSettings
        from ingle_daemon.metrics import Metrics

        async def tokens() -> tuple[list[int], str]:
            url = ingle.config_file.read_text().split('"')[1]
            team = TeamEngine(EngineSettings(url=url), Metrics(), timeout=60)
            found = await team.tokenize("a <|im_start|> b </s> <file_sep>")
            text = await team.detokenize(found)
            await team.stop()
            return found, text

        found, text = asyncio.run(tokens())
    assert text.removeprefix("<|im_start|>").strip() == "a <|im_start|> b </s> <file_sep>"
    assert not {1, 5} & set(found), sys.version

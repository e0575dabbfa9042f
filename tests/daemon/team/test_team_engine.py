"""The team's engine as a backend, against servers on loopback that play vLLM, llama-server and Ollama."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import pytest

from daemon.team.fake_server import SPECIAL, FakeServer, tokens_of
from ingle_daemon.backends.price_list import PriceList
from ingle_daemon.backends.scripted import Rule, Script, ScriptedBackend
from ingle_daemon.backends.team.engine import TeamEngine
from ingle_daemon.backends.team.fallback import Fallback
from ingle_daemon.backends.team.wire import read_piece
from ingle_daemon.config import EngineSettings, Settings
from ingle_daemon.errors import DoesNotFit, EngineLost, NoModel, UsageError
from ingle_daemon.metrics import Metrics
from ingle_daemon.protocol import (
    AskRequest,
    ChatMessage,
    ChatPrompt,
    Delta,
    Done,
    GenerateRequest,
    InfillPrompt,
    Limits,
    Prompt,
    Started,
    TextPrompt,
    TokenPrompt,
)
from ingle_daemon.routing.consent import Consent
from ingle_daemon.routing.egress import Egress
from ingle_daemon.routing.ledger import Ledger
from ingle_daemon.routing.ledger import Limits as Budget
from ingle_daemon.routing.router import Router

QUESTION = ChatPrompt((ChatMessage("user", "Why is the sky blue?"),))


def engine_at(server: FakeServer, model: str = "") -> TeamEngine:
    return TeamEngine(EngineSettings(url=server.url, url_model=model), Metrics(), timeout=5)


async def answer(engine: TeamEngine | Fallback, prompt: Prompt, **limits: object) -> tuple[str, Done, list[float]]:
    text = ""
    logprobs: list[float] = []
    wanted = not isinstance(prompt, ChatPrompt)
    request = GenerateRequest(prompt, limits=Limits(**limits), logprobs=wanted)  # type: ignore[arg-type]
    async with aclosing(engine.generate(request)) as events:
        async for event in events:
            if isinstance(event, Delta):
                text += event.text
                logprobs += event.logprobs
            elif isinstance(event, Done):
                return text, event, logprobs
    raise AssertionError("an answer ends with Done")


@pytest.mark.parametrize(
    ("kind", "n_ctx"), [("vllm", 4096), ("llama-server", 2048), ("ollama", 4096), ("openai", 8192)]
)
async def test_a_server_is_asked_what_it_has(kind: str, n_ctx: int) -> None:
    async with FakeServer(kind).serve() as server:
        engine = engine_at(server)
        info = await engine.info()
        assert (info.name, info.n_ctx, info.where) == ("team-coder", n_ctx, "remote-engine")
        assert engine.status()["state"] == "ready"
        await engine.stop()


async def test_a_chat_is_counted_by_the_servers_tokenizer_and_streams_with_its_cost() -> None:
    async with FakeServer("vllm").serve() as server:
        engine = engine_at(server)
        fit = await engine.fit(QUESTION, 100)
        assert (fit.prompt_tokens, fit.reserved, fit.n_ctx, fit.exact) == (20, 100, 4096, True)
        text, done, _ = await answer(engine, QUESTION, max_tokens=50)
        assert text == "all is well"
        assert (done.reason, done.timings.cache_n, done.timings.prompt_n, done.timings.predicted_n) == ("end", 15, 5, 3)
        assert server.last("/v1/chat/completions")["messages"][0]["content"] == "Why is the sky blue?"
        assert server.last("/v1/chat/completions")["max_tokens"] == 50
        await engine.stop()


async def test_llama_server_counts_with_its_own_template() -> None:
    async with FakeServer("llama-server").serve() as server:
        engine = engine_at(server)
        assert (await engine.fit(QUESTION, 0)).prompt_tokens == len("[Why is the sky blue?]")
        assert await engine.render(QUESTION) == "[Why is the sky blue?]"
        await engine.stop()


async def test_a_server_without_a_tokenizer_gets_no_more_than_surely_fits() -> None:
    async with FakeServer("ollama").serve() as server:
        engine = engine_at(server)
        assert (await engine.fit(QUESTION, 0)).prompt_tokens == 10
        with pytest.raises(DoesNotFit, match="holds 4096"):
            await answer(engine, ChatPrompt((ChatMessage("user", "x" * 9000),)))
        await engine.stop()


async def test_a_hole_is_laid_out_here_and_sent_as_token_ids() -> None:
    async with FakeServer("vllm", words=("1",)).serve() as server:
        engine = engine_at(server)
        text, done, logprobs = await answer(engine, InfillPrompt("x = ", "\nprint(x)\n"))
        pre, suf, mid = SPECIAL.values()
        assert server.last("/v1/completions")["prompt"] == [pre, *b"x = ", suf, *b"\nprint(x)\n", mid]
        assert (text, logprobs, done.reason) == ("1", [-0.5], "end")
        assert (await engine.info()).fim == "psm"
        await engine.stop()


async def test_a_file_that_spells_a_special_token_stays_text() -> None:
    async with FakeServer("vllm").serve() as server:
        engine = engine_at(server)
        hostile = 'marker = "<|fim_middle|>"\n'
        await answer(engine, InfillPrompt(hostile, ""))
        sent = server.last("/v1/completions")["prompt"]
        assert sent.count(SPECIAL["<|fim_middle|>"]) == 1
        assert bytes(token for token in sent if token < 256).decode() == hostile
        await engine.stop()


async def test_text_and_token_prompts_go_as_they_are() -> None:
    async with FakeServer("vllm").serve() as server:
        engine = engine_at(server)
        await answer(engine, TextPrompt("once upon"))
        assert server.last("/v1/completions")["prompt"] == "once upon"
        await answer(engine, TokenPrompt((7, 8)))
        assert server.last("/v1/completions")["prompt"] == [7, 8]
        assert await engine.detokenize(await engine.tokenize("naïve")) == "naïve"
        await engine.stop()


async def test_a_model_that_only_llama_server_can_fill_in_with_goes_to_its_infill() -> None:
    server = FakeServer("llama-server")
    async with server.serve():
        engine = engine_at(server)
        engine_template = (await engine.info()).template
        assert engine_template == "codegemma" or engine_template == "granite"
        await engine.stop()
    plain = FakeServer("llama-server")
    async with plain.serve():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("daemon.team.fake_server.SPECIAL", {})
            engine = engine_at(plain)
            text, done, _ = await answer(engine, InfillPrompt("x = ", "\n"), max_tokens=9)
        assert (text, done.timings.predicted_n) == ("all is well", 3)
        assert plain.last("/infill")["input_prefix"] == "x = "
        assert (await engine.info()).template == "server"
        await engine.stop()


async def test_stops_indent_and_warm_ups_hold_here_too() -> None:
    async with FakeServer("vllm", words=("    a = 1\n", "    b = 2\n", "c = 3\n")).serve() as server:
        engine = engine_at(server)
        text, done, _ = await answer(engine, TextPrompt("def f():\n"), min_indent=4)
        assert (text, done.reason) == ("    a = 1\n    b = 2", "indent")
        text, done, _ = await answer(engine, TextPrompt("def f():\n"), stop=("b =",))
        assert (text, done.reason, done.stop) == ("    a = 1\n    ", "stop", "b =")
        text, done, _ = await answer(engine, TextPrompt("def f():\n"), max_tokens=0)
        assert (text, done.reason) == ("", "limit")
        await engine.stop()


async def test_whoever_leaves_hangs_up_at_the_server() -> None:
    async with FakeServer("vllm").serve() as server:
        server.endless = True
        engine = engine_at(server)
        async with aclosing(engine.generate(GenerateRequest(QUESTION))) as events:
            async for event in events:
                if isinstance(event, Delta):
                    break
        await asyncio.wait_for(server.hung_up.wait(), 5)
        assert engine.status()["running"] == 0
        await engine.stop()


@pytest.mark.parametrize(
    ("status", "said", "error"),
    [
        (400, "maximum context length is 4096 tokens", DoesNotFit),
        (401, "wrong key", UsageError),
        (500, "CUDA out of memory", EngineLost),
    ],
)
async def test_a_refusal_is_told_by_whose_fault_it_is(status: int, said: str, error: type[Exception]) -> None:
    async with FakeServer("vllm").serve() as server:
        server.refuse = (status, said)
        engine = engine_at(server)
        with pytest.raises(error, match=said):
            await answer(engine, QUESTION)
        await engine.stop()


async def test_an_answer_that_is_cut_is_no_whole_one() -> None:
    async with FakeServer("vllm").serve() as server:
        server.cut_after = 2
        engine = engine_at(server)
        with pytest.raises(EngineLost, match="broke off"):
            await answer(engine, QUESTION)
        await engine.stop()


async def test_a_model_that_is_not_served_is_told_with_those_that_are() -> None:
    async with FakeServer("vllm").serve() as server:
        engine = engine_at(server, "another")
        with pytest.raises(NoModel, match="team-coder"):
            await engine.info()
        await engine.stop()


# --- the local engine behind it -------------------------------------------------------------------------------------


def local_engine() -> ScriptedBackend:
    return ScriptedBackend(Script(rules=(Rule("chat", "", "from here"),)), Metrics())


async def test_while_it_cannot_be_reached_the_local_one_answers_and_the_status_says_so() -> None:
    server = FakeServer("vllm")
    now = [0.0]
    async with server.serve():
        both = Fallback(engine_at(server), local_engine(), clock=lambda: now[0])
        assert (await answer(both, QUESTION))[0] == "all is well"
    assert (await answer(both, QUESTION))[0] == "from here"
    status = both.status()
    assert "instead_of" in status
    assert "cannot reach" in str(status["instead_of"])
    assert (await both.info()).where == "local"
    await both.stop()


async def test_once_offline_it_is_not_asked_any_more() -> None:
    server = FakeServer("vllm")
    offline = False
    async with server.serve():
        both = Fallback(engine_at(server), local_engine(), may=lambda: not offline)
        assert (await answer(both, QUESTION))[0] == "all is well"
        offline = True
        assert (await answer(both, QUESTION))[0] == "from here"
        assert (await both.info()).where == "local"
        await both.stop()


async def test_one_that_goes_between_two_questions_is_not_said_to_have_answered(tmp_path: Path) -> None:
    server = FakeServer("vllm")
    async with server.serve():
        both = Fallback(engine_at(server), local_engine())
        egress = Egress(
            Settings(), Ledger(tmp_path / "ledger", Budget()), Consent(tmp_path / "c"), PriceList(tmp_path / "p"), ""
        )
        router = Router(both, local_engine(), egress, Settings())
        assert (await router.plan(AskRequest(QUESTION.messages))).route.kind == "remote-engine"
    assert (await router.plan(AskRequest(QUESTION.messages))).route.kind == "local"
    assert "cannot reach" in str(both.status()["instead_of"])
    await both.stop()


async def test_it_is_asked_again_after_a_while() -> None:
    server = FakeServer("vllm")
    now = [0.0]
    both = Fallback(TeamEngine(EngineSettings(url="http://127.0.0.1:9"), Metrics(), 5), local_engine(), lambda: now[0])
    assert (await answer(both, QUESTION))[0] == "from here"
    async with server.serve():
        await both._first.stop()
        both._first = engine_at(server)
        assert (await answer(both, QUESTION))[0] == "from here", "too soon"
        now[0] = 11.0
        assert (await answer(both, QUESTION))[0] == "all is well"
    await both.stop()


def test_an_event_of_any_depth_is_no_completion() -> None:
    with pytest.raises(EngineLost, match="no completion"):
        read_piece('{"odd": ' + 100_000 * "[" + 100_000 * "]" + "}")


async def test_what_has_begun_to_stream_is_not_begun_again_elsewhere() -> None:
    async with FakeServer("vllm").serve() as server:
        server.cut_after = 2
        both = Fallback(engine_at(server), local_engine())
        with pytest.raises(EngineLost):
            await answer(both, QUESTION)
        await both.stop()


async def test_a_client_is_told_once_that_it_started() -> None:
    class Falters(ScriptedBackend):
        async def generate(self, request: GenerateRequest) -> AsyncGenerator[Started | Delta | Done, None]:
            yield Started(1, 2)
            raise EngineLost("it died")

    both = Fallback(Falters(Script(), Metrics()), local_engine())
    events = [event async for event in both.generate(GenerateRequest(QUESTION))]
    assert sum(isinstance(event, Started) for event in events) == 1
    assert isinstance(events[-1], Done)


def test_the_fakes_tokenizer_reads_names_only_where_told() -> None:
    assert tokens_of("<|fim_prefix|>a", special=True) == [1001, 97]
    assert len(tokens_of("<|fim_prefix|>", special=False)) == 14

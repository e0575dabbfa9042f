"""The backend that answers from a script."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingle_daemon.backends.scripted import Rule, Script, ScriptedBackend
from ingle_daemon.errors import ApiFailed, DoesNotFit, IngleError, UsageError
from ingle_daemon.protocol import (
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

NO_LIMITS = Limits()


def chat(*contents: str) -> ChatPrompt:
    return ChatPrompt(tuple(ChatMessage("user", content) for content in contents))


async def events_of(script: Script, prompt: Prompt, limits: Limits = NO_LIMITS) -> list[Started | Delta | Done]:
    request = GenerateRequest(prompt, limits=limits)
    return [event async for event in ScriptedBackend(script).generate(request)]


async def answer(script: Script, prompt: Prompt, limits: Limits = NO_LIMITS) -> str:
    return "".join(event.text for event in await events_of(script, prompt, limits) if isinstance(event, Delta))


async def done(script: Script, prompt: Prompt, limits: Limits) -> Done:
    last = (await events_of(script, prompt, limits))[-1]
    assert isinstance(last, Done)
    return last


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        (chat("first", "hello there"), "You said: hello there"),
        (TextPrompt("a b"), "You said: a b"),
        (TokenPrompt((1, 2)), "You said: 1 2"),
        (InfillPrompt("def f("), ""),
        (ChatPrompt(()), "You said: "),
    ],
)
async def test_without_a_rule_a_chat_is_repeated_and_a_hole_stays_empty(prompt: Prompt, text: str) -> None:
    assert await answer(Script(), prompt) == text


async def test_the_first_rule_of_its_kind_that_matches_answers() -> None:
    script = Script(
        rules=(
            Rule("infill", "hello", "hole"),
            Rule("chat", r"^hel+o$", "one"),
            Rule("chat", "hello", "two"),
        )
    )
    assert await answer(script, chat("hello")) == "one"
    assert await answer(script, chat("well, hello")) == "two"
    assert await answer(script, InfillPrompt("# hello")) == "hole"


async def test_a_chat_is_matched_by_its_last_message_and_a_hole_by_what_stands_before_it() -> None:
    script = Script(rules=(Rule("chat", "first", "no"), Rule("infill", "after", "no")))
    assert await answer(script, chat("first", "last")) == "You said: last"
    assert await answer(script, InfillPrompt("before", "after")) == ""


async def test_an_answer_is_started_then_a_delta_a_token_then_done() -> None:
    events = await events_of(Script(rules=(Rule("chat", "", "two words!"),)), chat("how many tokens"))
    started, *deltas, last = events
    assert started == Started(5, 2048)
    assert [event.text for event in deltas if isinstance(event, Delta)] == ["two", " ", "words", "!"]
    assert isinstance(last, Done)
    assert (last.reason, last.timings.prompt_n, last.timings.predicted_n) == ("end", 5, 4)


@pytest.mark.parametrize(
    ("limits", "text", "reason", "stop"),
    [
        (Limits(max_tokens=3), "one two", "limit", ""),
        (Limits(max_tokens=0), "", "limit", ""),
        (Limits(max_tokens=99), "one two three", "end", ""),
        (Limits(stop=("tw",)), "one ", "stop", "tw"),
        (Limits(stop=("three", "two", "")), "one ", "stop", "two"),
        (Limits(max_tokens=3, stop=("three",)), "one two", "limit", ""),
    ],
)
async def test_limits_and_stop_strings_end_it(limits: Limits, text: str, reason: str, stop: str) -> None:
    script = Script(rules=(Rule("chat", "", "one two three"),))
    assert await answer(script, chat("x"), limits) == text
    last = await done(script, chat("x"), limits)
    assert (last.reason, last.stop) == (reason, stop)


async def test_a_rule_may_fail_after_its_answer() -> None:
    backend = ScriptedBackend(Script(rules=(Rule("chat", "", "partly", error="api_failed"),)))
    events = backend.generate(GenerateRequest(chat("x")))
    assert [await events.__anext__(), await events.__anext__()] == [Started(1, 2048), Delta("partly", (1,))]
    with pytest.raises(ApiFailed, match="the script says api_failed"):
        await events.__anext__()
    assert backend.status()["running"] == 0


async def test_a_prompt_of_the_whole_context_does_not_fit() -> None:
    assert await answer(Script(context=4), chat("a b")) == "You said: a b"
    with pytest.raises(DoesNotFit) as refused:
        await answer(Script(context=3), chat("a b"))
    assert refused.value.details == {"n_prompt_tokens": 3, "n_ctx": 3}


async def test_fit_counts_the_prompt_without_running_it() -> None:
    fit = await ScriptedBackend(Script(context=10)).fit(chat("a b", "c"), 5)
    assert (fit.prompt_tokens, fit.reserved, fit.n_ctx, fit.exact) == (5, 5, 10, True)


@pytest.mark.parametrize(
    "script",
    [
        Script(rules=(Rule("chat", "", "a", delay_ms=3_600_000),)),
        Script(token_delay_ms=3_600_000, rules=(Rule("chat", "", "a"),)),
    ],
    ids=["before the answer", "before a token"],
)
async def test_a_delay_is_cut_short_by_cancellation(script: Script) -> None:
    backend = ScriptedBackend(script)
    events = backend.generate(GenerateRequest(chat("x")))
    assert isinstance(await events.__anext__(), Started)
    waiting = asyncio.ensure_future(events.__anext__())
    await asyncio.sleep(0)  # it begins to wait
    assert backend.status()["running"] == 1
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert backend.status()["running"] == 0


async def test_closing_an_answer_in_the_middle_ends_it() -> None:
    backend = ScriptedBackend(Script(rules=(Rule("chat", "", "a b"),)))
    events = backend.generate(GenerateRequest(chat("x")))
    await events.__anext__()
    await events.__anext__()
    assert backend.status()["running"] == 1
    await events.aclose()
    assert backend.status()["running"] == 0


@settings(deadline=None)
@given(st.lists(st.text(max_size=20), max_size=3))
async def test_tokens_are_the_text_again(texts: list[str]) -> None:
    backend = ScriptedBackend(Script())
    for text in texts:
        assert await backend.detokenize(await backend.tokenize(text)) == text


async def test_equal_tokens_have_equal_ids() -> None:
    assert await ScriptedBackend(Script()).tokenize("a b a") == [0, 1, 2, 1, 0]


def test_the_script_is_the_file_that_the_environment_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "script.json"
    file.write_text(json.dumps({"context": 7, "rules": [{"kind": "chat", "match": "x"}]}))
    monkeypatch.setenv("INGLE_SCRIPT", str(file))
    assert ScriptedBackend.from_environment()._script == Script(context=7, rules=(Rule("chat", "x"),))
    monkeypatch.delenv("INGLE_SCRIPT")
    assert ScriptedBackend.from_environment()._script == Script()


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "{",
        '{"rulez": []}',
        '{"rules": [{"kind": "poem", "match": ""}]}',
        '{"rules": [{"kind": "chat"}]}',
        pytest.param(
            '{"rules": [{"kind": "chat", "match": "("}]}',
        ),
    ],
)
def test_a_script_that_cannot_be_read_is_named(
    content: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "script.json"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv("INGLE_SCRIPT", str(file))
    with pytest.raises(UsageError, match=f"cannot read the script {file}: "):
        ScriptedBackend.from_environment()


async def test_an_unknown_error_code_is_a_plain_error() -> None:
    with pytest.raises(IngleError, match="the script says odd"):
        await answer(Script(rules=(Rule("chat", "", error="odd"),)), chat("x"))

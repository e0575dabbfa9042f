"""The official OpenAI client against ingled over loopback TCP, with the real model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

import support

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def api(starter: Path) -> Iterator[openai.OpenAI]:
    instance = support.new_instance(INGLE_MODEL=str(starter))
    url = instance.call("POST", "/ingle/serve", {"port": 0})["url"]
    token = instance.call("GET", "/ingle/token")["token"]
    with openai.OpenAI(base_url=url, api_key=token, max_retries=0) as client:
        yield client
    instance.close()


def test_models(api: openai.OpenAI) -> None:
    assert [model.id for model in api.models.list()] == ["SmolLM2-135M-Instruct.Q4_1"]


def test_chat(api: openai.OpenAI) -> None:
    answer = api.chat.completions.create(
        model="any", messages=[{"role": "user", "content": "Say hello."}], temperature=0
    )
    assert "Hello" in (answer.choices[0].message.content or "")
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_streamed_chat_with_usage(api: openai.OpenAI) -> None:
    pieces = list(
        api.chat.completions.create(
            model="any",
            messages=[{"role": "user", "content": [{"type": "text", "text": "Say hello."}]}],
            temperature=0,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert "Hello" in "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
    assert pieces[-1].usage is not None
    assert pieces[-1].usage.completion_tokens > 3


def test_completion_with_stop(api: openai.OpenAI) -> None:
    answer = api.completions.create(model="any", prompt="1 2 3 4 5", max_tokens=20, temperature=0, stop=["9"])
    assert "9" not in answer.choices[0].text
    assert answer.choices[0].finish_reason == "stop"


def test_too_long_a_prompt_is_a_bad_request_with_the_numbers(api: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        api.chat.completions.create(model="any", messages=[{"role": "user", "content": "word " * 9000}])
    assert refused.value.code == "exceed_context_size_error"


def test_a_wrong_token_is_an_authentication_error(api: openai.OpenAI) -> None:
    with (
        openai.OpenAI(base_url=api.base_url, api_key="wrong", max_retries=0) as stranger,
        pytest.raises(openai.AuthenticationError),
    ):
        stranger.models.list()


def test_more_than_one_choice_is_refused_not_ignored(api: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="one answer to a request"):
        api.completions.create(model="any", prompt="1 2 3", n=2)

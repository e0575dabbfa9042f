"""Numbers that no engine can work with, and what clients of other servers send: the public shapes, read."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

import support
from ingle_daemon.dialects import llamacpp, openai
from ingle_daemon.errors import UsageError

CHAT = {"messages": [{"role": "user", "content": "hi"}]}
HUGE = 10**30


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/infill", {"seed": HUGE}),
        ("/infill", {"n_predict": HUGE}),
        ("/infill", {"top_k": HUGE}),
        ("/detokenize", {"tokens": [HUGE]}),
        ("/v1/chat/completions", {**CHAT, "max_tokens": HUGE}),
        ("/v1/chat/completions", {**CHAT, "max_tokens": -2}),
        ("/v1/chat/completions", {**CHAT, "seed": HUGE}),
        ("/v1/completions", {"prompt": "a", "max_tokens": -3}),
        ("/ingle/ask", {**CHAT, "max_tokens": -1}),
        ("/ingle/ask", {**CHAT, "max_tokens": HUGE}),
        ("/ingle/ask", {**CHAT, "seed": HUGE}),
    ],
)
def test_a_number_out_of_range_is_refused_before_the_engine_sees_it(
    instance: support.Instance, path: str, body: dict[str, Any]
) -> None:
    with pytest.raises(UsageError, match="Expected `int`"):
        instance.call("POST", path, body)
    assert not any(instance.call("GET", "/ingle/status")["requests"].values())


def test_several_prompts_in_one_request_are_refused_not_joined(instance: support.Instance) -> None:
    with pytest.raises(UsageError, match="2 prompts"):
        instance.call("POST", "/v1/completions", {"prompt": ["a", "b"]})


def test_null_and_minus_one_leave_it_to_the_server() -> None:
    fields = ("model", "temperature", "top_p", "n", "stream", "seed", "stop")
    body = msgspec.convert({**CHAT, **dict.fromkeys(fields), "max_tokens": -1}, openai.ChatBody)
    assert (body.longest, body.sampling, body.stops) == (None, msgspec.convert(CHAT, openai.ChatBody).sampling, ())


def test_infill_takes_null_and_whole_numbers_with_a_point_as_llama_server_does() -> None:
    names = llamacpp.InfillBody.__struct_fields__
    assert llamacpp.read_infill(dict.fromkeys(names)) == llamacpp.InfillBody()
    body = llamacpp.read_infill({"top_k": 40.0, "n_predict": 128.0, "temperature": 1, "seed": -1.0})
    assert (body.top_k, body.n_predict, body.temperature, body.seed) == (40, 128, 1.0, -1)


@pytest.mark.parametrize("fields", [{"top_k": 40.5}, {"n_predict": 1e300}, {"prompt": 3.0}, {"stop": "x"}])
def test_infill_refuses_what_is_no_whole_number(instance: support.Instance, fields: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="not what /infill takes"):
        instance.call("POST", "/infill", fields)


@pytest.mark.parametrize("milliseconds", [-1, 0])
def test_llama_servers_way_to_say_no_time_limit_is_none(milliseconds: int) -> None:
    body = llamacpp.InfillBody(t_max_predict_ms=milliseconds)
    assert llamacpp.to_request(body).limits.time_ms is None


@pytest.mark.parametrize(("asked", "kept"), [(64, 64), (0, 0), (-1, 65536), (2**31 - 1, 65536)])
def test_the_memory_of_the_repeat_penalty_is_bounded(asked: int, kept: int) -> None:
    assert llamacpp.to_request(llamacpp.InfillBody(repeat_last_n=asked)).sampling.repeat_last_n == kept

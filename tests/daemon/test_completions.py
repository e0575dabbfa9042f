"""`/ingle/complete` and what `ingle why` tells of it, through the real daemon."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import support
from ingle_daemon.errors import DoesNotFit, RefusedByPrivacy, UsageError

RULES = [
    {"kind": "infill", "match": r"x = \Z", "answer": "a + b"},
    {"kind": "infill", "match": r"BAD\Z", "error": "engine_lost"},
]


@pytest.fixture
def scripted() -> Iterator[support.Instance]:
    made = support.new_instance()
    made.script(rules=RULES)
    yield made
    made.close()


def complete(instance: support.Instance, prefix: str, **more: Any) -> list[dict[str, Any]]:
    body = {"id": "1", "prefix": prefix, "suffix": "\n", "filename": "a.py", "language": "python", **more}
    return list(instance.stream("/ingle/complete", body))


def why(instance: support.Instance, query: str = "n=9") -> list[dict[str, Any]]:
    completions: list[dict[str, Any]] = instance.call("GET", f"/ingle/why?{query}")["completions"]
    return completions


def test_a_completion_streams_with_the_models_certainty(scripted: support.Instance) -> None:
    events = complete(scripted, "x = ")
    assert [event["type"] for event in events] == ["started", *["delta"] * 5, "done"]
    assert "".join(event.get("text", "") for event in events) == "a + b"
    assert events[1]["logprobs"] == [0.0]


def test_what_was_asked_and_what_became_of_it_is_told(scripted: support.Instance) -> None:
    complete(scripted, "x = ", context=[{"text": "y", "filename": "b.py", "source": "edited"}])
    outcome = {"id": "1", "kind": "hidden", "by": "line_above", "phases": {"wait": 3.0}}
    scripted.call("POST", "/ingle/outcomes", [outcome])
    (told,) = why(scripted)
    assert told["context"] == [{"source": "edited", "filename": "b.py", "characters": 1}]
    assert (told["answer"], told["ended"]) == ("a + b", "end")
    assert told["outcome"]["by"] == "line_above"
    assert told["timings"]["predicted_n"] == 5


def test_what_was_not_asked_for_is_counted(scripted: support.Instance) -> None:
    skipped = [{"id": "", "kind": "skipped", "by": "mid_word"}] * 3 + [{"id": "", "kind": "skipped", "by": "comment"}]
    scripted.call("POST", "/ingle/outcomes", skipped)
    assert [(told["outcome"]["by"], told["count"]) for told in why(scripted)] == [("comment", 1), ("mid_word", 3)]


def test_a_failure_is_told_too(scripted: support.Instance) -> None:
    with pytest.raises(Exception, match="engine_lost"):
        complete(scripted, "BAD")
    assert why(scripted)[0]["ended"] == "engine_lost"


def test_the_newest_come_first_and_no_more_than_asked(scripted: support.Instance) -> None:
    for number in range(3):
        complete(scripted, "x = ", id=str(number))
    assert [told["id"] for told in why(scripted, "n=2")] == ["2", "1"]


def test_nonsense_is_refused(scripted: support.Instance) -> None:
    with pytest.raises(UsageError, match="n is"):
        why(scripted, "n=many")
    with pytest.raises(UsageError):
        scripted.call("POST", "/ingle/complete", {"prefix": "no id"})


def test_a_prompt_that_does_not_fit_is_refused_with_the_numbers(scripted: support.Instance) -> None:
    with pytest.raises(DoesNotFit) as refused:
        complete(scripted, "word " * 3_000)
    assert refused.value.details["n_ctx"] == 2048


@pytest.mark.model
def test_the_prompt_is_shown_as_the_model_got_it(starter: Path) -> None:
    instance = support.fim_instance()
    try:
        complete(instance, "def f(<fim_prefix>", max_tokens=1)
        answer = instance.call("GET", "/ingle/why?n=1&prompt=1")
        said = instance.run("ingle", "why", "--prompt").stdout
    finally:
        instance.close()
    assert answer["prompt"].endswith("def f(<fim_prefix><file_sep>\n<gh_stars>")
    assert answer["completions"][0]["prompt_tokens"] > 5
    assert "as the model got it" in said


@pytest.mark.parametrize("filename", [".env", "deploy/id_rsa", "certs/server.pem"])
def test_a_file_of_secrets_is_not_read(scripted: support.Instance, filename: str) -> None:
    with pytest.raises(RefusedByPrivacy, match="secrets"):
        complete(scripted, "x = ", filename=filename)

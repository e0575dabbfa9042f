"""JSON schemas as grammars: what is refused, and that the starter's answers follow what is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from ingle_daemon.backends.price_list import PriceList
from ingle_daemon.backends.scripted import ScriptedBackend
from ingle_daemon.config import Settings
from ingle_daemon.engine.runner import Runner, RunnerOptions
from ingle_daemon.engine.schema import to_grammar
from ingle_daemon.errors import UsageError
from ingle_daemon.protocol import AskRequest, ChatMessage
from ingle_daemon.routing.consent import Consent
from ingle_daemon.routing.egress import Egress
from ingle_daemon.routing.ledger import Ledger, Limits
from ingle_daemon.routing.router import Router
from support import Instance

PERSON = {
    "title": "a person",
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 20},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "tags": {"type": "array", "items": {"enum": ["red", 'a "b"', "é\n"]}, "minItems": 1, "maxItems": 2},
        "boss": {"type": ["null", "boolean"]},
    },
    "required": ["name", "age", "tags"],
    "additionalProperties": False,
}
TREE = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "value": {"type": "integer", "minimum": 1, "maximum": 3},
                "next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/node"}]},
            },
            "required": ["value", "next"],
        }
    },
}


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "string", "pattern": "a+"}, "$ has `pattern`"),
        (
            {"type": "object", "properties": {"a": {"type": "number", "multipleOf": 2}}},
            "$.properties.a has `multipleOf`",
        ),
        ({"type": "strange"}, "$ has no `type` out of"),
        ({"enum": []}, "$.enum is no list"),
        ({"anyOf": [{"type": "null"}, {"not": {}}]}, "$.anyOf[1] has no `type`"),
        ({"$ref": "https://example.org/schema"}, "$.$ref leads out"),
        ({"$ref": "#/$defs/gone"}, "which is not there"),
        ({"type": "object", "properties": {}, "required": ["a"]}, "'a', which `properties` does not have"),
        ({"type": "array", "minItems": 3, "maxItems": 2}, "$.maxItems is less than"),
        ({"type": "string", "maxLength": 10**6}, "$.maxLength is no number"),
        ({"type": "integer", "maximum": 7}, "$ bounds an integer"),
        ({"type": "array", "items": 7}, "$.items is no schema"),
        ({"allOf": [{"type": "object"}], "type": "object"}, "$ has `allOf`"),
    ],
)
def test_what_cannot_be_promised_is_refused_with_its_place(schema: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as refused:
        to_grammar(schema)
    assert said in refused.value.message


async def test_a_bad_schema_is_refused_before_the_model_is_even_asked_for(tmp_path: Path) -> None:
    backend = ScriptedBackend.from_environment()
    ledger, consent = Ledger(tmp_path / "ledger", Limits()), Consent(tmp_path / "consent")
    egress = Egress(Settings(), ledger, consent, PriceList(tmp_path / "prices"), "")
    router = Router(backend, backend, egress, Settings())
    request = AskRequest((ChatMessage("user", "hi"),), schema={"type": "string", "pattern": "x"})
    with pytest.raises(UsageError):
        await router.ask(request).__anext__()


@pytest.mark.model
@pytest.mark.parametrize(
    "schema",
    [
        {},
        PERSON,
        TREE,
        {"type": "object", "properties": {"a": {}, "b": {}, "c": {}}},
        {"type": "object", "additionalProperties": {"type": "number"}},
        {"type": "array", "maxItems": 0},
        {"type": "string", "format": "date-time"},
        {"type": "string", "format": "uuid"},
        {"const": {"a": [1, "\\"]}},
    ],
)
def test_llama_cpp_reads_every_grammar(schema: dict[str, Any], runner: Runner) -> None:
    runner.vocab.check_grammar(to_grammar(schema))


@pytest.mark.model
def test_a_grammar_that_never_ends_is_refused_not_crashed_on(runner: Runner) -> None:
    with pytest.raises(UsageError):
        runner.vocab.check_grammar(to_grammar({"$ref": "#"}))


@pytest.fixture(scope="module")
def runner(starter: Path) -> Runner:
    return Runner(RunnerOptions(str(starter), context=512, threads=1, gpu_layers=0, kv_type="auto", batch=64, slots=2))


def follows_person(value: Any) -> bool:
    return (
        value.keys() - {"boss"} == {"name", "age", "tags"}
        and len(value["name"]) <= 20
        and 0 <= value["age"] <= 120
        and 1 <= len(value["tags"]) <= 2
        and set(value["tags"]) <= {"red", 'a "b"', "é\n"}
        and value.get("boss") in (None, True, False)
    )


@pytest.mark.model
def test_the_starter_follows_schemas_whatever_it_is_asked(real: Instance) -> None:
    cases: list[tuple[dict[str, Any], Callable[[Any], bool]]] = [
        (PERSON, follows_person),
        ({"type": "string", "format": "date"}, lambda value: len(value) == 10),
    ]
    for schema, follows in cases:
        for temperature in (0, 1.5):
            answer = answer_to(real, "Write a long poem in Markdown.", schema=schema, temperature=temperature, seed=3)
            assert follows(json.loads(answer)), answer


def answer_to(instance: Instance, question: str, **more: Any) -> str:
    request = {"messages": [{"role": "user", "content": question}], **more}
    events = list(instance.stream("/ingle/ask", request))
    assert events[-1]["reason"] == "end"
    return "".join(event["text"] for event in events if event["type"] == "delta")


@pytest.mark.model
def test_openais_client_gets_json_by_its_response_format(real: Instance) -> None:
    url = real.call("POST", "/ingle/serve", {"port": 0})["url"]
    client = OpenAI(base_url=url, api_key=real.call("GET", "/ingle/token")["token"])
    done = client.chat.completions.create(
        model="any",
        messages=[{"role": "user", "content": "Who are you?"}],
        response_format={"type": "json_schema", "json_schema": {"name": "person", "schema": dict(PERSON)}},
    )
    assert follows_person(json.loads(done.choices[0].message.content or ""))


@pytest.mark.model
def test_ask_writes_json_that_follows_the_file_and_nothing_when_it_is_cut_off(real: Instance) -> None:
    (real.root / "person.json").write_text(json.dumps(PERSON))
    done = real.run("ask", "--schema", "person.json", "--temperature", "0", "who is it?")
    assert done.returncode == 0, done.stderr
    assert follows_person(json.loads(done.stdout))
    cut = real.run("ask", "--schema", "person.json", "--temperature", "0", "--max-tokens", "4", "who is it?")
    assert (cut.returncode, cut.stdout) == (5, "")
    assert "cut off after 4 tokens" in cut.stderr

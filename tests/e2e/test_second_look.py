"""A local answer that is doubted: kept, offered, escalated, and what is learned from it. Real daemon, real provider."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

import support
from e2e.test_escalation import KEY, Provider, serving

GUESS, SURE, BAD = -2.5, -0.01, "fetch it"


@pytest.fixture
def provider() -> Iterator[Provider]:
    with serving() as server:
        yield server


@pytest.fixture
def doubtful(instance: support.Instance, provider: Provider) -> support.Instance:
    """Guesses, except where it is asked for something easy."""
    configure(instance, provider, allow=True)
    return instance


def configure(instance: support.Instance, provider: Provider, **more: object) -> None:
    url = f"http://127.0.0.1:{provider.server_port}/v1"
    lines = {"url": url, "model": "far/model", "key_env": "FAR_KEY", "price_in": 1.0, "price_out": 2.0, **more}
    instance.script(
        rules=[
            {"kind": "chat", "match": "easy", "answer": "It is four.", "logprob": SURE},
            {"kind": "chat", "match": "", "answer": "Perhaps forty, of bob@acme-corp.io.", "logprob": GUESS},
        ]
    )
    instance.env["FAR_KEY"] = KEY
    instance.configure("[api]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in lines.items()))


def ask(instance: support.Instance, text: str, **more: object) -> list[dict[str, Any]]:
    request = {"messages": [{"role": "user", "content": text}], "id": text, **more}
    return list(instance.stream("/ingle/ask", request))


def text_of(events: list[dict[str, Any]]) -> str:
    return "".join(event["text"] for event in events if event["type"] == "delta")


def fates(instance: support.Instance) -> dict[str, int]:
    found: dict[str, int] = instance.call("GET", "/ingle/answers/report")["fates"]
    return found


# --- offer ---


def test_a_doubted_answer_comes_with_its_reasons_and_an_offer(doubtful: support.Instance, provider: Provider) -> None:
    *_, done = ask(doubtful, "hard")
    judgement = done["judgement"]
    assert judgement["confidence"] < 0.5
    assert judgement["reasons"][0] == "guessed words"
    assert judgement["rule"] == "doubted"
    assert judgement["offer"]["model"] == "far/model"
    assert judgement["offer"]["estimate"] > 0
    assert provider.requests == []


def test_a_sure_answer_comes_without(doubtful: support.Instance) -> None:
    *_, done = ask(doubtful, "easy")
    assert done["judgement"]["confidence"] > 0.5
    assert "offer" not in done["judgement"]


@pytest.mark.parametrize(
    ("setting", "rule"),
    [
        ({"allow": False}, "doubted, forbidden"),
        ({"allow": None}, "doubted, no consent"),
        ({"model": ""}, "doubted, not configured"),
    ],
)
def test_what_may_not_leave_is_not_offered(
    instance: support.Instance, provider: Provider, setting: dict[str, object], rule: str
) -> None:
    configure(instance, provider, allow=True)
    lines = {key: value for key, value in setting.items() if value is not None}
    kept = [line for line in instance.config_file.read_text().splitlines() if line.split(" ")[0] not in setting]
    instance.configure("\n".join([*kept, *(f"{key} = {json.dumps(value)}" for key, value in lines.items())]))
    *_, done = ask(instance, "hard")
    assert done["judgement"]["rule"] == rule
    assert "offer" not in done["judgement"]


def test_a_spent_budget_is_not_offered(doubtful: support.Instance) -> None:
    doubtful.configure(doubtful.config_file.read_text() + "[budget]\nday = 0.0\n")
    *_, done = ask(doubtful, "hard")
    assert done["judgement"]["rule"] == "doubted, over budget"


def test_local_and_schemas_are_not_judged_and_off_judges_nothing(doubtful: support.Instance) -> None:
    for more in ({"route": "local"}, {"schema": {"type": "string", "maxLength": 3}}):
        *_, done = ask(doubtful, "hard", **more)
        assert "judgement" not in done
    doubtful.run("ingle", "stop")
    doubtful.configure(doubtful.config_file.read_text() + 'escalate = "off"\n')
    *_, done = ask(doubtful, "hard")
    assert "judgement" not in done


def test_a_pipe_is_told_and_never_asked(doubtful: support.Instance, provider: Provider) -> None:
    done = doubtful.run("ask", "--why", "hard")
    assert done.stdout == "Perhaps forty, of bob@acme-corp.io.\n"
    assert "not sure of this (" in done.stderr
    assert "guessed words" in done.stderr
    assert "`ask --api` asks far/model" in done.stderr
    assert "then      doubted" in done.stderr
    assert "signs     mean -2.5" in done.stderr
    assert provider.requests == []
    told = json.loads(doubtful.run("ask", "--json", "hard").stdout)
    assert told["judgement"]["offer"]["model"] == "far/model"


# --- what goes along ---


def test_the_draft_goes_along_redacted_with_a_receipt_that_says_why(
    doubtful: support.Instance, provider: Provider
) -> None:
    draft = {"text": "Perhaps forty, of bob@acme-corp.io.", "confidence": 0.34, "reasons": ["guessed words"]}
    ask(doubtful, "hard")
    events = ask(doubtful, "hard", route="api", draft=draft)
    assert text_of(events) == "from afar"
    assert events[0]["route"]["reason"] == "escalated, confidence 0.34"
    ((_, body),) = provider.requests
    question, told, what_it_is = body["messages"]
    assert question["content"] == "hard"
    assert told["role"] == "assistant"
    assert told["content"].startswith("Perhaps forty")
    assert "acme-corp" not in json.dumps(body)
    assert "draft by a small model" in what_it_is["content"]
    (receipt,) = doubtful.call("GET", "/ingle/ledger")["receipts"]
    assert receipt["reason"] == "escalated, confidence 0.34"
    assert receipt["redactions"]["e-mail"] == 1
    assert "escalated, confidence 0.34" in doubtful.run("ingle", "ledger").stdout
    assert fates(doubtful) == {"escalated": 1}


def test_a_dry_run_shows_what_an_escalation_would_send(doubtful: support.Instance, provider: Provider) -> None:
    request = {
        "messages": [{"role": "user", "content": "hard"}],
        "route": "api",
        "draft": {"text": "forty", "confidence": 0.34},
    }
    plan = doubtful.call("POST", "/ingle/route", request)
    list(doubtful.stream("/ingle/ask", request))
    assert provider.bodies == [plan["letter"]["body"].encode()]


# --- auto ---


def automatic(instance: support.Instance) -> None:
    instance.configure(instance.config_file.read_text() + 'escalate = "auto"\n')


def test_in_auto_a_doubted_answer_is_never_seen(doubtful: support.Instance, provider: Provider) -> None:
    automatic(doubtful)
    done = doubtful.run("ask", "hard")
    assert done.stdout == "from afar\n"
    assert "answering here first" in done.stderr
    assert "asking far/model (api): escalated, confidence 0." in done.stderr
    assert provider.requests[0][1]["messages"][-2]["content"].startswith("Perhaps")
    assert fates(doubtful) == {"automatic": 1}
    report = doubtful.call("GET", "/ingle/answers/report")
    assert report["escalation"]["cost"] == pytest.approx(0.005)


def test_in_auto_a_believed_answer_is_shown_when_it_is_whole(doubtful: support.Instance, provider: Provider) -> None:
    automatic(doubtful)
    kinds = [event["type"] for event in ask(doubtful, "easy")]
    assert kinds[:2] == ["routed", "drafting"]
    assert text_of(ask(doubtful, "easy")) == "It is four."
    assert provider.requests == []


def test_in_auto_what_may_not_leave_streams_as_ever(doubtful: support.Instance, provider: Provider) -> None:
    doubtful.configure("offline = true\n" + doubtful.config_file.read_text())
    automatic(doubtful)
    events = ask(doubtful, "hard")
    assert "drafting" not in [event["type"] for event in events]
    assert events[-1]["judgement"]["rule"] == "doubted, offline"


def test_in_auto_the_local_answer_stands_in_where_the_api_fails(doubtful: support.Instance, provider: Provider) -> None:
    automatic(doubtful)
    provider.refused.add("far/model")
    done = doubtful.run("ask", "hard")
    assert (done.returncode, done.stdout) == (0, "Perhaps forty, of bob@acme-corp.io.\n")
    assert "not escalated: 127.0.0.1" in done.stderr
    assert fates(doubtful) == {"not known": 1}


def test_in_auto_what_broke_off_is_not_followed_by_another_answer(
    doubtful: support.Instance, provider: Provider
) -> None:
    automatic(doubtful)
    provider.broken.add("far/model")
    done = doubtful.run("ask", "hard")
    assert (done.returncode, done.stdout) == (6, "from \n")


def test_other_programs_are_not_escalated(doubtful: support.Instance, provider: Provider) -> None:
    automatic(doubtful)
    body = {"model": "x", "messages": [{"role": "user", "content": "hard"}]}
    answer = doubtful.call("POST", "/v1/chat/completions", body)
    assert answer["choices"][0]["message"]["content"].startswith("Perhaps")
    assert provider.requests == []


# --- conversations ---


def test_in_a_conversation_the_apis_answer_takes_the_drafts_place_and_the_next_question_stays(
    doubtful: support.Instance, provider: Provider
) -> None:
    automatic(doubtful)
    where = {"keep": {"terminal": "t", "last": True}}
    ask(doubtful, "hard", keep={"terminal": "t"})
    ask(doubtful, "easy", **where)
    ask(doubtful, "hard again", **where)
    said = [message["content"] for message in provider.requests[1][1]["messages"]]
    assert said[:5] == ["hard", "from afar", "easy", "It is four.", "hard again"]
    turns = doubtful.call("GET", "/ingle/conversations/1")["turns"]
    assert [turn["route"] for turn in turns] == ["api", "local", "api"]
    assert turns[0]["rule"] == "escalated"


def test_by_key_the_question_is_not_said_twice(doubtful: support.Instance, provider: Provider) -> None:
    first = ask(doubtful, "hard", keep={"terminal": "t"})
    keep = {"terminal": "t", "conversation": first[0]["conversation"], "switch": True}
    ask(doubtful, "hard", route="api", keep=keep, draft={"text": "Perhaps", "confidence": 0.3})
    said = [message["content"] for message in provider.requests[0][1]["messages"]]
    assert said[:2] == ["hard", "Perhaps"]
    ask(doubtful, "easy", keep={"terminal": "t", "last": True})
    assert [turn["answer"] for turn in doubtful.call("GET", "/ingle/conversations/1")["turns"]] == [
        "Perhaps forty, of bob@acme-corp.io.",
        "from afar",
        "It is four.",
    ]


# --- learning ---


def test_what_became_of_answers_is_counted_and_calibrates_the_model(doubtful: support.Instance) -> None:
    before = ask(doubtful, "easy 0")[-1]["judgement"]["confidence"]
    for number in range(32):
        ask(doubtful, f"easy {number}")
        doubtful.call("POST", "/ingle/answers", {"id": f"easy {number}", "fate": "failed"})
    report = doubtful.call("GET", "/ingle/answers/report")  # by now all of them are written down
    assert report["judged"] == 32
    after = ask(doubtful, "easy again")[-1]["judgement"]["confidence"]
    assert after < before - 0.2
    assert report["bins"]
    told = doubtful.run("ingle", "route", "--report")
    assert "32" in told.stdout


def test_few_outcomes_are_called_too_few(doubtful: support.Instance) -> None:
    ask(doubtful, "easy")
    doubtful.call("POST", "/ingle/answers", {"id": "easy", "fate": "kept"})
    told = doubtful.run("ingle", "route", "--report")
    assert (told.returncode, "too few" in told.stdout) == (0, True)
    assert json.loads(doubtful.run("ingle", "route", "--report", "--json").stdout)["ece"] is None


def test_the_same_question_to_the_api_says_that_the_answer_was_not_good(doubtful: support.Instance) -> None:
    doubtful.run("ask", "hard")
    doubtful.run("ask", "--api", "hard")
    assert fates(doubtful) == {"retried": 1}


def test_code_that_was_taken_was_good(doubtful: support.Instance) -> None:
    doubtful.script(rules=[{"kind": "chat", "match": "", "answer": "```\nls\n```\nand so on and on", "logprob": SURE}])
    assert doubtful.run("ask", "-x", "list").stdout == "ls\n"
    assert fates(doubtful) == {"kept": 1}


@pytest.mark.parametrize("switch", ["-n", "log = false"])
def test_nothing_is_kept_of_what_is_not_to_be_kept(doubtful: support.Instance, switch: str) -> None:
    if switch != "-n":
        doubtful.configure(doubtful.config_file.read_text() + f"[ask]\n{switch}\n")
    done = doubtful.run("ask", *([switch] if switch == "-n" else []), "hard")
    assert "not sure of this" in done.stderr
    assert doubtful.call("GET", "/ingle/answers/report")["answers"] == 0


def test_no_word_of_a_question_or_an_answer_is_in_what_is_learned_from(doubtful: support.Instance) -> None:
    ask(doubtful, "hard")
    ask(doubtful, "hard", route="api", draft={"text": "Perhaps forty", "confidence": 0.3})
    doubtful.run("ingle", "stop")
    journal = b"".join(file.read_bytes() for file in doubtful.root.rglob("journal.sqlite*") if file.is_file())
    assert b"Perhaps" not in journal
    assert b"confidence" in journal


def test_why_tells_of_the_last_questions(doubtful: support.Instance) -> None:
    ask(doubtful, "hard")
    assert "rule" not in doubtful.run("ingle", "why", "completions").stdout
    told = doubtful.run("ingle", "why", "questions").stdout
    assert told in doubtful.run("ingle", "why").stdout
    assert "rule      fits" in told
    assert "confident 0." in told
    assert "then      doubted" in told

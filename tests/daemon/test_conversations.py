"""Conversations through the real daemon: kept, continued, searched, branched, deleted, and what kill -9 leaves."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import support
from ingle_daemon.errors import RefusedByPrivacy, UsageError
from support import Instance

RULES = [
    {"kind": "chat", "match": "slow", "answer": "word " * 100_000},
    {"kind": "chat", "match": "BAD", "answer": "half an", "error": "engine_lost"},
    {"kind": "chat", "match": "NOTHING", "error": "engine_lost"},
]
TERMINAL = "12-345"


@pytest.fixture
def scripted() -> Iterator[Instance]:
    made = support.new_instance()
    made.script(rules=RULES, context=100_000, token_delay_ms=0.5)
    yield made
    made.close()


def ask(instance: Instance, question: str, *, system: str = "", **keep: Any) -> list[dict[str, Any]]:
    return list(instance.stream("/ingle/ask", request(question, system=system, **keep)))


def request(question: str, *, system: str = "", **keep: Any) -> dict[str, Any]:
    messages = [{"role": "system", "content": system}] if system else []
    return {
        "messages": [*messages, {"role": "user", "content": question}],
        "keep": {"terminal": TERMINAL, **keep},
    }


def listed(instance: Instance) -> list[dict[str, Any]]:
    conversations: list[dict[str, Any]] = instance.call("GET", "/ingle/conversations")
    return conversations


def turns(instance: Instance, number: int = 1) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = instance.call("GET", f"/ingle/conversations/{number}")["turns"]
    return found


def on_disk(instance: Instance) -> bytes:
    folder = Path(instance.xdg["XDG_STATE_HOME"]) / "ingle"
    return b"".join(file.read_bytes() for file in folder.glob("journal*"))


def test_a_question_and_its_answer_are_kept_with_where_it_was_made(scripted: Instance) -> None:
    events = ask(scripted, "what is it?\nreally")
    assert events[0]["conversation"] == 1
    (info,) = listed(scripted)
    assert (info["title"], info["turns"], info["model"], info["route"]) == ("what is it?", 1, "scripted", "local")
    (turn,) = turns(scripted)
    assert (turn["question"], turn["answer"]) == ("what is it?\nreally", "You said: what is it?\nreally")
    assert (turn["ended"], turn["timings"]["predicted_n"]) == ("end", events[-1]["timings"]["predicted_n"])
    assert "fit in" in turn["reason"]


def test_without_keep_nothing_is_kept(scripted: Instance) -> None:
    list(scripted.stream("/ingle/ask", {"messages": [{"role": "user", "content": "xyzzy"}]}))
    assert listed(scripted) == []
    assert b"xyzzy" not in on_disk(scripted)


def test_the_configuration_can_forbid_keeping(scripted: Instance) -> None:
    scripted.configure("[ask]\nlog = false\n")
    assert "conversation" not in ask(scripted, "xyzzy")[0]
    assert listed(scripted) == []


def test_the_last_one_of_a_terminal_goes_on_with_all_that_was_said(scripted: Instance) -> None:
    first = ask(scripted, "one", system="Be brief.")
    ask(scripted, "elsewhere", terminal="other")
    second = ask(scripted, "two", last=True)
    assert second[0]["conversation"] == 1
    assert second[0]["fit"]["prompt_tokens"] > first[0]["fit"]["prompt_tokens"]
    assert [turn["question"] for turn in turns(scripted)] == ["one", "two"]


def test_a_conversation_goes_on_by_its_number_in_another_terminal(scripted: Instance) -> None:
    ask(scripted, "one")
    assert ask(scripted, "two", conversation=1, terminal="other")[0]["conversation"] == 1
    assert ask(scripted, "three", last=True, terminal="other")[0]["conversation"] == 1


def test_a_terminal_without_one_and_a_number_without_one_are_refused(scripted: Instance) -> None:
    with pytest.raises(UsageError, match="no conversation yet"):
        ask(scripted, "two", last=True)
    with pytest.raises(UsageError, match="no conversation 7"):
        ask(scripted, "two", conversation=7)
    assert listed(scripted) == []


def test_other_instructions_are_refused(scripted: Instance) -> None:
    ask(scripted, "one", system="Be brief.")
    with pytest.raises(UsageError, match="instructions"):
        ask(scripted, "two", system="Be long.", last=True)


def test_a_whole_dialogue_cannot_be_kept(scripted: Instance) -> None:
    body = request("one")
    body["messages"] += [{"role": "assistant", "content": "yes"}]
    with pytest.raises(UsageError, match="one question"):
        list(scripted.stream("/ingle/ask", body))


def test_a_part_that_came_before_an_error_is_kept_as_that(scripted: Instance) -> None:
    with pytest.raises(Exception, match="engine_lost"):
        ask(scripted, "BAD")
    (turn,) = turns(scripted)
    assert (turn["answer"], turn["ended"]) == ("half an", "engine_lost")


def test_a_question_without_an_answer_is_not_sent_again(scripted: Instance) -> None:
    with pytest.raises(Exception, match="engine_lost"):
        ask(scripted, "NOTHING of value")
    fresh = ask(scripted, "two", terminal="other")[0]["fit"]["prompt_tokens"]
    assert ask(scripted, "two", last=True)[0]["fit"]["prompt_tokens"] == fresh


def test_what_its_user_stopped_is_kept(scripted: Instance) -> None:
    with scripted.stream("/ingle/ask", request("slow")) as events:
        seen = [event["text"] for event, _ in zip(events, range(9), strict=False) if event["type"] == "delta"]
    support.wait_until(lambda: turns(scripted)[0]["ended"] != "")
    (turn,) = turns(scripted)
    assert turn["ended"] == "stopped"
    assert turn["answer"].startswith("".join(seen))


def test_nobody_asks_in_a_conversation_that_is_being_answered(scripted: Instance) -> None:
    ask(scripted, "one")
    with scripted.stream("/ingle/ask", request("slow", last=True)) as events:
        answering = iter(events)
        next(answering)
        with pytest.raises(UsageError, match="being answered"):
            ask(scripted, "two", last=True)
        with pytest.raises(UsageError, match="being answered"):
            scripted.call("DELETE", "/ingle/conversations/1")
        assert ask(scripted, "two", last=True, branch=True)[0]["conversation"] == 2
    assert [turn["question"] for turn in turns(scripted, 2)] == ["one", "two"]


def test_many_ask_at_once(scripted: Instance) -> None:
    def several(name: str) -> None:
        for number in range(5):
            ask(scripted, f"{name} {number}", terminal=name, last=number > 0)

    scripted.start()
    with scripted.active():
        threads = [threading.Thread(target=several, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    kept = {info["title"]: [turn["question"] for turn in turns(scripted, info["id"])] for info in listed(scripted)}
    assert kept == {f"{name} 0": [f"{name} {number}" for number in range(5)] for name in "abcd"}


def test_another_model_does_not_answer_unless_asked_for(scripted: Instance) -> None:
    ask(scripted, "one")
    with journal(scripted) as connection:
        connection.execute("UPDATE turns SET model = 'another'")
    with pytest.raises(UsageError, match="answered by another"):
        ask(scripted, "two", last=True)
    assert len(turns(scripted)) == 1
    ask(scripted, "two", last=True, switch=True)
    assert [turn["model"] for turn in turns(scripted)] == ["another", "scripted"]


def journal(instance: Instance) -> sqlite3.Connection:
    return sqlite3.connect(Path(instance.xdg["XDG_STATE_HOME"]) / "ingle/journal.sqlite")


def test_words_are_found_with_where_they_stand(scripted: Instance) -> None:
    ask(scripted, "the quick brown fox")
    ask(scripted, "a lazy dog", last=True)
    ask(scripted, "nothing of it")
    (found,) = scripted.call("GET", "/ingle/conversations/search?q=lazy+do")
    assert (found["info"]["id"], found["turn"]) == (1, 2)
    assert "[lazy] [dog]" in found["excerpt"]
    assert scripted.call("GET", "/ingle/conversations/search?q=%22%28*") == []


def test_a_title_can_be_given_and_changed(scripted: Instance) -> None:
    ask(scripted, "one", title="about  numbers\n")
    assert listed(scripted)[0]["title"] == "about numbers"
    scripted.call("POST", "/ingle/conversations/1/title", {"title": "sums"})
    assert listed(scripted)[0]["title"] == "sums"


def test_a_branch_shares_the_beginning_and_nothing_after(scripted: Instance) -> None:
    for question in ("one", "two", "three"):
        ask(scripted, question, last=question != "one")
    assert scripted.call("POST", "/ingle/conversations/1/branch", {"turns": 2})["id"] == 2
    ask(scripted, "other", conversation=2)
    assert [turn["question"] for turn in turns(scripted, 2)] == ["one", "two", "other"]
    assert [turn["question"] for turn in turns(scripted, 1)] == ["one", "two", "three"]
    assert len(scripted.call("GET", "/ingle/conversations/search?q=two")) == 2


def test_what_is_deleted_is_gone_from_the_disk(scripted: Instance) -> None:
    ask(scripted, "plugh " * 500)
    ask(scripted, "xyzzy " * 500)
    scripted.call("DELETE", "/ingle/conversations/2")
    assert [info["id"] for info in listed(scripted)] == [1]
    assert scripted.call("GET", "/ingle/conversations/search?q=xyzzy") == []
    assert b"xyzzy" not in on_disk(scripted)
    assert b"plugh" in on_disk(scripted)


def test_the_last_turns_can_be_cut_off(scripted: Instance) -> None:
    ask(scripted, "plugh")
    ask(scripted, "xyzzy", last=True)
    scripted.call("POST", "/ingle/conversations/1/cut", {"turns": 1})
    assert [turn["question"] for turn in turns(scripted)] == ["plugh"]
    assert b"xyzzy" not in on_disk(scripted)


def test_a_number_is_not_given_twice(scripted: Instance) -> None:
    ask(scripted, "one")
    scripted.call("DELETE", "/ingle/conversations/1")
    assert ask(scripted, "two")[0]["conversation"] == 2


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "9"), ("DELETE", "9"), ("GET", str(2**70)), ("GET", "last?terminal=x"), ("GET", "search?q=a&n=b")],
)
def test_what_is_not_there_is_a_usage_error(scripted: Instance, method: str, path: str) -> None:
    with pytest.raises(UsageError):
        scripted.call(method, f"/ingle/conversations/{path}")


def test_a_daemon_that_ends_in_order_loses_nothing(scripted: Instance) -> None:
    ask(scripted, "one")
    scripted.run("ingle", "stop")
    assert [turn["ended"] for turn in turns(scripted)] == ["end"]


def test_the_answer_is_none_the_worse_for_a_journal_that_cannot_be_used(scripted: Instance) -> None:
    state = Path(scripted.xdg["XDG_STATE_HOME"]) / "ingle"
    (state / "journal.sqlite").mkdir(parents=True)
    state.chmod(0o700)
    events = ask(scripted, "one")
    assert "".join(event.get("text", "") for event in events) == "You said: one"
    assert "journal" in events[-1]["unkept"]
    with pytest.raises(UsageError, match="journal"):
        listed(scripted)


def test_what_goes_on_with_something_private_is_private_too(scripted: Instance, tmp_path: Path) -> None:
    scripted.configure('[api]\nurl = "http://127.0.0.1:9/v1"\nmodel = "far"\nallow = true\n')
    work = tmp_path / "work"
    work.mkdir()
    (work / "server.pem").write_text("the key")

    def go_on(number: int, **places: object) -> None:
        with pytest.raises(RefusedByPrivacy):
            list(scripted.stream("/ingle/ask", {**request("and?", conversation=number), "route": "api", **places}))

    about_a_file = {**request("what is this?"), "route": "local", "root": str(work), "paths": ["server.pem"]}
    list(scripted.stream("/ingle/ask", about_a_file))
    go_on(1)
    go_on(1, root=str(tmp_path))
    copy = scripted.call("POST", "/ingle/conversations/1/branch", {})["id"]
    go_on(copy)
    (work / ".ingle.toml").write_text("offline = true\n")
    list(scripted.stream("/ingle/ask", {**request("in a workspace"), "route": "local", "root": str(work)}))
    go_on(3, root=str(tmp_path))
    plan = {**request("and?", conversation=3), "route": "api"}
    with pytest.raises(RefusedByPrivacy):
        scripted.call("POST", "/ingle/route", plan)

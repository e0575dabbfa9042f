"""`ingle bench`: whom it does not disturb, what it leaves behind, and one run with a real model."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator

import pytest

import support
from shell.fake_daemon import Answer, FakeDaemon
from support import Instance

IDLE = Answer({"work": {"ask": {"running": 0}}, "worker_bytes": 5, "gpus": []})
BUSY = Answer({"work": {"ask": {"running": 1}}, "worker_bytes": 5, "gpus": []})


def ready(*names: str) -> list[Answer]:
    """What the status says while these are asked, one after the other."""
    states = [{"state": "ready", "info": {"name": name, "n_ctx": 512}, "worker_pid": os.getpid()} for name in names]
    return [Answer({"model": state}) for state in states for _ in range(2)]


def said(text: str) -> Answer:
    timings = {"prompt_n": 10, "prompt_ms": 100.0, "predicted_n": 4, "predicted_ms": 80.0}
    return Answer([{"type": "delta", "text": text}, {"type": "done", "reason": "end", "timings": timings}])


@pytest.fixture
def models(daemon: FakeDaemon) -> FakeDaemon:
    """A daemon with two models, which say 8 to everything."""
    daemon.play("/ingle/models", Answer({"installed": [{"name": "a"}, {"name": "b"}]}))
    daemon.play("/ingle/activity", IDLE)
    daemon.play("/ingle/status", *ready("a")[:1], *ready("a", "b"))
    daemon.play("/ingle/unload", Answer({"unloaded": True}))
    daemon.play("/ingle/ask", said("8"))
    return daemon


@pytest.mark.parametrize("command", [("bench",), ("model", "bench")])
def test_all_that_are_installed_are_measured_each_by_its_name(
    instance: Instance, models: FakeDaemon, command: tuple[str, ...]
) -> None:
    done = instance.run("ingle", *command, "--json", "--repeat", "2")
    results = json.loads(done.stdout)["results"]
    assert [(result["model"], result["answered"]) for result in results] == [
        ("a", {"right": 1, "of": 8}),
        ("b", {"right": 1, "of": 8}),
    ]
    assert results[0]["figures"]["prefill"] == [100.0, 100.0, 100.0]
    assert results[0]["filled"] is None
    asked = [body["model"] for body in models.bodies("/ingle/ask")]
    assert asked == ["a"] * (1 + 2 + 8) + ["b"] * (1 + 2 + 8) + [""]
    assert all(body["route"] == "local" and "keep" not in body for body in models.bodies("/ingle/ask"))
    assert "a: reading 512 tokens, writing 64 (2 of 2)" in done.stderr
    assert "loading your own model again" in done.stderr


def test_no_two_prompts_begin_alike(instance: Instance, models: FakeDaemon) -> None:
    instance.run("ingle", "bench", "a", "--repeat", "3", "--tokens", "200")
    prompts = [body["messages"][0]["content"] for body in models.bodies("/ingle/ask")][1:4]
    assert len({prompt[:60] for prompt in prompts}) == 3


def test_a_model_that_was_not_in_memory_is_not_left_there(instance: Instance, models: FakeDaemon) -> None:
    models.play("/ingle/status", Answer({"model": {"state": "idle"}}), *ready("a"))
    instance.run("ingle", "bench", "a")
    assert [path for path, _ in models.requests][-2:] == ["/ingle/ask", "/ingle/unload"]


def test_who_is_being_answered_is_not_disturbed_unless_told_to(instance: Instance, models: FakeDaemon) -> None:
    models.play("/ingle/activity", BUSY)
    done = instance.run("ingle", "bench")
    assert (done.returncode, "--force" in done.stderr) == (3, True)
    assert "a request is being answered" in done.stderr
    assert not models.bodies("/ingle/ask")
    models.play("/ingle/unload", Answer({"error": {"code": "queue_full", "message": "it answers"}}, 503))
    done = instance.run("ingle", "bench", "a", "--force", "--json")
    assert json.loads(done.stdout)["results"][0]["load_s"] is None


def test_a_model_that_does_not_load_does_not_keep_the_others_from_it(instance: Instance, models: FakeDaemon) -> None:
    models.play("/ingle/ask", Answer({"error": {"code": "no_model", "message": "it is cut short"}}, 503), said("8"))
    models.play("/ingle/status", *ready("a")[:1], *ready("b"))
    done = instance.run("ingle", "bench", "--json", "--repeat", "1")
    results = json.loads(done.stdout)["results"]
    assert [result["error"] for result in results] == ["it is cut short", ""]


def test_a_model_that_answers_beside_another_is_not_asked_to_complete(instance: Instance, models: FakeDaemon) -> None:
    own = {"state": "ready", "info": {"name": "own", "n_ctx": 1, "fim": "psm"}, "worker_pid": 1}
    chat = {"state": "ready", "info": {"name": "a", "n_ctx": 512, "fim": "psm"}, "worker_pid": os.getpid()}
    models.play("/ingle/status", Answer({"model": own, "chat": chat}))
    done = instance.run("ingle", "bench", "a", "--json")
    (result,) = json.loads(done.stdout)["results"]
    assert (result["context"], result["filled"]) == (512, None)


def test_an_unknown_model_is_refused_before_anything_is_done(instance: Instance, models: FakeDaemon) -> None:
    done = instance.run("ingle", "bench", "c")
    assert (done.returncode, "Installed: a, b." in done.stderr) == (4, True)
    assert not models.bodies("/ingle/ask")


def test_without_a_model_it_says_how_to_get_one(instance: Instance, models: FakeDaemon) -> None:
    models.play("/ingle/models", Answer({"installed": []}))
    done = instance.run("ingle", "bench")
    assert (done.returncode, "ingle model pull" in done.stderr) == (4, True)


# --- with a real model ----------------------------------------------------------------------------------------------


@pytest.fixture
def stocked() -> Iterator[Instance]:
    """A store with the starter, and the same under another name."""
    instance = support.new_instance()
    source = support.starter_model().parent
    models = instance.root / "data/ingle/models"
    for name in (source.name, "twin"):
        shutil.copytree(source, models / name)
        record = json.loads((models / name / "model.json").read_text())
        (models / name / "model.json").write_text(json.dumps({**record, "name": name}))
    yield instance
    instance.close()


@pytest.mark.model
def test_two_real_models_are_measured_and_the_users_own_is_back(stocked: Instance) -> None:
    own = support.STARTER
    stocked.run("ingle", "model", "use", own, timeout=120)
    stocked.run("ask", "-n", "hi", timeout=120)
    done = stocked.run("ingle", "bench", "--json", "--tokens", "100", "--repeat", "2", timeout=280)
    assert done.returncode == 0, done.stderr
    results = {result["model"]: result for result in json.loads(done.stdout)["results"]}
    assert set(results) == {own, "twin"}
    for result in results.values():
        assert result["error"] == ""
        assert result["load_s"] > 0
        assert 60 <= result["runs"][1]["prompt_tokens"] <= 140
        assert all(least > 0 for _, least, _ in result["figures"].values())
        assert result["worker_bytes"] > 50e6
        assert result["answered"]["of"] == 8
        assert result["vram_bytes"] is None
    status = stocked.call("GET", "/ingle/status")
    assert (status["model"]["state"], status["model"]["info"]["name"]) == ("ready", own)

"""The first model: offered on a terminal, fetched without one."""

from __future__ import annotations

from typing import Any

import pytest

from shell.conftest import Spawn
from shell.fake_daemon import HOLD, Answer, FakeDaemon, answered
from shell.test_terminal import seen
from support import Instance

STARTER = {"name": "small", "title": "Small 135M", "download_bytes": 93_000_000, "license": "Apache-2.0"}
BIGGER = {"name": "bigger", "title": "Bigger 3B", "download_bytes": 1_900_000_000, "license": "MIT"}


def no_model(**details: str) -> Answer:
    return Answer({"error": {"code": "no_model", "message": "no model is installed", **details}}, 503)


def models(*installed: str, recommended: dict[str, Any] | None = None) -> Answer:
    present = [{"name": name, "path": f"/{name}", "size_bytes": 1, "current": True} for name in installed]
    return Answer({"installed": present, "starter": STARTER, "recommended": recommended})


def pulling(name: str, *, end: dict[str, Any]) -> Answer:
    step = {"type": "pulling", "model": name, "total_bytes": 93_000_000}
    steps = [
        {**step, "step": kind, "done_bytes": done}
        for kind in ("download", "unpack", "verify")
        for done in (0, 40_000_000, 93_000_000)
    ]
    return Answer([*steps, end])


@pytest.fixture
def empty(daemon: FakeDaemon) -> FakeDaemon:
    """A daemon that has no model, and answers once one was fetched."""
    daemon.play("/ingle/ask", no_model(), answered("at last"))
    daemon.play("/ingle/models", models(recommended=BIGGER))
    daemon.play("/ingle/models/pull", pulling("small", end={"type": "pulled", "model": "small", "path": "/s"}))
    return daemon


def pulled(daemon: FakeDaemon) -> list[Any]:
    return daemon.bodies("/ingle/models/pull")


def test_without_a_terminal_the_starter_is_fetched_and_the_question_asked_again(
    instance: Instance, empty: FakeDaemon
) -> None:
    done = instance.run("ask", "why?")
    assert (done.returncode, done.stdout) == (0, "at last\n")
    assert pulled(empty) == [{"model": "small"}]
    first, second = empty.bodies("/ingle/ask")
    assert first == second
    assert done.stderr.splitlines()[:4] == [
        "fetching small (93 MB)",
        "unpacking small (93 MB)",
        "checking small (93 MB)",
        "small is installed",
    ]


@pytest.mark.parametrize(("key", "name"), [("1", "small"), ("2", "bigger"), ("", "small")])
def test_on_a_terminal_the_user_chooses(spawn: Spawn, empty: FakeDaemon, key: str, name: str) -> None:
    child = spawn("ask why?")
    child.expect("1  Small 135M, 93 MB, Apache-2.0")
    child.expect("2  Bigger 3B, 1.9 GB, MIT")
    child.expect_exact("[1] ")
    child.sendline(key)
    output = seen(child)
    assert "at last" in output
    assert "fetching" in output
    assert child.exitstatus == 0
    assert pulled(empty) == [{"model": name}]


def test_an_answer_that_is_none_is_asked_for_again(spawn: Spawn, empty: FakeDaemon) -> None:
    child = spawn("ask why?")
    child.expect_exact("[1] ")
    child.sendline("3")
    child.expect("Type 1, 2 or n")
    child.expect_exact("[1] ")
    child.sendline("2")
    seen(child)
    assert pulled(empty) == [{"model": "bigger"}]


@pytest.mark.parametrize("key", ["n", "\x04"])
def test_who_declines_gets_exit_code_4(spawn: Spawn, empty: FakeDaemon, key: str) -> None:
    child = spawn("ask why?")
    child.expect_exact("[1] ")
    child.send(key if key == "\x04" else f"{key}\n")
    assert "ingle model pull" in seen(child)
    assert child.exitstatus == 4
    assert pulled(empty) == []


def test_it_asks_at_the_terminal_also_when_the_question_came_through_a_pipe(spawn: Spawn, empty: FakeDaemon) -> None:
    child = spawn("echo some text | ask explain")
    child.expect_exact("[1] ")
    child.sendline("2")
    assert "at last" in seen(child)
    assert pulled(empty) == [{"model": "bigger"}]


def test_ctrl_c_cancels_the_fetch(spawn: Spawn, empty: FakeDaemon) -> None:
    steps = pulling("small", end={}).body[:2]
    empty.play("/ingle/models/pull", Answer([*steps, HOLD]))
    child = spawn("exec ask why?")
    child.expect_exact("[1] ")
    child.sendline("1")
    child.expect("fetching")
    child.sendintr()
    assert "Traceback" not in seen(child)
    assert child.exitstatus == 130
    assert empty.client_left.wait(10)


def test_a_fetch_that_fails_ends_with_4_and_the_reason(instance: Instance, empty: FakeDaemon) -> None:
    error = {"code": "no_model", "message": "could not fetch small", "hint": "Is there a network?"}
    empty.play("/ingle/models/pull", pulling("small", end={"type": "failed", "error": error}))
    done = instance.run("ask", "why?")
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.endswith("ask: could not fetch small\n  Is there a network?\n")


def test_nothing_is_offered_when_a_model_is_installed_that_does_not_load(instance: Instance, empty: FakeDaemon) -> None:
    empty.play("/ingle/models", models("broken"))
    done = instance.run("ask", "why?")
    assert done.returncode == 4
    assert done.stderr == "ask: no model is installed\n"
    assert pulled(empty) == []


def test_nothing_is_offered_when_the_user_named_a_model_that_is_not_there(
    instance: Instance, empty: FakeDaemon
) -> None:
    empty.play("/ingle/ask", no_model(wanted="/typo.gguf"))
    assert instance.run("ask", "why?").returncode == 4
    assert pulled(empty) == []


def test_a_model_that_is_loading_is_not_fetched(instance: Instance, empty: FakeDaemon) -> None:
    empty.play("/ingle/ask", Answer({"error": {"code": "model_loading", "message": "come back"}}, 503))
    assert instance.run("ask", "why?").returncode == 4
    assert pulled(empty) == []


def test_pull_without_a_name_offers_the_same(spawn: Spawn, empty: FakeDaemon) -> None:
    child = spawn("ingle model pull")
    child.expect_exact("[1] ")
    child.sendline("2")
    seen(child)
    assert pulled(empty) == [{"model": "bigger"}]


def test_pull_beside_a_model_offers_what_is_not_here_the_recommended_one_first(spawn: Spawn, empty: FakeDaemon) -> None:
    empty.play("/ingle/models", models("other", recommended=BIGGER))
    child = spawn("ingle model pull")
    child.expect_exact("Fetch another model?")
    child.expect("1  Bigger 3B, .*recommended")
    child.expect("2  Small 135M, .*starter")
    child.expect_exact("[1] ")
    child.sendline("n")
    assert "nothing was fetched" in seen(child)
    assert child.exitstatus == 0
    assert pulled(empty) == []


def test_pull_does_not_offer_what_is_installed(spawn: Spawn, empty: FakeDaemon) -> None:
    empty.play("/ingle/models", models("small", recommended=BIGGER))
    child = spawn("ingle model pull")
    child.expect("1  Bigger 3B")
    child.expect_exact("[1] ")
    child.sendline("2")
    child.expect("Type 1 or n")
    child.sendline("")
    seen(child)
    assert pulled(empty) == [{"model": "bigger"}]
    empty.play("/ingle/models", models("small", "bigger", recommended=BIGGER))
    child = spawn("ingle model pull")
    assert "`ingle model search` names more" in seen(child)
    assert child.exitstatus == 0


def test_pull_with_a_name_asks_nothing(instance: Instance, empty: FakeDaemon) -> None:
    done = instance.run("ingle", "model", "pull", "bigger")
    assert (done.returncode, done.stdout) == (0, "")
    assert pulled(empty) == [{"model": "bigger"}]


def test_the_progress_bar_fits_a_narrow_terminal(spawn: Spawn, empty: FakeDaemon) -> None:
    child = spawn("ingle model pull small", columns=40, NO_COLOR="1")
    output = seen(child)
    assert "93.0/93.0 MB" in output
    assert max(len(line) for line in output.replace("\r", "\n").split("\n") if "\x1b" not in line) <= 40

"""What is asked, and what is told when the daemon has trouble."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from ingle_daemon.errors import Busy, DaemonUnreachable, DoesNotFit, IngleError, ModelLoading, NoModel, UsageError
from ingle_lsp.completion.context import Hole
from ingle_lsp.completion.stops import plan_for
from ingle_lsp.completion.stream import Outage, read

AWAY = DaemonUnreachable("cannot start ingled", hint="Check the disk.")


async def events(*pieces: str, ended: list[bool]) -> AsyncGenerator[dict[str, Any], None]:
    try:
        for piece in pieces:
            yield {"type": "delta", "text": piece, "logprobs": [math.log(0.5)]}
        yield {"type": "done", "reason": "end"}
    finally:
        ended.append(True)


async def test_an_answer_is_read_to_its_end() -> None:
    ended: list[bool] = []
    seen: list[str] = []
    answer = await read(events("a", " + b", ended=ended), plan_for(Hole("x = ", "")), "x = ", seen.append)
    assert (answer.text, answer.stopped) == ("a + b", "end")
    assert math.isclose(answer.score, 0.5)
    assert seen == ["a", "a + b"]


async def test_an_answer_that_has_said_enough_is_cut_and_its_request_closed() -> None:
    ended: list[bool] = []
    seen: list[str] = []
    answer = await read(events("1", "\ny", " = 2", ended=ended), plan_for(Hole("x = ", "")), "x = ", seen.append)
    assert (answer.text, answer.stopped, ended) == ("1", "line", [True])


def test_trouble_is_told_once_and_again_after_it_was_over() -> None:
    outage = Outage()
    told = [outage.began(AWAY, now) for now in (0.0, 0.1, 5.0, 20.0, 40.0)]
    assert told == ["ingle: cannot start ingled. Check the disk.", "", "", "", ""]
    outage.ended()
    assert outage.began(AWAY, 50.0)


def test_another_trouble_is_news() -> None:
    outage = Outage()
    outage.began(AWAY, 0.0)
    assert outage.began(NoModel("no model is installed"), 1.0)


def test_a_daemon_that_was_not_started_because_it_failed_before_is_no_news() -> None:
    outage = Outage()
    broken = UsageError("config.toml:1: not valid TOML", hint="Correct that line.")
    assert outage.began(broken, 0.0)
    assert not outage.began(broken, 1.0)
    assert not outage.began(DaemonUnreachable("ingled is not running"), 2.0)


def test_without_a_model_it_says_how_to_get_one() -> None:
    told = Outage().began(NoModel("there is no file x.gguf", hint="Correct INGLE_MODEL."), 0.0)
    assert told == (
        "ingle: there is no file x.gguf. Correct INGLE_MODEL. "
        "In a terminal, `ask` and `ingle model pull` get you a model."
    )


@pytest.mark.parametrize("kind", [Busy, ModelLoading, DoesNotFit])
def test_what_passes_by_itself_is_not_told(kind: type[IngleError]) -> None:
    assert Outage().began(kind("not now"), 0.0) == ""


def test_a_daemon_that_fails_twice_is_not_started_at_every_keystroke() -> None:
    outage = Outage()
    outage.began(AWAY, 0.0)
    assert outage.may_start(0.1)
    outage.began(AWAY, 0.1)
    assert not outage.may_start(5.0)
    assert outage.may_start(11.0)


def test_an_answer_ends_the_outage() -> None:
    outage = Outage()
    outage.began(AWAY, 0.0)
    outage.began(AWAY, 0.1)
    outage.ended()
    assert outage.may_start(0.2)

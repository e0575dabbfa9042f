"""`ingle top`: what two looks say, and the screen in a real terminal."""

from __future__ import annotations

import json

import msgspec
import pytest
from rich.console import Console

import nvml
from ingle_shell.top import Gpu, Model, Rates, Sample, Speed, Work, rates, screen
from nvml import StandIn
from shell.tmux import tmux
from support import Instance

QUESTION = {"messages": [{"role": "user", "content": "hello there"}]}
NONE = Rates()
SAMPLE = Sample(
    at=100.0,
    version="1.0",
    uptime_s=3700.0,
    model=Model("ready", "qwen2.5-coder-1.5b-instruct-q4_k_m-and-more", 8192),
    work={
        "completion": Work(2, 1, 0, 1, 100, 50, {"resident": 40, "shelf": 5, "splice": 5}),
        "ask": Work(1, 0, 1, 0, 10, 0),
        "warm-up": Work(0, 0, 0, 0, 0, 0),
    },
    worker_bytes=1_300_000_000,
    gpus=(Gpu(name="NVIDIA GeForce RTX 3050", total_bytes=4 << 30, free_bytes=1 << 30, utilization=37),),
    speed=Speed(812.0, 34.2),
    route={"kind": "local", "model": "qwen"},
    spent=0.01,
    budget=1.0,
)


def shown(sample: Sample, rate: Rates = NONE, columns: int = 80) -> list[str]:
    console = Console(width=columns, color_system=None)
    with console.capture() as captured:
        console.print(screen(sample, rate, (0.0, 10.0, 40.0)))
    return [line.rstrip() for line in captured.get().splitlines()]


def later(sample: Sample, **changes: object) -> Sample:
    return msgspec.structs.replace(sample, **{"at": 102.0, "uptime_s": 3702.0, **changes})


def test_a_rate_is_what_happened_between_two_looks() -> None:
    work = {**SAMPLE.work, "ask": Work(1, 0, 0, 1, 70, 0)}
    assert rates(SAMPLE, later(SAMPLE, work=work)) == Rates(decode=30.0)
    assert rates(SAMPLE, later(SAMPLE)) == Rates(decode=0.0)


def test_one_look_and_a_daemon_that_was_started_anew_have_no_rate() -> None:
    assert rates(None, SAMPLE) == Rates()
    assert rates(SAMPLE, later(SAMPLE, uptime_s=1.0)) == Rates()


def test_every_line_of_the_screen() -> None:
    assert shown(SAMPLE, Rates(30.0)) == [
        "ingled     1.0, up 1 h 1 min",
        "model      qwen2.5-coder-1.5b-instruct-q4_k_m-and-more (ready)",
        "GPU        37 %, NVIDIA GeForce RTX 3050",
        "VRAM       3.2 GB of 4.3 GB, 75 %",
        "worker     1.3 GB",
        "completion 1 answering, 1 waiting",
        "ask        1 reading",
        "warm-up    none",
        "decode     30.0 tokens/s now  ▁▃█",
        "prefill    812.0 tokens/s last",
        "cache      50 % reused: 40 % in the cache, 5 % from memory, 5 % lent",
        "route      last local, qwen",
        "cost       $0.0100 of $1.00 today",
    ]


def test_forty_columns_hold_it() -> None:
    lines = shown(SAMPLE, columns=40)
    assert len(lines) == 13
    assert max(map(len, lines)) <= 40
    assert "cache      50 % reused: 40 % in the cac…" in lines, "what is cut off says so"


def test_a_machine_without_gpu_worker_and_budget_has_fewer_lines() -> None:
    bare = later(SAMPLE, gpus=(), worker_bytes=None, budget=None, speed=Speed(), work={}, route={})
    lines = shown(bare)
    assert not any(line.startswith(("GPU", "VRAM", "worker")) for line in lines)
    assert "cache      -" in lines
    assert "cost       $0.0100 today" in lines


def test_a_budget_of_less_than_a_cent_is_not_nothing() -> None:
    assert "cost       $0.0100 of $0.000001 today" in shown(later(SAMPLE, budget=0.000001))


def test_a_name_cannot_reach_the_terminal() -> None:
    assert "\x1b" not in "".join(shown(later(SAMPLE, model=Model("ready", "\x1b[2Jx"))))


# --- against a daemon -----------------------------------------------------------------------------------------------


def test_without_a_terminal_it_is_printed_once(instance: Instance) -> None:
    instance.run("ask", "hello")
    for arguments in ((), ("--once",)):
        done = instance.run("ingle", "top", *arguments)
        assert (done.returncode, done.stdout.splitlines()[1]) == (0, "model      scripted (ready)")
        assert "ask        none" in done.stdout
        assert "\x1b" not in done.stdout


def test_programs_get_counts_and_rates(instance: Instance) -> None:
    instance.run("ask", "hello")
    seen = json.loads(instance.run("ingle", "top", "--json").stdout)
    assert seen["work"]["ask"]["decoded"] > 0
    assert seen["rates"] == {"decode": 0.0}


def test_without_a_daemon_it_says_so(instance: Instance) -> None:
    done = instance.run("ingle", "top", "--once")
    assert (done.returncode, "not running" in done.stderr) == (3, True)


def test_gpus_are_the_drivers(instance: Instance, driver: StandIn) -> None:
    driver.says(nvml.gpu("NVIDIA GeForce RTX 3050", percent=37, degrees=51))
    instance.env |= driver.env
    instance.start()
    shown = instance.run("ingle", "top", "--once").stdout
    assert "GPU        37 %, 51 °C, 10 W, NVIDIA GeForce RTX 3050" in shown
    assert "VRAM       1.1 GB of 4.3 GB, 25 %" in shown


def test_an_answer_that_is_being_made_is_counted_as_it_comes(instance: Instance) -> None:
    instance.script(token_delay_ms=5, rules=[{"kind": "chat", "match": "", "answer": "word " * 2000}])
    with instance.stream("/ingle/ask", QUESTION) as events:
        follow = iter(events)
        next(event for event in follow if event["type"] == "delta")
        seen = json.loads(instance.run("ingle", "top", "--json").stdout)
    assert (seen["work"]["ask"]["running"], seen["work"]["ask"]["answering"]) == (1, 1)
    assert seen["rates"]["decode"] > 0


# --- in a terminal --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["q", "C-c", "Escape"])
def test_it_has_a_screen_of_its_own_until_a_key_leaves_it(instance: Instance, key: str) -> None:
    instance.start()
    with tmux(instance, "echo before; ingle top; echo left with $?") as terminal:
        terminal.wait(lambda lines: any("scripted (ready)" in line for line in lines))
        assert not any("before" in line for line in terminal.text()[:1])
        terminal.keys(key)
        lines = terminal.wait(lambda lines: "left with 0" in lines)
    assert lines == ["before", "left with 0"]


def test_it_follows_the_size_of_the_window(instance: Instance) -> None:
    instance.start()
    with tmux(instance, "ingle top") as terminal:
        terminal.wait(lambda lines: any("scripted (ready)" in line for line in lines))
        terminal.resize(40, 20)
        lines = terminal.wait(lambda lines: any("scripted" in line for line in lines) and max(map(len, lines)) <= 40)
        assert any(line.startswith("cost") for line in lines)
        terminal.keys("q")


def test_it_waits_for_a_daemon_that_goes_and_comes(instance: Instance) -> None:
    instance.start()
    with tmux(instance, "ingle top") as terminal:
        terminal.wait(lambda lines: any("scripted (ready)" in line for line in lines))
        instance.run("ingle", "stop")
        terminal.wait(lambda lines: any("ingled is not running" in line for line in lines))
        instance.start()
        terminal.wait(lambda lines: any("scripted (ready)" in line for line in lines))
        terminal.keys("q")


@pytest.mark.parametrize(("variable", "colored"), [("", True), ("NO_COLOR=1 ", False)])
def test_no_color_means_none(instance: Instance, variable: str, colored: bool) -> None:
    instance.script(token_delay_ms=5, rules=[{"kind": "chat", "match": "", "answer": "word " * 2000}])
    with instance.stream("/ingle/ask", QUESTION) as events:
        follow = iter(events)
        next(event for event in follow if event["type"] == "delta")
        with tmux(instance, f"{variable}ingle top") as terminal:
            terminal.wait(lambda lines: any("tokens/s now" in line for line in lines))
            assert ("\x1b[36m" in terminal.colored()) is colored
            terminal.keys("q")

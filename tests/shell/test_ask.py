"""`ask` without a terminal, as scripts run it: what goes where, and with which exit code it ends."""

from __future__ import annotations

import json
import os

import pytest

from shell.fake_daemon import HOLD, Answer, FakeDaemon, answered
from support import Instance

API_ROUTE = {"kind": "api", "model": "big", "reason": "9000 tokens do not fit in 2048"}


def failure(code: str, status: int = 400) -> Answer:
    return Answer({"error": {"code": code, "message": f"it is {code}", "hint": "do this"}}, status)


def test_the_answer_alone_goes_to_standard_output(instance: Instance, daemon: FakeDaemon) -> None:
    daemon.play("/ingle/ask", answered("forty-two", timings={"predicted_n": 4, "predicted_ms": 100}))
    done = instance.run("ask", "how", "many?")
    assert (done.returncode, done.stdout) == (0, "forty-two\n")
    assert done.stderr == "tiny · local · 4 tokens · 40.0 tokens/s\n"


def test_an_answer_that_ends_its_line_gets_no_second_newline(instance: Instance, daemon: FakeDaemon) -> None:
    daemon.play("/ingle/ask", answered("one\ntwo\n"))
    assert instance.run("ask", "count").stdout == "one\ntwo\n"


def test_standard_input_comes_before_the_question(instance: Instance, daemon: FakeDaemon) -> None:
    daemon.play("/ingle/ask", answered("ok"))
    instance.run("ask", "explain", input="def f():\n    pass\n")
    system, user = daemon.bodies("/ingle/ask")[0]["messages"]
    assert user == {"role": "user", "content": "def f():\n    pass\n\nexplain"}
    assert system["role"] == "system"


def test_standard_input_alone_is_the_question(instance: Instance, daemon: FakeDaemon) -> None:
    daemon.play("/ingle/ask", answered("ok"))
    instance.run("ask", input="what is this?\n")
    assert daemon.bodies("/ingle/ask")[0]["messages"][-1]["content"] == "what is this?"


def test_options_reach_the_daemon(instance: Instance, daemon: FakeDaemon) -> None:
    daemon.play("/ingle/ask", answered("ok"))
    instance.run("ask", "--local", "--max-tokens", "7", "--temperature", "0", "--system", "Rhyme.", "why?")
    (body,) = daemon.bodies("/ingle/ask")
    assert body.pop("keep")["title"] == "why?"
    assert body.pop("id")
    assert [body] == [
        {
            "messages": [{"role": "system", "content": "Rhyme."}, {"role": "user", "content": "why?"}],
            "route": "local",
            "max_tokens": 7,
            "temperature": 0,
            "root": str(instance.root),
        }
    ]


def test_a_models_file_is_named_by_its_whole_path(instance: Instance, daemon: FakeDaemon) -> None:
    daemon.play("/ingle/ask", answered("ok"), answered("ok"))
    (instance.root / "m.gguf").touch()
    for model in ("m.gguf", "m"):
        instance.run("ask", "-m", model, "why?")
    assert [body["model"] for body in daemon.bodies("/ingle/ask")] == [str(instance.root / "m.gguf"), "m"]


def test_an_empty_system_text_sends_none(instance: Instance, daemon: FakeDaemon) -> None:
    daemon.play("/ingle/ask", answered("ok"))
    instance.run("ask", "--system", "", "why?")
    assert [message["role"] for message in daemon.bodies("/ingle/ask")[0]["messages"]] == ["user"]


def test_json_is_one_object_with_answer_route_timings_and_usage(instance: Instance, daemon: FakeDaemon) -> None:
    timings = {"prompt_n": 9, "predicted_n": 1, "predicted_ms": 5.0}
    daemon.play("/ingle/ask", answered("forty-two \x1b[1m", timings=timings))
    answer = json.loads(instance.run("ask", "--json", "how many?").stdout)
    assert answer["answer"] == "forty-two \x1b[1m"
    assert answer["route"] == {"kind": "local", "model": "tiny", "reason": "it fits", "rule": "", "note": ""}
    assert answer["timings"].items() >= timings.items()
    assert answer["usage"] is None


def test_json_also_tells_programs_of_a_failure(instance: Instance, daemon: FakeDaemon) -> None:
    daemon.play("/ingle/ask", failure("exceed_context_size_error"))
    done = instance.run("ask", "--json", "how many?")
    assert done.returncode == 5
    assert json.loads(done.stdout)["error"]["code"] == "exceed_context_size_error"


def test_a_pipe_gets_the_answer_byte_for_byte(instance: Instance, daemon: FakeDaemon) -> None:
    daemon.play("/ingle/ask", answered("\x1b[31mrot\x1b[0m é 漢 🔥\r\n"))
    assert instance.run("ask", "paint").stdout == "\x1b[31mrot\x1b[0m é 漢 🔥\r\n"


def test_an_answer_from_elsewhere_is_announced_and_its_cost_told(instance: Instance, daemon: FakeDaemon) -> None:
    usage = {"prompt_tokens": 9000, "completion_tokens": 20, "cost": 0.01}
    events = [
        {"type": "routed", "route": API_ROUTE},
        {"type": "delta", "text": "so"},
        {"type": "done", "reason": "end", "usage": usage},
    ]
    daemon.play("/ingle/ask", Answer(events))
    done = instance.run("ask", "why?")
    assert done.stdout == "so\n"
    assert done.stderr.splitlines() == [
        "asking big (api): 9000 tokens do not fit in 2048",
        "big · api · 9000 + 20 tokens · $0.0100",
    ]


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        ("invalid_request_error", 2),
        ("engine_lost", 3),
        ("queue_full", 3),
        ("model_loading", 4),
        ("exceed_context_size_error", 5),
        ("api_failed", 6),
        ("budget_spent", 7),
        ("refused_by_privacy", 8),
        ("something new", 1),
    ],
)
def test_every_error_has_its_exit_code_and_says_what_to_do(
    instance: Instance, daemon: FakeDaemon, code: str, exit_code: int
) -> None:
    daemon.play("/ingle/ask", failure(code))
    done = instance.run("ask", "why?")
    assert (done.returncode, done.stdout) == (exit_code, "")
    assert done.stderr == f"ask: it is {code}\n  do this\n"


def test_a_failure_in_the_middle_keeps_what_had_come(instance: Instance, daemon: FakeDaemon) -> None:
    events = answered("half an").body[:2]
    daemon.play(
        "/ingle/ask",
        Answer([*events, {"type": "failed", "error": {"code": "engine_lost", "message": "gone"}}]),
    )
    done = instance.run("ask", "why?")
    assert (done.returncode, done.stdout, done.stderr) == (3, "half an\n", "ask: gone\n")


def test_a_daemon_that_dies_in_the_middle_is_reported(instance: Instance, daemon: FakeDaemon) -> None:
    daemon.play("/ingle/ask", Answer(answered("half an").body[:2]))
    done = instance.run("ask", "why?")
    assert (done.returncode, done.stdout) == (3, "half an\n")
    assert "ended while it answered" in done.stderr


def test_a_daemon_of_another_version_is_named_as_the_cause(instance: Instance, daemon: FakeDaemon) -> None:
    daemon.play("/ingle/ask", Answer([{"type": "pondered"}]))
    done = instance.run("ask", "why?")
    assert done.returncode == 3
    assert "another version" in done.stderr


def test_no_question_at_all_is_a_usage_error(instance: Instance) -> None:
    done = instance.run("ask", "  ", input="\n")
    assert done.returncode == 2
    assert "there is no question" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--title", "sums"], "ask --id 7 --title sums"),
        (["-v", "language=German", "hello"], "ask -t TEMPLATE -v"),
        (["-v", "language=German", "-s", "hello"], "ask -t TEMPLATE -v"),
    ],
)
def test_an_option_that_wants_another_says_which(instance: Instance, words: list[str], said: str) -> None:
    done = instance.run("ask", *words)
    assert done.returncode == 2
    assert said in done.stderr


def test_binary_input_is_refused(instance: Instance) -> None:
    done = instance.run("ask", "what?", input=b"\x7fELF\0\0")
    assert done.returncode == 2
    assert "standard input is not text" in done.stderr


def test_input_larger_than_any_context_is_refused_before_it_is_sent(instance: Instance) -> None:
    done = instance.run("ask", "what?", input=b"x" * 70_000_000)
    assert done.returncode == 5
    assert "more than 67,108,864 bytes" in done.stderr


def test_a_reader_that_has_read_enough_ends_it_quietly(instance: Instance, daemon: FakeDaemon) -> None:
    daemon.play("/ingle/ask", Answer([*answered("x" * 100_000).body[:2], *[{"type": "delta", "text": "y"}] * 9, HOLD]))
    done = instance.run("/bin/sh", "-c", "{ ask go; echo $? >&2; } | head -c 1")
    assert (done.stdout, done.stderr) == ("x", "0\n")
    assert daemon.client_left.wait(10)


def test_a_full_disk_is_reported(instance: Instance, daemon: FakeDaemon) -> None:
    daemon.play("/ingle/ask", answered("lost"))
    done = instance.run("/bin/sh", "-c", "ask go > /dev/full")
    assert done.returncode == 1
    assert done.stderr.startswith("ask: cannot write the answer: No space left on device")


@pytest.mark.parametrize("line", ["ask 2>/dev/full", "ask --json >/dev/full", "ask 2>&-"])
def test_an_error_that_cannot_be_told_keeps_its_exit_code(instance: Instance, line: str) -> None:
    done = instance.run("/bin/sh", "-c", line)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_status_line_that_cannot_be_written_is_no_failure(instance: Instance, daemon: FakeDaemon) -> None:
    daemon.play("/ingle/ask", answered("abc"))
    done = instance.run("/bin/sh", "-c", "ask go 2>/dev/full")
    assert (done.returncode, done.stdout) == (0, "abc\n")


def test_arguments_that_are_no_utf8_are_asked_about_nevertheless(instance: Instance, daemon: FakeDaemon) -> None:
    daemon.play("/ingle/ask", answered("ok"))
    name = os.fsdecode(b"caf\xe9.txt")
    assert instance.run("ask", "--system", name, name).returncode == 0
    assert [message["content"] for message in daemon.bodies("/ingle/ask")[0]["messages"]] == ["caf\ufffd.txt"] * 2


def test_a_model_named_in_vain_is_told_beside_the_answer(instance: Instance, daemon: FakeDaemon) -> None:
    daemon.play("/ingle/ask", answered("ok"))
    done = instance.run("ask", "hi", env={"INGLE_MODEL": "other"})
    assert (done.returncode, done.stdout) == (0, "ok\n")
    assert "INGLE_MODEL is other, but ingled runs tiny: `ingle stop`" in done.stderr


def test_closed_standard_streams_do_not_disturb_it(instance: Instance, daemon: FakeDaemon) -> None:
    daemon.play("/ingle/ask", answered("fine"))
    done = instance.run("/bin/sh", "-c", "ask go 2>&- <&-")
    assert (done.returncode, done.stdout) == (0, "fine\n")


def test_help_shows_the_exit_codes(instance: Instance) -> None:
    done = instance.run("ask", "--help")
    assert done.returncode == 0
    assert "exit codes:" in done.stdout
    assert "daemon unreachable or busy" in done.stdout


def test_one_code_block_is_printed_and_the_rest_is_not_even_waited_for(instance: Instance, daemon: FakeDaemon) -> None:
    events = answered("Do this:\n```sh\nls -l\n```\nand so on").body[:2]
    daemon.play("/ingle/ask", Answer([*events, HOLD]))
    done = instance.run("ask", "-x", "list")
    assert (done.returncode, done.stdout) == (0, "ls -l\n")
    assert done.stderr == "tiny · local · stopped after the code block\n"
    assert daemon.client_left.wait(10)
    assert "one code block" in daemon.bodies("/ingle/ask")[0]["messages"][0]["content"]


def test_an_answer_without_a_code_block_does_not_reach_the_pipe(instance: Instance, daemon: FakeDaemon) -> None:
    daemon.play("/ingle/ask", answered("I would rather not."))
    done = instance.run("ask", "-x", "list")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("I would rather not.\nask: there is no code block")


def test_json_with_x_has_the_code_for_an_answer(instance: Instance, daemon: FakeDaemon) -> None:
    daemon.play("/ingle/ask", answered("so\n```\nls\n```\nyes"))
    assert json.loads(instance.run("ask", "-x", "--json", "list").stdout)["answer"] == "ls\n"


def test_the_status_tells_how_much_of_the_context_is_used(instance: Instance, daemon: FakeDaemon) -> None:
    first, *rest = answered("forty-two", timings={"predicted_n": 4, "predicted_ms": 100}).body
    daemon.play("/ingle/ask", Answer([first, {"type": "started", "prompt_tokens": 1230, "n_ctx": 8192}, *rest]))
    assert instance.run("ask", "how many?").stderr == "tiny · local · 1,234 of 8,192 tokens · 40.0 tokens/s\n"


def test_model_schema_and_no_log_reach_the_daemon(instance: Instance, daemon: FakeDaemon) -> None:
    daemon.play("/ingle/ask", answered("{}"))
    (instance.root / "s.json").write_text('{"type": "object"}')
    instance.run("ask", "-m", "big", "-n", "--schema", "s.json", "why?")
    body = daemon.bodies("/ingle/ask")[0]
    assert (body["model"], body["schema"]) == ("big", {"type": "object"})
    assert "keep" not in body


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "s.json:1: not valid JSON"),
        ("[]", "holds no JSON schema"),
        (None, "cannot read s.json: No such file or directory\n"),
    ],
)
def test_a_file_that_is_no_schema_is_refused(instance: Instance, content: str | None, said: str) -> None:
    if content is not None:
        (instance.root / "s.json").write_text(content)
    done = instance.run("ask", "--schema", "s.json", "why?")
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_an_installed_model_and_the_api_cannot_both_be_asked(instance: Instance) -> None:
    assert instance.run("ask", "-m", "big", "--api", "why?").returncode == 2


# --- with the real daemon ------------------------------------------------------------------------------------------


def test_a_question_too_long_for_the_context_is_refused_with_the_numbers(instance: Instance) -> None:
    done = instance.run("ask", input="word " * 4000)
    assert (done.returncode, done.stdout) == (5, "")
    assert "2,048" in done.stderr


def test_an_api_that_is_not_configured_is_a_usage_error(instance: Instance) -> None:
    done = instance.run("ask", "--api", "why?")
    assert (done.returncode, done.stdout) == (2, "")
    assert "[api]" in done.stderr


def test_a_request_that_the_daemon_refuses_to_read_is_reported_not_cut_off(instance: Instance) -> None:
    instance.configure("[server]\nmax_body_bytes = 100_000\n")
    done = instance.run("ask", "what?", input="x" * 20_000_000)  # more than fits between the two processes
    assert (done.returncode, done.stdout) == (5, "")
    assert "max_body_bytes" in done.stderr


def test_a_model_that_fails_in_the_middle_has_its_exit_code(instance: Instance) -> None:
    instance.script(rules=[{"kind": "chat", "match": "", "answer": "half an", "error": "engine_lost"}])
    done = instance.run("ask", "why?")
    assert (done.returncode, done.stdout) == (3, "half an\n")


def test_the_token_limit_cuts_the_answer_and_says_so(instance: Instance) -> None:
    instance.script(rules=[{"kind": "chat", "match": "", "answer": "one two three"}])
    done = instance.run("ask", "--max-tokens", "3", "count")
    assert done.stdout == "one two\n"
    assert "cut off at the token limit" in done.stderr


def test_a_dry_run_shows_what_would_be_sent_and_asks_nothing(instance: Instance) -> None:
    (instance.root / "a.py").write_text("x = 1\n")
    done = instance.run("ask", "--dry-run", "--system", "Be brief.", "-f", "a.py", "why?")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "to      scripted (local): 27 tokens and 512 for the answer fit in 2,048",
        "tokens  27 of 2,048, 512 kept for the answer",
        "price   nothing, and nothing leaves this machine",
        "",
        "--- system",
        "Be brief.",
        "",
        "--- user",
        "a.py:",
        "```py",
        "x = 1",
        "```",
        "",
        "why?",
    ]
    assert instance.call("GET", "/ingle/status")["last"] == []


def test_a_dry_run_for_programs_and_one_that_is_refused(instance: Instance) -> None:
    plan = json.loads(instance.run("ask", "--dry-run", "--json", "why?").stdout)
    assert plan["route"]["kind"] == "local"
    assert instance.run("ask", "--dry-run", input="word " * 4000).returncode == 5


def test_a_schema_that_cannot_be_followed_is_a_usage_error(instance: Instance) -> None:
    (instance.root / "s.json").write_text('{"type": "string", "pattern": "a+"}')
    done = instance.run("ask", "--schema", "s.json", "why?")
    assert (done.returncode, done.stdout) == (2, "")
    assert "`pattern`" in done.stderr


def test_a_model_that_is_not_installed_is_no_model(instance: Instance) -> None:
    done = instance.run("ask", "-m", "big", "why?")
    assert (done.returncode, done.stdout) == (4, "")


def test_what_finds_nothing_says_so_beside_an_empty_output(instance: Instance) -> None:
    done = instance.run("ask", "--search", "xyzzy")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "nothing that is kept holds all these words\n")
    assert instance.run("ask", "--search", "xyzzy", "--json").stdout == "[]\n"
    done = instance.run("ask", "--list")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "no conversation is kept yet\n")
    instance.run("ask", "where is xyzzy?")
    done = instance.run("ask", "--search", "xyzzy")
    assert (done.returncode, done.stderr) == (0, "")
    assert "xyzzy" in done.stdout

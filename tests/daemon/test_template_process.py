"""The process that runs a model's chat template: hostile templates cost no more than this process, and not for long."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import psutil
import pytest

from ingle_daemon.engine.sandbox import Turns
from ingle_daemon.engine.template_process import TemplateProcess
from ingle_daemon.errors import NoModel, UsageError
from support import wait_until

HELLO: Turns = [{"role": "user", "content": "hello"}]
ALL = "{% for m in messages %}{{ m.content }}{% endfor %}"
# Loops that say nothing, so that nobody outside the process gets a word in.
LOOP = "{% for a in range(99999) %}"
ENDLESS = LOOP * 3 + "{% endfor %}" * 3
UNLESS_HELLO = "{% if messages[0].content == 'hello' %}ok{% else %}" + ENDLESS + "{% endif %}"


@pytest.fixture
def templates() -> Iterator[TemplateProcess]:
    process = TemplateProcess(patience_s=60, seconds=1)
    yield process
    process.close()


def load(templates: TemplateProcess, source: str) -> None:
    templates.compile(source, bos="<s>", eos="</s>")


def test_a_conversation_is_rendered_as_by_the_sandbox_itself(templates: TemplateProcess) -> None:
    load(templates, "{{ bos_token }}" + ALL)
    assert templates.render([{"role": "user", "content": "é😋\n\u2028\x00"}, *HELLO]) == "<s>é😋\n\u2028\x00hello"


def test_errors_arrive_as_they_are(templates: TemplateProcess) -> None:
    with pytest.raises(NoModel, match="does not compile"):
        load(templates, "{% if %}")
    load(templates, "{{ raise_exception('roles must alternate') }}")
    with pytest.raises(UsageError, match="refuses these messages: roles must alternate") as refused:
        templates.render(HELLO)
    assert "user and assistant in turn" in refused.value.hint


def test_what_a_template_says_is_short_and_can_be_told(templates: TemplateProcess) -> None:
    load(templates, "{{ raise_exception('no\\ud800' * 10_000_000) }}")
    with pytest.raises(UsageError, match="refuses these messages: no") as refused:
        templates.render(HELLO)
    assert len(refused.value.message.encode()) < 1000


def test_half_a_character_of_a_template_is_none(templates: TemplateProcess) -> None:
    load(templates, "{{ 'a\\ud800b' }}")
    assert templates.render(HELLO) == "a?b"


@pytest.mark.parametrize(
    "source",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}0123456789{% endfor %}{% endfor %}",
        "{% for a in range(99999) %}{{ messages[0].content * 1000 }}{% endfor %}",
    ],
)
def test_a_prompt_that_does_not_end_is_cut_short(templates: TemplateProcess, source: str) -> None:
    load(templates, source)
    with pytest.raises(UsageError, match="endless prompt"):
        templates.render(HELLO)


def test_a_large_document_is_no_endless_prompt(templates: TemplateProcess) -> None:
    document = "line of text\n" * 500_000
    load(templates, ALL)
    assert templates.render([{"role": "user", "content": document}]) == document


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'x' * 10 ** 10 }}",
        "{{ 'x'.ljust(10 ** 10) }}",
        "{{ 'x'|center(10 ** 10) }}",
        "{{ '%10000000000d' % 1 }}",
        "{% set ns = namespace(s='x' * 99) %}{% for a in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
        "{% set ns = namespace(s='x' * 99) %}{% for a in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
        "{% set s = 'xxxx' * 9999 %}{{ s|replace('x', s * 9999) }}",
        "{% set n = namespace(l=1) %}{% for a in range(60) %}{% set n.l = [n.l, n.l] %}{% endfor %}{{ n.l|string }}",
    ],
)
def test_a_template_that_takes_all_memory_ends_its_own_process_alone(templates: TemplateProcess, source: str) -> None:
    load(templates, source)
    with pytest.raises(NoModel, match="too long, or too much memory"):
        templates.render(HELLO)


@pytest.mark.parametrize(
    "source",
    [
        ENDLESS,
        "{% macro f(n) %}{% if n %}{% set x = f(n - 1) %}{% set x = f(n - 1) %}{% endif %}{% endmacro %}{{ f(90) }}",
        "{{ 10 ** (10 ** 10) }}",
    ],
    ids=["loops", "macros", "power"],
)
def test_a_template_without_end_is_ended(templates: TemplateProcess, source: str) -> None:
    def run() -> str:
        load(templates, source)  # what is constant Jinja evaluates here
        return templates.render(HELLO)

    with pytest.raises(NoModel, match="too long, or too much memory"):
        run()


def test_it_is_ended_by_the_clock_too() -> None:
    templates = TemplateProcess(patience_s=1)
    load(templates, UNLESS_HELLO)
    os.kill(templates.pid, signal.SIGSTOP)
    with pytest.raises(NoModel, match="takes too long"):
        templates.render(HELLO)
    assert templates.render(HELLO) == "ok"
    templates.close()


def test_the_next_conversation_is_rendered_by_the_next_process(templates: TemplateProcess) -> None:
    load(templates, UNLESS_HELLO)
    assert templates.render(HELLO) == "ok"
    first = templates.pid
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: templates._child.poll() is not None)
    assert templates.render(HELLO) == "ok"
    assert templates.pid != first


def test_time_is_counted_for_each_conversation_anew(templates: TemplateProcess) -> None:
    """Four seconds of work in all, in pieces, are more than one conversation may take."""
    load(templates, "{% for a in range(300) %}{% for b in range(999) %}{% endfor %}{% endfor %}ok")
    while sum(psutil.Process(templates.pid).cpu_times()[:2]) < 4:
        assert templates.render(HELLO) == "ok"


def test_two_who_ask_at_once_both_get_theirs(templates: TemplateProcess) -> None:
    load(templates, ALL)
    answers: dict[int, str] = {}

    def ask(number: int) -> None:
        answers[number] = templates.render([{"role": "user", "content": f"{number}" * 5000}])

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: f"{number}" * 5000 for number in range(8)}


PARENT = """
import sys, time
from ingle_daemon.engine.template_process import TemplateProcess
templates = TemplateProcess()
templates.compile("", bos="", eos="")
print(templates.pid, flush=True)
time.sleep(600)
"""


def test_it_ends_when_the_worker_is_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE)
    assert parent.stdout
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.communicate()
    child.wait(timeout=30)

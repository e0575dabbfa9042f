"""The load-time self-test, on real models: one trained to fill in, one not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import support
from ingle_daemon.engine import selftest
from ingle_daemon.engine.runner import Runner, RunnerOptions
from ingle_daemon.fim.templates import Template, template_for

pytestmark = pytest.mark.model

TRAINED = Path(__file__).parents[3] / "shared/models/fim-135m-q5_0.gguf"
"""Trained with the suffix first, which its metadata do not tell."""


@pytest.fixture(scope="module")
def trained() -> Iterator[Runner]:
    if not TRAINED.exists():
        pytest.skip(f"{TRAINED.name} is not here")
    yield from _loaded(TRAINED)


@pytest.fixture(scope="module")
def untrained(starter: Path) -> Iterator[Runner]:
    yield from _loaded(starter)


def _loaded(path: Path) -> Iterator[Runner]:
    runner = Runner(RunnerOptions(str(path), 1024, 2, -1, "auto", 256, 4))
    yield runner
    runner.close()


def own_template(runner: Runner) -> Template:
    vocab = runner.vocab
    return template_for(vocab.fim, vocab.spelling, vocab.special, model=runner.model_name)


def test_the_order_that_a_model_was_trained_in_is_found(trained: Runner) -> None:
    template, note = selftest.choose(trained, own_template(trained))
    assert template.order == "spm-joint"
    assert "spm-joint" in note


def test_the_right_template_passes_without_a_word(trained: Runner) -> None:
    right = own_template(trained).ordered("spm-joint")
    assert selftest.choose(trained, right) == (right, "")


def test_markers_that_mean_nothing_to_the_model_are_not_used(trained: Runner) -> None:
    wrong = Template("wrong", "psm", 900, 901, 902)
    template, note = selftest.choose(trained, wrong)
    assert not template.usable or template.order != "psm"
    assert note


def test_a_model_without_markers_continues(untrained: Runner) -> None:
    template, note = selftest.choose(untrained, own_template(untrained))
    assert not template.usable
    assert "not trained to fill in" in note


def test_special_tokens_are_found_by_their_spelling(untrained: Runner) -> None:
    assert untrained.vocab.special("<|im_start|>") == 1
    assert untrained.vocab.special("<|no_such|>") == -1
    assert untrained.vocab.special("the") == -1


def test_the_order_can_be_forced() -> None:
    instance = support.fim_instance()
    try:
        instance.call("GET", "/v1/models")
        info = instance.call("GET", "/ingle/status")["model"]["info"]
    finally:
        instance.close()
    assert (info["fim"], info["template"], info.get("note", "")) == ("psm", "generic", "")

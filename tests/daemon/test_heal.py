"""A word that the cursor cuts in two comes back whole, and what is shown begins where the cursor stands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines import Bench
from ingle_daemon.engine.heal import Healing, split
from ingle_daemon.engine.prepare import Prepared
from ingle_daemon.engine.runner import Runner, RunnerOptions
from ingle_daemon.protocol import Delta, GenerateRequest, Limits, Sampling, TextPrompt


@pytest.fixture(scope="module")
def runner(starter: Path) -> Iterator[Runner]:
    made = Runner(RunnerOptions(str(starter), 1024, 2, -1, "auto", 256, 8))
    yield made
    made.close()


@pytest.mark.parametrize(
    ("prefix", "half_word"),
    [
        ("x = js", " js"),
        ("import os.pa", "pa"),
        ("    ret", " ret"),
        ("self._ge", "_ge"),
        ("x = wörd", " wörd"),
        ("f(", ""),
        ("a\n", ""),
        ("", ""),
        ("x" * 40, ""),
    ],
)
def test_only_a_word_is_cut_off(prefix: str, half_word: str) -> None:
    assert split(prefix) == (prefix.removesuffix(half_word), half_word)


@given(st.text("ab é", min_size=1, max_size=9), st.lists(st.binary(min_size=1, max_size=4), max_size=9))
def test_what_is_prescribed_is_not_new(text: str, pieces: list[bytes]) -> None:
    healing = Healing(text)
    new = b"".join(healing.take(piece) for piece in pieces)
    whole, prescribed = b"".join(pieces), len(text.encode())
    assert new == whole[prescribed:]
    assert healing.done is (len(whole) >= prescribed)


@pytest.mark.model
@given(st.text("abcdefghijklmnopqrstuvwxyz_ é世", min_size=1, max_size=8))
def test_every_token_that_can_spell_it_is_allowed_and_no_other(runner: Runner, text: str) -> None:
    raw = text.encode()
    allowed = set(runner.vocab.spelling_of(raw))
    pieces = {token: runner.vocab.piece(token) for token in range(runner.vocab.size)}
    fitting = {token for token, piece in pieces.items() if piece and (piece.startswith(raw) or raw.startswith(piece))}
    assert allowed <= fitting
    assert {pieces[token] for token in allowed} == {pieces[token] for token in fitting}


@pytest.mark.model
@pytest.mark.parametrize("half_word", [" js", " j", " jso", " json"])
def test_the_rest_of_the_word_is_written(runner: Runner, half_word: str) -> None:
    vocab = runner.vocab
    prompt = vocab.tokenize("import json\n\ndata = json.loads(text)\nother =", special=False)
    bench, said = Bench(runner), []

    def hear(_: int, event: object) -> None:
        if isinstance(event, Delta):
            said.append(event)

    bench.engine._emit = hear
    request = GenerateRequest(
        TextPrompt(""), "completion", sampling=Sampling(temperature=0), limits=Limits(max_tokens=6), logprobs=True
    )
    bench.engine.submit(1, request, Prepared(prompt, (), 6, half_word=half_word), 0.0)
    bench.finish()
    text = "".join(delta.text for delta in said)
    assert (half_word + text).startswith(" json.loads(")
    assert all(bool(delta.logprobs) == bool(delta.text) for delta in said), (
        "what is prescribed says nothing of certainty"
    )

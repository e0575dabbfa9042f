"""Redaction: no secret of an adversarial corpus leaves, and the answer gets back what was hidden."""

from __future__ import annotations

import functools
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.routing import corpus
from ingle_daemon.errors import RefusedByPrivacy
from ingle_daemon.protocol import ChatMessage
from ingle_daemon.routing.detectors import Found, detectors
from ingle_daemon.routing.redact import Redacted, Restorer, redact

EACH = 6
WINDOW = 12
"""So many characters of a secret in a row are a leak."""
FALSE_ALARMS_PER_1000_LINES = 2.0


@functools.cache
def everything() -> tuple[corpus.Planted, ...]:
    return tuple(corpus.planted(EACH))


def cleaned(text: str) -> Redacted:
    return redact([ChatMessage("user", text)], detectors("/srv/people/kim"))


def leaks(core: str, text: str) -> list[str]:
    """Parts of the secret that are still there. What frames a key is none."""
    bare = "".join(line for line in core.splitlines() if "-----" not in line) or core
    if len(bare) < WINDOW:
        return [bare] if bare in text else []
    parts = {bare[at : at + WINDOW] for at in range(len(bare) - WINDOW + 1)}
    return [part for part in parts if part in text]


def test_the_corpus_is_as_large_as_it_says() -> None:
    assert len(corpus.KINDS) >= 40
    assert len(everything()) >= 300
    assert all(case.core.splitlines()[0] in case.text for case in everything())


@pytest.mark.parametrize("kind", corpus.KINDS)
def test_none_of_its_secrets_leaves(kind: str) -> None:
    for case in everything():
        if case.kind == kind:
            text = cleaned(case.text).messages[0].content
            assert not leaks(case.core, text), f"{case.core!r} in {text!r}"


def test_what_was_hidden_comes_back_exactly() -> None:
    for case in everything()[::5]:
        redacted = cleaned(case.text)
        restorer = Restorer(redacted.secrets)
        assert restorer.feed(redacted.messages[0].content) + restorer.finish() == case.text


def test_false_alarms_on_clean_code_are_few(capsys: pytest.CaptureFixture[str]) -> None:
    """The standard library holds no secret; its authors' addresses are meant to be found."""
    kinds: Counter[str] = Counter()
    lines = 0
    for name in (
        "argparse",
        "ast",
        "asyncio/base_events",
        "zipfile",
        "smtplib",
        "ssl",
        "urllib/request",
        "http/cookies",
    ):
        source = (Path(functools.__file__).parent / f"{name}.py").read_text(encoding="utf-8")
        lines += source.count("\n")
        kinds.update(cleaned(source).counts)
    alarms = sum(count for kind, count in kinds.items() if kind != "e-mail")
    with capsys.disabled():
        print(f"\nredaction: {alarms} false alarms in {lines:,} lines of clean code: {dict(kinds)}")
    assert alarms <= lines / 1000 * FALSE_ALARMS_PER_1000_LINES


@pytest.mark.parametrize(
    "text",
    [
        "def read(self, name, pwd=None): return self.open(name, pwd=pwd)",
        "password = os.environ['DB_PASSWORD']\ntoken = self.next_token()",
        "password: ${DB_PASSWORD}\nkey: <your key here>\napi_key = 'YOUR_API_KEY'",
        "commit 4f2c8b7e9d1a6c3f5b0e8d7a9c2b4e6f1a3d5c7b",
        "ask someone@example.com, or git@github.com:acme/x.git",
        "see https://docs.python.org/3/library/secrets.html#module-secrets",
        "id = 16fd2706-8baf-433b-82eb-8c7fada847da",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert cleaned(text).messages[0].content == text


def test_the_same_secret_has_one_placeholder_wherever_it_stands() -> None:
    text = "password = 'hunter2hunter2'\nprint(login('kim', 'hunter2hunter2'))"
    redacted = redact([ChatMessage("system", "x"), ChatMessage("user", text)], detectors())
    (name,) = redacted.secrets
    assert redacted.messages[1].content == f"password = '{name}'\nprint(login('kim', '{name}'))"
    assert redacted.counts == {"keyword": 1}


def test_this_users_home_is_private_wherever_it_lies() -> None:
    assert "kim" not in cleaned("/srv/people/kim/x.py").messages[0].content
    assert cleaned("/srv/people/kimberley/x.py").secrets == {}


def test_a_placeholder_that_the_user_wrote_is_not_given_out_again() -> None:
    redacted = cleaned("REDACTED_TOKEN_7 stood here; password='correct7horse'")
    assert list(redacted.secrets) == ["REDACTED_KEYWORD_8"]


def test_a_detector_that_fails_keeps_everything_here() -> None:
    def broken(text: str) -> Iterator[Found]:
        raise ValueError(text)

    with pytest.raises(RefusedByPrivacy, match="ValueError") as caught:
        redact([ChatMessage("user", "very private")], [*detectors(), broken])
    assert caught.value.exit_code == 8
    assert "very private" not in f"{caught.value}{caught.value.__cause__}"


def test_a_line_without_end_is_searched_in_time_and_whole() -> None:
    """Half a megabyte on one line of a stranger's repository would hold the daemon up for minutes."""
    line = "http://" * 75_000
    secrets = {at: f"npm_{at:036d}" for at in range(16_380, 400_000, 8_190)}
    for at, secret in secrets.items():
        line = f"{line[:at]} {secret} {line[at:]}"
    began = time.process_time()
    text = cleaned(line).messages[0].content
    assert time.process_time() - began < 30
    assert not [secret for secret in secrets.values() if secret in text]


def test_values_are_not_shown_by_mistake() -> None:
    assert "correct7horse" not in repr(cleaned("password='correct7horse'"))


ANSWERS = st.lists(
    st.sampled_from(
        ["REDACTED_TOKEN_1", "REDACTED_TOKEN_12", "REDACTED_", "RED", "_1", "2", " ", "and", "REDACTED_E_MAIL_3"]
    )
)


@settings(max_examples=300)
@given(ANSWERS, st.lists(st.integers(1, 9), min_size=1))
def test_placeholders_come_back_however_the_answer_is_cut(words: list[str], sizes: list[int]) -> None:
    secrets = {"REDACTED_TOKEN_1": "one", "REDACTED_TOKEN_12": "twelve", "REDACTED_E_MAIL_3": "a@b.cd"}
    answer = "".join(words)
    whole = Restorer(secrets)
    expected = whole.feed(answer) + whole.finish()
    restorer, pieces, at = Restorer(secrets), [], 0
    while at < len(answer):
        size = sizes[at % len(sizes)]
        pieces.append(restorer.feed(answer[at : at + size]))
        at += size
    assert "".join(pieces) + restorer.finish() == expected


def test_only_what_may_become_a_placeholder_is_held_back() -> None:
    restorer = Restorer({"REDACTED_TOKEN_1": "one"})
    assert restorer.feed("use REDAC") == "use "
    assert restorer.feed("TED_TOKEN_1") == ""
    assert restorer.feed(" now") == "one now"
    assert restorer.feed("RED wine") == "RED wine"

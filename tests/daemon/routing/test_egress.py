"""The one door: a misbehaving provider meets the real transport, the real ledger and the real redaction."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest

from ingle_daemon.backends import transport
from ingle_daemon.backends.price_list import PriceList
from ingle_daemon.config import parse
from ingle_daemon.errors import ApiCutOff, ApiFailed, ApiRefused, ApiUnreachable, BudgetSpent, CaptivePortal, IngleError
from ingle_daemon.protocol import AskRequest, ChatMessage, Delta, Done, Fit, Thinking
from ingle_daemon.routing.consent import Consent
from ingle_daemon.routing.egress import Egress, Prepared, Terms
from ingle_daemon.routing.ledger import Ledger, Limits
from provider import Answer, Provider, http, piece, raw, stream, thought, usage

KEY = "sk-very-secret-0123456789"
SECRET = "corr3ct-h0rse"
REQUEST = AskRequest((ChatMessage("user", f"password = '{SECRET}'\nwhy?"),), max_tokens=500)
COUNTED = Fit(1000, 500, 2048)
ESTIMATE = (1364 * 1.0 + 500 * 2.0) / 1e6
"""1,000 tokens by another tokenizer and a template, and the longest answer, at a dollar and two a million."""


def configured(port: int, **more: object) -> str:
    lines = {"url": f"http://127.0.0.1:{port}/v1", "model": "big", "allow": True, "context": 9000, "timeout": 1.0}
    lines |= {"price_in": 1.0, "price_out": 2.0, **more}
    return "[api]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in lines.items())


class Pauses(list[float]):
    """Pauses between tries that take no time; how long they would have been."""

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)


def made(tmp_path: Path, text: str, pauses: Pauses | None = None, **limits: float) -> Egress:
    ledger = Ledger(tmp_path / "ledger.sqlite", Limits(**limits))
    consent, prices = Consent(tmp_path / "consent.json"), PriceList(tmp_path / "models.json")
    pause = Pauses() if pauses is None else pauses
    return Egress(parse(text), ledger, consent, prices, "/home/kim", pause=pause)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


class Outcome(NamedTuple):
    text: str
    thoughts: str
    done: Done | None
    error: IngleError | None


def everything_in(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())


async def sent(egress: Egress, prepared: Prepared) -> Outcome:
    text, thoughts, done = "", "", None
    try:
        async with contextlib.aclosing(egress.send(prepared, KEY)) as events:
            async for event in events:
                if isinstance(event, Delta):
                    text += event.text
                elif isinstance(event, Thinking):
                    thoughts += event.text
                elif isinstance(event, Done):
                    done = event
    except IngleError as error:
        return Outcome(text, thoughts, None, error)
    return Outcome(text, thoughts, done, None)


async def terms(egress: Egress, request: AskRequest = REQUEST) -> Terms:
    (model,) = egress.candidates("default")
    return await egress.terms(model, request, COUNTED)


async def ask(egress: Egress) -> Outcome:
    return await sent(egress, await egress.prepare(await terms(egress), REQUEST, 0.2))


async def slow(writer: asyncio.StreamWriter) -> None:
    """The first byte comes late, but in time."""
    await asyncio.sleep(0.1)
    await GOOD(writer)


async def endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    with contextlib.suppress(ConnectionError):
        while True:
            writer.write(f"{piece('more ' * 2000)}\n\n".encode())
            await writer.drain()


GOOD = stream(piece("Be"), piece("cause", "stop"), usage(), "data: [DONE]")
HALF = piece("Half an ")
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
LONG_LINE = raw(HEAD + f"{HALF}\n\ndata: {'x' * 10_000_000}\n\n".encode())
LIAR = stream(
    piece("word " * 100, "stop"), 'data: {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 0}}'
)
REFUSED = http("429 Too Many Requests", "application/json", b"{}", "Retry-After: 3")
UNHEARD = http("429 Too Many Requests", "application/json", b"{}")
LONG_WAIT = http("429 Too Many Requests", "application/json", b"{}", "Retry-After: 3600")
PORTAL = http("302 Found", "text/html", b"<html>", "Location: http://login.example/")


class Row(NamedTuple):
    """`charged`: dollars, or None for the estimate. `requests`: how often the provider was asked."""

    answers: tuple[Answer, ...]
    text: str
    error: type[IngleError] | None
    charged: float | None
    requests: int = 1
    outcome: str = ""


MATRIX = {
    "well": Row((GOOD,), "Because", None, 0.002, outcome="answered"),
    "slow first byte": Row((slow,), "Because", None, 0.002),
    "no first byte": Row((raw(b""),), "", ApiCutOff, None, outcome="api_cut_off"),
    "stall mid-stream": Row((stream(HALF, then_close=False),), "Half an ", ApiCutOff, None),
    "cut mid-stream": Row((stream(HALF),), "Half an ", ApiCutOff, None),
    "429 with Retry-After, then well": Row((REFUSED, GOOD), "Because", None, 0.002, 2),
    "429 without, then well": Row((UNHEARD, GOOD), "Because", None, 0.002, 2),
    "429 for ever": Row((UNHEARD,), "", ApiRefused, 0.0, 3, "api_refused"),
    "429 for an hour": Row((LONG_WAIT,), "", ApiRefused, 0.0, 1),
    "500, then well": Row((http("500 Oh", "text/plain", b""), GOOD), "Because", None, 0.002, 2),
    "500 for ever": Row((http("500 Oh", "text/plain", b""),), "", ApiRefused, 0.0, 3),
    "503 with a page": Row((http("503 Oh", "text/html", b"<html>"),), "", ApiRefused, 0.0, 3, "api_refused"),
    "401": Row((http("401 No", "application/json", b"{}"),), "", ApiRefused, 0.0, 1),
    "a web page": Row(
        (http("200 OK", "text/html", b"<html>log in</html>"),), "", CaptivePortal, 0.0, 1, "captive_portal"
    ),
    "a redirection": Row((PORTAL,), "", CaptivePortal, 0.0, 1),
    "wrong content type": Row((http("200 OK", "application/json", b"{}"),), "", ApiFailed, None, 1),
    "endless stream": Row((endless,), "", ApiCutOff, None, 1),
    "lying usage": Row((LIAR,), "word " * 100, None, None, 1, "answered"),
    "no usage": Row((stream(piece("Yes", "stop"), "data: [DONE]"),), "Yes", None, None, 1),
    "10 MB line": Row((LONG_LINE,), "Half an ", ApiCutOff, None, 1),
    "garbage": Row((stream(HALF, "data: <html>"),), "Half an ", ApiFailed, None, 1),
    "an error in the stream": Row(
        (stream(HALF, 'data: {"error": {"message": "died"}}'),), "Half an ", ApiCutOff, None, 1
    ),
}


@pytest.mark.parametrize("name", MATRIX)
async def test_every_fault_has_one_outcome_nothing_is_lost_nothing_charged_twice(name: str, tmp_path: Path) -> None:
    row = MATRIX[name]
    async with Provider(*row.answers).serve() as provider:
        egress = made(tmp_path, configured(provider.port))
        outcome = await asyncio.wait_for(ask(egress), 30)
    if row.error is None:
        assert outcome.error is None
        assert outcome.done is not None
        assert outcome.done.usage is not None
    else:
        assert type(outcome.error) is row.error
        assert outcome.error is not None
        assert outcome.error.hint
        assert outcome.error.exit_code == 6
    if row.answers == (endless,):
        assert outcome.text.startswith("more more")
    else:
        assert outcome.text == row.text
    assert len(provider.bodies) == row.requests
    (receipt,) = egress.ledger.receipts()
    assert receipt["charged"] == pytest.approx(ESTIMATE if row.charged is None else row.charged)
    assert receipt["believed"] is (row.charged is not None)
    assert receipt["outcome"] == (row.outcome or receipt["outcome"])
    assert receipt["outcome"] != "sent"


async def test_pauses_grow_and_honour_what_the_provider_asks_for(tmp_path: Path) -> None:
    pauses = Pauses()
    async with Provider(REFUSED, UNHEARD, GOOD).serve() as provider:
        assert (await ask(made(tmp_path, configured(provider.port), pauses))).text == "Because"
    first, second = pauses
    assert first == 3.0
    assert 1.0 <= second <= 2.0


async def test_what_leaves_is_what_was_shown_to_the_byte(tmp_path: Path) -> None:
    async with Provider(GOOD).serve() as provider:
        egress = made(tmp_path, configured(provider.port))
        prepared = await egress.prepare(await terms(egress), REQUEST, 0.2)
        letter = prepared.letter
        await sent(egress, prepared)
    assert provider.bodies == [letter.body.encode()]
    assert SECRET not in letter.body
    assert letter.redactions == {"keyword": 1}
    assert letter.estimate == pytest.approx(ESTIMATE)
    (receipt,) = egress.ledger.receipts(bodies=True)
    assert receipt["sha256"] == letter.sha256 == hashlib.sha256(provider.bodies[0]).hexdigest()
    assert receipt["redactions"] == {"keyword": 1}
    assert receipt["body"] is None
    assert SECRET.encode() not in everything_in(tmp_path)


async def test_the_body_is_kept_where_the_user_wants_it(tmp_path: Path) -> None:
    async with Provider(GOOD).serve() as provider:
        egress = made(tmp_path, configured(provider.port) + "[privacy]\nkeep_bodies = true\n")
        await ask(egress)
    assert egress.ledger.receipts(bodies=True)[0]["body"].encode() == provider.bodies[0]


async def test_secrets_come_back_in_the_answer_and_in_what_is_thought(tmp_path: Path) -> None:
    name = "REDACTED_KEYWORD_1"
    answer = stream(
        thought(f"hm, {name[:9]}"), thought(f"{name[9:]}."), piece(name[:4]), piece(name[4:], "stop"), usage()
    )
    async with Provider(answer).serve() as provider:
        outcome = await ask(made(tmp_path, configured(provider.port)))
    assert outcome.text == SECRET
    assert outcome.thoughts == f"hm, {SECRET}."


async def test_cancelling_settles_at_the_estimate_at_once(tmp_path: Path) -> None:
    async with Provider(stream(HALF, then_close=False)).serve() as provider:
        egress = made(tmp_path, configured(provider.port, timeout=30.0))
        events = egress.send(await egress.prepare(await terms(egress), REQUEST, 0.2), KEY)
        async for event in events:
            if isinstance(event, Delta):
                break
        await events.aclose()
        (receipt,) = egress.ledger.receipts()
        assert (receipt["outcome"], receipt["charged"]) == ("cut off", pytest.approx(ESTIMATE))


async def test_a_spent_budget_keeps_every_byte_here(tmp_path: Path) -> None:
    async with Provider(GOOD).serve() as provider:
        egress = made(tmp_path, configured(provider.port), day=ESTIMATE * 1.5)
        first, second = [await egress.prepare(await terms(egress), REQUEST, 0.2) for _ in range(2)]
        running = egress.send(first, KEY)
        await running.__anext__()
        assert isinstance((await sent(egress, second)).error, BudgetSpent)
        assert "spent or set aside" in (await terms(egress)).over_budget
        await running.aclose()
        assert len(egress.ledger.receipts()) == 1


async def test_a_provider_that_fails_again_and_again_is_left_alone(tmp_path: Path) -> None:
    async with Provider(http("500 Oh", "text/plain", b"")).serve() as provider:
        egress = made(tmp_path, configured(provider.port))
        (model,) = egress.candidates("default")
        await ask(egress)
        assert "failed several times in a row" in model.down
        outcome = await ask(egress)
        assert isinstance(outcome.error, ApiUnreachable)
        assert len(provider.bodies) == 3
        assert egress.ledger.receipts()[0]["charged"] == 0.0


async def test_a_name_server_that_does_not_answer_is_given_up_fast(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "_CONNECT_S", 0.1)

    async def never(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    text = configured(1, timeout=60.0).replace("127.0.0.1:1", "api.nowhere.example")
    egress = made(tmp_path, text)
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", never)
    outcome = await asyncio.wait_for(ask(egress), 10)
    assert isinstance(outcome.error, ApiUnreachable)
    assert egress.ledger.receipts()[0]["charged"] == 0.0


async def test_prices_and_context_come_from_the_providers_list(tmp_path: Path) -> None:
    models = {"data": [{
        "id": "big", "context_length": 5000, "pricing": {"prompt": "0.000002", "completion": "0.000004"},
        "top_provider": {"max_completion_tokens": 300},
    }, {"id": "free", "pricing": {"prompt": "-1"}}]}  # fmt: skip
    async with Provider(GOOD).serve() as provider:
        provider.models = http("200 OK", "application/json", json.dumps(models).encode())
        text = f'[api]\nurl = "http://127.0.0.1:{provider.port}/v1"\nmodel = "big"\n'
        assert (await terms(made(tmp_path, text))).price is None
        assert provider.listed == 0, "nothing is asked before consent"
        offer = await terms(made(tmp_path, f"{text}allow = true\n"))
        assert (offer.fit, offer.price) == (Fit(1000, 300, 5000), offer.price)
        assert offer.price is not None
        assert (offer.price.per_prompt, offer.price.per_answer) == (2.0, 4.0)
        await terms(made(tmp_path, f"{text}allow = true\n"))
        assert provider.listed == 1, "it is kept"
        mine = await terms(made(tmp_path, f"{text}allow = true\nprice_in = 7.0\n"))
        assert mine.price is not None
        assert (mine.price.per_prompt, mine.price.per_answer) == (7.0, 4.0)


@pytest.mark.parametrize("longest", [-1_000_000, 0])
async def test_a_list_cannot_have_a_negative_price_set_aside(longest: int, tmp_path: Path) -> None:
    """It would count as money that comes back, and let the next question exceed the budget."""
    pricing = {"prompt": "0.000002", "completion": "0.000004"}
    models = {"data": [{"id": "big", "pricing": pricing, "top_provider": {"max_completion_tokens": longest}}]}
    async with Provider(GOOD).serve() as provider:
        provider.models = http("200 OK", "application/json", json.dumps(models).encode())
        text = f'[api]\nurl = "http://127.0.0.1:{provider.port}/v1"\nmodel = "big"\nallow = true\n'
        offer = await terms(made(tmp_path, text))
    assert offer.fit.reserved > 0
    assert offer.estimate.nano is not None
    assert offer.estimate.nano > 0


async def test_a_list_that_is_none_and_a_cache_that_cannot_be_written_leave_prices_unknown(tmp_path: Path) -> None:
    nested = b'{"data": [{"id": "big", "odd": ' + 100_000 * b"[" + 100_000 * b"]" + b"}]}"
    async with Provider(GOOD).serve() as provider:
        text = f'[api]\nurl = "http://127.0.0.1:{provider.port}/v1"\nmodel = "big"\nallow = true\n'
        provider.models = http("200 OK", "application/json", nested)
        assert (await terms(made(tmp_path, text))).price is None
        provider.models = http("200 OK", "application/json", b'{"data": []}')
        (tmp_path / "models.json").mkdir()
        assert (await terms(made(tmp_path, text))).price is None
    assert provider.listed == 2


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with Provider(GOOD).serve() as serving:
        yield serving


async def test_consent_is_the_configurations_or_the_users_and_can_be_taken_back(
    tmp_path: Path, provider: Provider
) -> None:
    host = f"127.0.0.1:{provider.port}"
    text = configured(provider.port).replace("allow = true\n", "")
    egress = made(tmp_path, text)
    (model,) = egress.candidates("default")
    assert egress.consented(model) == "asked for"
    egress.consent.grant(host)
    assert made(tmp_path, text).consented(model) == "given"
    egress.consent.revoke(host)
    assert egress.consented(model) == "asked for"
    forbidding = made(tmp_path, configured(provider.port, allow=False))
    forbidding.consent.grant(host)
    assert forbidding.consented(*forbidding.candidates("default")) == "refused"
    assert (tmp_path / "consent.json").stat().st_mode & 0o777 == 0o600

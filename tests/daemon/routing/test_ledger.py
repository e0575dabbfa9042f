"""The ledger: what is reserved counts, nothing is charged twice, and neither kill -9 nor a clock gives money back."""

from __future__ import annotations

import contextlib
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ingle_daemon.errors import BudgetSpent, UsageError
from ingle_daemon.protocol import Usage
from ingle_daemon.routing.budget import NANO, NOTHING, Charge, Price, dollars, estimate, nano, settled, unsettled
from ingle_daemon.routing.ledger import Draft, Ledger, Limits, Spent, over

NOON = time.mktime((2026, 3, 14, 12, 0, 0, 0, 0, -1))
DAY = 24 * 3600.0


class Clocks:
    """A clock that can be set, and one that cannot."""

    def __init__(self) -> None:
        self.now, self.steady, self.boot = NOON, 1000.0, "first"

    def passes(self, seconds: float) -> None:
        self.now += seconds
        self.steady += seconds

    def ledger(self, path: Path, **limits: float) -> Ledger:
        clock, steady = (lambda: self.now), (lambda: self.steady)
        return Ledger(path, Limits(**limits), clock=clock, steady_clock=steady, session=self.boot)


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


def draft(amount: float | None = 0.4) -> Draft:
    cost = None if amount is None else nano(amount)
    return Draft(
        destination="far.example", model="big", sha256="ab", n_bytes=10, redactions={"token": 2}, estimate=cost
    )


def charge(amount: float) -> Charge:
    return Charge(Usage(10, 5, amount), nano(amount), believed=True)


def test_what_is_reserved_counts_until_it_is_settled(path: Path, clocks: Clocks) -> None:
    ledger = clocks.ledger(path, day=1.0)
    first = ledger.reserve(draft())
    ledger.reserve(draft())
    with pytest.raises(BudgetSpent, match=r"of \$1.00 a day, \$0.8000 are spent or set aside") as caught:
        ledger.reserve(draft())
    assert caught.value.exit_code == 7
    ledger.settle(first, charge(0.1), "answered")
    assert dollars(ledger.spent().day) == pytest.approx(0.5)
    ledger.reserve(draft())


@pytest.mark.parametrize(("day", "told"), [(0.000001, "0.000001"), (0.015, "0.015"), (0.1, "0.10"), (0.0, "0.00")])
def test_a_limit_is_told_with_all_its_digits(day: float, told: str) -> None:
    refusal = over(Limits(day=day), Spent(0, 0), 900_000_000)
    assert refusal
    assert f"of ${told} a day" in refusal.message


def test_the_limit_itself_may_be_spent(path: Path, clocks: Clocks) -> None:
    ledger = clocks.ledger(path, day=0.3)
    for _ in range(3):
        ledger.reserve(draft(0.1))
    with pytest.raises(BudgetSpent):
        ledger.reserve(draft(1e-9))


def test_nothing_is_charged_twice(path: Path, clocks: Clocks) -> None:
    ledger = clocks.ledger(path)
    receipt = ledger.reserve(draft())
    ledger.settle(receipt, charge(0.1), "answered")
    ledger.settle(receipt, charge(0.4), "cut off")
    (row,) = ledger.receipts()
    assert (row["charged"], row["outcome"]) == (0.1, "answered")


def test_a_price_that_is_not_known_does_not_fit_a_budget(path: Path, clocks: Clocks) -> None:
    with pytest.raises(BudgetSpent, match="what this model costs is not known"):
        clocks.ledger(path, month=5.0).reserve(draft(None))
    clocks.ledger(path).reserve(draft(None))


@pytest.mark.parametrize(("window", "later"), [("day", DAY), ("month", 31 * DAY)])
def test_a_new_day_and_a_new_month_begin_anew(path: Path, clocks: Clocks, window: str, later: float) -> None:
    ledger = clocks.ledger(path, **{window: 0.5})
    ledger.reserve(draft())
    with pytest.raises(BudgetSpent):
        ledger.reserve(draft())
    clocks.passes(later)
    ledger.reserve(draft())


@pytest.mark.parametrize("jump", [-40 * DAY, -3600.0])
def test_setting_the_clock_back_gives_nothing_back(path: Path, clocks: Clocks, jump: float) -> None:
    ledger = clocks.ledger(path, day=0.5, month=0.5)
    ledger.reserve(draft())
    clocks.now += jump
    with pytest.raises(BudgetSpent):
        ledger.reserve(draft())


@pytest.mark.parametrize("jump", [5 * DAY, 40 * DAY])
def test_setting_the_clock_forward_gives_nothing_back_until_the_machine_is_started_anew(
    path: Path, clocks: Clocks, jump: float
) -> None:
    ledger = clocks.ledger(path, day=0.5)
    ledger.reserve(draft())
    clocks.now += jump
    with pytest.raises(BudgetSpent):
        ledger.reserve(draft())
    ledger.close()
    with pytest.raises(BudgetSpent):
        clocks.ledger(path, day=0.5).reserve(draft())  # of the next daemon
    clocks.boot, clocks.steady = "second", 5.0
    clocks.ledger(path, day=0.5).reserve(draft())


def test_a_receipt_from_the_future_counts_once_and_not_for_ever(path: Path, clocks: Clocks) -> None:
    """Written before the machine was started anew, while the clock was years ahead."""
    ahead = Clocks()
    ahead.now += 3000 * DAY
    ahead.boot = "earlier"
    earlier = ahead.ledger(path)
    earlier.reserve(draft())
    earlier.close()
    ledger = clocks.ledger(path, day=0.5)
    with pytest.raises(BudgetSpent):
        ledger.reserve(draft())
    assert dollars(ledger.spent().day) == pytest.approx(0.4)
    clocks.passes(2 * DAY)
    ledger.reserve(draft())


def test_it_is_private_and_says_nothing_of_what_was_asked(path: Path, clocks: Clocks) -> None:
    ledger = clocks.ledger(path)
    ledger.reserve(draft())
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    (row,) = ledger.receipts()
    assert row["redactions"] == {"token": 2}
    assert "body" not in row
    assert ledger.receipts(bodies=True)[0]["body"] is None


def test_a_damaged_ledger_lets_nothing_leave(path: Path, clocks: Clocks) -> None:
    path.write_bytes(b"no database at all, but long enough to be read as one" * 50)
    with pytest.raises(UsageError, match="cannot be used"):
        clocks.ledger(path).reserve(draft())


def test_threads_cannot_overspend_together(path: Path, clocks: Clocks) -> None:
    ledger = clocks.ledger(path, day=1.0)
    granted: list[int] = []

    def spend() -> None:
        with contextlib.suppress(BudgetSpent):
            while True:
                granted.append(ledger.reserve(draft(0.03)))

    threads = [threading.Thread(target=spend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(granted) == 33
    assert ledger.spent().day <= NANO


KILLED = """
import os, signal, sys
from pathlib import Path
from ingle_daemon.routing.ledger import Draft, Ledger, Limits
ledger = Ledger(Path(sys.argv[1]), Limits(day=1.0))
ledger.reserve(Draft(destination="far", model="big", sha256="", n_bytes=1, redactions={}, estimate=900_000_000))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_daemon_had_reserved_stays_charged(path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert done.returncode == -9
    ledger = Ledger(path, Limits(day=1.0))
    assert ledger.spent().day == 900_000_000
    with pytest.raises(BudgetSpent):
        ledger.reserve(draft(0.2))
    assert [row["outcome"] for row in ledger.receipts()] == ["sent"]
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


# --- what is charged ---

PRICE = Price(1.0, 2.0)
RESERVED = estimate(1000, 4000, 500, PRICE)


def test_an_estimate_is_more_than_the_same_text_costs_with_another_tokenizer() -> None:
    assert RESERVED.prompt_tokens == 1364
    assert RESERVED.nano == nano((1364 * 1.0 + 500 * 2.0) / 1e6)
    assert estimate(None, 3000, 500, None).nano is None
    assert estimate(None, 3000, 500, PRICE).prompt_tokens == 1064


def test_a_believable_count_is_charged_at_its_price() -> None:
    result = settled(Usage(1000, 400), RESERVED, PRICE, body_bytes=4200, answer_bytes=1600)
    assert (result.nano, result.believed) == (nano(0.0018), True)
    assert result.usage.cost == pytest.approx(0.0018)


def test_the_providers_own_cost_goes_before_the_list_of_prices() -> None:
    assert settled(Usage(1000, 400, 0.0011), RESERVED, PRICE, 4200, 1600).nano == nano(0.0011)
    assert settled(Usage(1000, 400, 0.0), RESERVED, None, 4200, 1600).nano == 0
    assert settled(Usage(1000, 400), RESERVED, None, 4200, 1600).nano is None


@pytest.mark.parametrize(
    "reported",
    [
        None,
        Usage(0, 0),
        Usage(0, 400),
        Usage(-5, 400),
        Usage(1000, 0),
        Usage(1000, 3),
        Usage(10**12, 400),
        Usage(1000, 10**9),
        Usage(1000, 400, -1.0),
        Usage(1000, 400, float("nan")),
        Usage(1000, 400, float("inf")),
        Usage(1000, 400, 5000.0),
    ],
)
def test_a_missing_or_impossible_count_is_charged_at_the_estimate(reported: Usage | None) -> None:
    result = settled(reported, RESERVED, PRICE, body_bytes=4200, answer_bytes=1600)
    assert result == unsettled(RESERVED)
    assert (result.nano, result.believed) == (RESERVED.nano, False)


def test_nothing_costs_nothing() -> None:
    assert (NOTHING.nano, NOTHING.usage.cost) == (0, 0.0)

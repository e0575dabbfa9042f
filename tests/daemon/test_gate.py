"""The exact gate."""

from __future__ import annotations

import pytest

from ingle_daemon.protocol import Fit
from ingle_daemon.routing import gate


@pytest.mark.parametrize(
    ("max_tokens", "n_ctx", "reserved"),
    [(None, 8192, 1024), (None, 2048, 512), (None, 1, 1), (100, 2048, 100), (5000, 2048, 5000)],
)
def test_what_is_asked_for_is_reserved_and_the_default_has_its_share(
    max_tokens: int | None, n_ctx: int, reserved: int
) -> None:
    assert gate.reserve(max_tokens, n_ctx, 1024) == reserved


def test_the_last_token_still_fits() -> None:
    assert gate.fits(Fit(1536, 512, 2048))
    assert not gate.fits(Fit(1537, 512, 2048))


def test_what_could_not_be_counted_exactly_does_not_fit() -> None:
    assert not gate.fits(Fit(10, 10, 2048, exact=False))


def test_the_error_carries_the_numbers() -> None:
    error = gate.does_not_fit(Fit(3000, 512, 2048), "the local context", "raise `[engine] context`")
    assert error.message == (
        "the question takes 3,000 tokens and 512 are kept for the answer; the local context holds 2,048"
    )
    assert error.hint == "Shorten it by 1,464 tokens, or raise `[engine] context`."
    assert error.details == {"n_prompt_tokens": 3000, "n_reserved": 512, "n_ctx": 2048}
    assert error.exit_code == 5


def test_a_lower_bound_is_called_one() -> None:
    error = gate.does_not_fit(Fit(3000, 512, 2048, exact=False), "the local context")
    assert "more than 3,000 tokens" in error.message
    assert error.hint == "Send much less of it."

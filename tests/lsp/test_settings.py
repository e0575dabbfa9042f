"""Settings from whatever an editor sends."""

from __future__ import annotations

import pytest

from ingle_lsp.settings import Gates, Settings, parse


def test_an_editor_that_sends_nothing_gets_the_defaults() -> None:
    assert parse(None) == (Settings(), "")
    assert parse({}) == (Settings(), "")


def test_what_is_sent_is_used() -> None:
    assert parse({"maxTokens": 7, "debounceMs": 0, "gates": {"string": True}}) == (
        Settings(max_tokens=7, debounce_ms=0, gates=Gates(string=True)),
        "",
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"maxTokens": "many"}, "maxTokens: Expected `int`, got `str`"),
        ({"maxTokens": 0}, "maxTokens: Expected `int` >= 1"),
        ({"gates": {"midWord": "no"}}, "gates.midWord: Expected `bool`, got `str`"),
        ({"debounceMs": -1}, "debounceMs: Expected `int` >= 0"),
        ({"maxToken": 7}, "unknown field `maxToken`. The settings are enabled, candidates, maxTokens, "),
        (["maxTokens"], "Expected `object`, got `array`"),
    ],
)
def test_bad_settings_are_said_and_not_used(options: object, said: str) -> None:
    settings, complaint = parse(options)
    assert settings == Settings()
    assert said in complaint

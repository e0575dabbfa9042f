"""Settings: what the editor may set, fully defaulted, parsed once. Bad input is a message and the defaults.

This module knows neither how the settings arrive nor what they do.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

__all__ = ["Settings", "parse"]

_Positive = Annotated[int, msgspec.Meta(ge=1)]


class Settings(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The editor writes them in camel case: `maxTokens`."""

    max_tokens: _Positive = 48
    """The longest completion."""
    max_time_ms: _Positive = 500
    """Past this a completion ends with the line it has reached."""
    debounce_ms: Annotated[int, msgspec.Meta(ge=0)] = 50
    """The pause in typing that is waited for. A completion that the user asks for does not wait."""


def parse(options: object) -> tuple[Settings, str]:
    """The settings in what an editor sent, and what to tell its user about it ("" when all is well)."""
    if options is None:
        return Settings(), ""
    try:
        return msgspec.convert(options, Settings), ""
    except msgspec.ValidationError as exc:
        what, _, where = str(exc).partition(" - at `$.")
        setting = f"{where.rstrip('`')}: " if where else ""
        known = ", ".join(field.encode_name for field in msgspec.structs.fields(Settings))
        return Settings(), f"ingle: settings not used: {setting}{what}. The settings are {known}."

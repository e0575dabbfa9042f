"""Settings: what the editor may set, fully defaulted, parsed once. Bad input is a message and the defaults.

This module knows neither how the settings arrive nor what they do.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

__all__ = ["Context", "Filters", "Gates", "Settings", "parse"]

_Positive = Annotated[int, msgspec.Meta(ge=1)]


class _Section(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The editor writes its settings in camel case: `maxTokens`."""


class Gates(_Section, frozen=True, kw_only=True, rename="camel"):
    """Where not to ask, unless the user asks by hand; see completion/gates.py."""

    mid_word: bool = True
    mid_line: bool = True
    comment: bool = True
    string: bool = False
    after_deletion: bool = True
    empty: bool = True


class Context(_Section, frozen=True, kw_only=True, rename="camel"):
    """What of the user's other doings goes along with a request; see completion/recent.py."""

    edited: bool = False
    visited: bool = False
    open: bool = False
    diagnostics: bool = False

    @property
    def sources(self) -> tuple[str, ...]:
        """The names of those that are on."""
        return tuple(name for name in self.__struct_fields__ if getattr(self, name))


class Filters(_Section, frozen=True, kw_only=True, rename="camel"):
    """What not to show; see completion/filters.py."""

    suffix_lines: bool = True
    suffix_overlap: bool = True
    line_above: bool = True
    stray_closers: bool = False
    unreadable: bool = False


class Settings(_Section, frozen=True, kw_only=True, rename="camel"):
    enabled: bool = True
    """Completions at all, those asked for by hand too."""
    candidates: Annotated[int, msgspec.Meta(ge=1, le=5)] = 3
    """How many there are to choose from when asked by hand."""
    max_tokens: _Positive = 64
    """The longest completion."""
    max_time_ms: _Positive = 500
    """Past this a completion ends with the line it has reached."""
    debounce_ms: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """The pause in typing that is waited for; null goes by how fast the user types. A request by hand does not wait."""
    min_score: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.4
    """Completions that the model is less sure of are not shown: the mean probability of their tokens."""
    completion_items: bool = False
    """Completions as entries of the completion menu too, for editors without ghost text."""
    gates: Gates = Gates()
    filters: Filters = Filters()
    context: Context = Context()


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

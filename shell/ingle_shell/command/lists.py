"""Lists of names that read as prose."""

from __future__ import annotations

__all__ = ["names"]


def names(text: str) -> frozenset[str]:
    """The words of `text`."""
    return frozenset(text.split())

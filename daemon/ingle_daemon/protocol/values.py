"""What every wire type is."""

from __future__ import annotations

from typing import Annotated

import msgspec

__all__ = [
    "Count",
    "Seed",
    "Value",
]


class Value(msgspec.Struct, frozen=True, omit_defaults=True):
    """A plain value; fields at their default stay off the wire."""


Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Seed = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]

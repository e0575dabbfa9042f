"""What was probably meant by the name of a model that there is not. Pure; knows the catalog by its names."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

__all__ = ["nearest", "what_there_is"]

_MOST = 3
_LIKENESS, _MISTYPED = 0.4, 0.7


def nearest(name: str, names: Sequence[str], *, likeness: float = _LIKENESS) -> list[str]:
    """Those that go on where `name` ends, in the order given; else those spelled most like it."""
    name = name.lower()
    longer = [known for known in names if name and known.startswith(name)]
    return longer[:_MOST] or difflib.get_close_matches(name, names, n=_MOST, cutoff=likeness)


def what_there_is(name: str, installed: Sequence[str], fetchable: Sequence[str]) -> str:
    """A hint for one who named a model that is not installed: it can be fetched, or another one was meant."""
    if name.partition(":")[0] in fetchable:
        return f"`ingle model pull {name}` fetches it."
    if close := nearest(name, installed, likeness=_MISTYPED):
        return f"Did you mean {' or '.join(close)}?"
    here = f"Installed: {', '.join(installed) or 'none'}."
    if not fetchable:
        return here
    if close := nearest(name, fetchable):
        return f"{here} The catalog has {' or '.join(close)}: `ingle model pull NAME` fetches one."
    return f"{here} `ingle model search` names what can be fetched."

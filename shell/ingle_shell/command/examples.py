"""The examples that a model is shown before a wish: of those in examples.toml, the ones that are most like it.

Likeness is the words in common, rare ones counting more (Spärck Jones's inverse document frequency). Pure but for
reading that table once; it knows neither prompts nor models.
"""

from __future__ import annotations

import functools
import math
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec
import tomli

from ingle_shell.command.syntax import ShellName

__all__ = ["Example", "nearest"]

_WORD = re.compile(r"[a-z]+")


class Example(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A wish, the command that was meant, and what it does. `fish` is the command where fish has another."""

    wish: str
    run: str
    says: str
    fish: str = ""

    def command(self, shell: ShellName) -> str:
        return self.fish if shell == "fish" and self.fish else self.run


def nearest(wish: str, count: int) -> list[Example]:
    """The `count` examples that are most like `wish`, the most alike last: what stands near is imitated most."""
    examples = _table()
    weights = _weights()
    wanted = _words(wish)

    def likeness(example: Example) -> float:
        words = _words(example.wish)
        common = sum(weights[word] ** 2 for word in words & wanted)
        return common / math.sqrt(sum(weights[word] ** 2 for word in words))

    return sorted(examples, key=likeness)[-count:]


@functools.cache
def _table() -> Sequence[Example]:
    text = Path(__file__).with_name("examples.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomli.loads(text)["example"], tuple[Example, ...])


@functools.cache
def _weights() -> dict[str, float]:
    """How much a word tells: the fewer examples have it, the more."""
    examples = _table()
    seen = Counter(word for example in examples for word in _words(example.wish))
    return {word: math.log(1 + (len(examples) - number) / number) for word, number in seen.items()}


def _words(text: str) -> frozenset[str]:
    """The words of a text without their endings in s."""
    return frozenset(word.removesuffix("s") for word in _WORD.findall(text.lower()))

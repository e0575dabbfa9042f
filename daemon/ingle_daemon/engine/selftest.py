"""Whether a model fills in as its template says, tried once when it is loaded. Knows no family by name.

Markers alone do not tell in which order a model was trained, nor whether it was trained at all. A few holes, each with
one sensible middle that only the suffix gives away, do: the right layout makes that middle far more probable.
"""

from __future__ import annotations

from typing import get_args

from ingle_daemon.engine.batch import BatchItem
from ingle_daemon.engine.runner import Runner
from ingle_daemon.fim.assemble import assemble
from ingle_daemon.fim.templates import CONTINUATION, Order, Template
from ingle_daemon.protocol import InfillPrompt

__all__ = ["choose"]

_HOLES = (
    ("def load(path):\n    with open(path) as ", ":\n        return json.load(source)\n", "source"),
    ("def report(items):\n    for ", " in items:\n        print(entry.name, entry.size)\n", "entry"),
    ("import ", "\n\n\ndef read(text):\n    return yaml.safe_load(text)\n", "yaml"),
)
_BETTER = 1.0
"""Nats a token. The family's own order is given up only for one that is better by more than this; any order, for the
plain continuation of the prefix, unless it is better than that by more than this."""
_BUDGET = 128


def choose(runner: Runner, template: Template) -> tuple[Template, str]:
    """The template to use, and what to tell when it is not the one given ("" when it is). Leaves the cache empty.

    Evaluates some 60 tokens where the family's order does well, three times that where it has to look for another.
    """
    if not template.usable:
        return template, "this model was not trained to fill in: completions continue what is before the cursor"
    plain = _score(runner, Template(CONTINUATION.name, bos=template.bos))
    own = _score(runner, template)
    if own > plain + _BETTER:
        return template, ""
    others = [template.ordered(order) for order in _orders(template)]
    scores = [_score(runner, other) for other in others]
    best = max(range(len(others)), key=scores.__getitem__)
    if scores[best] > max(own, plain) + _BETTER:
        return others[best], f"the order {others[best].order} fills in better than {template.order}, and is used"
    return (
        Template(CONTINUATION.name, bos=template.bos),
        f"the template {template.name} does not fit this model: completions continue what is before the cursor",
    )


def _orders(template: Template) -> list[Order]:
    return [order for order in get_args(Order) if order != template.order and template.ordered(order).usable]


def _score(runner: Runner, template: Template) -> float:
    """Mean log-probability, in nats a token, of the middles."""
    return sum(_score_one(runner, template, *hole) for hole in _HOLES) / len(_HOLES)


def _score_one(runner: Runner, template: Template, prefix: str, suffix: str, middle: str) -> float:
    prompt = assemble(InfillPrompt(prefix, suffix), runner.vocab, template, _BUDGET).tokens
    wanted = runner.vocab.tokenize(middle, special=False)
    runner.clear()
    runner.decode([BatchItem(0, 0, [*prompt, *wanted[:-1]], len(wanted))])
    score = sum(runner.logprob(output, token) for output, token in enumerate(wanted)) / len(wanted)
    runner.clear()
    return score

"""How often a completion on lent suffix cells says what an exact one says.

Random cursor positions in the standard library's files. A prompt is evaluated as it was some characters of typing ago,
then completed as it is now, greedily: with the suffix lent, and with all of it evaluated. Exact evaluations do not all
agree either: beside it stands the same prompt, exact, with the cache in f16 instead of q8_0. What the two exact ones
disagree in is the model's indecision, which no reuse of cells can be better than. How undecided it was is printed too:
where two answers part, by how much the exact evaluation prefers its own token to the other's. The rows by tokens typed
tell whether evaluating the suffix again sooner would help.

The model is the starter with fill-in-the-middle tokens named in it, or the one that FIM_MODEL names; prompts are in
prefix-suffix-middle order whatever it was trained on.

    [FIM_MODEL=model.gguf] PYTHONPATH=tests python tests/bench/agreement.py [--json] [--rounds POSITIONS]
"""

from __future__ import annotations

import os
import random
import statistics
from dataclasses import dataclass
from pathlib import Path

import support
from bench import report
from bench.bare import as_worker
from engines import SLOTS, Bench
from ingle_daemon.engine.frames import KvType
from ingle_daemon.engine.runner import Runner, RunnerOptions
from ingle_daemon.engine.tokens import common_prefix
from ingle_daemon.engine.worker import default_threads
from ingle_daemon.fim.assemble import assemble
from ingle_daemon.fim.templates import Template
from ingle_daemon.protocol import InfillPrompt

PREFIX_CHARS, SUFFIX_CHARS = 900, 500
TYPED_CHARS = (1, 40)
"""Since the suffix was evaluated exactly: more is rare before typing pauses."""
DRIFTS = ((1, 3), (4, 8), (9, 64))
"""The same in tokens, for the rows by how much was typed."""
ANSWER = 24


@dataclass(frozen=True, slots=True)
class Position:
    """The prompt as it was and as it is, and where the suffix begins in each."""

    before: tuple[list[int], int]
    now: tuple[list[int], int]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What three evaluations of one prompt wrote. `gap`s are logits, None where the answers are the same."""

    lent: str
    exact: str
    other_exact: str
    lent_gap: float | None
    other_gap: float | None
    evaluated: int
    spliced: bool
    drift: int


def main() -> None:
    options = report.options("Completions on lent suffix cells against exact ones.", rounds=300)
    as_worker()
    model = Path(os.environ.get("FIM_MODEL") or support.fim_model())
    runner, other = _runner(model, "q8_0"), _runner(model, "f16")
    rng = random.Random(1)
    outcomes = [_complete(runner, other, _position(runner, rng)) for _ in range(options.rounds)]
    lent = [outcome for outcome in outcomes if outcome.spliced]
    by_drift = {(low, high): [one for one in lent if low <= one.drift <= high] for low, high in DRIFTS}
    report.show(
        f"{len(lent)} of {len(outcomes)} positions on lent cells; {model.name}",
        [
            _lent_row("lent suffix against exact", lent),
            *(_lent_row(f"{low} to {high} tokens typed", some) for (low, high), some in by_drift.items() if some),
            _row("exact, f16 cache against q8_0", [(one.other_exact, one.exact, one.other_gap) for one in lent]),
        ],
        as_json=options.as_json,
        remarks=[f"tokens evaluated with the suffix lent: median {statistics.median(o.evaluated for o in lent)}"],
    )


def _lent_row(name: str, outcomes: list[Outcome]) -> report.Row:
    return _row(name, [(one.lent, one.exact, one.lent_gap) for one in outcomes])


def _row(name: str, pairs: list[tuple[str, str, float | None]]) -> report.Row:
    lines = [_first_line(a) == _first_line(b) for a, b, _ in pairs]
    characters = [_first_line(a)[:1] == _first_line(b)[:1] for a, b, _ in pairs]
    gaps = [gap for _, _, gap in pairs if gap is not None]
    return {
        "": name,
        "positions": len(pairs),
        "identical": _share([a == b for a, b, _ in pairs]),
        "same first line": _share(lines),
        "same first character": _share(characters),
        "logits apart where they part": report.Spread.of(gaps) if gaps else None,
    }


def _share(same: list[bool]) -> float:
    return round(sum(same) / len(same), 3)


def _first_line(text: str) -> str:
    """What would be shown first: the first line with something in it."""
    return next((line.rstrip() for line in text.splitlines() if line.strip()), "")


def _runner(model: Path, kv_type: KvType) -> Runner:
    return Runner(RunnerOptions(str(model), 2048, default_threads(), 0, kv_type, 256, SLOTS))


def _position(runner: Runner, rng: random.Random) -> Position:
    """Somewhere in a file, with the rest of the cursor's line still to be written."""
    files = sorted(path for path in Path(os.__file__).parent.glob("*.py") if path.stat().st_size > 4 * PREFIX_CHARS)
    text = rng.choice(files).read_text(encoding="utf-8")
    cursor = rng.randrange(PREFIX_CHARS, len(text) - SUFFIX_CHARS)
    start = text.rfind("\n", 0, cursor - PREFIX_CHARS) + 1
    suffix = text[text.find("\n", cursor) :][:SUFFIX_CHARS]
    before = cursor - rng.randint(*TYPED_CHARS)
    return Position(_prompt(runner, text[start:before], suffix), _prompt(runner, text[start:cursor], suffix))


def _prompt(runner: Runner, prefix: str, suffix: str) -> tuple[list[int], int]:
    vocab = runner.vocab
    ids = vocab.fim
    template = Template("generic", "psm", ids.pre, ids.suf, ids.mid)
    assembled = assemble(InfillPrompt(prefix, suffix), vocab, template, budget=1500)
    return assembled.tokens, assembled.joint


def _complete(runner: Runner, other: Runner, position: Position) -> Outcome:
    now, joint = position.now
    before, _ = position.before
    bench = Bench(runner)
    bench.answer(0, *position.before, answer=0)
    lent = bench.answer(1, now, joint, ANSWER)
    exact = bench.answer(2, now, answer=ANSWER)
    other_exact = Bench(other, splice=False).answer(0, now, answer=ANSWER)
    return Outcome(
        _text(runner, lent),
        _text(runner, exact),
        _text(runner, other_exact),
        _gap(bench, now, exact, lent),
        _gap(bench, now, exact, other_exact),
        bench.timings[1].prompt_n,
        bench.timings[1].splice_n > 0,
        joint - common_prefix(before, now),
    )


def _gap(bench: Bench, prompt: list[int], exact: list[int], other: list[int]) -> float | None:
    """By how much the exact evaluation prefers its own token where the answers part."""
    common = common_prefix(exact, other)
    if common == min(len(exact), len(other)):
        return None
    bench.answer(3, [*prompt, *exact[:common]], answer=1)
    logits = bench.runner.logits(0)
    return float(logits[exact[common]] - logits[other[common]])


def _text(runner: Runner, tokens: list[int]) -> str:
    return b"".join(map(runner.vocab.piece, tokens)).decode(errors="replace")


if __name__ == "__main__":
    main()

"""What completions are worth: real code, cut at sampled places, completed by the real daemon, compared with the
original.

Four kinds of places: a line cut between words (`line`) or inside one (`word`), a bracket's content taken out with the
rest of the line left (`mid-line`), the lines of a small block taken out (`block`). An answer is generated once, to its
own end; stops, filters and the score are then applied as ingle-lsp applies them, with each switched off in turn.
`exact` is the share of places whose first line was written as it stood, `shown` the share in which anything was shown,
`right` the share of the shown that were exact, `saved` the characters that a shown one saves on average: those of an
exact one, none of another.

Context is measured apart, with twice the prompt: none, the index, and, each on its own, what an editor knows.
That is acted out: the files that this one imports of its own package (or, where there are none, its neighbours) were
visited in the middle, their heads are open, and two far places of the same file were edited. What is drawn does not
depend on what stood in the hole. Diagnostics are not acted out: there is no checker here.

Code that the model has not seen: starlette, which the FIM-trained model's makers held out.

    [FIM_MODEL=model.gguf] PYTHONPATH=tests python tests/bench/quality.py [--json] [--rounds PLACES]
"""

from __future__ import annotations

import difflib
import os
import random
import re
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import exp
from pathlib import Path

import msgspec
import starlette

import support
from bench import report
from ingle_daemon.protocol import CompletionRequest, ContextPiece, ContextSource
from ingle_lsp.completion.context import Hole
from ingle_lsp.completion.filters import FILTERS, filtered
from ingle_lsp.completion.gates import GATES, Situation, closed_gate
from ingle_lsp.completion.stops import plan_for, stop_of
from ingle_lsp.completion.syntax import Syntax
from ingle_lsp.settings import Filters, Gates, Settings

ROOT = Path(starlette.__file__).parent
KINDS = ("line", "word", "mid-line", "block")
LONGEST = 48
PROMPT_TOKENS = 256
"""The small FIM-trained model was trained on no more."""
SCORES = (0.0, 0.2, 0.6, 0.8)


@dataclass(frozen=True, slots=True)
class Place:
    """A hole in a file, and what stood in it."""

    kind: str
    filename: str
    hole: Hole
    wanted: str


@dataclass(frozen=True, slots=True)
class Written:
    """What the model wrote there: pieces with their log-probabilities, tokens and seconds of it all."""

    place: Place
    pieces: tuple[tuple[str, tuple[float, ...]], ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Variant:
    """How an answer becomes what is shown."""

    name: str
    stops: bool = True
    filters: Filters = Filters()  # noqa: RUF009 - a frozen value
    gates: Gates = Gates()  # noqa: RUF009
    min_score: float = Settings().min_score


@dataclass(frozen=True, slots=True)
class Result:
    """What was shown at a place, if anything, and what it took."""

    place: Place
    shown: str
    tokens: int
    score: float

    @property
    def exact(self) -> bool:
        return bool(self.shown) and _first(self.shown) == _first(self.place.wanted)


def main() -> None:
    choices = ("parts", "context")
    options = report.options("Completions against the code that stood there.", rounds=60, parts=choices)
    model = os.environ.get("FIM_MODEL") or str(support.starter_model())
    instance = support.new_instance(INGLE_MODEL=model)
    instance.configure(f"[engine]\nfim_tokens = {PROMPT_TOKENS}\n")
    try:
        note = instance.call("GET", "/v1/models") and instance.call("GET", "/ingle/status")["model"]["info"]
        chosen = list(places(options.rounds, random.Random(1)))
        written = [_write(instance, place) for place in chosen] if options.part != "context" else []
        with_context = _with_context(instance, chosen) if options.part != "parts" else {}
    finally:
        instance.close()
    every = [answer for answers in (written, *with_context.values()) for answer in answers]
    report.show(
        f"{len(chosen)} places in starlette; {Path(model).stem}, {note['template']} {note.get('fim', '')}",
        [
            *(_row(variant, [_result(answer, variant) for answer in written]) for variant in variants() if written),
            *(
                _row(Variant(name), [_result(answer, Variant("")) for answer in answers])
                for name, answers in with_context.items()
            ),
        ],
        as_json=options.as_json,
        remarks=[f"an answer took {statistics.median(answer.seconds for answer in every):.2f} s in the median, uncut"],
    )


def variants() -> list[Variant]:
    """Everything on, and each thing off; then other thresholds of the score."""
    none = Filters(**dict.fromkeys(FILTERS, False))
    return [
        Variant("all on"),
        Variant("no gates", gates=Gates(**dict.fromkeys(GATES, False))),
        Variant("no stops", stops=False),
        Variant("no filters", filters=none),
        *(Variant(f"without {name}", filters=msgspec.structs.replace(Filters(), **{name: False})) for name in FILTERS),
        *(Variant(f"score of {score}", min_score=score) for score in SCORES),
    ]


def places(count: int, rng: random.Random) -> Iterator[Place]:
    """As many of each kind, in files and at lines drawn by `rng`."""
    files = sorted(path for path in ROOT.rglob("*.py") if path.stat().st_size > 4_000)
    found = 0
    while found < count:
        path = rng.choice(files)
        place = _place(
            path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"), KINDS[found % len(KINDS)], rng
        )
        if place is not None:
            found += 1
            yield place


def _with_context(instance: support.Instance, chosen: Sequence[Place]) -> dict[str, list[Written]]:
    """The same places with more than the file in the prompt, by what that is."""
    instance.run("ingle", "stop")
    instance.configure(f"[engine]\nfim_tokens = {2 * PROMPT_TOKENS}\n")
    written = {"no context": [_write(instance, place) for place in chosen]}
    for source, acted in ACTED_OUT.items():
        written[f"with {source}"] = [_write(instance, place, acted(place, random.Random(2))) for place in chosen]
    instance.run("ingle", "stop")
    instance.configure(f'[engine]\nfim_tokens = {2 * PROMPT_TOKENS}\n[completion]\ncontext = "on"\n')
    _wait_for_index(instance, chosen[0])
    written["with the index"] = [_write(instance, place) for place in chosen]
    return written


def _edited(place: Place, rng: random.Random) -> tuple[ContextPiece, ...]:
    """Two places of the same file that the prompt does not reach."""
    far = place.hole.before.splitlines()[:-80] + place.hole.after.splitlines()[40:]
    starts = [rng.randrange(len(far) - 8) for _ in range(2)] if len(far) > 8 else []
    return tuple(_piece(far[start : start + 8], place.filename, "edited") for start in starts)


def _visited(place: Place, rng: random.Random) -> tuple[ContextPiece, ...]:
    """A place in two of the files that this one uses."""
    pieces = []
    for path in _used(place, rng):
        lines = path.read_text(encoding="utf-8").splitlines()
        start = rng.randrange(max(len(lines) - 8, 1))
        pieces.append(_piece(lines[start : start + 8], path.relative_to(ROOT).as_posix(), "visited"))
    return tuple(pieces)


def _open(place: Place, rng: random.Random) -> tuple[ContextPiece, ...]:
    """The heads of two of the files that this one uses."""
    return tuple(
        _piece(path.read_text(encoding="utf-8").splitlines()[:8], path.relative_to(ROOT).as_posix(), "open")
        for path in _used(place, rng)
    )


ACTED_OUT = {"edited": _edited, "visited": _visited, "open": _open}


def _used(place: Place, rng: random.Random) -> list[Path]:
    """Two files of the package that this one imports, or neighbours of it."""
    text = place.hole.before + place.hole.after
    named = (ROOT / name.replace(".", "/") for name in re.findall(rf"from {ROOT.name}\.([\w.]+) import", text))
    found = [path for stem in named if (path := stem.with_suffix(".py")).is_file()]
    own = ROOT / place.filename
    found = found or [path for path in sorted(own.parent.glob("*.py")) if path != own and path.stat().st_size]
    return rng.sample(found, min(2, len(found)))


def _piece(lines: Sequence[str], filename: str, source: ContextSource) -> ContextPiece:
    return ContextPiece("\n".join(lines), filename, source)


def _wait_for_index(instance: support.Instance, place: Place) -> None:
    _write(instance, place)
    support.wait_until(lambda: instance.call("GET", "/ingle/status")["workspaces"][0]["state"] == "ready")


def _place(filename: str, text: str, kind: str, rng: random.Random) -> Place | None:
    """A place of this kind in a random line; None where that line has none."""
    lines = text.splitlines(keepends=True)
    number = rng.randrange(10, len(lines) - 5)
    line, before, after = lines[number].rstrip("\n"), "".join(lines[:number]), "".join(lines[number + 1 :])
    if len(line.strip()) < 8 or line.lstrip().startswith(("#", '"', "'", "import", "from")):
        return None
    if kind in ("line", "word"):
        where = r"\b|(?<=\W)" if kind == "line" else r"(?<=\w)(?=\w)"
        cuts = [match.start() for match in re.finditer(where, line) if line[: match.start()].strip()]
        cuts = [cut for cut in cuts if len(line) - cut >= 4]
        if not cuts:
            return None
        cut = rng.choice(cuts)
        return Place(kind, filename, Hole(before + line[:cut], "\n" + after), line[cut:])
    if kind == "mid-line":
        inside = re.search(r"\(([^()]{3,})\)", line)
        if inside is None:
            return None
        start, end = inside.span(1)
        return Place(kind, filename, Hole(before + line[:start], line[end:] + "\n" + after), line[start:end])
    indent = re.match(r"\s*", line)
    assert indent
    block = [line]
    for following in lines[number + 1 : number + 4]:
        if not following.strip() or not following.startswith(indent[0]):
            break
        block.append(following.rstrip("\n"))
    rest = "".join(lines[number + len(block) :])
    return Place(kind, filename, Hole(before + indent[0], "\n" + rest), "\n".join(block)[len(indent[0]) :])


def _write(instance: support.Instance, place: Place, context: tuple[ContextPiece, ...] = ()) -> Written:
    """The model's own answer, to its end."""
    request = CompletionRequest(
        str(id(place)),
        place.hole.prefix,
        place.hole.suffix,
        place.filename,
        ROOT.name,
        str(ROOT),
        context=context,
        max_tokens=LONGEST,
    )
    if context:  # a file's context stays what it was at first, until a request comes without any
        forgetting = CompletionRequest("", "", "", place.filename, ROOT.name, str(ROOT), max_tokens=1)
        list(instance.stream("/ingle/complete", msgspec.to_builtins(forgetting)))
    begin = time.perf_counter()
    events = list(instance.stream("/ingle/complete", msgspec.to_builtins(request)))
    pieces = tuple((event["text"], tuple(event.get("logprobs", ()))) for event in events if event["type"] == "delta")
    return Written(place, pieces, time.perf_counter() - begin)


def _result(written: Written, variant: Variant) -> Result:
    place = written.place
    syntax = Syntax("python")
    syntax.update(place.hole.before + place.hole.after)
    situation = Situation(place.hole, syntax.kind_at(place.hole.at))
    if closed_gate(situation, variant.gates):
        return Result(place, "", 0, 0.0)
    text, logprobs = "", list[float]()
    plan = plan_for(place.hole)
    for piece, certainty in written.pieces:
        text += piece
        logprobs += certainty
        if variant.stops and (stop := stop_of(text, plan, place.hole.line_before)):
            text = text[: stop.at]
            break
    score = exp(statistics.fmean(logprobs)) if logprobs else 0.0
    shown = filtered(text, place.hole, variant.filters, syntax).text if score >= variant.min_score else ""
    return Result(place, shown, len(logprobs), score)


def _row(variant: Variant, results: Sequence[Result]) -> report.Row:
    shown = [result for result in results if result.shown]
    by_kind = {
        kind: round(statistics.fmean(result.exact for result in results if result.place.kind == kind), 2)
        for kind in KINDS
    }
    return {
        "": variant.name,
        "exact": round(statistics.fmean(result.exact for result in results), 3),
        **by_kind,
        "similar": round(statistics.fmean(_similar(result) for result in shown), 2) if shown else None,
        "shown": round(len(shown) / len(results), 2),
        "right": round(statistics.fmean(result.exact for result in shown), 2) if shown else None,
        "saved": round(statistics.fmean(_saved(result) for result in shown), 1) if shown else None,
        "tokens": round(statistics.fmean(result.tokens for result in results), 1),
    }


def _similar(result: Result) -> float:
    """Edit similarity of what is shown to as many lines of what stood there."""
    lines = result.shown.count("\n") + 1
    wanted = "\n".join(result.place.wanted.split("\n")[:lines])
    return difflib.SequenceMatcher(None, result.shown.strip(), wanted.strip(), autojunk=False).ratio()


def _saved(result: Result) -> int:
    return len(_first(result.shown)) if result.exact else 0


def _first(text: str) -> str:
    return text.strip("\n").split("\n", 1)[0].strip()


if __name__ == "__main__":
    main()

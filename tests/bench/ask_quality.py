"""How good `ask`'s answers are: 20 everyday questions, each with the facts that a right answer contains.

The questions go through `ask` itself, so that its system prompt is measured too; greedy, so that a run repeats.
INGLE_MODEL names the GGUF to measure; without it, the starter.

    python tests/bench/ask_quality.py [--json] [--wrong] [--system TEXT]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import sys
import time
from pathlib import Path
from typing import NamedTuple

import msgspec
import tomli

sys.path.insert(0, str(Path(__file__).parents[1]))

import support
from bench.report import Row, show

QUESTIONS = Path(__file__).with_name("ask_quality")


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`facts` are regular expressions, every one of which must be found in the answer."""

    ask: str
    facts: tuple[str, ...]
    input: str = ""


class Answer(NamedTuple):
    """What came, and how it scores."""

    question: Question
    text: str
    seconds: float
    tokens: int

    @property
    def found(self) -> list[str]:
        return [fact for fact in self.question.facts if re.search(fact, self.text, re.IGNORECASE)]

    @property
    def right(self) -> bool:
        return len(self.found) == len(self.question.facts)


def main() -> None:
    parser = argparse.ArgumentParser(description="Score the answers of `ask`.")
    parser.add_argument("--json", dest="as_json", action="store_true", help="print JSON, for programs")
    parser.add_argument("--wrong", action="store_true", help="print the answers that lack a fact, too")
    parser.add_argument("--system", metavar="TEXT", help="instructions in place of ask's own, to compare")
    options = parser.parse_args()

    model = os.environ.get("INGLE_MODEL") or str(support.starter_model())
    instance = support.new_instance(INGLE_MODEL=model)
    try:
        answers = [answered(instance, question, options.system) for question in questions("answers")]
    finally:
        instance.close()
    remarks = [f"\n{answer.question.ask}\n  {answer.text!r}" for answer in answers if not answer.right]
    title = f"ask: everyday questions, {Path(model).stem}"
    show(title, [row("answers", answers)], as_json=options.as_json, remarks=remarks if options.wrong else ())


def questions(kind: str) -> tuple[Question, ...]:
    table = tomli.loads((QUESTIONS / f"{kind}.toml").read_text(encoding="utf-8"))
    return msgspec.convert(table["question"], tuple[Question, ...])


def answered(instance: support.Instance, question: Question, system: str | None) -> Answer:
    own = [] if system is None else ["--system", system]
    begin = time.monotonic()
    done = instance.run(
        *("ask", "--json", "-n", "--temperature", "0", "--max-tokens", "200", *own, "--", question.ask),
        input=question.input or None,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    return Answer(question, told["answer"], time.monotonic() - begin, told["timings"]["predicted_n"])


def row(kind: str, answers: list[Answer]) -> Row:
    facts = sum(len(answer.question.facts) for answer in answers)
    return {
        "kind": kind,
        "questions": len(answers),
        "right": sum(answer.right for answer in answers),
        "facts found": f"{sum(len(answer.found) for answer in answers)} of {facts}",
        "tokens, median": statistics.median(answer.tokens for answer in answers),
        "seconds, median": round(statistics.median(answer.seconds for answer in answers), 2),
    }


if __name__ == "__main__":
    main()

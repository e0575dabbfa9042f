"""A document that is too large and may not leave, from the shell: read in parts, and said so."""

from __future__ import annotations

import json

from support import Instance

LINES = [f"line {number} of the log says little\n" for number in range(200)]
LINES[150] = "the code is 7421\n"
DOCUMENT = "".join(LINES)


def script(instance: Instance) -> None:
    instance.script(
        context=600,
        rules=[
            {"kind": "chat", "match": "^These are notes", "answer": "It is 7421."},
            {"kind": "chat", "match": r"Part:\n[^$]*code is 7421", "answer": "the code is 7421"},
            {"kind": "chat", "match": r"Part:\n", "answer": "Nothing."},
        ],
    )


def test_it_is_read_in_parts_and_the_method_is_told(instance: Instance) -> None:
    script(instance)
    done = instance.run("ask", "-n", "What is the code?", input=DOCUMENT)
    assert (done.returncode, done.stdout) == (0, "It is 7421.\n")
    assert "read in parts" in done.stderr
    assert "reading part 1 of " in done.stderr


def test_its_route_says_why_to_programs_too(instance: Instance) -> None:
    script(instance)
    done = instance.run("ask", "-n", "--json", "What is the code?", input=DOCUMENT)
    answer = json.loads(done.stdout)
    assert answer["answer"] == "It is 7421."
    assert answer["route"]["rule"] == "too large, in parts"


def test_text_without_a_question_is_still_refused_with_the_numbers(instance: Instance) -> None:
    script(instance)
    done = instance.run("ask", "-n", "word " * 900)
    assert done.returncode == 5
    assert "tokens" in done.stderr

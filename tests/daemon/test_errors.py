"""The errors and the table that documents them."""

from __future__ import annotations

import json
import re

import pytest

from ingle_daemon import errors
from ingle_daemon.errors import DoesNotFit, IngleError, NoModel, from_wire, reason

ROW = re.compile(r"^\s*([│├└─ ]*)(\w+)\s+(\d+)\s+(\d+)  ", re.MULTILINE)


def kinds(base: type[IngleError] = IngleError) -> list[type[IngleError]]:
    """All errors below `base` that the module has; others have theirs, for themselves."""
    found = [kind for child in base.__subclasses__() for kind in (child, *kinds(child))]
    return [kind for kind in found if kind.__module__ == errors.__name__]


def documented() -> dict[str, tuple[str, int, int]]:
    """What the module's docstring draws: class → parent, exit code, HTTP status."""
    table: dict[str, tuple[str, int, int]] = {}
    branch = ["IngleError"]
    for indent, name, exit_code, status in ROW.findall(errors.__doc__ or ""):
        depth = len(indent) // 4
        branch[depth:] = [name]
        table[name] = (branch[depth - 1] if depth > 1 else "IngleError", int(exit_code), int(status))
    return table


def test_the_docstring_draws_exactly_the_classes_there_are() -> None:
    actual = {kind.__name__: (kind.__bases__[0].__name__, kind.exit_code, kind.http_status) for kind in kinds()}
    assert documented() == actual


def test_every_error_is_exported() -> None:
    assert {kind.__name__ for kind in kinds()} | {"IngleError", "from_wire", "reason"} == set(errors.__all__)


def test_codes_are_distinct() -> None:
    codes = [IngleError.code, *(kind.code for kind in kinds())]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("kind", [IngleError, *kinds()], ids=lambda kind: kind.__name__)
def test_every_error_survives_the_wire(kind: type[IngleError]) -> None:
    sent = kind("it happened", hint="do this", n_ctx=2048, path="/a/b", models=["x", "y"])
    received = from_wire(json.loads(json.dumps(sent.to_wire())))
    assert type(received) is kind
    assert (received.message, received.hint, received.details) == (sent.message, sent.hint, sent.details)


def test_an_unknown_code_is_a_plain_error() -> None:
    received = from_wire({"message": "odd", "code": "from_the_future", "type": "from_the_future"})
    assert type(received) is IngleError
    assert str(received) == "odd"


def test_an_error_without_anything_is_still_an_error() -> None:
    assert from_wire({}).message == "unknown error"


def test_it_reads_as_message_then_hint() -> None:
    assert str(NoModel("no model", hint="Run `ingle model pull`.")) == "no model\n  Run `ingle model pull`."
    assert str(NoModel("no model")) == "no model"


def test_on_the_wire_it_is_what_openai_clients_expect_with_the_details_beside_it() -> None:
    assert DoesNotFit("too long", n_prompt_tokens=3000).to_wire() == {
        "message": "too long",
        "type": "exceed_context_size_error",
        "code": "exceed_context_size_error",
        "hint": "",
        "n_prompt_tokens": 3000,
    }


def test_what_the_system_says_is_told_without_its_number() -> None:
    assert reason(FileNotFoundError(2, "No such file or directory", "nosuch")) == "No such file or directory"
    assert reason(TimeoutError("timed out")) == "timed out"
    assert reason(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")) == "it is not UTF-8"

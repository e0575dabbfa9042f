"""What a client may look up: symbols, the files of a folder, and where a question would run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ingle_daemon.errors import DoesNotFit, IngleError, RefusedByPrivacy, UsageError
from support import Instance


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_a_symbol_is_found_from_its_first_line_to_its_last(instance: Instance) -> None:
    body = "\n".join(f"    x{number} = {number}" for number in range(120))
    root = write(
        instance.root / "work", {"a.py": f"import os\n\n\ndef long_one():\n{body}\n\n\ndef other():\n    pass\n"}
    )
    answer = ready(instance, root, "long_one")
    (found,) = answer["found"]
    assert (found["path"], found["line"]) == ("a.py", 4)
    assert found["text"] == f"def long_one():\n{body}"
    assert ready(instance, root, "nobody")["found"] == []


def ready(instance: Instance, root: Path, name: str) -> dict[str, Any]:
    while (answer := instance.call("POST", "/ingle/symbol", {"root": str(root), "name": name}))["state"] == "scanning":
        pass
    return dict(answer)


def test_a_folder_is_listed_without_what_git_ignores_and_without_secrets(instance: Instance) -> None:
    root = write(
        instance.root / "work",
        {".gitignore": "build/\n", "a.py": "a", "sub/b.py": "bb", "build/c.py": "c", ".env": "KEY=1", "id_rsa": "key"},
    )
    (root / ".git").mkdir()
    listed = instance.call("POST", "/ingle/files", {"folder": str(root / "sub")})
    assert listed == {"files": [["b.py", 2]]}
    listed = instance.call("POST", "/ingle/files", {"folder": str(root)})
    assert listed == {"files": [[".gitignore", 7], ["a.py", 1], ["sub/b.py", 2]]}


@pytest.mark.parametrize(
    ("folder", "error"), [("missing", UsageError), (".ssh", RefusedByPrivacy), ("private", RefusedByPrivacy)]
)
def test_a_folder_that_may_not_be_read_is_refused(instance: Instance, folder: str, error: type[IngleError]) -> None:
    write(instance.root, {".ssh/config": "x", "private/.ingleignore": "*\n", "private/a.py": "a"})
    with pytest.raises(error):
        instance.call("POST", "/ingle/files", {"folder": str(instance.root / folder)})


def test_a_plan_says_where_a_question_would_run_and_what_would_be_sent(instance: Instance) -> None:
    plan = instance.call("POST", "/ingle/route", {"messages": [{"role": "user", "content": "one two"}]})
    assert plan["route"]["kind"] == "local"
    assert plan["messages"] == [{"role": "user", "content": "one two"}]
    assert (plan["prompt"], plan["fit"]["prompt_tokens"]) == ("one two", 3)


def test_a_plan_is_refused_as_the_question_would_be(instance: Instance) -> None:
    with pytest.raises(DoesNotFit):
        instance.call("POST", "/ingle/route", {"messages": [{"role": "user", "content": "word " * 4000}]})

"""What the user did elsewhere goes along with a completion, and stays as it is during typing: the real processes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import support
from ingle_lsp.completion import recent
from lsp.editor import Editor, started

CONTEXT = {"context": {"edited": True, "visited": True, "open": True, "diagnostics": True}}
B, C = "file:///code/app/b.py", "file:///code/app/.env"
TEXT = "".join(f"name_{number} = {number}\n" for number in range(80))


@pytest.fixture
def scripted() -> Iterator[support.Instance]:
    instance = support.new_instance()
    instance.script(rules=[{"kind": "infill", "match": "", "answer": "1"}])
    instance.start()
    yield instance
    instance.close()


async def work_elsewhere(editor: Editor) -> None:
    """Open two files, and stay in one for as long as counts."""
    editor.open("PASSWORD=hunter2\n", uri=C)
    editor.open(TEXT, uri=B)
    editor.type(60, 0, "total = ", uri=B)
    await editor.complete(60, 8, uri=B)
    await asyncio.sleep(recent._STAYED)  # somebody thinks
    editor.type(60, 8, "sum", uri=B)


def contexts(instance: support.Instance, count: int) -> list[list[dict[str, Any]]]:
    """What went along with the last requests, the newest first."""
    return [told["context"] for told in instance.call("GET", f"/ingle/why?n={count}")["completions"] if "id" in told]


async def test_what_was_done_elsewhere_goes_along_and_thirty_keystrokes_leave_it_still(
    scripted: support.Instance,
) -> None:
    async with started(scripted.env, options={**CONTEXT, "candidates": 1, "debounceMs": 0}) as editor:
        await work_elsewhere(editor)
        editor.open("import b\n\nx = \n")
        editor.notify(
            "ingle/diagnostics",
            uri="file:///code/app/lib/x.py",
            diagnostics=[{"range": {"start": {"line": 0, "character": 0}}, "message": "b is not used"}],
        )
        await editor.complete(2, 4)
        (first,) = contexts(scripted, 1)
        assert [(piece["source"], piece["filename"]) for piece in first] == [
            ("open", "b.py"),
            ("edited", "b.py"),
            ("diagnostics", "lib/x.py"),
        ]
        for key in range(30):
            editor.type(2, 4 + key, "abcdefghij("[key % 11])
            editor.notify("ingle/diagnostics", uri="file:///code/app/lib/x.py", diagnostics=[])
            await editor.complete(2, 5 + key)
        later = contexts(scripted, 30)
        assert len(later) == 30
        assert all(context == first for context in later)


async def test_nothing_goes_along_unless_it_is_switched_on(scripted: support.Instance) -> None:
    async with started(scripted.env) as editor:
        await work_elsewhere(editor)
        editor.open("import b\n\nx = \n")
        await editor.complete(2, 4)
        assert contexts(scripted, 1) == [[]]


async def test_what_the_workspace_ignores_stays_out(tmp_path: Path) -> None:
    instance = support.new_instance()
    instance.script(rules=[{"kind": "infill", "match": "", "answer": "1"}])
    (tmp_path / ".ingleignore").write_text("b.py\n")
    try:
        async with started(instance.env, options=CONTEXT, folder=tmp_path) as editor:
            editor.open(TEXT, uri=(tmp_path / "b.py").as_uri())
            editor.open(TEXT, uri=(tmp_path / "d.py").as_uri())
            editor.open("x = ", uri=(tmp_path / "x.py").as_uri())
            await editor.complete(0, 4, uri=(tmp_path / "x.py").as_uri())
            assert [piece["filename"] for piece in contexts(instance, 1)[0]] == ["d.py"]
    finally:
        instance.close()

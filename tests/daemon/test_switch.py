"""Questions that name a model: who waits for whom, and that the current model comes back."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from ingle_daemon.backends.switch import Switch
from support import STARTER, Instance, new_instance


class Loads:
    """What was loaded, in order; `back` is set when the current one was loaded again."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.back = asyncio.Event()

    async def __call__(self, name: str) -> None:
        await asyncio.sleep(0)
        self.names.append(name)
        if not name:
            self.back.set()


async def test_the_loaded_model_is_used_at_once_by_any_number() -> None:
    loads = Loads()
    switch = Switch(loads)
    async with switch.using(""), switch.using(""):
        assert loads.names == []


async def test_another_model_waits_for_those_who_use_this_one() -> None:
    loads, order = Loads(), list[str]()
    switch = Switch(loads)

    async def ask(model: str) -> None:
        async with switch.using(model):
            order.append(model)

    async with switch.using(""):
        waiting = [asyncio.create_task(ask("big")), asyncio.create_task(ask(""))]
        await asyncio.sleep(0.01)
        assert loads.names == []
    await asyncio.gather(*waiting)
    assert order == ["big", ""]  # whoever came first is not overtaken
    assert loads.names == ["big", ""]
    await switch.close()


async def test_the_current_model_comes_back_by_itself() -> None:
    loads = Loads()
    switch = Switch(loads, return_after=0)
    async with switch.using("big"):
        assert switch.loaded == "big"
    await loads.back.wait()
    assert loads.names == ["big", ""]
    await switch.close()


async def test_one_who_waits_and_goes_away_is_forgotten() -> None:
    switch = Switch(Loads())

    async def ask() -> None:
        async with switch.using("big"):
            raise AssertionError("it was cancelled")

    async with switch.using(""):
        waiting = asyncio.create_task(ask())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    async with switch.using(""):
        assert switch.loaded == ""


@pytest.mark.model
def test_ask_m_is_answered_by_that_model_and_the_next_question_by_the_current_one(starter: Path) -> None:
    instance = new_instance()
    try:
        for name in (STARTER, "second"):
            install(instance, starter, name)
        (Path(instance.xdg["XDG_DATA_HOME"]) / "ingle/models/current").write_text(STARTER)
        limit = ("--max-tokens", "2", "hi")
        assert instance.run("ask", "-m", "second", *limit).stderr.startswith("second · local")
        assert instance.run("ask", *limit).stderr.startswith(f"{STARTER} · local")
        unknown = instance.run("ask", "-m", "third", *limit)
        assert (unknown.returncode, unknown.stdout) == (4, "")
        assert "third" in unknown.stderr
    finally:
        instance.close()


def install(instance: Instance, model: Path, name: str) -> None:
    """Put a model into the instance's store, as a pull would."""
    folder = Path(instance.xdg["XDG_DATA_HOME"]) / "ingle/models" / name
    folder.mkdir(parents=True)
    (folder / "model.gguf").symlink_to(model)
    record = {"name": name, "file": "model.gguf", "sha256": "", "size_bytes": model.stat().st_size, "source": "a test"}
    (folder / "model.json").write_text(json.dumps(record))

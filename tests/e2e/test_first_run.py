"""From an empty home to an answer, as a user meets it: real fetch, real model, real disk."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import support

pytestmark = pytest.mark.model


@pytest.fixture
def empty(starter: Path) -> Iterator[support.Instance]:
    """An empty home. (`starter` has filled pip's cache, so that the network is asked once.)"""
    made = support.new_instance(XDG_CACHE_HOME=os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")))
    yield made
    made.close()


def shown_in_the_readme(before: str) -> str:
    """What stands there between `before` and the next quotation mark."""
    readme = Path(__file__).parents[2] / "README.md"
    return readme.read_text().partition(before)[2].partition('"')[0]


def test_the_first_question_fetches_the_starter_and_is_answered(empty: support.Instance) -> None:
    question, wish = shown_in_the_readme('&& ask "'), shown_in_the_readme('ask -s "')
    done = empty.run("ask", question, timeout=240)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "The capital of Germany is Berlin.\n"
    assert "smollm2" in done.stderr.lower()
    assert "not sure" not in done.stderr
    again = empty.run("ask", "-s", "--shell", "bash", wish, timeout=60)
    assert (again.returncode, again.stdout) == (0, "tar -xzf archive.tar.gz\n")
    assert "!" not in again.stderr
    models = Path(empty.xdg["XDG_DATA_HOME"]) / "ingle/models"
    assert [path.name for path in models.iterdir() if path.name.startswith(".staging")] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a tiny tmpfs takes root")
def test_a_full_disk_is_exit_code_4_with_the_numbers_and_leaves_nothing(empty: support.Instance) -> None:
    data = Path(empty.xdg["XDG_DATA_HOME"])
    data.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=60m", "tmpfs", str(data)], check=False)
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount a tmpfs")
    try:
        done = empty.run("ask", "hello", timeout=120)
        assert done.returncode == 4
        assert done.stdout == ""
        assert "not enough disk space" in done.stderr
        assert "MB" in done.stderr
        left = [path for path in (data / "ingle/models").rglob("*") if path.is_file() and path.stat().st_size]
        assert left == []
    finally:
        empty.run("ingle", "stop")
        subprocess.run(["umount", str(data)], check=True)

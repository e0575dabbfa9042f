"""`ingle setup`: plugins go where their editors look for them, said first, and go away again."""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from support import Instance

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "editors/neovim"


@pytest.fixture
def target(instance: Instance) -> Path:
    return instance.root / "data/nvim/site/pack/ingle/start/ingle"


@pytest.fixture
def vsix() -> Iterator[Path]:
    """The built extension; a stand-in where it has not been built."""
    path = ROOT / "editors/vscode/ingle.vsix"
    built = path.exists()
    if not built:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    yield path
    if not built:
        path.unlink()


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_neovims_plugin_is_copied_and_removed(instance: Instance, target: Path) -> None:
    done = instance.run("ingle", "setup", "neovim", "--yes")
    assert done.returncode == 0, done.stderr
    assert f"write {target}" in done.stderr
    assert _files(target) == _files(PLUGIN)
    (target / "lua/ingle/old.lua").touch()
    done = instance.run("ingle", "setup", "neovim", "--yes")
    assert f"replace {target}" in done.stderr
    assert _files(target) == _files(PLUGIN)
    done = instance.run("ingle", "setup", "neovim", "--undo", "--yes")
    assert f"remove {target}" in done.stderr
    assert list((instance.root / "data").iterdir()) == []
    assert "no plugin" in instance.run("ingle", "setup", "neovim", "--undo").stdout


def test_folders_of_others_stay(instance: Instance, target: Path) -> None:
    (instance.root / "packs").mkdir()
    (instance.root / "data/nvim/site").mkdir(parents=True)
    (instance.root / "data/nvim/site/pack").symlink_to(instance.root / "packs")
    instance.run("ingle", "setup", "neovim", "--yes")
    assert target.exists()
    done = instance.run("ingle", "setup", "neovim", "--undo", "--yes")
    assert done.returncode == 0, done.stderr
    assert list((instance.root / "data/nvim/site").iterdir()) == [instance.root / "data/nvim/site/pack"]
    assert list((instance.root / "packs").iterdir()) == []


def test_what_programs_read_names_what_was_done(instance: Instance, target: Path) -> None:
    done = instance.run("ingle", "setup", "neovim", "--yes", "--json", env={"NVIM_APPNAME": "other"})
    (step,) = json.loads(done.stdout)["done"]
    assert str(target).replace("/nvim/", "/other/") in step


def test_nothing_but_the_plugin_is_installed() -> None:
    assert {path.name for path in PLUGIN.iterdir()} == {"doc", "lua", "plugin"}


def test_with_nobody_to_ask_nothing_is_written(instance: Instance, target: Path) -> None:
    done = instance.run("ingle", "setup", "neovim")
    assert done.returncode == 2
    assert "--yes" in done.stderr
    assert not target.exists()


def test_on_a_terminal_it_is_asked_first(instance: Instance, target: Path) -> None:
    for answer, installed in (("n", False), ("", True)):
        terminal = pexpect.spawn(f"{Path(sys.executable).parent}/ingle", ["setup", "neovim"], env=instance.env)
        terminal.expect(r"\[Y/n\]")
        assert not target.exists()
        terminal.sendline(answer)
        terminal.expect(pexpect.EOF)
        terminal.close()
        assert terminal.exitstatus == 0
        assert target.exists() is installed


def test_what_the_user_put_there_is_left_alone(instance: Instance, target: Path) -> None:
    target.parent.mkdir(parents=True)
    target.symlink_to(PLUGIN)
    for how in ((), ("--undo",)):
        done = instance.run("ingle", "setup", "neovim", "--yes", *how)
        assert done.returncode == 2
        assert "is not a copy" in done.stderr
    assert target.is_symlink()


def test_a_folder_that_cannot_be_written_is_named(instance: Instance, target: Path) -> None:
    (instance.root / "data").mkdir()
    (instance.root / "data/nvim").write_text("a file")
    done = instance.run("ingle", "setup", "neovim", "--yes")
    assert done.returncode == 1
    assert str(target) in done.stderr


def test_every_vs_code_on_path_installs_the_extension(instance: Instance, vsix: Path) -> None:
    programs = instance.root / "bin"
    programs.mkdir()
    for name in ("code", "codium"):
        program = programs / name
        program.write_text(f'#!/bin/sh\necho "$@" >> {instance.root}/{name}.called\n')
        program.chmod(0o755)
    path = {"PATH": f"{programs}:{instance.env['PATH']}"}
    for how, called in (
        ((), f"--install-extension {vsix} --force"),
        (("--undo",), "--uninstall-extension ingle.ingle"),
    ):
        done = instance.run("ingle", "setup", "vscode", "--yes", *how, env=path)
        assert done.returncode == 0, done.stderr
        for name in ("code", "codium"):
            assert f"run {programs / name} {called}" in done.stderr
            assert (instance.root / f"{name}.called").read_text().splitlines()[-1] == called


def test_a_vs_code_that_fails_is_quoted(instance: Instance, vsix: Path) -> None:
    program = instance.root / "bin/code"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho no room >&2\nexit 3\n")
    program.chmod(0o755)
    done = instance.run("ingle", "setup", "vscode", "--yes", env={"PATH": f"{program.parent}:{instance.env['PATH']}"})
    assert done.returncode == 1
    assert "no room" in done.stderr


def test_the_wheel_carries_the_plugins(vsix: Path, tmp_path: Path, instance: Instance, target: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-deps", str(ROOT)]
    done = instance.run(*pip, "--wheel-dir", str(tmp_path), timeout=280)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        carried = {name for name in archive.namelist() if name.startswith("ingle_shell/editors/")}
    expected = {f"ingle_shell/editors/neovim/{name}" for name in _files(PLUGIN)}
    assert carried == expected | {"ingle_shell/editors/vscode/ingle.vsix"}
    installed = instance.root / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    run = [sys.executable, "-P", "-c", "from ingle_shell.control import main; main()", "setup", "neovim", "--yes"]
    done = instance.run(*run, env={"PYTHONPATH": str(installed)})
    assert done.returncode == 0, done.stderr
    assert _files(target) == _files(PLUGIN)

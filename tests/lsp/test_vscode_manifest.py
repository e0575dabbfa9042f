"""The VS Code extension's manifest says what the server can do. Needs no VS Code."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ingle_daemon import __version__
from ingle_lsp.language_server import create
from ingle_lsp.settings import Settings

FOLDER = Path(__file__).parents[2] / "editors/vscode"
MANIFEST: dict[str, Any] = json.loads((FOLDER / "package.json").read_text())
GROUPS: list[dict[str, dict[str, Any]]] = MANIFEST["contributes"]["configuration"]
PROPERTIES = {name.removeprefix("ingle."): spec for group in GROUPS for name, spec in group["properties"].items()}


def flat(settings: dict[str, Any], before: str = "") -> dict[str, Any]:
    """Settings by their names in VS Code: `gates.midWord`."""
    names: dict[str, Any] = {}
    for name, value in settings.items():
        names |= flat(value, f"{before}{name}.") if isinstance(value, dict) else {before + name: value}
    return names


def test_the_extension_and_the_server_are_of_one_version() -> None:
    assert MANIFEST["version"] == __version__


def test_every_setting_of_the_server_is_there_with_its_default() -> None:
    defaults = {name: spec["default"] for name, spec in PROPERTIES.items() if name != "path"}
    assert defaults == flat(msgspec.to_builtins(Settings()))


def test_a_workspace_cannot_say_which_program_is_started() -> None:
    assert PROPERTIES["path"]["scope"] == "machine"


def test_no_command_has_the_name_of_one_of_the_servers() -> None:
    own = {command["command"] for command in MANIFEST["contributes"]["commands"]}
    assert own.isdisjoint(create().protocol.fm.commands)


@pytest.mark.parametrize("name", PROPERTIES)
def test_every_setting_is_documented(name: str) -> None:
    row = re.escape(f"`ingle.{name}`") + r" *\| *" + re.escape(f"`{json.dumps(PROPERTIES[name]['default'])}`")
    assert re.search(row, (FOLDER / "README.md").read_text())

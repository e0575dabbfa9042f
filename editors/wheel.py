"""A build hook: the wheel carries the editors' plugins, as `ingle setup` installs them.

The VS Code extension goes in when it has been built. An editable installation takes both from this folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Plugins(BuildHookInterface[Any]):
    """Adds the plugins to the package's data."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        root = Path(self.root)
        plugins = {root / "editors/neovim": "ingle_shell/editors/neovim"}
        extension = root / "editors/vscode/ingle.vsix"
        if extension.exists():
            plugins[extension] = "ingle_shell/editors/vscode/ingle.vsix"
        build_data["force_include"].update({str(source): target for source, target in plugins.items()})

"""A keyring in a plain file, for tests: the machine that runs them has no desktop to keep one."""

from __future__ import annotations

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend

__all__ = ["PlainKeyring"]


class PlainKeyring(KeyringBackend):
    """Keeps passwords in the file that PLAIN_KEYRING names."""

    priority = 1

    def get_password(self, service: str, username: str) -> str | None:
        return self._read().get(f"{service}/{username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        self._write({**self._read(), f"{service}/{username}": password})

    def delete_password(self, service: str, username: str) -> None:
        kept = self._read()
        del kept[f"{service}/{username}"]
        self._write(kept)

    @staticmethod
    def _read() -> dict[str, str]:
        path = Path(os.environ["PLAIN_KEYRING"])
        kept: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        return kept

    @staticmethod
    def _write(kept: dict[str, str]) -> None:
        Path(os.environ["PLAIN_KEYRING"]).write_text(json.dumps(kept))

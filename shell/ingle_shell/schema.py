"""Reads the JSON schema that `--schema` names. Whether it can be followed, the daemon says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ingle_daemon.errors import UsageError, reason

__all__ = ["read_schema"]


def read_schema(name: str) -> dict[str, Any]:
    """The schema in the file. Raises UsageError with the line of a mistake."""
    try:
        schema = json.loads(Path(name).expanduser().read_text(encoding="utf-8"))
    except json.JSONDecodeError as exc:
        raise UsageError(f"{name}:{exc.lineno}: not valid JSON: {exc.msg}", hint="Correct that line.") from exc
    except (OSError, UnicodeDecodeError, RecursionError) as exc:
        raise UsageError(f"cannot read {name}: {reason(exc)}", hint="Give a file with a JSON schema.") from exc
    if not isinstance(schema, dict):
        raise UsageError(f"{name} holds no JSON schema", hint="A schema is a JSON object.")
    return schema

"""The daemon's log: one JSON object a line, rotated, with nothing of the user's text in it.

Messages are constants; what varies goes into `extra`, and of that only the fields listed here are written.
"""

from __future__ import annotations

import json
import logging
from datetime import datetime, timezone
from logging.handlers import RotatingFileHandler
from pathlib import Path

__all__ = ["set_up"]

_FIELDS = (
    "seconds",
    "code",
    "deaths",
    "error",
    "load_ms",
    "loading",
    "model",
    "path",
    "pid",
    "port",
    "status",
    "version",
)
_MAX_BYTES = 1_000_000
_KEPT = 2


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update({name: getattr(record, name) for name in _FIELDS if hasattr(record, name)})
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__  # its message may quote a prompt
        return json.dumps(line)


def set_up(path: Path) -> None:
    """Write the log to `path`. The process's umask keeps it private."""
    handler = RotatingFileHandler(path, maxBytes=_MAX_BYTES, backupCount=_KEPT, encoding="utf-8")
    handler.setFormatter(_JsonLines())
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # it logs URLs

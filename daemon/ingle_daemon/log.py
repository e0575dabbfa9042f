"""The daemon's log: one JSON object a line, rotated, with nothing of the user's text in it. Under systemd, the journal.

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
    "reason",
    "status",
    "step",
    "version",
)
_PRIORITIES = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
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
        return json.dumps({**line, **_varying(record)})


class _JournalLines(logging.Formatter):
    """The same, as the journal reads it: it has the time, and takes the level from the number before a line."""

    def format(self, record: logging.LogRecord) -> str:
        priority = next((number for level, number in _PRIORITIES if record.levelno >= level), 7)
        return f"<{priority}>{record.name}: {' '.join([record.getMessage(), *_told(record)])}"


def _told(record: logging.LogRecord) -> list[str]:
    return [f"{name}={value}" for name, value in _varying(record).items()]


def _varying(record: logging.LogRecord) -> dict[str, object]:
    found = {name: getattr(record, name) for name in _FIELDS if hasattr(record, name)}
    if record.exc_info and record.exc_info[0]:
        found["error"] = record.exc_info[0].__name__  # its message may quote a prompt
    return found


def set_up(path: Path | None) -> None:
    """Write the log to `path`, or to the journal. The process's umask keeps a file private."""
    handler: logging.Handler
    if path is None:
        handler = logging.StreamHandler()
        handler.setFormatter(_JournalLines())
    else:
        handler = RotatingFileHandler(path, maxBytes=_MAX_BYTES, backupCount=_KEPT, encoding="utf-8")
        handler.setFormatter(_JsonLines())
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # it logs URLs

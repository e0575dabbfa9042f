"""A dialogue on a terminal that remembers every byte that was written to it."""

from __future__ import annotations

import pexpect

from support import Instance

__all__ = ["typed"]


def typed(instance: Instance, line: str, lines: list[str], until: list[str]) -> str:
    """Type each of `lines` once what `until` says has been shown; all that was written until the end."""
    child = pexpect.spawn(
        "/bin/sh", ["-c", line], env=instance.env, cwd=str(instance.root), encoding="utf-8", timeout=30, echo=False
    )
    written = ""
    try:
        for text, shown in zip(lines, until, strict=True):
            child.expect_exact(shown)
            written += str(child.before) + shown
            child.send(text if text == "\x04" else f"{text}\n")
        child.expect(pexpect.EOF)
        return written + str(child.before)
    finally:
        child.close(force=True)

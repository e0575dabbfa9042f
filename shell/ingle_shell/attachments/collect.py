"""All that a question brings along: what `-f` names, and what the question itself names after an `@`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from ingle_daemon.errors import DoesNotFit
from ingle_shell.attachments import files, symbols
from ingle_shell.attachments.attachment import Attachment

__all__ = ["collect"]

Note = Callable[[str], object]

_MENTION = re.compile(r"(?<![\w@])@([^\s@]+)")
_SYMBOL = re.compile(r"(?:[^\W\d]\w*\.)*([^\W\d]\w*)")
_AFTER_A_NAME = ".,;:!?)]}\"'"


def collect(sources: Sequence[str], question: str, limit: int, note: Note) -> tuple[list[Attachment], str]:
    """The attachments in the order in which they are named, and the question without the `@` before their names.

    An `@` that names nothing stays as it is, and `note` is told.
    """
    attached = [each for source in sources for each in _named(source, limit, note)]

    def mentioned(match: re.Match[str]) -> str:
        whole = match[1]
        for name in dict.fromkeys((whole, whole.rstrip(_AFTER_A_NAME))):
            if found := _mentioned(name, limit, note):
                attached.extend(found)
                return name + whole[len(name) :]
        note(f"@{whole} is no file here and no symbol of this workspace: it stays as it is")
        return match[0]

    question = _MENTION.sub(mentioned, question)
    if (size := sum(len(each.text) for each in attached)) > limit:
        raise DoesNotFit(
            f"the attachments have {size:,} characters, no more than {limit:,} can be sent", hint="Attach less."
        )
    return list(dict.fromkeys(attached)), question


def _named(source: str, limit: int, note: Note) -> list[Attachment]:
    if source.startswith(("http://", "https://")):
        from ingle_shell.attachments.web import fetch

        note(f"fetching {source}")
        return [Attachment(source, fetch(source))]
    return files.attach(source, limit, note)


def _mentioned(name: str, limit: int, note: Note) -> list[Attachment]:
    if name and files.exists(name):
        return files.attach(name, limit, note)
    symbol = _SYMBOL.fullmatch(name)
    return symbols.attach(symbol[1], note) if symbol else []

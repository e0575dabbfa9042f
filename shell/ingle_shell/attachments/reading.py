"""From the bytes of a file to text that a model can read: text, notebooks, PDFs. Whatever else it is refuses it.

It knows kinds of files, not where the bytes are from.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ingle_daemon.errors import UsageError

__all__ = ["NotText", "text_of"]


class NotText(UsageError):
    """The file is of a kind that has no text, or that is not known here."""


class _Output(msgspec.Struct):
    text: str | list[str] = ""
    data: dict[str, Any] = {}
    ename: str = ""
    evalue: str = ""


class _Cell(msgspec.Struct):
    cell_type: str
    source: str | list[str] = ""
    outputs: list[_Output] = []


class _Notebook(msgspec.Struct):
    cells: list[_Cell]


def text_of(name: str, data: bytes) -> str:
    """The text in `data`. Raises NotText, which calls it by its `name`."""
    if data.startswith(b"%PDF-"):
        return _pdf(name, data)
    if b"\0" in data:
        raise NotText(f"{name} is not text", hint="Send text: code, prose, a notebook, a PDF.")
    if name.lower().endswith(".ipynb"):
        return _notebook(name, data)
    return data.decode("utf-8-sig", "replace")


def _pdf(name: str, data: bytes) -> str:
    from ingle_shell.attachments import apart

    try:
        pages = apart.parts("pdf", data)
    except apart.Unreadable as exc:
        hint = "Save it anew, without a password, or send the part that matters as text."
        raise NotText(f"{name} cannot be read as a PDF: {exc}", hint=hint) from exc
    if not any(pages):
        raise NotText(f"{name} has no text in it", hint="Its pages may be pictures: have their text recognised first.")
    return "\n\n".join(f"[page {number}]\n{text}" for number, text in enumerate(pages, 1))


def _notebook(name: str, data: bytes) -> str:
    """Its cells, each with the text that it put out."""
    try:
        notebook = msgspec.json.decode(data, type=_Notebook)
    except (msgspec.DecodeError, RecursionError) as exc:
        raise NotText(f"{name} is not a notebook: {exc}", hint="Notebooks older than version 4 are not read.") from exc
    return "\n\n".join(part for number, cell in enumerate(notebook.cells, 1) for part in _cell(number, cell))


def _cell(number: int, cell: _Cell) -> list[str]:
    source = f"[{number}: {cell.cell_type}]\n{_joined(cell.source)}"
    outputs = [text for output in cell.outputs if (text := _output(output))]
    return [source, *(f"[{number}: output]\n{text}" for text in outputs)]


def _output(output: _Output) -> str:
    if output.ename:
        return f"{output.ename}: {output.evalue}"
    if text := _joined(output.text) or _joined(output.data.get("text/plain", "")):
        return text.rstrip()
    return f"[{', '.join(output.data)}: not shown]" if output.data else ""


def _joined(text: object) -> str:
    return "".join(map(str, text)) if isinstance(text, list) else str(text)

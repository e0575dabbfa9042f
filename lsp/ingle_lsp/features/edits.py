"""From a model's answer to the text that may replace the user's code, and where a new file goes.

The answer is a stranger's text. Pure, but for a look at which files there are.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

__all__ = ["edited", "plain", "test_file"]

_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[^\n`]*\n(.*?)^[ \t]*\1[ \t]*$", re.MULTILINE | re.DOTALL)
_TESTS = {
    ".py": "test_{}.py", ".go": "{}_test.go", ".js": "{}.test.js", ".jsx": "{}.test.jsx", ".ts": "{}.test.ts",
    ".tsx": "{}.test.tsx", ".rb": "{}_test.rb", ".dart": "{}_test.dart", ".php": "{}Test.php", ".java": "{}Test.java",
}  # fmt: skip
"""What tests of a file are called."""
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])?")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def edited(answer: str, original: str) -> str:
    """The code in `answer`, in the shape of `original`: its indentation, its line ends, its last line's end.

    The first fenced block, or, where there is none, all of it. "" when there is no code, or it is what stood there.
    """
    text = plain(answer)
    fenced = _FENCE.search(text)
    code = (fenced[2] if fenced else text).strip("\n")
    if not code.strip():
        return ""
    indented = textwrap.indent(textwrap.dedent(code), _indent(original)).rstrip()
    if not original[: len(original) - len(original.lstrip(" \t"))]:  # the selection begins behind its indentation
        indented = indented.lstrip(" \t") if original.strip() else indented
    end = re.search(r"[\r\n]*\Z", original)
    lines = indented + (end[0].replace("\r\n", "\n").replace("\r", "\n") if end else "")
    result = lines.replace("\n", "\r\n") if "\r\n" in original else lines
    return "" if result == original else result


def plain(text: str) -> str:
    """Without what a terminal or an editor would obey: escape sequences, control characters, reordering marks."""
    return _CONTROL.sub("", _ESCAPES.sub("", text.replace("\r\n", "\n")))


def _indent(original: str) -> str:
    """What every line of `original` that has text begins with."""
    lines = [line for line in original.splitlines() if line.strip()]
    if not lines:
        return ""
    return min((line[: len(line) - len(line.lstrip(" \t"))] for line in lines), key=len)


def test_file(source: str) -> Path | None:
    """A file that is not there yet for tests of the file `source`: in its folder, or in `tests` beside it.

    None where the language has no usual place for them.
    """
    path = Path(source)
    pattern = _TESTS.get(path.suffix)
    if pattern is None or not path.is_absolute():
        return None
    folders = [path.parent / "tests", path.parent.parent / "tests"]
    folder = next((folder for folder in folders if folder.is_dir()), path.parent)
    names = [pattern.format(path.stem), *(pattern.format(f"{path.stem}_{number}") for number in range(2, 100))]
    return next((folder / name for name in names if not (folder / name).exists()), None)

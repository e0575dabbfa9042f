"""From what a model wrote to what is worth showing. Pure functions on text.

The result has LF line ends whatever the document has: editors put their own, and Neovim would show a CR as
text. This module knows neither the model nor the editor.
"""

from __future__ import annotations

import re

from ingle_lsp.completion.context import Hole

__all__ = ["clean", "cut_at_blank_line", "cut_at_following_line", "strip_overlap"]

_IN_SIGHT = 8_192
"""Characters after the cursor that an answer is compared with; what a model was shown is not more."""
_BLANK_LINE = re.compile(r"(?<=\S)[^\S\n]*\n[^\S\n]*\n")


def clean(answer: str, hole: Hole) -> str:
    """The part of `answer` to show at `hole`; "" when nothing of it is worth showing."""
    text, after = _unix(answer), _unix(hole.after[:_IN_SIGHT])
    if hole.line_after.strip():
        text = text.split("\n", 1)[0]  # more lines would tear the cursor's line apart
    text = cut_at_following_line(text, hole.line_before, after)
    text = cut_at_blank_line(text)
    return strip_overlap(text.rstrip(), after).rstrip()


def cut_at_following_line(text: str, line_before: str, after: str) -> str:
    """`text` up to where it begins to repeat the next line of the document that is not blank."""
    following = next((line for line in after.split("\n")[1:] if line.strip()), "").rstrip()
    lines = text.split("\n")
    whole = [line_before + lines[0], *lines[1:]]
    for number, line in enumerate(whole):
        if following and line.rstrip() == following:
            return "\n".join(lines[:number])
    return text


def cut_at_blank_line(text: str) -> str:
    """`text` up to its first blank line; blank lines before anything else do not count."""
    blank = _BLANK_LINE.search(text)
    return text[: blank.start()] if blank else text


def strip_overlap(text: str, after: str) -> str:
    """`text` without the end that `after` begins with, unless that end begins in the middle of a word."""
    for start in range(max(0, len(text) - len(after)), len(text)):
        splits_word = start > 0 and re.match(r"\w\w", text[start - 1 :])
        if not splits_word and after.startswith(text[start:]):
            return text[:start]
    return text


def _unix(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")

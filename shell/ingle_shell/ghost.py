"""The rest of a line that is being typed at a shell's prompt, as the model would go on with it. `ask --rest`.

The shell gives the line and what was run before it in the environment, not as arguments, which everybody may read. The
daemon is asked for a completion, as an editor does: that goes before answers, and is not routed to an API model. What
comes back is a stranger's text: one line of printable ASCII, or nothing.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping

from ingle_daemon.client import stream
from ingle_shell.command.disguise import undisguise
from ingle_shell.secrets import without_secrets

__all__ = ["is_private", "rest_of_line"]

_LONGEST = 24  # tokens
_SHORTEST = 3  # characters: less than that says nothing
_RECENT = 30  # commands
_LEAST = 0.4  # the geometric mean of its tokens' probabilities, as for editors
_PRINTABLE = re.compile(r"[ -~]*")


def rest_of_line(environment: Mapping[str, str]) -> str:
    """What may follow INGLE_LINE, after INGLE_RECENT (commands, the last one at the end); "" where nothing may.

    Raises DaemonUnreachable where no daemon runs: typing starts none.
    """
    line = environment.get("INGLE_LINE", "")
    if len(line) < _SHORTEST or "\n" in line or is_private(line):
        return ""
    recent = [each for each in environment.get("INGLE_RECENT", "").splitlines() if each and not is_private(each)]
    body = {
        "id": f"prompt-{os.getpid()}",
        "prefix": "".join(f"{each}\n" for each in recent[-_RECENT:]) + line,
        "filename": f"history.{environment.get('INGLE_SHELL') or 'sh'}",
        "language": "shellscript",
        "max_tokens": _LONGEST,
    }
    text, score = _first_line(body)
    return _harmless(text, after=line) if score >= _LEAST else ""


def is_private(line: str) -> bool:
    """Whether it is nobody's business: it begins with a space, as what no history is to keep, or has a secret in it."""
    return line[:1].isspace() or without_secrets(line) != line


def _first_line(body: Mapping[str, object]) -> tuple[str, float]:
    """Of the answer, and how sure the model was of it. The rest is not even generated."""
    text, logprobs = "", list[float]()
    with stream("/ingle/complete", body, autostart=False) as events:
        for event in events:
            if event["type"] == "delta":
                text += event["text"]
                logprobs += event.get("logprobs", ())
            if "\n" in text:
                break
    return text.partition("\n")[0], math.exp(sum(logprobs) / max(1, len(logprobs)))


def _harmless(text: str, *, after: str) -> str:
    """The text, if it is no more than it looks like: what hides something is not shown at all."""
    text = text.rstrip()
    if not _PRINTABLE.fullmatch(text) or undisguise(f".{text}").remarks:
        return ""
    return text.lstrip() if after.endswith(" ") else text

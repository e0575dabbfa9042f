"""Takes obvious secrets out of text that was caught rather than typed. Pure.

Conservative: what looks like a secret goes. The daemon looks closer at whatever is to leave the machine.
"""

from __future__ import annotations

import re

__all__ = ["without_secrets"]

_GONE = "[removed]"
_WHOLE = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"
    r"|\b(?:gh[pousr]|github_pat)_\w{20,}"
    r"|\b(?:sk|pk|rk|xox[abprs]|glpat|hf|npm|pypi|AIza)[-_]?[A-Za-z0-9_-]{20,}"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*",
    re.DOTALL,
)
_NAMED = re.compile(
    r"(?P<name>(?:password|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key|credential)[\w.-]{0,64}"
    r"[\"']?\s*[=:]\s*|authorization:\s*(?:\w+\s+)?|--(?:password|token)\s+)"
    r"(?P<value>\"[^\"\n]*\"|'[^'\n]*'|[^\s@\"']+)",
    re.IGNORECASE,
)


_IN_URL = re.compile(r"(://[^/\s:@]*:)[^/\s@]+(?=@)")


def without_secrets(text: str) -> str:
    """The text with `[removed]` in place of keys, tokens and passwords."""
    text = _IN_URL.sub(rf"\1{_GONE}", _WHOLE.sub(_GONE, text))
    return _NAMED.sub(lambda match: match["name"] + _GONE, text)

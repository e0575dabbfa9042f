"""What a text holds that is nobody else's business: secrets by their shape, their place or their randomness.

detect-secrets' rules are the base, read as what they are, expressions; its scanner is not used, since it may ask a
provider over the network whether a secret still works. Rules of our own add the shapes that it does not know, the
places where a secret stands (an assignment, a header, a URL), and randomness outside of quotes. Pure: text in, places
out. What is done with a place is `redact.py`'s business.
"""

from __future__ import annotations

import functools
import importlib
import itertools
import math
import pkgutil
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from ingle_daemon.routing.patterns import PLACES, SHAPES, Kind

__all__ = ["Detector", "Found", "detectors"]


class Found(NamedTuple):
    """The secret itself, without what led to it."""

    start: int
    end: int
    kind: Kind


Detector = Callable[[str], Iterator[Found]]

_BLOCK = 16 * 1024
"""Characters searched at once: an expression holds the interpreter until it is through."""
_OVERLAP = 8 * 1024
"""Characters: longer than any secret that is found so."""

# --- the name of a secret, and what is assigned to it -----------------------------------------------------------------

_WORD_BEGINS = r"(?:(?<![A-Za-z])|(?-i:(?<=[a-z0-9])(?=[A-Z])))"
_NAME = (
    r"(?:pass(?:word|wd|phrase)|secrets?|api[-_.]?key|credentials?"
    r"|(?:access|account|admin|app|auth|client|consumer|crypt|db|database|deploy|encryption|hmac|license|master|private"
    r"|project|secret|service|shared|signing|storage|webhook)[-_.]?(?:key|id_key|token|pass|auth)"
    rf"|{_WORD_BEGINS}(?:pass(?:wrd|code)?|pwd|token|auth|cookie|session))"
)
_ASSIGNED = rf"{_NAME}(?:[-_.]?[a-z0-9]{{1,16}}){{0,3}}"
_OPERATOR = r"""\\?["'`\]]{0,2}[ \t]{0,8}(?::=|=>|={1,3}|:)[ \t]{0,8}"""
_QUOTED = re.compile(
    rf"(?P<name>{_ASSIGNED}){_OPERATOR}[bruf@]{{0,2}}\\?(?P<quote>[\"'`])(?P<value>[^\"'`\\\r\n]{{4,512}})\\?(?P=quote)",
    re.IGNORECASE,
)
_BARE = re.compile(rf"{_ASSIGNED}{_OPERATOR}(?P<value>[^\s\"'`,;()\[\]{{}}<>\\]{{6,512}})", re.IGNORECASE)
_HINTS = ("pass", "pwd", "secret", "token", "key", "auth", "credential", "cookie", "session")
_NOT_THE_VALUE = re.compile(
    r"(?:type|name|kind|url|uri|file|path|field|header|prefix|label|class|count|length|size|env)s?\Z", re.IGNORECASE
)
"""A name that ends so says something about the secret, not the secret."""

# --- what only looks like a secret ----------------------------------------------------------------------------------

_STAND_IN = re.compile(
    r"(?i)[<${%*.…x\-_#]+|.*(?:\$\{|\{\{|%\(\w+\)[sdr]|\{\w*\}|<[\w -]+>|example|placeholder|redacted|your[-_ ]).*"
    r"|(?:none|null|true|false"
    r"|undefined|changeme|secret|password|token|string|required|optional|bearer|basic)"
)
_WORDS = re.compile(r"[A-Za-z][a-z]*(?:[ _.-]?[A-Za-z][a-z]*)*[.:!?]?")
_CODE = re.compile(r"[A-Za-z_][\w]*(?:[.:][A-Za-z_]\w*)*|[-\d.,:/*+]+|[./~].*|[a-z]+://\S*|@\w+|&\w+|!\w+|\|.*")
_MAIL_EXEMPT = re.compile(
    r"(?i)@(?:[\w-]+\.)*(?:example|test|invalid|localhost)(?:\.\w+)?$|^git@|\.(?:png|jpe?g|svg|webp|gif)$"
)
_LABELLED_DIGEST = re.compile(
    r"(?i)(?:commit|merge|tree|parent|index|revision|rev|digest|checksum|integrity|hash|hexdigest|sha-?\d*|md5|uuid|guid|crc)"
    r"\W{0,6}(?:\w{0,12}\W{1,3})?$"
)

_PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:(?:(?!-----BEGIN)[\s\S]){0,20000}?-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
    r"|(?:\n[^\n]{0,200}?[A-Za-z0-9+/]{16,}={0,2}\W{0,4}(?=\n|\Z)|\n[A-Za-z0-9+/=]+(?=\n|\Z)"
    r"|[A-Za-z0-9+/=\\:,\"'.\r -])*)"
)
_PUTTY = re.compile(r"PuTTY-User-Key-File-\d[\s\S]{0,20000}?Private-MAC: [0-9a-f]+")
_MAIL = re.compile(r"(?<![\w.+-])[A-Za-z0-9][\w.+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,6}[A-Za-z]{2,24}\b")
_HOME = re.compile(r"(?:/home/|/Users/|/var/home/|(?i:[a-z]:(?:\\\\?|/)Users(?:\\\\?|/)))([A-Za-z0-9_][\w.-]{0,63})")
_WORD = re.compile(r"[A-Za-z0-9+/_=-]{20,}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_HEX = re.compile(r"(?<![\w-])(?:0x)?([0-9a-fA-F]{32,256})(?![\w-])")
_RANDOM_BITS = 3.6
"""Shannon's entropy a character: random letters and digits of 20 or more have more, words have less."""
_CHANGES = 0.4
"""Between lower case, upper case and digits, a character: random text changes more often, words in camel case less."""


def detectors(home: str = "") -> tuple[Detector, ...]:
    """Every detector there is. `home`: the user's home folder, private wherever it lies."""
    return (
        _private_keys,
        *_by_expression(),
        _assignments,
        _randomness,
        _quoted_randomness,
        _addresses,
        functools.partial(_homes, home),
    )


# --- detectors ------------------------------------------------------------------------------------------------------


def _private_keys(text: str) -> Iterator[Found]:
    for expression in (_PEM, _PUTTY):
        for match in expression.finditer(text):
            yield Found(match.start(), match.end(), "private-key")


@functools.cache
def _by_expression() -> tuple[Detector, ...]:
    ours = [(kind, re.compile(pattern)) for kind, pattern in (*SHAPES, *PLACES)]
    return tuple(functools.partial(_matches, kind, expression) for kind, expression in (*ours, *_theirs()))


def _theirs() -> Iterator[tuple[Kind, re.Pattern[str]]]:
    """The expressions of detect-secrets' detectors."""
    from detect_secrets import plugins
    from detect_secrets.plugins.base import RegexBasedDetector

    # An address is no secret; of a private key, theirs finds the first line alone.
    skipped = {"RegexBasedDetector", "IPPublicDetector", "PrivateKeyDetector"}
    for module in pkgutil.iter_modules(plugins.__path__):
        for value in vars(importlib.import_module(f"{plugins.__name__}.{module.name}")).values():
            if isinstance(value, type) and issubclass(value, RegexBasedDetector) and value.__name__ not in skipped:
                yield from (("token", expression) for expression in value().denylist)


def _matches(kind: Kind, expression: re.Pattern[str], text: str) -> Iterator[Found]:
    for offset, block in _blocks(text):
        for match in expression.finditer(block):
            groups = [index for index in range(1, expression.groups + 1) if match[index]] or [0]
            for index in groups:
                if not _STAND_IN.fullmatch(match[index]):
                    yield Found(offset + match.start(index), offset + match.end(index), kind)


def _assignments(text: str) -> Iterator[Found]:
    """What is assigned to a name that says it is secret. In quotes anything but words; without, no code either."""
    for offset, line in _lines_with_a_hint(text):
        for match in _QUOTED.finditer(line):
            if _NOT_THE_VALUE.search(match["name"]) or _is_prose(match["value"]):
                continue
            if not _STAND_IN.fullmatch(match["value"]):
                yield Found(offset + match.start("value"), offset + match.end("value"), "keyword")
        for match in _BARE.finditer(line):
            if _may_be_secret(match["value"]) and not _STAND_IN.fullmatch(match["value"]):
                yield Found(offset + match.start("value"), offset + match.end("value"), "keyword")


def _lines_with_a_hint(text: str) -> Iterator[tuple[int, str]]:
    """The lines that may assign a secret: few, so that the long expressions need not see the rest."""
    start = 0
    for line in text.splitlines(keepends=True):
        lower = line.lower()
        if any(hint in lower for hint in _HINTS):
            yield start, line
        start += len(line)


def _is_prose(value: str) -> bool:
    """A sentence, or a name like those in code. A password of letters alone is taken for one where it has blanks."""
    return bool(_WORDS.fullmatch(value)) and (" " in value or "_" in value or "." in value or "-" in value)


def _may_be_secret(value: str) -> bool:
    """Whether something without quotes is more than a name, a number, a path or an address."""
    if _CODE.fullmatch(value):
        return any(char.isdigit() for char in value) and any(char.isalpha() for char in value) and "." not in value
    return any(char.isdigit() for char in value) or any(char in "!?@#$%^&*+=~" for char in value)


def _randomness(text: str) -> Iterator[Found]:
    for match in _WORD.finditer(text):
        if _UUID.fullmatch(match[0]) or _HEX.fullmatch(match[0]):
            continue
        for piece in re.finditer(r"[A-Za-z0-9+/=]{20,}|[A-Za-z0-9_-]{20,}", match[0]):
            if _is_random(piece[0]):
                yield Found(match.start(), match.end(), "random")
                break
    for match in _HEX.finditer(text):
        if (
            not match[1].isdigit()
            and _entropy(match[1]) > 2.5
            and not _LABELLED_DIGEST.search(text[max(0, match.start() - 40) : match.start()])
        ):
            yield Found(match.start(1), match.end(1), "random")


def _is_random(word: str) -> bool:
    if word.isalpha() and (word.islower() or word.isupper()):
        return False
    classes = [0 if char.islower() else 1 if char.isupper() else 2 if char.isdigit() else 3 for char in word]
    changes = sum(a != b for a, b in itertools.pairwise(classes))
    return changes / (len(word) - 1) >= _CHANGES and 2 in classes and _entropy(word) >= _RANDOM_BITS


def _quoted_randomness(text: str) -> Iterator[Found]:
    """detect-secrets' own measure, its own limits: strings in quotes."""
    for expression, limit in _their_entropy():
        for offset, block in _blocks(text):
            for match in expression.finditer(block):
                if (
                    len(match[2]) >= 16
                    and not _UUID.fullmatch(match[2])
                    and _entropy(match[2]) > limit
                    and not _is_ordered(match[2])
                ):
                    before = block[max(0, match.start() - 40) : match.start()]
                    if not _LABELLED_DIGEST.search(before):
                        yield Found(offset + match.start(2), offset + match.end(2), "random")


@functools.cache
def _their_entropy() -> Sequence[tuple[re.Pattern[str], float]]:
    from detect_secrets.plugins.high_entropy_strings import Base64HighEntropyString, HexHighEntropyString

    plugins = (Base64HighEntropyString(), HexHighEntropyString())
    return [(plugin.regex, plugin.entropy_limit) for plugin in plugins]


def _is_ordered(text: str) -> bool:
    """An alphabet: characters that mostly follow the one before."""
    steps = sum(ord(after) - ord(before) == 1 for before, after in itertools.pairwise(text))
    return steps > len(text) / 2


def _addresses(text: str) -> Iterator[Found]:
    for match in _MAIL.finditer(text):
        if not _MAIL_EXEMPT.search(match[0]):
            yield Found(match.start(), match.end(), "e-mail")


def _homes(home: str, text: str) -> Iterator[Found]:
    """The user's name in the path of a home folder, and the last part of this user's own."""
    for match in _HOME.finditer(text):
        yield Found(match.start(1), match.end(1), "home")
    if home.count("/") > 1:
        name = len(home) - home.rindex("/") - 1
        for match in re.finditer(rf"{re.escape(home)}(?![\w-])", text):
            yield Found(match.end() - name, match.end(), "home")


# --- helpers --------------------------------------------------------------------------------------------------------


def _entropy(text: str) -> float:
    """Bits a character."""
    return -sum(count / len(text) * math.log2(count / len(text)) for count in Counter(text).values())


def _blocks(text: str) -> Iterator[tuple[int, str]]:
    """The text in pieces, each with where it begins: whole lines, and of a line without end overlapping parts."""
    start = 0
    while start < len(text):
        longest = start + _BLOCK + _OVERLAP
        end = text.find("\n", start + _BLOCK, longest) + 1 or min(longest, len(text))
        yield start, text[start:end]
        start = end - _OVERLAP if end == longest else end

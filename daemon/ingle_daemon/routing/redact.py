"""Redaction: what leaves the machine holds placeholders where secrets stood, and the answer gets them back.

    "key = 'AKIA…'"  →  "key = 'REDACTED_TOKEN_1'"  →  the provider  →  "use REDACTED_TOKEN_1"  →  "use AKIA…"

A placeholder is one word of letters, digits and underscores, so that it survives in code, shells, JSON and URLs. The
same secret has the same one throughout a request. Which places are secret, `detectors.py` says; if one of its
detectors fails, nothing may leave. The secrets themselves live as long as the request, in memory, and nowhere else.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from ingle_daemon.errors import RefusedByPrivacy
from ingle_daemon.protocol import ChatMessage
from ingle_daemon.routing.detectors import Detector, Found
from ingle_daemon.routing.patterns import KINDS

__all__ = ["Redacted", "Restorer", "redact"]

_PLACEHOLDER = re.compile(r"REDACTED_[A-Z_]+_(\d+)")
_UNFINISHED = re.compile(r"(?:R(?:E(?:D(?:A(?:C(?:T(?:E(?:D(?:_[A-Z_]{0,24}\d{0,9})?)?)?)?)?)?)?)?)\Z")
_PERSONAL = ("e-mail", "home")
_LONG_ENOUGH = 8
"""A secret of so many characters is hidden wherever it stands, not only where it was recognised."""


class Redacted(msgspec.Struct, frozen=True):
    """Messages that may leave. `counts`: how many secrets, by kind; `secrets`: what each placeholder hides."""

    messages: tuple[ChatMessage, ...]
    counts: dict[str, int]
    secrets: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Redacted({sum(self.counts.values())} secrets)"  # one that is logged by mistake tells nothing


def redact(messages: Sequence[ChatMessage], detectors: Sequence[Detector]) -> Redacted:
    """The messages without their secrets. Raises RefusedByPrivacy when a detector fails: then nobody knows."""
    texts = [message.content for message in messages]
    try:
        found = [_found(text, detectors) for text in texts]
        names = _Names(texts)
        texts = [_replaced(text, places, names) for text, places in zip(texts, found, strict=True)]
        texts = [names.hide_everywhere(text) for text in texts]
    except Exception as exc:  # noqa: BLE001 - fail closed, whatever it was; its message may quote the text
        raise RefusedByPrivacy(
            f"the search for secrets failed ({type(exc).__name__}), so nothing was sent",
            hint="Ask with --local, or send less of it.",
        ) from None
    return Redacted(
        tuple(ChatMessage(message.role, text) for message, text in zip(messages, texts, strict=True)),
        dict(names.counts),
        names.secrets,
    )


class Restorer:
    """Puts the secrets back into an answer that comes in pieces, cut anywhere."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._secrets = secrets
        self._held = ""

    def feed(self, piece: str) -> str:
        """What of the answer so far is certain."""
        if not self._secrets:
            return piece
        text = self._held + piece
        unfinished = _UNFINISHED.search(text)
        end = unfinished.start() if unfinished else len(text)
        self._held = text[end:]
        return self._restored(text[:end])

    def finish(self) -> str:
        """The rest: there is no more to come."""
        held, self._held = self._held, ""
        return self._restored(held)

    def _restored(self, text: str) -> str:
        return _PLACEHOLDER.sub(lambda match: self._secrets.get(match[0], match[0]), text)


class _Names:
    """Which secret has which placeholder. What looks like one in the text already is never given out."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.counts: Counter[str] = Counter()
        self.secrets: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._kinds: dict[str, str] = {}
        self._last = max((int(number) for text in texts for number in _PLACEHOLDER.findall(text)), default=0)

    def of(self, secret: str, kind: str) -> str:
        if secret not in self._names:
            self._last += 1
            name = f"REDACTED_{re.sub('[^A-Z]+', '_', kind.upper())}_{self._last}"
            self._names[secret], self.secrets[name], self._kinds[secret] = name, secret, kind
            self.counts[kind] += 1
        return self._names[secret]

    def hide_everywhere(self, text: str) -> str:
        """Without the secrets that stand where no rule looks: a password assigned above and used below."""
        known = [s for s, kind in self._kinds.items() if kind not in _PERSONAL and len(s) >= _LONG_ENOUGH]
        for secret in sorted(known, key=len, reverse=True):
            if secret in text:
                text = text.replace(secret, self._names[secret])
        return text


def _found(text: str, detectors: Sequence[Detector]) -> list[Found]:
    """The places in their order, those that touch or overlap as one."""
    order = {kind: rank for rank, kind in enumerate(KINDS)}
    places = sorted(
        (place for detector in detectors for place in detector(text)), key=lambda p: (p.start, order[p.kind])
    )
    merged: list[Found] = []
    for place in places:
        if place.start >= place.end:
            continue
        if merged and place.start < merged[-1].end:
            last = merged[-1]
            merged[-1] = Found(last.start, max(last.end, place.end), min(last.kind, place.kind, key=order.__getitem__))
        else:
            merged.append(place)
    return merged


def _replaced(text: str, places: Sequence[Found], names: _Names) -> str:
    pieces, at = [], 0
    for place in places:
        pieces += [text[at : place.start], names.of(text[place.start : place.end], place.kind)]
        at = place.end
    return "".join([*pieces, text[at:]])

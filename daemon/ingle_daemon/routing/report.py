"""How good confidence has been, and what escalation bought: answers of the journal in, plain values out. Pure.

Only answers whose fate is known can tell, and those are not a fair sample: nobody says what became of most answers that
were simply read. Below `FEWEST` the figures say too little to be shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from ingle_daemon.journal.answers import Answer
from ingle_daemon.routing.judge import FEWEST_TO_LEARN, MEANINGS
from ingle_daemon.routing.reliability import Outcome, auc, calibration_error, reliability, risk_at

__all__ = ["FEWEST", "report"]

FEWEST = FEWEST_TO_LEARN
_COVERAGES = (0.25, 0.5, 0.75, 1.0)
_BELIEVED, _OFFERED, _AUTOMATIC = "believed", "doubted", "doubted, automatic"


def report(answers: Sequence[Answer]) -> dict[str, Any]:
    """What `ingle route --report` shows."""
    judged = [Outcome(one.confidence, MEANINGS[one.fate][0]) for one in answers if one.fate in MEANINGS]
    known = len(judged) >= FEWEST
    return {
        "answers": len(answers),
        "models": dict(Counter(one.model for one in answers).most_common()),
        "fates": dict(Counter(one.fate or "not known" for one in answers).most_common()),
        "judged": len(judged),
        "fewest": FEWEST,
        "auc": round(auc(judged), 3) if known else None,
        "ece": round(calibration_error(judged), 3) if known else None,
        "bins": [held._asdict() for held in reliability(judged)] if known else [],
        "risk": [point._asdict() for point in risk_at(judged, _COVERAGES)] if known else [],
        "escalation": _escalation(answers),
    }


def _escalation(answers: Sequence[Answer]) -> dict[str, Any]:
    rules = Counter(one.rule for one in answers)
    fates = Counter(one.fate for one in answers)
    elsewhere = [one for one in answers if one.fate in ("escalated", "automatic")]
    return {
        "kept": len(answers) - len(elsewhere),
        "believed": rules[_BELIEVED],
        "doubted": sum(one.rule.startswith(_OFFERED) for one in answers),
        "offered": rules[_OFFERED],
        "taken": fates["escalated"],
        "automatic": fates["automatic"],
        "retried": fates["retried"],
        "cost": sum(one.cost or 0.0 for one in elsewhere),
        "cost_unknown": sum(one.cost is None for one in elsewhere),
    }

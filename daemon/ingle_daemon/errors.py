"""Every error a user can meet. Each class carries its exit code and its HTTP status.

    IngleError                     exit  HTTP  what it means
    ├── UsageError                  2    400   the command line, the request or the configuration is wrong
    ├── DaemonUnreachable           3    503   ingled does not answer and could not be started
    │   ├── EngineLost              3    503   the engine worker died while it answered
    │   ├── Busy                    3    503   the queue is full
    │   ├── TimedOut                3    504   it ran longer than a request may
    │   └── OtherVersion            3    409   the daemon that runs speaks another version's protocol
    ├── NoModel                     4    503   no model is installed, or the one chosen does not load
    │   ├── ModelLoading            4    503   it is being loaded: come back
    │   └── NoMemory                4    503   there is not enough memory to load it
    ├── DoesNotFit                  5    400   more tokens than the context holds, and they may not leave
    ├── ApiFailed                   6    502   the API provider failed
    │   ├── ApiUnreachable          6    502   no network, no such host, nobody there: nothing was sent
    │   ├── ApiRefused              6    502   it answered with an error status
    │   ├── CaptivePortal           6    502   a web page answered: a portal's login, or a wrong address
    │   └── ApiCutOff               6    502   it stopped before the answer was complete
    ├── BudgetSpent                 7    402   the money set aside for the API is used up
    ├── RefusedByPrivacy            8    403   a privacy rule keeps the request on this machine
    └── Interrupted               130    499   the user, or the client, went away

This module knows no transport: `to_wire` and `from_wire` turn an error into plain JSON values and back. It imports
nothing, because every front end pays for its import.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ApiCutOff",
    "ApiFailed",
    "ApiRefused",
    "ApiUnreachable",
    "BudgetSpent",
    "Busy",
    "CaptivePortal",
    "DaemonUnreachable",
    "DoesNotFit",
    "EngineLost",
    "IngleError",
    "Interrupted",
    "ModelLoading",
    "NoMemory",
    "NoModel",
    "OtherVersion",
    "RefusedByPrivacy",
    "TimedOut",
    "UsageError",
    "from_wire",
    "reason",
]


class IngleError(Exception):
    """Something a user can act on.

    `message` says what happened and to what; `hint` says what to do about it; `details` are plain JSON values for
    programs (token counts, a path, the model's name).
    """

    code = "error"
    exit_code = 1
    http_status = 500

    def __init__(self, message: str, *, hint: str = "", **details: object) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = details

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message

    def to_wire(self) -> dict[str, object]:
        """The error as OpenAI's clients expect one inside `{"error": …}`, with ours beside it."""
        return {
            "message": self.message,
            "type": self.code,
            "code": self.code,
            "hint": self.hint,
            **self.details,
        }


class UsageError(IngleError):
    code = "invalid_request_error"
    exit_code = 2
    http_status = 400


class DaemonUnreachable(IngleError):
    code = "daemon_unreachable"
    exit_code = 3
    http_status = 503


class EngineLost(DaemonUnreachable):
    code = "engine_lost"


class Busy(DaemonUnreachable):
    code = "queue_full"


class TimedOut(DaemonUnreachable):
    code = "timed_out"
    http_status = 504


class OtherVersion(DaemonUnreachable):
    code = "other_version"
    http_status = 409


class NoModel(IngleError):
    code = "no_model"
    exit_code = 4
    http_status = 503


class ModelLoading(NoModel):
    code = "model_loading"


class NoMemory(NoModel):
    code = "no_memory"


class DoesNotFit(IngleError):
    """`details`: n_prompt_tokens, n_reserved, n_ctx (tokens), under the names that llama-server uses."""

    code = "exceed_context_size_error"
    exit_code = 5
    http_status = 400


class ApiFailed(IngleError):
    code = "api_failed"
    exit_code = 6
    http_status = 502


class ApiUnreachable(ApiFailed):
    code = "api_unreachable"


class ApiRefused(ApiFailed):
    code = "api_refused"


class CaptivePortal(ApiFailed):
    code = "captive_portal"


class ApiCutOff(ApiFailed):
    code = "api_cut_off"


class BudgetSpent(IngleError):
    code = "budget_spent"
    exit_code = 7
    http_status = 402


class RefusedByPrivacy(IngleError):
    code = "refused_by_privacy"
    exit_code = 8
    http_status = 403


class Interrupted(IngleError):
    code = "interrupted"
    exit_code = 130
    http_status = 499


def _all_kinds(base: type[IngleError]) -> list[type[IngleError]]:
    return [base] + [kind for child in base.__subclasses__() for kind in _all_kinds(child)]


_BY_CODE = {kind.code: kind for kind in _all_kinds(IngleError)}


def reason(exc: Exception) -> str:
    """What the system says is wrong, in words: without its number, or a name that the message has already."""
    if isinstance(exc, UnicodeDecodeError):
        return "it is not UTF-8"
    return str(getattr(exc, "strerror", None) or exc)


def from_wire(error: Mapping[str, object]) -> IngleError:
    """The error that `to_wire` described; an unknown code becomes a plain `IngleError`."""
    kind = _BY_CODE.get(str(error.get("code")), IngleError)
    details = {k: v for k, v in error.items() if k not in ("message", "type", "code", "hint")}
    return kind(str(error.get("message", "unknown error")), hint=str(error.get("hint", "")), **details)

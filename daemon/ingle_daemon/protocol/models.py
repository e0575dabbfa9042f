"""Models: the one that is loaded, and those that come and go."""

from __future__ import annotations

from typing import Literal

from ingle_daemon.protocol.answers import Failed
from ingle_daemon.protocol.values import Value

__all__ = [
    "Device",
    "Finding",
    "ImportRequest",
    "ModelInfo",
    "PullEvent",
    "PullRequest",
    "Pulled",
    "Pulling",
    "Verified",
    "VerifyEvent",
]


class ModelInfo(Value, frozen=True):
    """A loaded model. `fim` says in which order it fills in the middle (see fim/templates.py), "" where it cannot.

    `template` names its family, `note` is what its user should know about that. `where` it runs: in a worker of this
    daemon, or at `[engine] url`, which `path` then is. The rates are tokens a second at the beginning of a context,
    measured when it was loaded; 0 where nobody did.
    """

    name: str
    path: str
    description: str
    n_ctx: int
    n_ctx_train: int
    n_vocab: int
    n_params: int
    size_bytes: int
    fim: str = ""
    chat: bool = False
    load_ms: float = 0.0
    template: str = ""
    note: str = ""
    where: Literal["local", "remote-engine"] = "local"
    prefill_rate: float = 0.0
    decode_rate: float = 0.0


class Device(Value, frozen=True):
    """Something that llama.cpp can compute on. `backend` drives it: "cpu", "cuda", "vulkan", "metal".

    An "igpu" shares the machine's memory. `bus` is where it is plugged in, as "0000:01:00.0", where that is known.
    """

    name: str
    description: str
    kind: Literal["cpu", "gpu", "igpu", "other"]
    backend: str
    free_bytes: int
    total_bytes: int
    bus: str = ""


class Pulling(Value, frozen=True, tag="pulling"):
    """Progress of a model on its way. `step`: "download", "unpack", "verify"; `note` is for people."""

    model: str
    step: str
    done_bytes: int
    total_bytes: int
    note: str = ""


class Pulled(Value, frozen=True, tag="pulled"):
    """The model is in the store."""

    model: str
    path: str


class Finding(Value, frozen=True):
    """A model was read again: whether it is still what was installed, and what is wrong with it if not."""

    model: str
    ok: bool
    reason: str = ""


class Verified(Value, frozen=True, tag="verified"):
    """The models that were to be read again have been."""

    findings: tuple[Finding, ...]


class PullRequest(Value, frozen=True, forbid_unknown_fields=True):
    """`model` as somebody typed it (models/spec.py); `name` is what it is to be called, "" for its own name."""

    model: str
    name: str = ""
    sha256: str = ""
    accept_license: bool = False


class ImportRequest(Value, frozen=True, forbid_unknown_fields=True):
    """`model` is an absolute path, or a name as `program`, or any one if that is "", has it."""

    model: str
    program: str = ""
    name: str = ""


PullEvent = Pulling | Pulled | Failed
VerifyEvent = Pulling | Verified | Failed

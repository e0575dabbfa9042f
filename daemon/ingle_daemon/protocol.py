"""Wire types: what a front end, the daemon and the engine worker say to each other. Frozen values, no behaviour.

The same types travel as JSON over HTTP (`/ingle/…`) and as msgpack between the daemon and its worker. Token counts
are in tokens, durations in milliseconds unless a name says otherwise. This module knows neither transport.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

__all__ = [
    "AnswerFate",
    "AnswerOutcome",
    "AskRequest",
    "ChatMessage",
    "ChatPrompt",
    "CompletionRequest",
    "ContextPiece",
    "ContextSource",
    "Conversation",
    "ConversationInfo",
    "Count",
    "Delta",
    "Device",
    "Done",
    "Draft",
    "Drafting",
    "Event",
    "Failed",
    "Finding",
    "Fit",
    "Found",
    "GenerateRequest",
    "ImportRequest",
    "InfillPrompt",
    "Judgement",
    "Keep",
    "Letter",
    "Limits",
    "ModelInfo",
    "Offer",
    "Outcome",
    "OutcomeKind",
    "Plan",
    "Priority",
    "Prompt",
    "PullRequest",
    "Pulled",
    "Pulling",
    "Reading",
    "Role",
    "Route",
    "Routed",
    "Sampling",
    "Seed",
    "Started",
    "TextPrompt",
    "Thinking",
    "Timings",
    "TokenPrompt",
    "Turn",
    "Usage",
    "Verified",
]


class _Value(msgspec.Struct, frozen=True, omit_defaults=True):
    """A plain value; fields at their default stay off the wire."""


Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Seed = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]

# --- prompts -------------------------------------------------------------------------------------------------------

Role = Literal["system", "user", "assistant", "tool"]


class ChatMessage(_Value, frozen=True):
    role: Role
    content: str


class ChatPrompt(_Value, frozen=True, tag="chat"):
    """Messages; the worker renders them with the model's own chat template."""

    messages: tuple[ChatMessage, ...]


class TextPrompt(_Value, frozen=True, tag="text"):
    """Plain text, tokenized as it stands. `special`: names of special tokens in it become those tokens."""

    text: str
    special: bool = True


class TokenPrompt(_Value, frozen=True, tag="tokens"):
    """Token ids of the loaded model."""

    tokens: tuple[int, ...]


ContextSource = Literal["", "open", "edited", "visited", "diagnostics", "definition", "import", "similar"]
"""How a piece of context was found; "" where a client does not say."""


class ContextPiece(_Value, frozen=True):
    """A piece of another file (llama-server's `input_extra`)."""

    text: str
    filename: str = ""
    source: ContextSource = ""


class InfillPrompt(_Value, frozen=True, tag="infill"):
    """A hole in a file: what stands before it, what stands after it, and pieces of other files.

    The file's own text is never read as special tokens. `filename` and `repo` are the real ones, or empty.
    """

    prefix: str
    suffix: str = ""
    extra: tuple[ContextPiece, ...] = ()
    filename: str = ""
    repo: str = ""


Prompt = ChatPrompt | TextPrompt | TokenPrompt | InfillPrompt


# --- a request to the engine ---------------------------------------------------------------------------------------

Priority = Literal["completion", "ask", "warm-up"]


class Sampling(_Value, frozen=True):
    """How the next token is drawn. `temperature` 0 is greedy; `seed` None is a random one; `top_k` 0 is all."""

    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    repeat_penalty: float = 1.0
    repeat_last_n: int = 64
    seed: int | None = None


class Limits(_Value, frozen=True):
    """When to stop. `max_tokens` None: until the context is full.

    `time_ms` counts from the first generated token and cuts only after a whole line has been generated, as
    llama-server's `t_max_predict_ms` does. `min_indent` stops at the first line indented by fewer columns.
    """

    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    time_ms: int | None = None
    min_indent: int = 0


class GenerateRequest(_Value, frozen=True):
    """One request to an engine. With `logprobs`, every Delta carries log-probabilities of its tokens.

    A `grammar` (llama.cpp's GBNF) leaves no other answer possible than one that it describes.
    """

    prompt: Prompt
    priority: Priority = "ask"
    sampling: Sampling = Sampling()
    limits: Limits = Limits()
    logprobs: bool = False
    grammar: str = ""


# --- what an engine answers ----------------------------------------------------------------------------------------

StopReason = Literal["end", "stop", "limit", "time", "indent", "cancelled"]
"""The last one comes from the worker to the daemon alone: whoever cancelled listens no more."""


class Timings(_Value, frozen=True):
    """What one request cost. `cache_n` tokens of the prompt were already evaluated, `prompt_n` were not.

    Of the former, `shelf_n` came back from host memory or disk, and `splice_n` were lent by a sequence with another
    prefix. `pauses`: how often it was passed over for something more urgent.
    """

    cache_n: int = 0
    shelf_n: int = 0
    splice_n: int = 0
    prompt_n: int = 0
    prompt_ms: float = 0.0
    predicted_n: int = 0
    predicted_ms: float = 0.0
    queue_ms: float = 0.0
    pauses: int = 0


class Started(_Value, frozen=True, tag="started"):
    """The prompt is counted and accepted."""

    prompt_tokens: int
    n_ctx: int


class Delta(_Value, frozen=True, tag="delta"):
    """More of the answer: whole characters, never a part of a stop string."""

    text: str
    tokens: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()


class Thinking(_Value, frozen=True, tag="thinking"):
    """More of what a reasoning model thinks before it answers: never part of the answer."""

    text: str


class Done(_Value, frozen=True, tag="done"):
    """The end. `stop` is the stop string that was met. `usage` is set by API models, `timings` by engines.

    `unkept` says why an answer that was to be kept is not. `judgement` is what is thought of a local answer, where the
    policy chose to make it here.
    """

    reason: StopReason
    stop: str = ""
    timings: Timings = Timings()
    usage: Usage | None = None
    unkept: str = ""
    judgement: Judgement | None = None


class Offer(_Value, frozen=True):
    """An API model that may be asked instead. `estimate` is the most it may cost, in US dollars, if that is known."""

    model: str
    host: str
    estimate: float | None = None


class Judgement(_Value, frozen=True):
    """What is thought of a local answer. It is doubted where `confidence`, that it is right, is below `threshold`.

    `reasons` are what speaks against it, the strongest first; `signs` what was seen of it (routing/confidence.py).
    `rule` is the row of the second table in docs/routing.md that said what becomes of it, `facts` what that looked at.
    With an `offer` its user may have that model asked. `note` says why the model that was to be asked was not.
    """

    confidence: float
    threshold: float
    reasons: tuple[str, ...] = ()
    signs: dict[str, float] = {}
    rule: str = ""
    facts: dict[str, Any] = {}
    offer: Offer | None = None
    note: str = ""


class Failed(_Value, frozen=True, tag="failed"):
    """The end, unhappily: `IngleError.to_wire()`."""

    error: dict[str, object]


class Usage(_Value, frozen=True):
    """What an API model counted and took. `cost` is in US dollars, None where the price is not known.

    It is what the ledger was charged: where the provider's count cannot be believed, the estimate.
    """

    prompt_tokens: int
    completion_tokens: int
    cost: float | None = None


# --- routes --------------------------------------------------------------------------------------------------------

RouteKind = Literal["local", "remote-engine", "api"]


class Route(_Value, frozen=True):
    """Where a request runs, and why. `rule` is the row of the policy's table.

    `note` is said to the user even when nobody asks why: that it does not run where it was meant to.
    """

    kind: RouteKind
    model: str
    reason: str
    rule: str = ""
    note: str = ""


class Routed(_Value, frozen=True, tag="routed"):
    """The first event of every answer to `/ingle/ask`. `facts`: every fact that the decision used, by its name.

    `conversation` is the number of the one that it is kept in, or 0. A second one follows where the first provider
    failed before it said anything, and another one is asked.
    """

    route: Route
    fit: Fit | None = None
    conversation: int = 0
    facts: dict[str, Any] = {}


class Fit(_Value, frozen=True):
    """Tokens: what the prompt needs, what is kept for the answer, what the context holds.

    `exact` is False when the prompt is so large that only a lower bound was counted.
    """

    prompt_tokens: int
    reserved: int
    n_ctx: int
    exact: bool = True


class Reading(_Value, frozen=True, tag="reading"):
    """A document too large for the context is read in parts: this is number `part` of `parts`; it has `of` in all."""

    part: int
    parts: int
    of: int


class Drafting(_Value, frozen=True, tag="drafting"):
    """A local answer is being made that is judged before it is shown; it has `tokens` now."""

    tokens: int


class Draft(_Value, frozen=True, forbid_unknown_fields=True):
    """A local answer that is doubted, and why: it goes along to the model that is asked instead."""

    text: str
    confidence: Annotated[float, msgspec.Meta(ge=0, le=1)]
    reasons: tuple[str, ...] = ()


class AskRequest(_Value, frozen=True, forbid_unknown_fields=True):
    """`POST /ingle/ask`. Answered by one JSON event a line: Routed, Delta …, then Done or Failed.

    `route`: "auto" lets the policy choose; "local", "api" and "think" (the reasoning model) insist. `model` is an
    installed one for this question; "" is the current one. With a `schema` (JSON schema) the answer is JSON that
    follows it. With `keep` the messages are the instructions, if any, and one question; without it nothing is kept.
    `task` names what the question is for: the settings may have a rule for it. `root` is the folder it is asked in,
    `paths` are the files whose text it holds: both may be private. `id` is the client's own and names the answer in an
    `AnswerOutcome`; without one nothing is learned from it. `draft` is the local answer to the same question, where
    "api" is asked because of it. What is None is taken from the settings.
    """

    messages: tuple[ChatMessage, ...]
    route: Literal["auto", "local", "api", "think"] = "auto"
    max_tokens: Count | None = None
    temperature: float | None = None
    repeat_penalty: Annotated[float, msgspec.Meta(gt=0)] | None = None
    seed: Seed | None = None
    model: str = ""
    schema: dict[str, Any] | None = None
    keep: Keep | None = None
    task: str = ""
    root: str = ""
    paths: tuple[str, ...] = ()
    id: Annotated[str, msgspec.Meta(max_length=64)] = ""
    draft: Draft | None = None


AnswerFate = Literal["kept", "declined", "ran", "failed", "escalated", "automatic", "retried"]
"""kept: it was copied, or its code taken. declined: a larger model was offered, and not wanted. ran, failed: its
command was run, and its exit code was 0 or not. escalated: a larger model was asked by a key; automatic: by the
settings; retried: by the same question once more."""


class AnswerOutcome(_Value, frozen=True, forbid_unknown_fields=True):
    """What became of a local answer, as its client tells it (`POST /ingle/answers`).

    "handed": its command was handed to the shell of `terminal`. Without an `id` it is the answer that was handed there.
    """

    fate: AnswerFate | Literal["handed"]
    id: Annotated[str, msgspec.Meta(max_length=64)] = ""
    terminal: Annotated[str, msgspec.Meta(max_length=64)] = ""


class Letter(_Value, frozen=True):
    """What would leave the machine, to the byte: `body` is UTF-8. `redactions` counts what was hidden, by kind.

    `estimate` is the most it may cost, in US dollars; None where the price is not known.
    """

    destination: str
    url: str
    model: str
    body: str
    sha256: str
    redactions: dict[str, int]
    estimate: float | None = None


class Plan(_Value, frozen=True):
    """`POST /ingle/route`, the answer to an AskRequest that is not asked: where it would run, and what would be sent.

    `prompt` is what the local model would read, its special tokens spelled out; `letter` what an API model would get,
    and `consent` whether the user has allowed that yet. `facts`: every fact that the decision used.
    """

    route: Route
    messages: tuple[ChatMessage, ...]
    fit: Fit | None = None
    prompt: str = ""
    letter: Letter | None = None
    consent: str = ""
    facts: dict[str, Any] = {}


Event = Routed | Reading | Drafting | Started | Thinking | Delta | Done | Failed


# --- conversations -------------------------------------------------------------------------------------------------


class Keep(_Value, frozen=True, forbid_unknown_fields=True):
    """Where a question and its answer are kept: in a new conversation, in `conversation`, or in the terminal's `last`.

    With `branch` in a copy of that. `switch` lets another model answer than the one that did before. `title`: of a new
    one, in place of its first question.
    """

    terminal: str = ""
    conversation: Count = 0
    last: bool = False
    branch: bool = False
    switch: bool = False
    title: str = ""


class Turn(_Value, frozen=True):
    """A question and its answer. `asked` is a time in seconds since 1970; `route`, `model`, `reason`, `rule` are its
    Route's.

    `ended` is a StopReason of a whole answer. Of a part it says what ended it: "stopped" by its user, "killed" with the
    daemon, or the code of an error. It is "" while the answer is being written.
    """

    asked: float
    question: str
    answer: str
    ended: str
    route: str
    model: str
    reason: str
    timings: Timings = Timings()
    usage: Usage | None = None
    rule: str = ""


class ConversationInfo(_Value, frozen=True):
    """A conversation as a list shows it. `model` answered last, by the route `route`."""

    id: int
    title: str
    begun: float
    changed: float
    turns: int
    model: str = ""
    route: str = ""


class Conversation(_Value, frozen=True):
    """A whole conversation. `system` are the instructions that it began with."""

    info: ConversationInfo
    system: str
    turns: tuple[Turn, ...]


class Found(_Value, frozen=True):
    """A turn in which what was searched for is found, and where: `excerpt`, the words between [ and ]."""

    info: ConversationInfo
    turn: int
    excerpt: str


# --- completions ---------------------------------------------------------------------------------------------------


class CompletionRequest(_Value, frozen=True, forbid_unknown_fields=True):
    """`POST /ingle/complete`: a hole in a file. Answered by one JSON event a line: Started, Delta …, Done or Failed.

    Every Delta carries log-probabilities. Decoding is greedy where `temperature` is 0. `id` is the client's own and
    names the completion in an `Outcome`. `root` is the workspace's folder, `filename` the path below it. `context` is
    what the editor knows, the oldest first; the daemon decides what of it goes into a prompt, and when, and adds what
    its index of `root` has. With `ahead` nobody waits for the answer yet: it gives way to everything else.
    """

    id: str
    prefix: str
    suffix: str = ""
    filename: str = ""
    repo: str = ""
    root: str = ""
    language: str = ""
    context: tuple[ContextPiece, ...] = ()
    max_tokens: Count | None = None
    time_ms: Count | None = None
    min_indent: Count = 0
    ahead: bool = False
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] = 0.0
    seed: Seed | None = None


OutcomeKind = Literal["skipped", "hidden", "failed", "shown", "accepted", "partly", "rejected", "kept", "changed"]
"""skipped: a gate kept it from being asked for. hidden: nothing of the answer was worth showing. kept and changed: what
became of an accepted one after 30 seconds."""


class Outcome(_Value, frozen=True, forbid_unknown_fields=True):
    """What became of a completion, as the editor's server tells it (`POST /ingle/outcomes`, a list of them).

    `by` names the gate or the filter. `characters` were shown, accepted or kept, as `kind` says. `score` is the
    geometric mean of the shown tokens' probabilities. `phases` are milliseconds: debounce, wait, filters. The text
    itself is `text`: kept in memory for `ingle why`, and on disk only where the user asked for that.
    """

    id: str
    kind: OutcomeKind
    by: str = ""
    language: str = ""
    characters: Count = 0
    lines: Count = 0
    score: float | None = None
    phases: dict[str, float] = {}
    text: str = ""


# --- models --------------------------------------------------------------------------------------------------------


class ModelInfo(_Value, frozen=True):
    """A loaded model. `fim` says in which order it fills in the middle (see fim/templates.py), "" where it cannot.

    `template` names its family, `note` is what its user should know about that. `where` it runs: in a worker of this
    daemon, or at `[engine] url`, which `path` then is.
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


class Device(_Value, frozen=True):
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


class Pulling(_Value, frozen=True, tag="pulling"):
    """Progress of a model on its way. `step`: "download", "unpack", "verify"; `note` is for people."""

    model: str
    step: str
    done_bytes: int
    total_bytes: int
    note: str = ""


class Pulled(_Value, frozen=True, tag="pulled"):
    """The model is in the store."""

    model: str
    path: str


class Finding(_Value, frozen=True):
    """A model was read again: whether it is still what was installed, and what is wrong with it if not."""

    model: str
    ok: bool
    reason: str = ""


class Verified(_Value, frozen=True, tag="verified"):
    """The models that were to be read again have been."""

    findings: tuple[Finding, ...]


class PullRequest(_Value, frozen=True, forbid_unknown_fields=True):
    """`model` as somebody typed it (models/spec.py); `name` is what it is to be called, "" for its own name."""

    model: str
    name: str = ""
    sha256: str = ""
    accept_license: bool = False


class ImportRequest(_Value, frozen=True, forbid_unknown_fields=True):
    """`model` is an absolute path, or a name as `program`, or any one if that is "", has it."""

    model: str
    program: str = ""
    name: str = ""


PullEvent = Pulling | Pulled | Failed
VerifyEvent = Pulling | Verified | Failed

"""What a model is asked, and how it is to answer: prompts, sampling, limits."""

from __future__ import annotations

from typing import Literal

from ingle_daemon.protocol.values import Value

__all__ = [
    "ChatMessage",
    "ChatPrompt",
    "ContextPiece",
    "ContextSource",
    "GenerateRequest",
    "InfillPrompt",
    "Limits",
    "Priority",
    "Prompt",
    "Role",
    "Sampling",
    "TextPrompt",
    "TokenPrompt",
]


Role = Literal["system", "user", "assistant", "tool"]


class ChatMessage(Value, frozen=True):
    role: Role
    content: str


class ChatPrompt(Value, frozen=True, tag="chat"):
    """Messages; the worker renders them with the model's own chat template."""

    messages: tuple[ChatMessage, ...]


class TextPrompt(Value, frozen=True, tag="text"):
    """Plain text, tokenized as it stands. `special`: names of special tokens in it become those tokens."""

    text: str
    special: bool = True


class TokenPrompt(Value, frozen=True, tag="tokens"):
    """Token ids of the loaded model."""

    tokens: tuple[int, ...]


ContextSource = Literal["", "open", "edited", "visited", "diagnostics", "definition", "import", "similar"]
"""How a piece of context was found; "" where a client does not say."""


class ContextPiece(Value, frozen=True):
    """A piece of another file (llama-server's `input_extra`)."""

    text: str
    filename: str = ""
    source: ContextSource = ""


class InfillPrompt(Value, frozen=True, tag="infill"):
    """A hole in a file: what stands before it, what stands after it, and pieces of other files.

    The file's own text is never read as special tokens. `filename` and `repo` are the real ones, or empty.
    """

    prefix: str
    suffix: str = ""
    extra: tuple[ContextPiece, ...] = ()
    filename: str = ""
    repo: str = ""


Prompt = ChatPrompt | TextPrompt | TokenPrompt | InfillPrompt


Priority = Literal["completion", "ask", "warm-up"]


class Sampling(Value, frozen=True):
    """How the next token is drawn. `temperature` 0 is greedy; `seed` None is a random one; `top_k` 0 is all."""

    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    repeat_penalty: float = 1.0
    repeat_last_n: int = 64
    seed: int | None = None


class Limits(Value, frozen=True):
    """When to stop. `max_tokens` None: until the context is full.

    `time_ms` counts from the first generated token and cuts only after a whole line has been generated, as
    llama-server's `t_max_predict_ms` does. `min_indent` stops at the first line indented by fewer columns.
    """

    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    time_ms: int | None = None
    min_indent: int = 0


class GenerateRequest(Value, frozen=True):
    """One request to an engine. With `logprobs`, every Delta carries log-probabilities of its tokens.

    A `grammar` (llama.cpp's GBNF) leaves no other answer possible than one that it describes.
    """

    prompt: Prompt
    priority: Priority = "ask"
    sampling: Sampling = Sampling()
    limits: Limits = Limits()
    logprobs: bool = False
    grammar: str = ""

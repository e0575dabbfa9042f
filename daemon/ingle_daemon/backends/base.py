"""The seam between the daemon and whatever generates text. Small on purpose: one fake (`scripted.py`)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from ingle_daemon.protocol import Delta, Done, Fit, GenerateRequest, ModelInfo, Prompt, Started

__all__ = ["Backend"]


class Backend(Protocol):
    """One model that answers requests.

    Every method raises `IngleError` subclasses only: NoModel when there is none to run, EngineLost when it died,
    DoesNotFit with the numbers, Busy when the queue is full, TimedOut when it took too long.
    """

    async def start(self) -> None:
        """Begin to load; returns at once. `info` waits for the end."""

    async def stop(self) -> None:
        """End every request and free everything."""

    async def info(self) -> ModelInfo:
        """The model, as soon as it is ready."""

    def status(self) -> dict[str, object]:
        """What state it is in, now, without waiting."""

    def generate(self, request: GenerateRequest) -> AsyncGenerator[Started | Delta | Done, None]:
        """Started, any number of Delta, then Done. Closing the generator cancels the request."""

    async def fit(self, prompt: Prompt, reserved: int) -> Fit:
        """How many tokens the prompt takes, template included, beside what the context holds."""

    async def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """The model's tokens of `text`. `special`: names of special tokens in it become those tokens."""

    async def render(self, prompt: Prompt) -> str:
        """The prompt as the model gets it, special tokens spelled out."""

    async def detokenize(self, tokens: list[int]) -> str:
        """The text of `tokens`; bytes that are no UTF-8 become U+FFFD."""

"""One batch as the engine puts it together, and the native arrays that it is written into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["BatchItem", "BatchViews"]


@dataclass(frozen=True, slots=True)
class BatchItem:
    """`tokens` appended to `slot` from position `start` on; logits of the last `outputs` of them are wanted."""

    slot: int
    start: int
    tokens: list[int]
    outputs: int


class BatchViews:
    """numpy views of a llama_batch's arrays: filling them costs microseconds instead of a loop over ctypes."""

    def __init__(self, batch: Any, size: int) -> None:
        self._token = np.ctypeslib.as_array(batch.token, shape=(size,))
        self._pos = np.ctypeslib.as_array(batch.pos, shape=(size,))
        self._logits = np.ctypeslib.as_array(batch.logits, shape=(size,))
        np.ctypeslib.as_array(batch.n_seq_id, shape=(size,))[:] = 1
        self._seq_id = [batch.seq_id[i] for i in range(size)]
        self.rows: list[int] = []

    def fill(self, items: Sequence[BatchItem]) -> int:
        """Write `items`; returns the number of tokens. `rows` then maps each output to its row in the batch."""
        self.rows = []
        at = 0
        for item in items:
            end = at + len(item.tokens)
            self._token[at:end] = item.tokens
            self._pos[at:end] = np.arange(item.start, item.start + len(item.tokens))
            self._logits[at:end] = 0
            self._logits[end - item.outputs : end] = 1
            for row in range(at, end):
                self._seq_id[row][0] = item.slot
            self.rows += range(end - item.outputs, end)
            at = end
        return at

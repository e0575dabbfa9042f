"""One batch as the engine puts it together, and the native arrays that it is written into."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

__all__ = ["BatchItem", "BatchWriter"]


class BatchItem(NamedTuple):
    """`tokens` appended to `slot` from position `start` on; logits of the last `outputs` of them are wanted."""

    slot: int
    start: int
    tokens: list[int]
    outputs: int


class BatchWriter:
    """Writes into a llama_batch with room for `size` tokens, one sequence each.

    A plain loop: between two tokens of an answer the processor's caches hold nothing of ours, so that the least code
    is the fastest, and in a large batch its time vanishes beside the evaluation's.
    """

    def __init__(self, batch: Any, size: int) -> None:
        self._token, self._pos, self._logits = batch.token, batch.pos, batch.logits
        self._seq_id = [batch.seq_id[row] for row in range(size)]
        for row in range(size):
            batch.n_seq_id[row] = 1
        self.rows: list[int] = []

    def fill(self, items: Sequence[BatchItem]) -> int:
        """Write `items`; returns the number of tokens. `rows` then maps each output to its row in the batch."""
        self.rows = []
        row = 0
        for item in items:
            position, first_output = item.start, row + len(item.tokens) - item.outputs
            for token in item.tokens:
                self._token[row], self._pos[row], self._seq_id[row][0] = token, position, item.slot
                self._logits[row] = wanted = row >= first_output
                if wanted:
                    self.rows.append(row)
                row += 1
                position += 1
        return row

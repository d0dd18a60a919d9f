"""Batches of one size for every process, none of whose rows counts twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from accelerate.data_loader import SeedableRandomSampler
from torch.utils.data import Sampler

FILLER = -1
"""`visit` of the row that makes batches even; nothing is learned from it."""


class EvenOrder(Sampler[int]):
    """Order of a data set's rows, filled up to whole rounds of batches with the last row.

    accelerate fills the last round with rows from the beginning, which would be learned twice, and
    on one process once.

    Args:
        order: Of all rows but the last, which is the filler.
        num_rows: How many rows that is.
        round_size: Rows of one micro-batch in all processes together.
    """

    def __init__(self, order: Any, *, num_rows: int, round_size: int) -> None:
        self._order = order
        self._num_rows = num_rows
        self._num_fillers = -num_rows % round_size

    def __iter__(self) -> Iterator[int]:
        """Yield the rows' numbers, each once, then the filler's."""
        yield from self._order
        yield from [self._num_rows] * self._num_fillers

    def __len__(self) -> int:
        """Return the number of rows, fillers included."""
        return self._num_rows + self._num_fillers

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of this pass over the data set."""
        if isinstance(self._order, SeedableRandomSampler):
            self._order.set_epoch(epoch)


def make_even(loader: Any, *, num_processes: int) -> Any:
    """Let a prepared data loader over rows and a filler, the last row, give each row once.

    Returns:
        The data loader; its order is the one that a single process would have.
    """
    sampler, num_rows = loader.get_sampler(), len(loader.dataset) - 1
    order: Any = range(num_rows)
    if isinstance(sampler, SeedableRandomSampler):
        order = SeedableRandomSampler(order, data_seed=sampler.initial_seed)
    round_size = loader.batch_sampler.batch_size * num_processes
    loader.set_sampler(EvenOrder(order, num_rows=num_rows, round_size=round_size))
    return loader

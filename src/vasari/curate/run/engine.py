"""Engines that process the shards of stages without model calls, in one process or several."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Protocol

Work = Callable[[int], None]
"""Function that processes the shard with the given number."""

MakeWork = Callable[[], Work]
"""Function that makes the `Work`, called once in each process: an index or a cache stays in that
process."""


class Engine(Protocol):
    """Interface of an engine, which runs a curation stage over shards, in any order and process."""

    def run(self, make: MakeWork, numbers: Sequence[int]) -> Iterator[int]:
        """Process the shards `numbers`, and yield the number of each shard as it is finished."""
        ...


@dataclass(frozen=True, slots=True)
class LocalEngine:
    """Engine that runs a curation stage over shards on this machine, in one process or several."""

    workers: int = 1
    """Number of processes; 1 works in the calling process."""

    def run(self, make: MakeWork, numbers: Sequence[int]) -> Iterator[int]:
        """Process the shards `numbers`, and yield each finished shard's number, in this order."""
        if self.workers == 1 or len(numbers) < 2:
            work = make() if numbers else None
            for number in numbers:
                assert work is not None  # noqa: S101  (there are numbers)
                work(number)
                yield number
            return
        # Spawned, not forked: this process has threads (the response store's, Arrow's).
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(
            self.workers, mp_context=context, initializer=_begin, initargs=(make,)
        ) as pool:
            yield from pool.map(_one, numbers)


_work: list[Work] = []


def _begin(make: MakeWork) -> None:
    _work[:] = [make()]


def _one(number: int) -> int:
    _work[0](number)
    return number

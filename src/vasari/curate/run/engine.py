"""Where the shards of stages without model calls are worked on: one process, or several."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Protocol

Work = Callable[[int], None]
"""Finishes the shard with this number; may be sent to another process."""

MakeWork = Callable[[], Work]
"""Makes the work once in each process: an index is built there, a cache lives there."""


class Engine(Protocol):
    """Works on shards in any order, in any process."""

    def run(self, make: MakeWork, numbers: Sequence[int]) -> Iterator[int]:
        """Work on shards, and give the number of each as it is finished."""
        ...


@dataclass(frozen=True, slots=True)
class LocalEngine:
    """Works on shards on this machine."""

    workers: int = 1
    """Processes; 1 works in this one."""

    def run(self, make: MakeWork, numbers: Sequence[int]) -> Iterator[int]:
        """Work on shards, and give the number of each in order."""
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

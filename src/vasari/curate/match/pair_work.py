"""Groups rows by key, and tells how much of the comparison within the groups is done.

Comparing images one by one takes time that grows with the square of a group. So progress counts
work by its time: one unit is the reading of a prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from vasari.core.progress import Tell

Keys = tuple[Iterable[NDArray[np.uint64]], NDArray[np.uint64]]
"""Keys by which rows are grouped, the first one that of the words alone, and the words."""

_PIVOT = 0.15
"""Time to compare a prompt's images with a group, in readings of a prompt (100 microseconds)."""
_PAIR = 0.0008
"""Time of each prompt of that group."""


class PairWork:
    """Work of a search for near-duplicates: prompts to read, then groups to compare."""

    def __init__(self, num_prompts: int, tell: Tell) -> None:
        self._num_prompts, self._tell = num_prompts, tell
        self._total = float(num_prompts)
        self._done = self._group = 0.0
        self._looked = 0

    def read(self, num_read: int, keys: Callable[[], Keys]) -> None:
        """Note that so many prompts are read; `keys` gives the keys of those with images.

        At every doubling the comparisons to come are estimated from the groups so far.
        """
        self._done = float(num_read)
        if num_read == self._num_prompts:
            return  # the plan follows
        if num_read >= 2 * self._looked:
            self._looked = num_read
            more = _work(*keys(), scale=self._num_prompts / num_read)
            self._total = self._num_prompts + more
        self._show()

    def plan(self, keys: Iterable[NDArray[np.uint64]], words: NDArray[np.uint64]) -> None:
        """Note the groups that are to be compared, now that all prompts are read."""
        self._total = self._num_prompts + _work(keys, words, scale=1.0)
        self._show()

    def compared(self, num_rest: int) -> None:
        """Note that one prompt was compared with the rest of its group."""
        self._group += _PIVOT + _PAIR * num_rest
        if self._group >= 1.0:
            self._tell(self._whole(self._done + self._group), self._whole(self._total))

    def finish_group(self, size: int) -> None:
        """Note that a group is done; what was found in it made it cheaper than planned."""
        self._done += float(_cost(np.array([size]))[0])
        self._group = 0.0
        if size > 100:
            self._show()

    def finish(self) -> None:
        """Note that all is done."""
        self._done = self._total
        self._show()

    def _show(self) -> None:
        self._tell(self._whole(self._done), self._whole(self._total))

    def _whole(self, work: float) -> int:
        return round(min(work, self._total))


def _work(keys: Iterable[NDArray[np.uint64]], words: NDArray[np.uint64], *, scale: float) -> float:
    """Time of the comparisons among rows, if there were `scale` times as many of them."""
    total = 0.0
    for place, key in enumerate(keys):
        _, group, counts = np.unique(key, return_inverse=True, return_counts=True)
        if place:
            # A group with the same words throughout was compared by the first key.
            lowest = np.full(len(counts), np.iinfo(np.uint64).max, dtype=np.uint64)
            highest = np.zeros(len(counts), dtype=np.uint64)
            np.minimum.at(lowest, group, words)
            np.maximum.at(highest, group, words)
            counts = counts[lowest != highest]
        total += float(_cost(scale * counts[counts > 1].astype(np.float64)).sum())
    return total


def _cost(sizes: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.float64]:
    """Time to compare all pairs of groups of these sizes."""
    return np.asarray(_PIVOT * sizes + _PAIR / 2 * np.square(sizes.astype(np.float64)))


def groups(keys: NDArray[np.uint64], rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Yield the rows that share a key, ascending, two or more at a time."""
    order = np.argsort(keys, kind="stable")
    cuts = np.flatnonzero(np.diff(keys[order])) + 1
    starts, ends = np.concatenate([[0], cuts]), np.concatenate([cuts, [len(keys)]])
    for place in np.flatnonzero(ends - starts > 1):
        yield rows[order[starts[place] : ends[place]]]

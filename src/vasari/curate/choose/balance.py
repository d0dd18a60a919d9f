"""Balances a set of prompts over categories: equal numbers of each, as far as there are enough."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vasari.core.errors import ConfigError, DataError
from vasari.core.records import Prompt
from vasari.curate.stage import Dropped


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """Number of prompts to take of each category, and how many fewer than the target this is."""

    counts: Mapping[str, int]
    """Prompts to take, by category, in the order of the names."""
    shortfall: Mapping[str, int]
    """By how many each category misses an equal share (target // categories); only categories that
    miss it."""
    missing: int
    """Target minus all prompts taken: 0 unless the whole supply is too small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Balanced:
    """Result of `balance_prompts`: prompts kept, prompts dropped, and counts by category."""

    kept: tuple[int, ...]
    """Positions in the input, ascending."""
    dropped: tuple[Dropped, ...]
    """All other prompts, ascending, each with its reason: "over_quota" or "category_not_wanted"."""
    allocation: Allocation


def water_fill(supply: Mapping[str, int], target: int, *, seed: int = 0) -> Allocation:
    """Split `target` prompts over the categories as equally as their supply of prompts allows.

    The counts maximise the least one, then the next least, and so on (max-min fairness):
    `min(supply_c, level)`, with one more for `target - sum` categories that have it. The seed
    decides which, not the order of the mapping.

    Args:
        supply: Number of prompts available, by category; 0 for a category that is wanted and empty.
        target: Prompts wanted in all.
        seed: Decides which categories give the indivisible remainder.

    Raises:
        ConfigError: No category, or a negative target.
        DataError: A negative supply.
    """
    if not supply:
        raise ConfigError("no category to balance over")
    if target < 0:
        raise ConfigError(f"target must be at least 0, got {target}")
    for name, have in supply.items():
        if have < 0:
            raise DataError(f"category {name!r}: supply must be at least 0, got {have}")
    counts = dict.fromkeys(sorted(supply), 0)
    left = min(target, sum(supply.values()))
    # Smallest first: a category below the equal share of what is left gives all it has.
    order = sorted(supply, key=lambda name: (supply[name], name))
    for position, name in enumerate(order):
        share, extra = divmod(left, len(order) - position)
        if supply[name] <= share:
            counts[name] = supply[name]
            left -= supply[name]
            continue
        # From here all have more than the share, so at least one more each: `extra` of them give
        # it.
        rest = sorted(order[position:], key=lambda other: _rank(seed, "category", other))
        for place, other in enumerate(rest):
            counts[other] = share + (place < extra)
        break
    fair = target // len(counts)
    return Allocation(
        counts=counts,
        shortfall={name: fair - count for name, count in counts.items() if count < fair},
        missing=target - sum(counts.values()),
    )


class Pool:
    """Pool of prompts from which a set balanced over categories is chosen; 20 bytes per prompt.

    These are a keyed digest of the id, and the category as a number.
    """

    def __init__(self, *, seed: int) -> None:
        self._seed = seed
        self._ranks = bytearray()
        self._codes = array("i")
        self._names: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._codes)

    def add(self, id_: str, category: str) -> None:
        """Add a prompt to the pool, by its id and its category."""
        self._ranks += _rank(self._seed, "prompt", id_)
        self._codes.append(self._names.setdefault(category, len(self._names)))

    def choose(self, target: int, categories: Iterable[str] | None) -> Choice:
        """Choose `target` prompts of the pool, as equal a number per category as it has.

        Raises:
            ConfigError: No category, or a negative target.
        """
        wanted = sorted(set(self._names) if categories is None else set(categories))
        codes: NDArray[np.int32] = (
            np.frombuffer(self._codes, dtype=np.int32) if len(self) else np.zeros(0, dtype=np.int32)
        )
        counts = np.bincount(codes, minlength=len(self._names))
        supply = {
            name: int(counts[self._names[name]]) if name in self._names else 0 for name in wanted
        }
        allocation = water_fill(supply, target, seed=self._seed)
        quota = np.zeros(len(self._names), dtype=np.int64)
        for name, number in self._names.items():
            quota[number] = allocation.counts.get(name, 0)
        order = np.lexsort((*self._numbers(), codes))
        starts = np.cumsum(counts) - counts
        kept = np.zeros(len(self), dtype=np.bool_)
        kept[order] = np.arange(len(self)) - starts[codes[order]] < quota[codes[order]]
        return Choice(
            kept=kept, allocation=allocation, codes=codes, names=tuple(self._names), supply=supply
        )

    def same_id(self) -> tuple[int, int] | None:
        """Positions in the pool of two prompts with the same id; None if all ids differ."""
        low, high = self._numbers()
        order = np.lexsort((low, high))
        same = np.flatnonzero(
            (high[order[1:]] == high[order[:-1]]) & (low[order[1:]] == low[order[:-1]])
        )
        return (int(order[same[0]]), int(order[same[0] + 1])) if len(same) else None

    def _numbers(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """The lower and the upper half of each prompt's digest as numbers: [prompts], [prompts].

        They sort as the bytes do.
        """
        halves = np.frombuffer(self._ranks, dtype=">u8").reshape(-1, 2).astype(np.uint64)
        return halves[:, 1], halves[:, 0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """For each prompt of a `Pool`, in the pool's order, whether it is kept, and its category."""

    kept: NDArray[np.bool_]
    """[prompts] whether each prompt is kept."""
    allocation: Allocation
    codes: NDArray[np.int32]
    """[prompts] index of each prompt's category in `names`."""
    names: tuple[str, ...]
    supply: Mapping[str, int]
    """Number of prompts in the pool of each wanted category."""

    def drop(self, position: int, *, index: int, id_: str) -> Dropped:
        """Build the `Dropped` record of a prompt of the pool that is not kept."""
        name = self.names[self.codes[position]]
        if name in self.supply:
            detail = (
                f"category {name!r} gives {self.allocation.counts[name]} of {self.supply[name]}"
            )
            return Dropped(index=index, id=id_, reason="over_quota", detail=detail)
        detail = f"category {name!r} is none of the {len(self.supply)} wanted"
        return Dropped(index=index, id=id_, reason="category_not_wanted", detail=detail)


def balance_prompts(
    prompts: Sequence[Prompt],
    target: int,
    *,
    seed: int = 0,
    categories: Iterable[str] | None = None,
) -> Balanced:
    """Choose `target` prompts, with as equal a number of each category as `prompts` allow.

    Within a category the prompts with the least keyed digests of their ids are kept: the choice
    depends on seed and ids, not on the order of the rows, and one more prompt in the input
    displaces at most one.

    Args:
        prompts: The pool; ids are unique.
        target: Prompts wanted in all.
        seed: Another seed, another choice.
        categories: The categories wanted, empty ones included, so that their shortfall shows; None:
            those that occur.

    Raises:
        DataError: Two prompts have the same id.
        ConfigError: No category, or a negative target.
    """
    pool = Pool(seed=seed)
    for prompt in prompts:
        pool.add(prompt.id, prompt.category)
    if same := pool.same_id():
        raise DataError(
            f"prompts {same[0]} and {same[1]} have the same id {prompts[same[0]].id!r}; ids must be"
            " unique"
        )
    choice = pool.choose(target, categories)
    return Balanced(
        kept=tuple(np.flatnonzero(choice.kept).tolist()),
        dropped=tuple(
            choice.drop(index, index=index, id_=prompts[index].id)
            for index in np.flatnonzero(~choice.kept).tolist()
        ),
        allocation=choice.allocation,
    )


def _rank(seed: int, kind: str, name: str) -> bytes:
    """A digest of a name under a seed: a random-looking, reproducible order."""
    return hashlib.blake2b(
        f"{kind}\0{name}".encode(), digest_size=16, key=str(seed).encode()[:64]
    ).digest()

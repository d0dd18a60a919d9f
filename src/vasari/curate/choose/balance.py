"""As many prompts of every category as a target allows: water-filling, with the shortfall said."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from vasari.curate.dropped import Dropped
from vasari.errors import ConfigError, DataError
from vasari.records import Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """How many prompts each category gives."""

    counts: Mapping[str, int]
    """Prompts taken, by category, in the order of the names."""
    shortfall: Mapping[str, int]
    """By how many each category misses an equal share (target // categories); only those that do."""
    missing: int
    """Target minus all prompts taken: 0 unless the whole supply is too small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Balanced:
    """The prompts that a balanced set keeps."""

    kept: tuple[int, ...]
    """Positions in the input, ascending."""
    dropped: tuple[Dropped, ...]
    """The others, ascending, each with its reason: "over_quota" or "category_not_wanted"."""
    allocation: Allocation


def water_fill(supply: Mapping[str, int], target: int, *, seed: int = 0) -> Allocation:
    """Equal counts for all categories, except that none gives more than it has; what small ones lack, the others give.

    The counts maximise the least one, then the next least, and so on (max-min fairness): `min(supply_c, level)`, with one
    more for `target - sum` categories that have it. The seed decides which, not the order of the mapping.

    Args:
        supply: Prompts there are, by category; 0 for a category that is wanted and empty.
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
        # From here all have more than the share, so at least one more each: `extra` of them give it.
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


def balance_prompts(
    prompts: Sequence[Prompt], target: int, *, seed: int = 0, categories: Iterable[str] | None = None
) -> Balanced:
    """Which prompts to keep so that categories are as equal as the supply allows.

    Within a category the prompts with the least keyed digests of their ids are kept: the choice depends on seed and ids, not
    on the order of the rows, and one more prompt in the input displaces at most one. Memory: one digest of 16 bytes a prompt.

    Args:
        prompts: The pool; ids are unique.
        target: Prompts wanted in all.
        seed: Another seed, another choice.
        categories: The categories wanted, empty ones included, so that their shortfall shows; None: those that occur.

    Raises:
        DataError: Two prompts have the same id.
        ConfigError: No category, or a negative target.
    """
    wanted = sorted({p.category for p in prompts} if categories is None else set(categories))
    members: dict[str, list[int]] = {name: [] for name in wanted}
    seen: dict[str, int] = {}
    for index, prompt in enumerate(prompts):
        if prompt.id in seen:
            raise DataError(f"prompts {seen[prompt.id]} and {index} have the same id {prompt.id!r}; ids must be unique")
        seen[prompt.id] = index
        if prompt.category in members:
            members[prompt.category].append(index)
    allocation = water_fill({name: len(found) for name, found in members.items()}, target, seed=seed)
    kept: set[int] = set()
    for name, found in members.items():
        found.sort(key=lambda index: _rank(seed, "prompt", prompts[index].id))
        kept.update(found[: allocation.counts[name]])
    dropped = []
    for index, prompt in enumerate(prompts):
        if index in kept:
            continue
        if prompt.category in members:
            quota, have = allocation.counts[prompt.category], len(members[prompt.category])
            detail = f"category {prompt.category!r} gives {quota} of {have}"
            dropped.append(Dropped(index=index, id=prompt.id, reason="over_quota", detail=detail))
        else:
            detail = f"category {prompt.category!r} is none of the {len(wanted)} wanted"
            dropped.append(Dropped(index=index, id=prompt.id, reason="category_not_wanted", detail=detail))
    return Balanced(kept=tuple(sorted(kept)), dropped=tuple(dropped), allocation=allocation)


def _rank(seed: int, kind: str, name: str) -> bytes:
    """A random-looking, reproducible place in a queue."""
    return hashlib.blake2b(f"{kind}\0{name}".encode(), digest_size=16, key=str(seed).encode()[:64]).digest()

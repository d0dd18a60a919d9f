"""Passes over a pool: every prompt once per pass, in an order that is new each pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vasari.core.errors import StateError
from vasari.sample.pool import read_array

_EMPTY = np.zeros(0, dtype=np.int64)


class PoolPasses:
    """Draws uniformly without replacement, pass after pass.

    `_order` is a permutation whose first `_cursor` entries were visited in this pass. A draw picks
    among the rest and swaps the picks to the front, so a pass is shuffled as it goes and its end
    costs nothing, however large the pool.
    """

    def __init__(self, num_prompts: int) -> None:
        self._order = np.arange(num_prompts, dtype=np.int32 if num_prompts < 2**31 else np.int64)
        self._cursor = 0
        self._owed = _EMPTY
        self.num_passes = 0
        """Passes that were completed."""

    def draw(
        self, rng: np.random.Generator, num: int, *, excluded: NDArray[np.int64] = _EMPTY
    ) -> NDArray[np.int64]:
        """`num` different prompts, none of them in `excluded`; int64 in the order drawn.

        Prompts that only `excluded` kept from this pass's end are owed, once each: the next draws
        serve them first. The caller sees to it that the pool has `num` prompts outside `excluded`.
        """
        taken = np.isin(self._owed, excluded)
        served = self._owed[~taken][:num]
        self._owed = self._owed[~np.isin(self._owed, served)]
        parts, missing = [served], num - len(served)
        while missing:
            if self._cursor == len(self._order):
                self._cursor = 0
            visited = self._visit(rng, missing, np.concatenate([excluded, *parts]))
            parts.append(visited)
            missing -= len(visited)
            if missing:
                self._owed = np.union1d(self._owed, self._order[self._cursor :].astype(np.int64))
                self._cursor = len(self._order)
            if self._cursor == len(self._order):
                self.num_passes += 1
        return np.concatenate(parts)

    def _visit(
        self, rng: np.random.Generator, num: int, taken: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Up to `num` prompts that this pass has not visited, none of `taken`; fewer where the pass
        has no more.
        """
        num_left = len(self._order) - self._cursor
        places = self._cursor + rng.choice(
            num_left, size=min(num_left, num + len(taken)), replace=False
        )
        free = ~np.isin(self._order[places], taken)
        places = places[free][:num]
        picks = self._order[places]
        front = self._cursor + np.arange(len(places))
        stays = np.isin(front, places)
        vacated = places[places >= self._cursor + len(places)]
        self._order[vacated] = self._order[front[~stays]]
        self._order[front] = picks
        self._cursor += len(places)
        return picks.astype(np.int64)

    def state(self) -> dict[str, Any]:
        """JSON values and copies of arrays."""
        return {
            "order": self._order.copy(),
            "cursor": self._cursor,
            "owed": self._owed.copy(),
            "num_passes": self.num_passes,
        }

    @classmethod
    def restored(
        cls, state: Mapping[str, Any], num_prompts: int, origin: NDArray[np.int64] | None
    ) -> PoolPasses:
        """Passes that continue a saved state; `origin` as in `PromptSampler._restore`. New prompts
        join the running pass.

        Raises:
            StateError: The saved order is no permutation of the pool.
        """
        passes = cls(num_prompts)
        order = read_array(state, "order", dtype=np.int64)
        owed = read_array(state, "owed", dtype=np.int64)
        cursor = int(state["cursor"])
        if (
            not 0 <= cursor <= len(order)
            or not _is_permutation(order)
            or (origin is None and len(order) != num_prompts)
        ):
            raise StateError(
                f"saved order of {len(order)} prompts is no permutation, or its cursor {cursor}"
                " lies outside"
            )
        if owed.size and (owed.min() < 0 or owed.max() >= len(order)):
            raise StateError("saved debt names prompts outside the pool")
        if origin is not None:
            now = np.full(len(order), -1, dtype=np.int64)
            now[origin[origin >= 0]] = np.flatnonzero(origin >= 0)
            visited, pending, owed = (
                now[part][now[part] >= 0] for part in (order[:cursor], order[cursor:], owed)
            )
            cursor = len(visited)
            order = np.concatenate([visited, pending, np.flatnonzero(origin < 0)])
        passes._order[:] = order
        passes._cursor, passes._owed, passes.num_passes = cursor, owed, int(state["num_passes"])
        return passes


def _is_permutation(order: NDArray[np.int64]) -> bool:
    if order.size and (order.min() < 0 or order.max() >= len(order)):
        return False
    return bool((np.bincount(order, minlength=len(order)) == 1).all())

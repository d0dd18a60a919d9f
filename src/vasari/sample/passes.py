"""Passes over a pool: every prompt once per pass, in an order that is new each pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vasari.core.errors import StateError
from vasari.sample.pool import present_places, read_array

_EMPTY = np.zeros(0, dtype=np.int64)


class PoolPasses:
    """Shuffled passes over a pool: uniform draws that visit every prompt once per pass.

    `_order` is a permutation whose first `_cursor` entries were visited in this pass. A draw picks
    among the rest and swaps the picks to the front, so a pass is shuffled as it goes and its end
    costs nothing, however large the pool.
    """

    def __init__(self, num_prompts: int) -> None:
        self._order = np.arange(num_prompts, dtype=np.int32 if num_prompts < 2**31 else np.int64)
        self._cursor = 0
        self._postponed = _EMPTY
        self.num_passes = 0
        """Number of completed passes over the pool."""

    def draw(
        self, rng: np.random.Generator, num: int, *, excluded: NDArray[np.int64] = _EMPTY
    ) -> NDArray[np.int64]:
        """Draw `num` different prompts, none of them in `excluded`; int64 indices in draw order.

        Prompts that this pass could not visit because they were excluded are postponed: the next
        draws begin with them, once each. The caller sees to it that the pool has `num` prompts
        outside `excluded`.
        """
        taken = np.isin(self._postponed, excluded)
        first = self._postponed[~taken][:num]
        self._postponed = self._postponed[~np.isin(self._postponed, first)]
        parts, missing = [first], num - len(first)
        while missing:
            if self._cursor == len(self._order):
                self._cursor = 0
            visited = self._visit(rng, missing, np.concatenate([excluded, *parts]))
            parts.append(visited)
            missing -= len(visited)
            if missing:
                self._postponed = np.union1d(
                    self._postponed, self._order[self._cursor :].astype(np.int64)
                )
                self._cursor = len(self._order)
            if self._cursor == len(self._order):
                self.num_passes += 1
        return np.concatenate(parts)

    @property
    def num_left(self) -> int:
        """Number of prompts that this pass has not visited; 0 at its end."""
        return len(self._order) - self._cursor

    def give_back(self, num: int) -> None:
        """Take back the last `num` prompts drawn, all of this pass: it visits them again later."""
        if num and self._cursor == len(self._order):
            self.num_passes -= 1
        self._cursor -= num

    def _visit(
        self, rng: np.random.Generator, num: int, taken: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Draw up to `num` prompts that this pass has not visited and that are not in `taken`."""
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
        """Return the state of the passes over the pool, to be saved: JSON values and arrays."""
        return {
            "order": self._order.copy(),
            "cursor": self._cursor,
            "owed": self._postponed.copy(),
            "num_passes": self.num_passes,
        }

    def restored(
        self, state: Mapping[str, Any], origin: NDArray[np.int64] | None = None
    ) -> PoolPasses:
        """Return passes over a pool that continue from a saved state; new prompts join this pass.

        Args:
            state: From `state`.
            origin: None for the same pool; else [prompts] each prompt's index in the saved pool, -1
                for a new prompt.

        Raises:
            StateError: The saved order is no permutation of the pool.
        """
        passes = PoolPasses(len(self._order))
        order = read_permutation(state, None if origin is not None else len(self._order))
        postponed = read_array(state, "owed", dtype=np.int64)
        cursor = int(state["cursor"])
        if not 0 <= cursor <= len(order):
            raise StateError(
                f"saved order of {len(order)} prompts: its cursor {cursor} lies outside"
            )
        if postponed.size and (postponed.min() < 0 or postponed.max() >= len(order)):
            raise StateError("saved postponed prompts lie outside the pool")
        if origin is not None:
            places = present_places(origin, len(order))
            visited, pending, postponed = (
                places[part][places[part] >= 0]
                for part in (order[:cursor], order[cursor:], postponed)
            )
            cursor = len(visited)
            order = np.concatenate([visited, pending, np.flatnonzero(origin < 0)])
        passes._order[:] = order
        passes._cursor, passes._postponed, passes.num_passes = (
            cursor,
            postponed,
            int(state["num_passes"]),
        )
        return passes


def read_permutation(state: Mapping[str, Any], length: int | None = None) -> NDArray[np.int64]:
    """Return the saved `order` of a pool's prompts, checked to be a permutation.

    Raises:
        StateError: It is no permutation, or of another length.
    """
    order = read_array(state, "order", dtype=np.int64)
    is_inside = not len(order) or (order.min() >= 0 and order.max() < len(order))
    if length not in (None, len(order)) or not is_inside or (np.bincount(order) != 1).any():
        raise StateError(f"saved order of {len(order)} prompts is no permutation of its pool")
    return order

"""Passes over each category of a pool: every prompt of a category once per pass of that
category.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vasari.core.errors import StateError
from vasari.sample.passes import PoolPasses
from vasari.sample.pool import read_array

_EMPTY = np.zeros(0, dtype=np.int64)


class CategoryPasses:
    """Draws uniformly without replacement within categories, each with passes of its own."""

    def __init__(self, categories: NDArray[np.int64], num_categories: int) -> None:
        self._categories = categories
        self.sizes: NDArray[np.int64] = np.bincount(categories, minlength=num_categories).astype(
            np.int64
        )
        """[categories] how many prompts each has."""
        self._members = np.split(np.argsort(categories, kind="stable"), np.cumsum(self.sizes)[:-1])
        self._passes = [PoolPasses(int(size)) for size in self.sizes]

    def draw(self, rng: np.random.Generator, quotas: NDArray[np.int64]) -> NDArray[np.int64]:
        """Different prompts, `quotas[c]` of category c and at most its size; int64, category after
        category.
        """
        parts = [
            self._members[c][self._passes[c].draw(rng, int(quotas[c]))]
            for c in np.flatnonzero(quotas)
        ]
        return np.concatenate(parts).astype(np.int64) if parts else _EMPTY

    @property
    def num_passes(self) -> NDArray[np.int64]:
        """[categories] passes that were completed."""
        return np.array([passes.num_passes for passes in self._passes], dtype=np.int64)

    def state(self) -> dict[str, Any]:
        """JSON values and copies of arrays. No category ever owes a prompt, as its draws exclude
        none.
        """
        states = [passes.state() for passes in self._passes]
        orders = [
            members[state["order"]] for members, state in zip(self._members, states, strict=True)
        ]
        return {
            "order": np.concatenate(orders).astype(np.int64),
            "sizes": self.sizes.copy(),
            "cursors": np.array([state["cursor"] for state in states], dtype=np.int64),
            "num_passes": self.num_passes,
        }

    @classmethod
    def restored(
        cls,
        state: Mapping[str, Any],
        categories: NDArray[np.int64],
        known_as: NDArray[np.int64],
        origin: NDArray[np.int64] | None,
    ) -> CategoryPasses:
        """Passes that continue a saved state; new prompts join their category's running pass.

        Args:
            state: From `state`.
            categories: [prompts] each prompt's category now.
            known_as: [categories] the number that each category had in the saved state, -1 for a
                new one.
            origin: As in `PromptSampler._restore`.

        Raises:
            StateError: The saved order is no permutation of the pool, or of other categories than
                the same pool's.
        """
        passes = cls(categories, len(known_as))
        order, sizes, cursors, completed = (
            read_array(state, key, dtype=np.int64)
            for key in ("order", "sizes", "cursors", "num_passes")
        )
        if (
            not len(sizes) == len(cursors) == len(completed) > known_as.max(initial=-1)
            or (sizes < 0).any()
        ):
            raise StateError("saved passes are not of one length per category")
        if sizes.sum() != len(order) or (cursors < 0).any() or (cursors > sizes).any():
            raise StateError("saved passes do not fit the sizes of their categories")
        if not np.array_equal(np.sort(order), np.arange(len(order))):
            raise StateError(f"saved order of {len(order)} prompts is no permutation")
        starts = np.cumsum(sizes) - sizes
        visited = np.arange(len(order)) - np.repeat(starts, sizes) < np.repeat(cursors, sizes)
        if origin is None:
            if len(order) != len(categories) or not np.array_equal(
                categories[order], np.repeat(np.arange(len(sizes)), sizes)
            ):
                raise StateError("saved passes are of other categories of these prompts")
        else:
            order, visited = _moved(order, visited, origin)
        sequence = np.lexsort((~visited, categories[order]))
        order, visited = order[sequence], visited[sequence]
        place = np.empty(len(categories), dtype=np.int64)
        for members in passes._members:
            place[members] = np.arange(len(members))
        seen = np.bincount(categories[order], weights=visited, minlength=len(known_as)).astype(
            np.int64
        )
        for c, part in enumerate(np.split(place[order], np.cumsum(passes.sizes)[:-1])):
            done = int(completed[known_as[c]]) if known_as[c] >= 0 else 0
            saved = {"order": part, "cursor": int(seen[c]), "owed": _EMPTY, "num_passes": done}
            passes._passes[c] = PoolPasses.restored(saved, len(part), None)
        return passes


def _moved(
    order: NDArray[np.int64], visited: NDArray[np.bool_], origin: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The saved order and marks of the prompts that are still there, as they are numbered now, then
    the new ones.
    """
    if origin.max(initial=-1) >= len(order):
        raise StateError(f"saved order has {len(order)} entries, fewer than its pool")
    now = np.full(len(order), -1, dtype=np.int64)
    now[origin[origin >= 0]] = np.flatnonzero(origin >= 0)
    kept = now[order] >= 0
    new = np.flatnonzero(origin < 0)
    return np.concatenate([now[order][kept], new]), np.concatenate(
        [visited[kept], np.zeros(len(new), dtype=np.bool_)]
    )

"""Passes over each category of a pool: every prompt once per pass of its category."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vasari.core.errors import StateError
from vasari.sample.passes import PoolPasses, read_permutation
from vasari.sample.pool import present_places, read_array

_EMPTY = np.zeros(0, dtype=np.int64)


class CategoryPasses:
    """Shuffled passes over each category of a pool: a pass visits each of its prompts once."""

    def __init__(self, categories: NDArray[np.int64], num_categories: int) -> None:
        self._categories = categories
        self.sizes: NDArray[np.int64] = np.bincount(categories, minlength=num_categories).astype(
            np.int64
        )
        """[categories] number of prompts in each category."""
        self._members = np.split(np.argsort(categories, kind="stable"), np.cumsum(self.sizes)[:-1])
        self._passes = [PoolPasses(int(size)) for size in self.sizes]

    def draw(self, rng: np.random.Generator, quotas: NDArray[np.int64]) -> NDArray[np.int64]:
        """Draw `quotas[c]` different prompts of each category c, category by category: int64."""
        parts = [
            self._members[c][self._passes[c].draw(rng, int(quotas[c]))]
            for c in np.flatnonzero(quotas)
        ]
        return np.concatenate(parts).astype(np.int64) if parts else _EMPTY

    @property
    def num_passes(self) -> NDArray[np.int64]:
        """Number of completed passes over each category: [categories]."""
        return np.array([passes.num_passes for passes in self._passes], dtype=np.int64)

    def state(self) -> dict[str, Any]:
        """Return the state of the passes over each category, to be saved: copies of arrays."""
        # No category postpones a prompt, as its draws exclude none.
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

    def restored(
        self,
        state: Mapping[str, Any],
        known_as: NDArray[np.int64],
        origin: NDArray[np.int64] | None,
    ) -> CategoryPasses:
        """Return passes over the present categories that continue from a saved state.

        New prompts join their category's running pass.

        Args:
            state: From `state`.
            known_as: [categories] the number that each category had in the saved state, -1 for a
                new one.
            origin: None for the same pool; else [prompts] each prompt's index in the saved pool, -1
                for a new prompt.

        Raises:
            StateError: The saved order is no permutation of the pool, or of other categories than
                the same pool's.
        """
        categories = self._categories
        passes = CategoryPasses(categories, len(known_as))
        order = read_permutation(state)
        sizes, cursors, completed = (
            read_array(state, key, dtype=np.int64) for key in ("sizes", "cursors", "num_passes")
        )
        if (
            not len(sizes) == len(cursors) == len(completed) > known_as.max(initial=-1)
            or (sizes < 0).any()
        ):
            raise StateError("saved passes are not of one length per category")
        if sizes.sum() != len(order) or (cursors < 0).any() or (cursors > sizes).any():
            raise StateError("saved passes do not fit the sizes of their categories")
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
        num_visited = np.bincount(
            categories[order], weights=visited, minlength=len(known_as)
        ).astype(np.int64)
        for c, part in enumerate(np.split(place[order], np.cumsum(passes.sizes)[:-1])):
            done = int(completed[known_as[c]]) if known_as[c] >= 0 else 0
            cursor = int(num_visited[c])
            saved = {"order": part, "cursor": cursor, "owed": _EMPTY, "num_passes": done}
            passes._passes[c] = passes._passes[c].restored(saved)
        return passes


def _moved(
    order: NDArray[np.int64], visited: NDArray[np.bool_], origin: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the saved order as present indices, new prompts last, and whether each was visited."""
    if origin.max(initial=-1) >= len(order):
        raise StateError(f"saved order has {len(order)} entries, fewer than its pool")
    places = present_places(origin, len(order))[order]
    new = np.flatnonzero(origin < 0)
    return np.concatenate([places[places >= 0], new]), np.concatenate(
        [visited[places >= 0], np.zeros(len(new), dtype=np.bool_)]
    )

"""Fast random draws in proportion to weights, from pools of millions of prompts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BLOCK = 1024
_CHUNK = 2048
_MAX_ROUNDS = 12


class WeightedPool:
    """Pool of prompts with sampling weights (finite, at least 0), drawn in proportion to weight.

    Each block of prompts has its sum, and only blocks whose weights change are summed again.
    """

    def __init__(self, weights: NDArray[np.float64]) -> None:
        self._num = len(weights)
        self._weights = np.zeros((-(-self._num // _BLOCK), _BLOCK))
        self._flat = self._weights.reshape(-1)
        self._flat[: self._num] = weights
        self._sums = self._weights.sum(axis=1)

    @property
    def weights(self) -> NDArray[np.float64]:
        """Sampling weight of each prompt: [prompts], not a copy, so it may only be read."""
        return self._flat[: self._num]

    def set(self, indices: NDArray[np.int64], values: NDArray[np.float64] | float) -> None:
        """Set the sampling weights of the prompts `indices` (no duplicates) to `values`."""
        self._flat[indices] = values
        blocks = np.unique(indices // _BLOCK)
        self._sums[blocks] = self._weights[blocks].sum(axis=1)

    def draw(self, rng: np.random.Generator, num: int) -> NDArray[np.int64]:
        """Draw `num` prompts by sampling weight, with replacement; uniformly if all are 0."""
        cumulative = np.cumsum(self._sums)
        total = float(cumulative[-1])
        if total <= 0.0:
            return rng.integers(self._num, size=num)
        at = rng.random(num) * total
        last = int(np.flatnonzero(self._sums)[-1])
        blocks = np.minimum(np.searchsorted(cumulative, at, side="right"), last)
        rest = np.maximum(at - (cumulative[blocks] - self._sums[blocks]), 0.0)
        picks = np.empty(num, dtype=np.int64)
        for start in range(0, num, _CHUNK):
            part = slice(start, start + _CHUNK)
            picks[part] = blocks[part] * _BLOCK + self._place_in_block(blocks[part], rest[part])
        return picks

    def _place_in_block(
        self, blocks: NDArray[np.int64], rest: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        rows = self._weights[blocks]
        places = (np.cumsum(rows, axis=1) <= rest[:, None]).sum(axis=1)
        # Rounding can carry a place past the last prompt with a weight: step back to it.
        last = _BLOCK - 1 - (rows[:, ::-1] > 0).argmax(axis=1)
        within: NDArray[np.int64] = np.minimum(places, last)
        return within

    def draw_unique(self, rng: np.random.Generator, num: int) -> NDArray[np.int64]:
        """Draw `num` different prompts, one by one by sampling weight, without replacement.

        The law of Gumbel top-k on log weights. When the positive weights run out, the rest is
        uniform among the prompts not drawn.
        """
        picked: list[NDArray[np.int64]] = []
        hidden: list[NDArray[np.float64]] = []
        missing = num
        for _ in range(_MAX_ROUNDS):
            if not missing or not self._sums.any():
                break
            # Repeats of earlier picks are refused, which leaves the law of drawing from what is
            # left.
            candidates = self.draw(rng, missing)
            fresh = candidates[np.sort(np.unique(candidates, return_index=True)[1])]
            picked.append(fresh)
            hidden.append(self._flat[fresh])
            self.set(fresh, 0.0)
            missing -= len(fresh)
        if missing and self._sums.any():
            picked.append(self._race(rng, missing))
            hidden.append(self._flat[picked[-1]])
            self.set(picked[-1], 0.0)
            missing -= len(picked[-1])
        chosen = np.concatenate(picked) if picked else np.zeros(0, dtype=np.int64)
        if picked:
            self.set(chosen, np.concatenate(hidden))
        if missing:
            others = rng.choice(
                self._num, size=min(self._num, missing + len(chosen)), replace=False
            )
            chosen = np.concatenate([chosen, others[~np.isin(others, chosen)][:missing]])
        return chosen

    def _race(self, rng: np.random.Generator, num: int) -> NDArray[np.int64]:
        """Draw `num` different prompts by an exponential race, or fewer if fewer have a weight.

        It is fast where few weights hold nearly all the mass.
        """
        running = np.flatnonzero(self._flat)
        with np.errstate(over="ignore"):
            times = rng.standard_exponential(len(running)) / self._flat[running]
        if num < len(running):
            first = np.argpartition(times, num - 1)[:num]
            running, times = running[first], times[first]
        return running[np.argsort(times, kind="stable")]


def gumbel_top(
    rng: np.random.Generator, log_weights: NDArray[np.float64], num: int
) -> NDArray[np.int64]:
    """Draw `num` different indices of `log_weights`, in proportion to `exp(log_weights)`: int64.

    The `num` largest of `log_weights + Gumbel` follow exactly this law (Gumbel top-k,
    arXiv:1903.06059). Logarithms keep weights apart whose exponentials would all be 0. Indices of
    weight 0 (-inf) come last, uniformly.

    Args:
        rng: The caller's generator.
        log_weights: [indices], finite or -inf.
        num: How many, at most the number of indices.
    """
    running = np.flatnonzero(log_weights > -np.inf)
    keys = log_weights[running] + rng.gumbel(size=len(running))
    if num < len(running):
        first = np.argpartition(-keys, num - 1)[:num]
        running, keys = running[first], keys[first]
    chosen = running[np.argsort(-keys, kind="stable")]
    if len(chosen) < num:
        others = np.flatnonzero(log_weights == -np.inf)
        chosen = np.concatenate([chosen, rng.choice(others, size=num - len(chosen), replace=False)])
    return chosen.astype(np.int64)

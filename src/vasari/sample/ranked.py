"""Counts of verdicts by prompt, and the choice of the prompts of highest score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vasari.core.records import GroupOutcome
from vasari.sample.passes import PoolPasses

EQUAL_DECIMALS = 9
"""Decimals to which equal scores agree: 0.5 - 0.4 and 0.6 - 0.5 differ in the last bit."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of correct and of verifiable rollouts of each prompt, summed over its groups."""

    prompts: NDArray[np.int64]
    """[seen] prompts with a verifiable rollout, ascending, each once."""
    num_correct: NDArray[np.float64]
    """[seen] number of correct rollouts of each prompt, over all its groups."""
    num_verifiable: NDArray[np.float64]
    """[seen] number of verifiable rollouts of each prompt, at least 1."""

    @property
    def pass_rates(self) -> NDArray[np.float64]:
        """Pass rate of each prompt in `prompts`: correct over verifiable rollouts."""
        return self.num_correct / self.num_verifiable


def tally(groups: Sequence[GroupOutcome]) -> Tally:
    """Count each prompt's correct rollouts and its verifiable rollouts (those with a verdict).

    Groups of one prompt count as one; groups without a verifiable rollout do not count.
    """
    indices = np.array([group.index for group in groups], dtype=np.int64)
    correct = np.array([np.nansum(group.verdicts) for group in groups], dtype=np.float64)
    verifiable = np.array([(~np.isnan(group.verdicts)).sum() for group in groups], dtype=np.float64)
    prompts, place = np.unique(indices[verifiable > 0], return_inverse=True)
    sums = np.zeros((2, len(prompts)))
    for row, values in zip(sums, (correct, verifiable), strict=True):
        np.add.at(row, place, values[verifiable > 0])
    return Tally(prompts, sums[0], sums[1])


def highest(scores: NDArray[np.float64], num: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the indices of the `num` highest scores, best first, ties at random: int64 [num].

    Scores that agree to nine decimals are equal. Nothing is sorted: 1.6 million scores take
    milliseconds.
    """
    if not num:
        return np.zeros(0, dtype=np.int64)
    scores = np.round(scores, EQUAL_DECIMALS)
    if num < len(scores):
        least = _bound(scores, num)
        above = np.flatnonzero(scores > least)
        if len(above) > num:
            least = np.partition(scores[above], len(above) - num)[len(above) - num]
            above = above[scores[above] > least]
        tied = np.flatnonzero(scores == least)
        picked = np.concatenate([above, rng.choice(tied, size=num - len(above), replace=False)])
    else:
        picked = np.arange(len(scores))
    order = np.lexsort((rng.random(len(picked)), -scores[picked]))
    return picked[order].astype(np.int64)


def _bound(scores: NDArray[np.float64], num: int) -> float:
    """Return a number that is at most the `num`-th highest score, and close to it.

    It is the `num`-th highest of the maxima of blocks. A partition of the whole takes a quarter of
    a second where most of 1.6 million scores are equal.
    """
    width = max(1, len(scores) // (4 * num))
    maxima = scores[: len(scores) // width * width].reshape(-1, width).max(axis=1)
    return float(np.partition(maxima, len(maxima) - num)[len(maxima) - num])


class Candidates:
    """Source of random sets of candidate prompts; a batch takes the best prompts of one set.

    A set of `factor` times the batch is the next stretch of a shuffled pass over the pool, so every
    prompt is a candidate once per pass. With `factor` 0, or where the pool is no larger, the set is
    the whole pool.
    """

    def __init__(self, num_prompts: int, factor: int) -> None:
        self._num_prompts, self._factor = num_prompts, factor
        self._passes = PoolPasses(num_prompts) if factor else None

    def draw(self, rng: np.random.Generator, num: int) -> NDArray[np.int64] | None:
        """Draw the candidate prompts for a batch of `num`: int64, no repeats; None = whole pool."""
        wanted = self._factor * num
        if self._passes is None or wanted >= self._num_prompts:
            return None
        return self._passes.draw(rng, wanted)

    def state(self) -> dict[str, Any]:
        """Return the state of the shuffled passes over the pool, to be saved; {} if none."""
        return {} if self._passes is None else self._passes.state()

    def restored(self, state: Mapping[str, Any], origin: NDArray[np.int64] | None) -> Candidates:
        """Return a copy of this source of candidate prompts that continues from a saved state.

        `origin` is None for the same pool; else [prompts] each prompt's index in the saved pool, -1
        for a new prompt.

        Raises:
            StateError: The saved order is no permutation of the pool.
        """
        found = Candidates(self._num_prompts, self._factor)
        # State that was saved without passes (`factor` was 0) lets them begin.
        if found._passes is not None and state:
            found._passes = found._passes.restored(state, origin)
        return found

"""The counts of the published sampler, to which a silent group was one that trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vasari.records import GroupOutcome


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of correct and of verifiable rollouts of each prompt, summed over its groups."""

    prompts: NDArray[np.int64]
    """[seen] prompts with a verifiable rollout, ascending, each once."""
    num_correct: NDArray[np.float64]
    """[seen] number of correct rollouts of each prompt, over all its groups."""
    num_verifiable: NDArray[np.float64]
    """[seen] number of verifiable rollouts of each prompt, at least 1."""
    trained: NDArray[np.bool_]
    """[seen] whether a group of the prompt was rolled out to train on it."""

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
    training = np.array([group.purpose == "train" for group in groups], dtype=np.float64)
    prompts, place = np.unique(indices[verifiable > 0], return_inverse=True)
    sums = np.zeros((3, len(prompts)))
    for row, values in zip(sums, (correct, verifiable, training), strict=True):
        np.add.at(row, place, values[verifiable > 0])
    return Tally(prompts, sums[0], sums[1], sums[2] > 0)

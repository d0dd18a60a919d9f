"""Turn verdicts on a set of prompts into accuracy, pass@k and maj@k with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vasari.core.records import Prompt
from vasari.evaluate.statistics import (
    accuracy,
    clustered_standard_error,
    maj_at_k,
    pass_at_k,
    share_mean,
    solved_shares,
)
from vasari.evaluate.votes import vote_of


@dataclass(frozen=True, slots=True)
class ScoredSet:
    """Verdicts on the rollouts of a set of prompts, with methods for accuracy, pass@k and maj@k."""

    verdicts: Sequence[Sequence[float] | NDArray[np.float64]]
    """[prompts][rollouts], at least one of each: 1 correct, 0 incorrect, nan no verdict: not
    solved."""
    seed: int
    """Random seed of the bootstrap."""
    clusters: Sequence[str] | None = None
    """[prompts] what is resampled together, and makes intervals have a `standard_error`."""

    def accuracy(self) -> dict[str, Any]:
        """Return the accuracy, the mean share of correct rollouts, with interval and counts."""
        found = accuracy(self.verdicts, clusters=self.clusters, seed=self.seed)
        error = self._standard_error(solved_shares(self.verdicts))
        return {
            "accuracy": asdict(found.interval) | error,
            "num_prompts": len(self.verdicts),
            "num_rollouts": found.num_rollouts,
            "num_undecided": found.num_unverifiable,
        }

    def at_k(
        self, extractions: Sequence[Sequence[str | None]], prompts: Sequence[Prompt], ks: list[int]
    ) -> dict[str, dict[str, Any]]:
        """Return pass@k and maj@k (majority vote) with intervals, for each k in `ks`.

        Args:
            extractions: [prompts][rollouts] extracted answers, which vote.
            prompts: [prompts] whose answer kind and options decide which answers are the same vote.
            ks: Numbers of rollouts, none above that of any prompt.
        """
        votes = [
            [vote_of(extraction, prompt) for extraction in group]
            for group, prompt in zip(extractions, prompts, strict=True)
        ]
        return {
            "pass_at": {str(k): self._interval(pass_at_k(self.verdicts, k)) for k in ks},
            "maj_at": {str(k): self._interval(maj_at_k(votes, self.verdicts, k)) for k in ks},
        }

    def by_label(self, labels: Sequence[Sequence[str]]) -> dict[str, dict[str, Any]]:
        """Return the accuracy by label of the prompts; a prompt counts for all of its labels.

        Args:
            labels: [prompts] labels of each prompt; an empty label is none.
        """
        places: dict[str, list[int]] = {}
        for place, names in enumerate(labels):
            for name in filter(None, names):
                places.setdefault(name, []).append(place)
        return {name: self._part(found).accuracy() for name, found in sorted(places.items())}

    def _part(self, places: Sequence[int]) -> ScoredSet:
        clusters = None if self.clusters is None else [self.clusters[i] for i in places]
        return ScoredSet([self.verdicts[i] for i in places], self.seed, clusters)

    def _interval(self, values: NDArray[np.float64]) -> dict[str, float]:
        found = asdict(share_mean(values, clusters=self.clusters, seed=self.seed))
        return found | self._standard_error(values)

    def _standard_error(self, values: NDArray[np.float64]) -> dict[str, float]:
        if self.clusters is None:
            return {}
        return {"standard_error": clustered_standard_error(values, self.clusters)}

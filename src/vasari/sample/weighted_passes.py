"""The sampler "weighted_passes": passes over the pool in which valuable prompts come more often."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from vasari.core.bounds import Bounds
from vasari.core.records import Draw
from vasari.sample.base import draw_of
from vasari.sample.features import PoolFeatures
from vasari.sample.passes import PoolPasses
from vasari.sample.valuing import ValueSettings, ValuingSampler

_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0
_COMPARED = 4096
"""Prompts among which the most valuable is sought; all of a smaller pool."""
_PEAK_MEMORY = 0.98
"""Share of the best prompt's value that a large pool remembers from one batch to the next."""
_LEAST_CHUNK = 64
_MOST_CREDIT = 2.0
_MOST_PASSES = 3
"""Whole passes in search of one batch, after which it takes the prompts whose turn is nearest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedPassesSettings(ValueSettings):
    """Settings of the sampler "weighted_passes"."""

    power: Annotated[float, Bounds(least=0.0, most=100.0)] = 2.0
    """A prompt's weight is its value, relative to the best prompt's, to this power; 0 is uniform
    sampling."""
    least: Annotated[float, Bounds(least=1e-3, most=1.0)] = 0.05
    """Least weight: no prompt comes less often than this share of how often the best one comes; 1
    is uniform sampling."""


@final
class WeightedPassesSampler(ValuingSampler):
    """Sampler that chooses how often a prompt comes, not when: shuffled passes, thinned by value.

    It walks over the pool in shuffled passes. At each pass a prompt earns credit equal to its
    weight, in [`least`, 1], and is drawn when its credit reaches 1, which it then pays. So a prompt
    of weight 1/4 is drawn at every fourth pass; prompts of equal weight are drawn equally often,
    each once before any comes again (uniform sampling); none starves; and the mix of a batch stays
    the same over a pass. A batch holds no prompt twice: one whose turn comes again before the batch
    is full begins the next batch, so that in small pools the best prompts come less often than
    their weights say. The weight is (value times trust, relative to the best prompt's) to
    `power`, where the value is what the next group is expected to teach (`PromptValues`): neither
    optimism nor cost of tokens counts.

    Ours. `given_up` lists prompts whose variance looks like noise: likely wrong labels.
    """

    name: ClassVar[str] = "weighted_passes"
    settings_class = WeightedPassesSettings
    settings: WeightedPassesSettings
    saved_by_prompt: ClassVar[Mapping[str, float]] = {"credit": math.nan}
    saved = ("clock", "passes", "picked", "mean_weight", "peak")

    def __init__(
        self,
        settings: WeightedPassesSettings | None = None,
        *,
        num_prompts: int,
        seed: int,
        prompt_ids: Iterable[str] | None = None,
        features: PoolFeatures | None = None,
    ) -> None:
        super().__init__(
            settings, num_prompts=num_prompts, seed=seed, prompt_ids=prompt_ids, features=features
        )
        self._passes = PoolPasses(self.num_prompts)
        # Where each prompt stands between two visits; random, so that prompts of equal weight do
        # not come together.
        self._credit = self._rng.random(self.num_prompts, dtype=np.float32)
        self._mean_weight = 1.0
        self._peak = 0.0

    def scores(self) -> NDArray[np.float64]:
        """Return each prompt's weight, how often it comes beside the best one: [prompts]."""
        return self._weights(np.arange(self.num_prompts), self._best())

    def scores_of(self, indices: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the weights of the prompts `indices`, without those of the rest of the pool."""
        return self._weights(indices, self._best())

    def metrics(self) -> Mapping[str, float]:
        """Return log metrics: passes over the pool, mean weight, and those of the belief."""
        return {
            "sampler/passes": float(self._passes.num_passes),
            "sampler/weight_mean": self._mean_weight,
            **super().metrics(),
        }

    def _draw(self, num_prompts: int) -> Draw:
        best = self._best()
        self._peak = _PEAK_MEMORY * best
        picked = self._owed()[:num_prompts]
        self._credit[picked] -= 1.0
        passes_before = self._passes.num_passes
        while (missing := num_prompts - len(picked)) > 0:
            if self._passes.num_passes > passes_before + _MOST_PASSES:
                picked = np.concatenate([picked, self._next_due(missing, picked)])
                break
            picked = np.concatenate([picked, self._walk(missing, picked, best)])
        self._picked = picked
        return draw_of(promoted=picked)

    def _owed(self) -> NDArray[np.int64]:
        """Return the prompts whose turn came while their batch already held them, shuffled."""
        owed = np.flatnonzero(self._credit >= 1.0)
        return self._rng.permutation(owed) if len(owed) > 1 else owed

    def _walk(self, missing: int, picked: NDArray[np.int64], best: float) -> NDArray[np.int64]:
        """Walk on along the pass and return the prompts whose turn comes, at most `missing`."""
        left = self._passes.num_left or self.num_prompts
        expected = math.ceil(1.2 * missing / max(self._mean_weight, self.settings.least))
        met = self._passes.draw(self._rng, min(left, max(_LEAST_CHUNK, expected)))
        weights = self._weights(met, best)
        credit = self._credit[met] + weights
        due = np.flatnonzero((credit >= 1.0) & ~np.isin(met, picked))
        if len(due) > missing:
            # The batch is full before the last of these prompts: the pass goes on from there.
            num_met = int(due[missing - 1]) + 1
            self._passes.give_back(len(met) - num_met)
            met, weights, credit = met[:num_met], weights[:num_met], credit[:num_met]
            due = due[:missing]
        credit[due] -= 1.0
        # What this batch already holds keeps its turn for the next batch, one turn at most.
        self._credit[met] = np.minimum(credit, _MOST_CREDIT)
        pace = min(1.0, len(met) / _LEAST_CHUNK / 4)
        self._mean_weight += (float(weights.mean()) - self._mean_weight) * pace
        return met[due]

    def _next_due(self, missing: int, picked: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the prompts whose turn is nearest, where a batch asks for nearly all of a pool."""
        credit = self._credit.copy()
        credit[picked] = -np.inf
        found = np.argsort(-credit, kind="stable")[:missing].astype(np.int64)
        self._credit[found] = np.maximum(self._credit[found] - 1.0, -1.0)
        return found

    def _weights(self, at: NDArray[np.int64], best: float) -> NDArray[np.float64]:
        worth = np.minimum(self._worth(at) / best, 1.0)
        return np.maximum(worth**self.settings.power, self.settings.least)

    def _worth(self, at: NDArray[np.int64]) -> NDArray[np.float64]:
        return self._values.means(at) * self._values.noise.trust(at).trust

    def _best(self) -> float:
        """Return the value of the best prompt; in a large pool, of the best met in a while.

        There it is that of a random sample and of the last batch, or of earlier ones: the few best
        of a million are in hardly any sample.
        """
        num = self.num_prompts
        if num <= _COMPARED:
            return float(self._worth(np.arange(num)).max()) * (1.0 - 1e-6)
        # A generator of its own, so that looking at scores does not change what is drawn next.
        sample = np.random.default_rng([num, self._clock.now]).integers(num, size=_COMPARED)
        found = float(self._worth(np.concatenate([sample, self._picked])).max())
        return max(found * (1.0 - 1e-6), self._peak)

    def _restore(self, state: Mapping[str, Any], origin: NDArray[np.int64] | None) -> None:
        super()._restore(state, origin)
        new = np.isnan(self._credit)
        self._credit[new] = (np.flatnonzero(new) * _GOLDEN % 1.0).astype(np.float32)

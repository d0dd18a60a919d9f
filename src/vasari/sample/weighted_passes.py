"""The sampler "weighted_passes": passes over the pool in which valuable prompts come more often."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from vasari.core.bounds import Bounds, NotNegative
from vasari.core.records import Draw
from vasari.sample.base import draw_of
from vasari.sample.features import PoolFeatures
from vasari.sample.passes import PoolPasses
from vasari.sample.prompt_values import mean_of
from vasari.sample.valuing import ValueSettings, ValuingSampler

_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0
_COMPARED = 4096
"""Prompts among which the most valuable is sought; all of a smaller pool."""
_LEAST_CHUNK = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedPassesSettings(ValueSettings):
    """Settings of the sampler "weighted_passes"."""

    power: NotNegative = 2.0
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
    the same over a pass. The weight is (value times trust, relative to the best prompt's) to
    `power`, where the value is what the next group is expected to teach (`PromptValues`): neither
    optimism nor cost of tokens counts.

    Ours. `given_up` lists prompts whose variance looks like noise: likely wrong labels.
    """

    name: ClassVar[str] = "weighted_passes"
    settings_class = WeightedPassesSettings
    settings: WeightedPassesSettings
    saved_by_prompt: ClassVar[Mapping[str, float]] = {"credit": math.nan}
    saved = ("clock", "passes", "picked", "waiting", "mean_weight")

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
        self._waiting = np.zeros(0, dtype=np.int64)
        self._mean_weight = 1.0

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
            "sampler/weight_in_batch": mean_of(self.scores_of(self._picked)),
            **super().metrics(),
        }

    def _draw(self, num_prompts: int) -> Draw:
        best = self._best()
        picked, self._waiting = self._waiting[:num_prompts], self._waiting[num_prompts:]
        while (missing := num_prompts - len(picked)) > 0:
            left = self._passes.num_left or self.num_prompts
            expected = math.ceil(1.2 * missing / max(self._mean_weight, self.settings.least))
            met = self._passes.draw(self._rng, min(left, max(_LEAST_CHUNK, expected)))
            weights = self._weights(met, best)
            credit = self._credit[met] + weights
            is_due, is_held = credit >= 1.0, np.isin(met, picked)
            due = np.flatnonzero(is_due & ~is_held)
            if len(due) > missing:
                # The batch is full before the last of these prompts: the pass goes on from there.
                num_met = int(due[missing - 1]) + 1
                self._passes.give_back(len(met) - num_met)
                met, weights, credit = met[:num_met], weights[:num_met], credit[:num_met]
                due = due[:missing]
            # A prompt that this batch already holds, from the pass before, begins the next batch.
            held = met[(is_due & is_held)[: len(met)]]
            self._waiting = np.union1d(self._waiting, held)
            self._credit[met] = credit - is_due[: len(met)]
            picked = np.concatenate([picked, met[due]])
            self._mean_weight += (float(weights.mean()) - self._mean_weight) * min(
                1.0, len(met) / _LEAST_CHUNK / 4
            )
        self._picked = picked
        return draw_of(promoted=picked)

    def _weights(self, at: NDArray[np.int64], best: float) -> NDArray[np.float64]:
        worth = self._worth(at) / best
        return np.clip(worth**self.settings.power, self.settings.least, 1.0)

    def _worth(self, at: NDArray[np.int64]) -> NDArray[np.float64]:
        return self._values.means(at) * self._values.noise.trust(at).trust

    def _best(self) -> float:
        """Return the value of the best prompt, in a large pool of the best of a random sample."""
        num = self.num_prompts
        # A generator of its own, so that looking at scores does not change what is drawn next.
        at = (
            np.arange(num)
            if num <= _COMPARED
            else np.random.default_rng([num, self._clock.now]).integers(num, size=_COMPARED)
        )
        return float(self._worth(at).max()) * (1.0 - 1e-6)

    def _restore(self, state: Mapping[str, Any], origin: NDArray[np.int64] | None) -> None:
        super()._restore(state, origin)
        new = np.isnan(self._credit)
        self._credit[new] = (np.flatnonzero(new) * _GOLDEN % 1.0).astype(np.float32)

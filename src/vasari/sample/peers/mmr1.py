"""The sampler as the authors of arXiv:2509.21268 released it, defects included."""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

import numpy as np
from numpy.typing import NDArray

from vasari.core.bounds import NotNegative, PositiveCount, Share, check_fields
from vasari.core.errors import ConfigError, DataError
from vasari.core.records import Draw, GroupOutcome, PromptIndices, Role
from vasari.sample.base import PromptSampler
from vasari.sample.passes import read_permutation
from vasari.sample.pool import present_places
from vasari.sample.weighted import WeightedPool
from vasari.score.diversity import trajectory_diversity

logger = logging.getLogger(__name__)

_EPSILON = 1e-8  # what the released min-max scaling adds to the range

Accuracy = Literal["verdicts", "rewards"]
"""Values of which p, in a prompt's score p(1 - p), is the mean."""

Mmr1Diversity = Literal["self_bleu", "distinct_n"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mmr1Settings:
    """Settings of the sampler "mmr1"; by default those of the released `examples/mmr1.yaml`."""

    mix_ratio: Share = 0.5
    """Share of each batch drawn by weight; the number of prompts is rounded down by `int()`."""
    alpha: NotNegative = 1.0
    """Weight of the outcome variance p(1 - p) in a prompt's score."""
    beta: NotNegative = 0.0
    """Weight of `diversity` in a prompt's score; the published settings leave it out."""
    diversity: Mmr1Diversity = "self_bleu"
    """"self_bleu" adds self-BLEU itself, a similarity; "distinct_n" adds distinct 3-grams."""
    accuracy: Accuracy = "verdicts"
    """"rewards" takes p(1 - p) of the mean reward, which must lie in [0, 1]: what the released
    reward function, with its 0.1 for a wrong choice and 0.5 for a partial match, makes of it."""
    momentum: Share = 0.0
    """Share of the old weights that a refresh keeps. 1, the default in the released code, keeps the
    first weights for ever."""
    refresh_every: PositiveCount = 4
    """Batches between refreshes; the first comes before batch 0."""
    num_refresh_rollouts: PositiveCount = 8
    """Rollouts of each prompt at a refresh."""
    refresh_batch: PositiveCount = 8192
    """Prompts in a batch of a refresh. The released code fills the last batch with copies of the
    last prompt; here the copies are only counted."""

    def __post_init__(self) -> None:
        check_fields(self)


@final
class Mmr1Sampler(PromptSampler):
    """Sampler that draws as the released code of arXiv:2509.21268 does; use "vas" to train.

    It is for comparison only.

    With D prompts, batches of B, `W = int(mix_ratio * B)` and `R = B - W`:

    * A refresh scores every prompt `alpha * p(1 - p) + beta * selfBLEU` and scales the scores by
      their least and their greatest, `(s - min) / (max - min + 1e-8)`: the worst prompt has weight
      0. Then `w = momentum * w + (1 - momentum) * new`; the first refresh sets w.
    * A batch takes W prompts in proportion to w, with replacement, and the next R of one
      permutation that is drawn once; where fewer than R are left of it, they are skipped and it
      begins anew. The two parts alternate, duplicates stay.
    * A pass has `D // B` batches. At the start of a pass the place in the permutation is set to
      `(batches drawn * R) mod D`, which is not where the rule above stands once it has wrapped.
    * A refresh starts a pass too, but before the last batch was counted: its first R prompts are
        those just trained.

    Where the released code breaks the contract of `PromptSampler`, the contract holds: a resumed
    sampler continues the same stream (released: stale weights, and half a batch again); equal
    scores draw uniformly (released: an error); each prompt is due once (released: copies fill the
    last batch, here `sampler/refresh_copies` counts them); unverifiable rollouts leave the pass
    rate (released: wrong); no padding enters self-BLEU (released: it does).
    """

    name: ClassVar[str] = "mmr1"
    saved_by_prompt: ClassVar[Mapping[str, float]] = {"metric": math.nan, "seen_at": -1}
    saved = (
        "has_weights",
        "refreshed",
        "now",
        "num_drawn",
        "num_refreshes",
        "batch",
        "left",
        "place",
    )

    def __init__(
        self,
        settings: Mmr1Settings | None = None,
        *,
        num_prompts: int,
        seed: int,
        prompt_ids: Iterable[str] | None = None,
    ) -> None:
        super().__init__(num_prompts=num_prompts, seed=seed, prompt_ids=prompt_ids)
        _warn_once()
        self.settings = settings or Mmr1Settings()
        """Settings that this sampler was made with."""
        size = self.num_prompts
        self._order = self._rng.permutation(size)
        self._metric = np.full(size, np.nan)
        self._seen_at = np.full(size, -1, dtype=np.int32)
        self._weighted = WeightedPool(np.zeros(size))
        self._has_weights = False
        self._refreshed = False
        self._now = 0
        self._num_drawn = 0
        self._num_refreshes = 0
        self._batch = 0
        self._left = 0
        self._place = 0

    @property
    def unique(self) -> bool:
        """False: a prompt can stand several times in a batch."""
        return False

    @property
    def num_rollouts_due(self) -> int:
        """Number of rollouts of each prompt in a refresh, which re-estimates sampling weights."""
        return self.settings.num_refresh_rollouts

    @property
    def refresh_every(self) -> int:
        """Number of batches between refreshes, rollouts that re-estimate all sampling weights."""
        return self.settings.refresh_every

    def scores(self) -> NDArray[np.float64]:
        """Return each prompt's sampling weight: [prompts]; all 0 until first estimated."""
        return self._weighted.weights.copy()

    def due(self, batch: int) -> PromptIndices:
        """Return the prompts to roll out for new sampling weights: all at a refresh, else none.

        A refresh comes every `refresh_every` batches. Prompts that were already observed at this
        batch are left out.
        """
        self._now = batch
        if batch % self.settings.refresh_every:
            return np.zeros(0, dtype=np.int64)
        return np.flatnonzero(self._seen_at != batch).astype(np.int64)

    def metrics(self) -> Mapping[str, float]:
        """Return mean sampling weight, share of zero weights, rollouts the released code wastes."""
        weights = self._weighted.weights
        copies = -self.num_prompts % self.settings.refresh_batch
        return {
            "sampler/weight_mean": float(weights.mean()),
            "sampler/weightless_share": float((weights == 0).mean()),
            "sampler/refresh_copies": float(
                self._num_refreshes * copies * self.settings.num_refresh_rollouts
            ),
        }

    def _draw(self, num_prompts: int) -> Draw:
        if num_prompts > self.num_prompts:
            raise ConfigError(
                f"a batch of {num_prompts} prompts cannot be drawn from {self.num_prompts}: no pass"
                " holds one"
            )
        num_weighted = int(num_prompts * self.settings.mix_ratio)
        num_random = num_prompts - num_weighted
        if self._refreshed:
            self._take_weights()
            # The released loop rebuilds its list before it counts the batch that was trained last.
            self._start_pass(num_prompts, num_random, num_drawn=max(0, self._num_drawn - 1))
        elif not self._left or num_prompts != self._batch:
            self._start_pass(num_prompts, num_random, num_drawn=self._num_drawn)
        weighted = self._weighted.draw(self._rng, num_weighted)
        if self._place + num_random > self.num_prompts:
            self._place = 0
        uniform = self._order[self._place : self._place + num_random]
        self._place += num_random
        self._left -= 1
        self._num_drawn += 1
        # They alternate, the weighted one first, until one part is used up.
        rank = np.concatenate([2 * np.arange(num_weighted), 2 * np.arange(num_random) + 1])
        order = np.argsort(rank, kind="stable")
        roles: list[Role] = [
            "promoted" if place < num_weighted else "uniform" for place in order.tolist()
        ]
        return Draw(np.concatenate([weighted, uniform]).astype(np.int64)[order], tuple(roles))

    def _start_pass(self, batch: int, num_random: int, *, num_drawn: int) -> None:
        self._batch, self._left = batch, self.num_prompts // batch
        self._place = num_drawn * num_random % self.num_prompts

    def _take_weights(self) -> None:
        metric = np.nan_to_num(self._metric)
        scaled = (metric - metric.min()) / (metric.max() - metric.min() + _EPSILON)
        if self._has_weights:
            scaled = (
                self.settings.momentum * self._weighted.weights
                + (1 - self.settings.momentum) * scaled
            )
        self._weighted = WeightedPool(scaled)
        self._has_weights, self._refreshed = True, False
        self._num_refreshes += 1

    def _observe(self, groups: Sequence[GroupOutcome]) -> None:
        groups = [group for group in groups if group.purpose == "refresh"]
        for group, metric in [(group, self._score(group)) for group in groups]:
            self._refreshed = True
            self._seen_at[group.index] = self._now if group.batch is None else group.batch
            if not math.isnan(metric):
                self._metric[group.index] = metric

    def _score(self, group: GroupOutcome) -> float:
        """Return a group's score from variance and diversity; nan without a verifiable rollout."""
        settings = self.settings
        values = group.verdicts if settings.accuracy == "verdicts" else group.rewards
        values = values[~np.isnan(values)]
        if not values.size:
            return math.nan
        rate = float(values.mean())
        if not 0.0 <= rate <= 1.0:
            raise DataError(
                f"group of prompt {group.index}: its mean reward is {rate:g}, but accuracy=rewards"
                " needs [0, 1]"
            )
        second = 0.0
        if settings.beta and len(group.token_ids) > 1:
            diversity = trajectory_diversity(group.token_ids, metric=settings.diversity)
            second = 1.0 - diversity if settings.diversity == "self_bleu" else diversity
        return settings.alpha * rate * (1.0 - rate) + settings.beta * second

    def _state(self) -> dict[str, Any]:
        own = {"order": self._order.copy(), "weights": self._weighted.weights.copy()}
        return own | super()._state()

    def _restore(self, state: Mapping[str, Any], origin: NDArray[np.int64] | None) -> None:
        size = self.num_prompts
        weights = self._carried(state, "weights", origin, dtype=np.float64, missing=0.0)
        if not (np.isfinite(weights).all() and (weights >= 0).all()):
            raise ValueError("a saved weight is negative or infinite")
        order = read_permutation(state, size if origin is None else len(state["weights"]))
        if origin is not None:
            places = present_places(origin, len(order))[order]
            order = np.concatenate([places[places >= 0], np.flatnonzero(origin < 0)])
        super()._restore({"now": state.get("step"), **state}, origin)  # "step" in schema 1
        self._order, self._weighted = order, WeightedPool(weights)
        if origin is not None:
            self._left = 0  # a pass of another pool is over

    def _check_saved(self, found: Mapping[str, Any]) -> None:
        if any(found[name] < 0 for name in self.saved):
            raise ValueError("a saved count is negative")


@functools.cache
def _warn_once() -> None:
    logger.warning(
        'sampler "mmr1" draws as the released code of arXiv:2509.21268 does, defects included: it'
        ' is for comparison only; use "vas" to train'
    )

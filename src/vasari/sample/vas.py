"""Variance-aware sampling: Algorithm 1 of arXiv:2509.21268."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

import numpy as np
from numpy.typing import NDArray

from vasari.core.bounds import NotNegative, PositiveCount, PositiveShare, Share, check_fields
from vasari.core.records import Draw, GroupOutcome, PromptIndices
from vasari.sample.base import PromptSampler, draw_of
from vasari.sample.passes import PoolPasses
from vasari.sample.weighted import WeightedPool
from vasari.score.diversity import DiversityMetric, trajectory_diversity
from vasari.score.promotion import MAX_OUTCOME_VARIANCE, Normalise, promotion_score
from vasari.score.variance import outcome_variance

logger = logging.getLogger(__name__)

_NUM_BINS = 10

Refresh = Literal["full", "stale", "online"]
"""Which prompts' scores are estimated anew, and from which rollouts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VarianceAwareSettings:
    """Settings of the sampler "vas"; defaults: the paper's values, batches without replacement."""

    mix_ratio: Share = 0.5
    """Share of each batch drawn by promotion score, in [0, 1]; the rest is uniform."""
    alpha: NotNegative = 0.8
    """Weight of outcome variance, which lives in [0, 1/4]."""
    beta: NotNegative = 0.2
    """Weight of trajectory diversity, which lives in [0, 1]; 0 leaves diversity uncomputed."""
    normalise: Normalise = "none"
    """"range" multiplies outcome variance by 4, so that both terms live in [0, 1]."""
    diversity: DiversityMetric = "self_bleu"
    """How trajectory diversity is measured."""
    num_refresh_rollouts: PositiveCount = 32
    """Rollouts of each prompt in a refresh (rollouts besides training, to re-estimate scores)."""
    refresh: Refresh = "full"
    """"full": all prompts are scored anew every `refresh_every` batches, and training groups teach
    nothing, as in the paper. "stale": only the `stale_share` of the pool whose scores are oldest,
    and every group teaches. "online": no rollouts but training's."""
    refresh_every: PositiveCount = 35
    """Batches between refreshes; the first comes before batch 0."""
    stale_share: PositiveShare = 0.25
    """Share of the pool that a "stale" refresh scores, in (0, 1]; at batch 0 it scores all."""
    replacement: bool = False
    """True draws the whole batch with replacement, as Algorithm 1 says: a prompt can stand in it
    several times."""

    def __post_init__(self) -> None:
        check_fields(self)


# The paper states three settings: section 6.1, the ablation (N = 8, T = 28), and table 6 (n = 16, T
# = 56).
VAS_PRESETS: dict[str, VarianceAwareSettings] = {
    "default": VarianceAwareSettings(),
    "paper": VarianceAwareSettings(replacement=True),
    "paper-ablation": VarianceAwareSettings(
        num_refresh_rollouts=8, alpha=0.5, beta=0.5, refresh_every=28, replacement=True
    ),
    "paper-table6": VarianceAwareSettings(
        num_refresh_rollouts=16, refresh_every=56, replacement=True
    ),
}
"""Settings by the name that a recipe gives as `preset`."""


@final
class VarianceAwareSampler(PromptSampler):
    """Sampler that draws part of each batch in proportion to promotion score, the rest uniformly.

    The promoted part is `floor(mix_ratio * B)` of B prompts. Without replacement a prompt stands
    once in a batch; the promoted part follows successive sampling in proportion to the scores, the
    uniform part visits every prompt once per pass (one that the same batches promote may lose a
    visit).

    A prompt that was never rolled out has the highest score there can be: it is drawn soon, and
    only `online` sampling meets such prompts after the start. One whose rollouts were all
    unverifiable has the mean score of the known ones, so that a broken reference is drawn neither
    first nor never. Later unverifiable groups leave a known score as it is.
    """

    name: ClassVar[str] = "vas"
    saved_by_prompt: ClassVar[Mapping[str, float]] = {
        "ovs": math.nan,
        "tds": math.nan,
        "seen_at": -1,
    }
    saved = ("batch", "num_observed", "num_without_diversity", "promoted", "passes")

    def __init__(
        self,
        settings: VarianceAwareSettings | None = None,
        *,
        num_prompts: int,
        seed: int,
        prompt_ids: Iterable[str] | None = None,
    ) -> None:
        super().__init__(num_prompts=num_prompts, seed=seed, prompt_ids=prompt_ids)
        self.settings = settings or VarianceAwareSettings()
        """Settings that this sampler was made with."""
        size = self.num_prompts
        self._ovs = np.full(size, np.nan)
        self._tds = np.full(size, np.nan)
        self._seen_at = np.full(size, -1, dtype=np.int32)
        self._batch = 0
        self._num_observed = 0
        self._num_without_diversity = 0
        self._warned = False
        self._promoted = np.zeros(0, dtype=np.int64)
        self._passes = PoolPasses(size)
        self._unverifiable: set[int] = set()
        self._weighted = WeightedPool(np.full(size, self._highest_score))

    @property
    def unique(self) -> bool:
        """Whether a batch holds each prompt at most once."""
        return not self.settings.replacement

    @property
    def num_rollouts_due(self) -> int:
        """Number of rollouts of each prompt in a refresh, which re-estimates promotion scores."""
        return self.settings.num_refresh_rollouts

    @property
    def observed_groups(self) -> int:
        """Number of groups that this sampler has learnt from."""
        return self._num_observed

    @property
    def refresh_every(self) -> int:
        """Number of batches between refreshes (rollouts for new promotion scores); 0: never."""
        return 0 if self.settings.refresh == "online" else self.settings.refresh_every

    def scores(self) -> NDArray[np.float64]:
        """Return each prompt's promotion score: [prompts], higher = drawn more often."""
        return self._weighted.weights.copy()

    def due(self, batch: int) -> PromptIndices:
        """Return the prompts to roll out again before this batch, to re-estimate their scores.

        Each is rolled out `num_rollouts_due` times, with purpose `refresh`. At batch 0 all prompts,
        then every `refresh_every` batches all (`full`) or those whose scores are oldest (`stale`),
        less those that were already observed at this batch; for `online` none.
        """
        self._batch = batch
        settings = self.settings
        if settings.refresh == "online" or batch % settings.refresh_every:
            return np.zeros(0, dtype=np.int64)
        if settings.refresh == "full" or batch == 0:
            return np.flatnonzero(self._seen_at != batch).astype(np.int64)
        num = math.ceil(settings.stale_share * self.num_prompts)
        num -= int((self._seen_at == batch).sum())
        order = np.argsort(self._seen_at, kind="stable")[: max(0, num)]
        return np.sort(order).astype(np.int64)

    def metrics(self) -> Mapping[str, float]:
        """Return training-log metrics: statistics of scores and their terms, and prompts drawn."""
        scored = ~np.isnan(self._ovs)
        scores, ovs, tds = self._weighted.weights[scored], self._ovs[scored], self._tds[scored]
        tds = tds[~np.isnan(tds)]
        promoted = self._ovs[self._promoted]
        numbers = {
            "sampler/passes": float(self._passes.num_passes),
            "sampler/scored_share": float(scored.mean()),
            "sampler/groups_observed": float(self._num_observed),
            "sampler/groups_without_diversity": float(self._num_without_diversity),
            "sampler/prompts_unverifiable": float(len(self._unverifiable)),
            "sampler/vps_mean": _mean(scores),
            "sampler/vps_std": float(scores.std()) if scores.size else math.nan,
            "sampler/ovs_mean": _mean(ovs),
            "sampler/tds_mean": _mean(tds),
            "sampler/promoted_mixed_share": _mean(promoted[~np.isnan(promoted)] > 0),
        }
        counts = np.histogram(scores, bins=_NUM_BINS, range=(0.0, self._highest_score or 1.0))[0]
        return numbers | {
            f"sampler/vps_histogram_{place}": float(count) for place, count in enumerate(counts)
        }

    @property
    def _highest_score(self) -> float:
        return float(self._promotion(np.array(MAX_OUTCOME_VARIANCE), np.array(1.0)))

    def _promotion(self, ovs: NDArray[np.float64], tds: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return promotion scores; unknown diversity adds nothing, unknown variance gives nan."""
        settings = self.settings
        return promotion_score(
            ovs, np.nan_to_num(tds), settings.alpha, settings.beta, settings.normalise
        )

    def _draw(self, num_prompts: int) -> Draw:
        num_promoted = math.floor(self.settings.mix_ratio * num_prompts + 1e-9)
        num_uniform = num_prompts - num_promoted
        if self.settings.replacement:
            # With replacement, so one prompt can fill two places of a batch (Algorithm 1, line 13).
            promoted = self._weighted.draw(self._rng, num_promoted)
            uniform = self._rng.integers(self.num_prompts, size=num_uniform)
        else:
            promoted = self._weighted.draw_unique(self._rng, num_promoted)
            uniform = self._passes.draw(self._rng, num_uniform, excluded=promoted)
        self._promoted = promoted
        return draw_of(promoted=promoted, uniform=uniform)

    def _observe(self, groups: Sequence[GroupOutcome]) -> None:
        if self.settings.refresh == "full":
            groups = [group for group in groups if group.purpose == "refresh"]
        found = [
            (group, outcome_variance(group.verdicts), self._diversity(group)) for group in groups
        ]
        for group, ovs, tds in found:
            place = group.index
            self._num_observed += 1
            self._seen_at[place] = self._batch if group.batch is None else group.batch
            if math.isnan(ovs):
                if math.isnan(self._ovs[place]):
                    self._unverifiable.add(place)
                continue
            self._ovs[place] = ovs
            self._unverifiable.discard(place)
            if math.isnan(tds):
                self._num_without_diversity += self.settings.beta > 0
            else:
                self._tds[place] = tds
        known = np.unique([group.index for group, ovs, _ in found if not math.isnan(ovs)]).astype(
            np.int64
        )
        if known.size:
            self._weighted.set(known, self._promotion(self._ovs[known], self._tds[known]))
        if found:
            self._weigh_unverifiable()

    def _diversity(self, group: GroupOutcome) -> float:
        """Return a group's trajectory diversity (TDS); nan where it is not needed or not known."""
        if self.settings.beta == 0 or np.isnan(group.verdicts).all():
            return math.nan
        if len(group.token_ids) < 2:
            if not self._warned:
                self._warned = True
                logger.warning(
                    "prompt %d came with %d token sequences: its diversity is unknown and adds"
                    " nothing to its score; pass token_ids of two rollouts or more, or set beta=0",
                    group.index,
                    len(group.token_ids),
                )
            return math.nan
        return trajectory_diversity(group.token_ids, metric=self.settings.diversity)

    def _weigh_unverifiable(self) -> None:
        """Give prompts whose rollouts were all unverifiable the mean of the known scores."""
        if not self._unverifiable:
            return
        scored = ~np.isnan(self._ovs)
        if scored.any():
            mean = float(self._promotion(self._ovs[scored], self._tds[scored]).mean())
            self._weighted.set(np.array(sorted(self._unverifiable), dtype=np.int64), mean)

    def _restore(self, state: Mapping[str, Any], origin: NDArray[np.int64] | None) -> None:
        super()._restore(state, origin)
        self._unverifiable = set(
            np.flatnonzero((self._seen_at >= 0) & np.isnan(self._ovs)).tolist()
        )
        self._weighted = WeightedPool(self._weights(self._ovs, self._tds))
        self._weigh_unverifiable()

    def _check_saved(self, found: Mapping[str, Any]) -> None:
        weights = self._weights(found["ovs"], found["tds"])
        if not (np.isfinite(weights).all() and (weights >= 0).all()):
            raise ValueError("a saved score is negative or infinite")

    def _weights(self, ovs: NDArray[np.float64], tds: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(np.isnan(ovs), self._highest_score, self._promotion(ovs, tds))


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean()) if values.size else math.nan

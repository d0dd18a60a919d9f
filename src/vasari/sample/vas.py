"""Variance-aware sampling: Algorithm 1 of arXiv:2509.21268."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from vasari.core.records import Draw, GroupOutcome, PromptIndices, Role
from vasari.sample.base import PromptSampler, carried_over
from vasari.sample.passes import PoolPasses
from vasari.sample.vas_settings import VarianceAwareSettings
from vasari.sample.weighted import WeightedPool
from vasari.score.diversity import trajectory_diversity
from vasari.score.promotion import MAX_OUTCOME_VARIANCE, promotion_score
from vasari.score.variance import outcome_variance

logger = logging.getLogger(__name__)

_NUM_BINS = 10


@final
class VarianceAwareSampler(PromptSampler):
    """Draws `floor(mix_ratio * B)` prompts in proportion to their promotion score, and the rest
    uniformly.

    Without replacement a prompt stands once in a batch; its promoted part follows successive
    sampling in proportion to the scores, its uniform part visits every prompt once per pass (one
    that the same batches promote may lose a visit).

    A prompt that was never rolled out has the highest score there can be: it is drawn soon, and
    only `online` sampling meets such prompts after the start. One whose rollouts were all
    unverifiable has the mean score of the known ones, so that a broken reference is neither sought
    nor lost. Later unverifiable groups leave a known score as it is.
    """

    name: ClassVar[str] = "vas"

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
        """What this sampler was made with."""
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
        self._unread: set[int] = set()
        self._weighted = WeightedPool(np.full(size, self._highest_score))

    @property
    def unique(self) -> bool:
        """Whether a prompt stands at most once in a batch."""
        return not self.settings.replacement

    @property
    def num_rollouts_due(self) -> int:
        """Rollouts that a prompt of `due` wants."""
        return self.settings.num_refresh_rollouts

    @property
    def observed_groups(self) -> int:
        """Groups that were learnt from."""
        return self._num_observed

    @property
    def refresh_every(self) -> int:
        """Batches between refreshes. 0 for `online`, which has none."""
        return 0 if self.settings.refresh == "online" else self.settings.refresh_every

    def scores(self) -> NDArray[np.float64]:
        """[prompts] promotion scores (VPS) that the next draw uses, higher = drawn more often."""
        return self._weighted.weights.copy()

    def due(self, batch: int) -> PromptIndices:
        """Prompts to roll out `num_rollouts_due` times before the draw of this batch, with purpose
        `refresh`.

        At batch 0 all, then every `refresh_every` batches all (`full`) or those whose scores are
        oldest (`stale`), less those that were already observed at this batch; for `online` none.
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
        """Mean and spread of the scores, their parts, a histogram of the scores, and what the last
        batch promoted.
        """
        scored = ~np.isnan(self._ovs)
        scores, ovs, tds = self._weighted.weights[scored], self._ovs[scored], self._tds[scored]
        tds = tds[~np.isnan(tds)]
        promoted = self._ovs[self._promoted]
        numbers = {
            "sampler/passes": float(self._passes.num_passes),
            "sampler/scored_share": float(scored.mean()),
            "sampler/groups_observed": float(self._num_observed),
            "sampler/groups_without_diversity": float(self._num_without_diversity),
            "sampler/prompts_unverifiable": float(len(self._unread)),
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
        """VPS; an unknown TDS adds nothing, an unknown OVS leaves it unknown."""
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
        roles: list[Role] = ["promoted"] * num_promoted
        roles += ["uniform"] * num_uniform
        return Draw(np.concatenate([promoted, uniform]), tuple(roles))

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
                    self._unread.add(place)
                continue
            self._ovs[place] = ovs
            self._unread.discard(place)
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
            self._weigh_unread()

    def _diversity(self, group: GroupOutcome) -> float:
        """TDS of a group; nan where it is not needed or cannot be told."""
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

    def _weigh_unread(self) -> None:
        """Give prompts whose rollouts were all unverifiable the mean of the known scores."""
        if not self._unread:
            return
        scored = ~np.isnan(self._ovs)
        if scored.any():
            mean = float(self._promotion(self._ovs[scored], self._tds[scored]).mean())
            self._weighted.set(np.array(sorted(self._unread), dtype=np.int64), mean)

    def _state(self) -> dict[str, Any]:
        return {
            "ovs": self._ovs.copy(),
            "tds": self._tds.copy(),
            "seen_at": self._seen_at.copy(),
            "batch": self._batch,
            "num_observed": self._num_observed,
            "num_without_diversity": self._num_without_diversity,
            "promoted": self._promoted.copy(),
            "passes": self._passes.state(),
        }

    def _restore(self, state: Mapping[str, Any], origin: NDArray[np.int64] | None) -> None:
        size = self.num_prompts
        ovs, tds = (
            carried_over(
                state, key, dtype=np.float64, origin=origin, num_prompts=size, missing=math.nan
            )
            for key in ("ovs", "tds")
        )
        seen_at = carried_over(
            state, "seen_at", dtype=np.int32, origin=origin, num_prompts=size, missing=-1
        )
        passes = PoolPasses.restored(state["passes"], size, origin)
        batch, num_observed, num_without = (
            int(state[key]) for key in ("batch", "num_observed", "num_without_diversity")
        )
        promoted = (
            np.array(state["promoted"], dtype=np.int64)
            if origin is None
            else np.zeros(0, dtype=np.int64)
        )
        weights = np.where(np.isnan(ovs), self._highest_score, self._promotion(ovs, tds))
        if not (np.isfinite(weights).all() and (weights >= 0).all()):
            raise ValueError("a saved score is negative or infinite")
        self._ovs, self._tds, self._seen_at, self._passes, self._promoted = (
            ovs,
            tds,
            seen_at,
            passes,
            promoted,
        )
        self._batch, self._num_observed, self._num_without_diversity = (
            batch,
            num_observed,
            num_without,
        )
        self._unread = set(np.flatnonzero((seen_at >= 0) & np.isnan(ovs)).tolist())
        self._weighted = WeightedPool(weights)
        self._weigh_unread()


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean()) if values.size else math.nan

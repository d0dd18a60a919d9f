"""Prioritised replay: the prompts of greatest outcome variance first."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from vasari.core.bounds import PositiveCount, PositiveShare, Share, check_fields
from vasari.core.records import Draw, GroupOutcome
from vasari.sample.base import PromptSampler, draw_of
from vasari.sample.ranked import highest, tally
from vasari.score.promotion import MAX_OUTCOME_VARIANCE

_UNSOLVED, _ACTIVE, _SOLVED = 0, 1, 2


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PrioritisedSettings:
    """Settings of the sampler "prioritised" (arXiv:2601.02648); the paper gives no values."""

    smoothing: PositiveShare = 0.5
    """Weight of the newest group in a prompt's priority, in (0, 1]."""
    retest_every: PositiveCount = 10
    """Batches between retests of solved and unsolved prompts, at least 1; the first come this many
    batches after batch 0."""
    retest_share: Share = 0.25
    """Share of a batch with retests that goes to solved and unsolved prompts, half to each kind
    where there are enough, in [0, 1]."""

    def __post_init__(self) -> None:
        check_fields(self)


@final
class PrioritisedSampler(PromptSampler):
    """Sampler that takes prompts of most outcome variance; retests solved and unsolved prompts.

    Prioritised replay (arXiv:2601.02648): the priority of a prompt is the moving average of its
    outcome variance, `w <- (1 - smoothing) w + smoothing p (1 - p)` for each group of pass rate p,
    the first group's as it is. A prompt that was never rolled out has the highest priority there
    can be, 1/4, so the pool is met first. A prompt whose last group was all right is solved, all
    wrong unsolved; both leave the ranking until a retest finds them mixed: every `retest_every`
    batches `floor(retest_share B)` places go to those that were not seen for longest. Where fewer
    prompts are ranked than a batch has places, the unanimous ones fill it, those not seen for
    longest first. Equal priorities are taken in random order. It is greedy: a prompt whose variance
    is noise stays at the top.
    """

    name: ClassVar[str] = "prioritised"
    saved_by_prompt: ClassVar[Mapping[str, float]] = {
        "priorities": MAX_OUTCOME_VARIANCE,
        "places": _ACTIVE,
        "seen_at": -1,
    }
    saved = ("retested_at", "clock")

    def __init__(
        self,
        settings: PrioritisedSettings | None = None,
        *,
        num_prompts: int,
        seed: int,
        prompt_ids: Iterable[str] | None = None,
    ) -> None:
        super().__init__(num_prompts=num_prompts, seed=seed, prompt_ids=prompt_ids)
        self.settings = settings or PrioritisedSettings()
        """Settings that this sampler was made with."""
        size = self.num_prompts
        self._priorities = np.full(size, MAX_OUTCOME_VARIANCE)
        self._places = np.full(size, _ACTIVE, dtype=np.int8)
        self._seen_at = np.full(size, -1, dtype=np.int32)
        self._retested_at = 0

    def priorities(self) -> NDArray[np.float64]:
        """Return each prompt's moving average of outcome variance: [prompts], 1/4 while unseen."""
        return self._priorities.copy()

    def metrics(self) -> Mapping[str, float]:
        """Return log metrics: shares of prompts seen, solved and unsolved; mean priority."""
        ranked = self._priorities[(self._places == _ACTIVE) & (self._seen_at >= 0)]
        return {
            "sampler/seen_share": float((self._seen_at >= 0).mean()),
            "sampler/solved_share": float((self._places == _SOLVED).mean()),
            "sampler/unsolved_share": float((self._places == _UNSOLVED).mean()),
            "sampler/priority_mean": float(ranked.mean()) if ranked.size else math.nan,
        }

    def _draw(self, num_prompts: int) -> Draw:
        retested = np.zeros(0, dtype=np.int64)
        if self._clock.now - self._retested_at >= self.settings.retest_every:
            self._retested_at = self._clock.now
            retested = self._retests(math.floor(self.settings.retest_share * num_prompts + 1e-9))
        ranked = np.flatnonzero(self._places == _ACTIVE)
        num_ranked = min(len(ranked), num_prompts - len(retested))
        first = ranked[highest(self._priorities[ranked], num_ranked, self._rng)]
        unanimous = np.flatnonzero(self._places != _ACTIVE)
        filling = self._oldest(
            np.setdiff1d(unanimous, retested, assume_unique=True),
            num_prompts - len(retested) - num_ranked,
        )
        return draw_of(promoted=first, revisit=np.concatenate([retested, filling]))

    def _retests(self, num: int) -> NDArray[np.int64]:
        """Return up to `num` longest unseen prompts, half unsolved and half solved if possible."""
        unsolved, solved = (np.flatnonzero(self._places == place) for place in (_UNSOLVED, _SOLVED))
        num_unsolved = min(len(unsolved), max(num - num // 2, num - len(solved)))
        num_solved = min(len(solved), num - num_unsolved)
        return np.concatenate(
            [self._oldest(unsolved, num_unsolved), self._oldest(solved, num_solved)]
        )

    def _oldest(self, prompts: NDArray[np.int64], num: int) -> NDArray[np.int64]:
        oldest: NDArray[np.int64] = prompts[
            highest(-self._seen_at[prompts].astype(np.float64), num, self._rng)
        ]
        return oldest

    def _observe(self, groups: Sequence[GroupOutcome]) -> None:
        seen = tally(groups)
        at, rates = seen.prompts, seen.pass_rates
        variance = rates * (1.0 - rates)
        weight = np.where(self._seen_at[at] < 0, 1.0, self.settings.smoothing)
        self._priorities[at] += weight * (variance - self._priorities[at])
        self._places[at] = np.where(
            rates == 0.0, _UNSOLVED, np.where(rates == 1.0, _SOLVED, _ACTIVE)
        )
        self._seen_at[at] = self._clock.now

    def _check_saved(self, found: Mapping[str, Any]) -> None:
        priorities = found["priorities"]
        if not ((priorities >= 0) & (priorities <= MAX_OUTCOME_VARIANCE)).all():
            raise ValueError("a saved priority is outside [0, 1/4]")
        if not np.isin(found["places"], (_UNSOLVED, _ACTIVE, _SOLVED)).all():
            raise ValueError("saved places must be 0, 1 or 2")

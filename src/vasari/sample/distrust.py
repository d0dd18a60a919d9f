"""Which prompts vary without anything to be learnt: evidence gathered over their groups, as a
factor on their value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vasari.core.records import GroupOutcome
from vasari.sample.belief import NODES, WEIGHTS, log_likelihood
from vasari.sample.progress_settings import ProgressSettings
from vasari.sample.ranked import Tally
from vasari.sample.signals import coherence, judged_two_ways, majority_refused

Floats = NDArray[np.float64]

LEAST = 0.03
"""No factor goes below: a verifier that was mended, or a format that was learnt, must be able to
return."""
ENOUGH_COHERENCE = 0.35
"""Mean signed squared correlation from which a prompt is fully trusted: what hard, learnable
prompts show."""
DISTRUSTED = 0.2
"""A prompt whose factor is no higher counts as distrusted."""
REFUSED_ONCE = 0.7
"""Factor for each group in a row whose majority answer was refused: a policy that agrees on another
answer hears little that would change it, and where the label is wrong it should not."""
_MOST_REFUSALS = 10
_PRIOR_COHERENCE = 0.45
_MIXED_BEFORE_GUARD = 3

ARRAYS: dict[str, tuple[type, float]] = {
    "coherence_sum": (np.float32, 0.0),
    "coherence_num": (np.uint16, 0),
    "pairs": (np.float32, 0.0),
    "torn": (np.float32, 0.0),
    "num_mixed": (np.uint16, 0),
    "inert_correct": (np.float32, 1.0),
    "inert_wrong": (np.float32, 1.0),
    "ratio": (np.float32, 0.0),
    "first_rate": (np.float32, math.nan),
    "gain": (np.float32, 0.0),
    "refusals": (np.uint16, 0),
}
"""What is kept of each prompt: type, and value before its first group."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the evidence says of every prompt at one moment."""

    coherence: Floats
    """[prompts] mean over groups, drawn towards the category's (one group) and that towards the
    pool's (four)."""
    learnable: Floats
    """[prompts] in [0.03, 1], the factor by what the groups themselves say, whatever their
    counts."""
    factor: Floats
    """[prompts] in [0.03, 1], what a prompt's value is multiplied with: `learnable`, and the guard
    against still counts."""


class Distrust:
    """Evidence that a prompt's variance is noise: by coherence, by answers judged two ways, by
    counts that never move.
    """

    def __init__(
        self,
        num_prompts: int,
        categories: NDArray[np.int64],
        num_categories: int,
        settings: ProgressSettings,
    ) -> None:
        self.settings = settings
        self.kept: dict[str, NDArray[Any]] = {
            name: np.full(num_prompts, missing, dtype=dtype)
            for name, (dtype, missing) in ARRAYS.items()
        }
        self._categories = categories
        self._num_categories = num_categories

    def judged(self) -> Judgement:
        """What the evidence says of every prompt now."""
        heard = self._mean_coherence()
        learnable = self._learnable(heard)
        return Judgement(heard, learnable, self._guarded(learnable, heard))

    def _learnable(self, mean_coherence: Floats) -> Floats:
        found = np.ones(len(self.kept["ratio"]))
        if self.settings.coherence:
            found *= np.clip(mean_coherence / ENOUGH_COHERENCE, LEAST, 1.0)
        if self.settings.agreement:
            torn, pairs = (
                self.kept["torn"].astype(np.float64),
                self.kept["pairs"].astype(np.float64),
            )
            found *= np.clip(1.0 - 4.0 * torn / (pairs + 4.0), LEAST, 1.0)
            found *= REFUSED_ONCE ** np.minimum(self.kept["refusals"], _MOST_REFUSALS).astype(
                np.float64
            )
        return np.maximum(found, LEAST)

    def _guarded(self, learnable: Floats, mean_coherence: Floats) -> Floats:
        if not self.settings.inert_guard:
            return learnable
        inert = (self.kept["num_mixed"] >= _MIXED_BEFORE_GUARD) & (self.kept["ratio"] < 0.3)
        if (
            self.settings.coherence
        ):  # a verdict that keeps following from the rollout can still be learnt from
            heard = self.kept["coherence_num"] >= _MIXED_BEFORE_GUARD
            inert &= ~(heard & (mean_coherence >= ENOUGH_COHERENCE))
        gain = np.clip(0.15 + self.kept["gain"].astype(np.float64) / 0.15, 0.05, 1.0)
        return np.maximum(np.where(inert, learnable * gain, learnable), LEAST)

    def _mean_coherence(self) -> Floats:
        sums, nums = (
            self.kept["coherence_sum"].astype(np.float64),
            self.kept["coherence_num"].astype(np.float64),
        )
        total, count = float(sums.sum()), float(nums.sum())
        pool = (total + 4.0 * _PRIOR_COHERENCE) / (count + 4.0)
        if self._num_categories < 2:
            near: Floats | float = pool
        else:
            by_sum = np.bincount(self._categories, weights=sums, minlength=self._num_categories)
            by_num = np.bincount(self._categories, weights=nums, minlength=self._num_categories)
            near = ((by_sum + 4.0 * pool) / (by_num + 4.0))[self._categories]
        found: Floats = (sums + near) / (nums + 1.0)
        return found

    def learn(
        self, groups: Sequence[GroupOutcome], seen: Tally, belief: tuple[Floats, Floats]
    ) -> None:
        """Take in groups, and their tally with the belief (mean, variance of the logit) about its
        prompts before them.
        """
        for group in groups:
            self._hear(group)
        self._weigh(seen, belief)

    def _hear(self, group: GroupOutcome) -> None:
        place, kept = group.index, self.kept
        heard = coherence(group.verdicts, group.confidence)
        if not math.isnan(heard) and kept["coherence_num"][place] < np.iinfo(np.uint16).max:
            kept["coherence_sum"][place] += np.float32(heard)
            kept["coherence_num"][place] += np.uint16(1)
        if len(group.answers):
            pairs, torn = judged_two_ways(group.verdicts, group.answers)
            kept["pairs"][place] += np.float32(pairs)
            kept["torn"][place] += np.float32(torn)
            refused = majority_refused(group)
            if refused is not None:
                kept["refusals"][place] = (
                    min(int(kept["refusals"][place]) + 1, 65_535) if refused else 0
                )

    def _weigh(self, seen: Tally, belief: tuple[Floats, Floats]) -> None:
        """The likelihood ratio of a pass rate that can move to one that never did, and how far the
        rate rose.
        """
        kept, at, rate, correct, num = (
            self.kept,
            seen.prompts,
            seen.pass_rates,
            seen.num_correct,
            seen.num_verifiable,
        )
        a, b = (
            kept["inert_correct"][at].astype(np.float64),
            kept["inert_wrong"][at].astype(np.float64),
        )
        step = np.clip(_log_moving(seen, *belief) - _log_inert(correct, num, a, b), -3.0, 3.0)
        kept["ratio"][at] = np.clip(0.97 * kept["ratio"][at].astype(np.float64) + step, -8.0, 4.0)
        kept["inert_correct"][at] = a + correct
        kept["inert_wrong"][at] = b + num - correct
        first = kept["first_rate"][at].astype(np.float64)
        first = np.where(np.isnan(first), rate, first)
        kept["first_rate"][at] = first
        kept["gain"][at] = 0.6 * kept["gain"][at].astype(np.float64) + 0.4 * (rate - first)
        mixed = (correct > 0) & (correct < num)
        kept["num_mixed"][at] = np.minimum(kept["num_mixed"][at].astype(np.int64) + mixed, 65_535)

    def given_up(self, learnable: Floats) -> NDArray[np.int64]:
        """Prompts whose labels or verifier deserve a look, the most suspect first.

        Those with three mixed groups or more whose value is cut to a fifth or less, and those whose
        majority answer was refused three times in a row although another answer was once judged
        right.

        Args:
            learnable: `Judgement.learnable` of now.
        """
        noisy = (self.kept["num_mixed"] >= _MIXED_BEFORE_GUARD) & (learnable <= DISTRUSTED)
        refused = (self.kept["refusals"] >= _MIXED_BEFORE_GUARD) & (
            self.kept["inert_correct"] > 1.0
        )
        places = np.flatnonzero(noisy | refused)
        return places[np.argsort(learnable[places], kind="stable")].astype(np.int64)


def _log_moving(seen: Tally, mean: Floats, variance: Floats) -> Floats:
    """Log probability of each count under the belief, up to the binomial coefficient that both
    models share.
    """
    logits = mean[:, None] + np.sqrt(variance)[:, None] * NODES
    chances = np.exp(
        log_likelihood(logits, seen.num_correct[:, None], seen.num_verifiable[:, None])
    )
    found: Floats = np.log(chances @ WEIGHTS + 1e-300)
    return found


def _log_inert(correct: Floats, num: Floats, a: Floats, b: Floats) -> Floats:
    """The same under a Beta belief in a pass rate that never moved: log B(a + k, b + n - k) - log
    B(a, b).
    """
    return _log_beta(a + correct, b + num - correct) - _log_beta(a, b)


def _log_beta(a: Floats, b: Floats) -> Floats:
    return np.array(
        [
            math.lgamma(x) + math.lgamma(y) - math.lgamma(x + y)
            for x, y in zip(a.tolist(), b.tolist(), strict=True)
        ]
    )

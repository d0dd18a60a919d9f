"""Which prompts vary without anything to be learnt: evidence gathered over their groups, as a factor on their value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vasari.records import GroupOutcome
from vasari.sample.progress_settings import ProgressSettings
from vasari.sample.signals import coherence, judged_two_ways, majority_refused

Floats = NDArray[np.float64]

LEAST = 0.03
"""No factor goes below: a verifier that was mended, or a format that was learnt, must be able to return."""
ENOUGH_COHERENCE = 0.35
"""Mean signed squared correlation from which a prompt is fully trusted: what hard, learnable prompts show."""
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


class Distrust:
    """Evidence that a prompt's variance is noise: by coherence, by answers judged two ways, by counts that never move."""

    def __init__(
        self, num_prompts: int, categories: NDArray[np.int64], num_categories: int, settings: ProgressSettings
    ) -> None:
        self.settings = settings
        self.kept: dict[str, NDArray[Any]] = {
            name: np.full(num_prompts, missing, dtype=dtype) for name, (dtype, missing) in ARRAYS.items()
        }
        self._categories = categories
        self._num_categories = num_categories

    def factor(self) -> Floats:
        """[prompts] in [0.03, 1], what a prompt's value is multiplied with."""
        found = self._learnable()
        if self.settings.inert_guard:
            inert = (self.kept["num_mixed"] >= _MIXED_BEFORE_GUARD) & (self.kept["ratio"] < 0.3)
            if self.settings.coherence:  # a verdict that keeps following from the rollout can still be learnt from
                heard = self.kept["coherence_num"] >= _MIXED_BEFORE_GUARD
                inert &= ~(heard & (self.mean_coherence() >= ENOUGH_COHERENCE))
            gain = np.clip(0.15 + self.kept["gain"].astype(np.float64) / 0.15, 0.05, 1.0)
            found = np.where(inert, found * gain, found)
        return np.maximum(found, LEAST)

    def _learnable(self) -> Floats:
        """The factor by what the groups themselves say, whatever their counts."""
        found = np.ones(len(self.kept["ratio"]))
        if self.settings.coherence:
            found *= np.clip(self.mean_coherence() / ENOUGH_COHERENCE, LEAST, 1.0)
        if self.settings.agreement:
            torn, pairs = self.kept["torn"].astype(np.float64), self.kept["pairs"].astype(np.float64)
            found *= np.clip(1.0 - 4.0 * torn / (pairs + 4.0), LEAST, 1.0)
        return np.maximum(found, LEAST)

    def mean_coherence(self) -> Floats:
        """[prompts] mean over groups, drawn towards the category's (one group) and that towards the pool's (four)."""
        sums, nums = self.kept["coherence_sum"].astype(np.float64), self.kept["coherence_num"].astype(np.float64)
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
        self, groups: Sequence[GroupOutcome], at: NDArray[np.int64], correct: Floats, num: Floats, belief: tuple[Floats, Floats]
    ) -> None:
        """Take in groups, and the counts of their prompts with the belief (mean, variance of the logit) before them."""
        for group in groups:
            self._hear(group)
        self._weigh(at, correct, num, belief)

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
                kept["refusals"][place] = min(int(kept["refusals"][place]) + 1, 65_535) if refused else 0

    def _weigh(self, at: NDArray[np.int64], correct: Floats, num: Floats, belief: tuple[Floats, Floats]) -> None:
        """The likelihood ratio of a pass rate that can move to one that never did, and how far the rate rose."""
        kept, rate = self.kept, correct / num
        a, b = kept["inert_correct"][at].astype(np.float64), kept["inert_wrong"][at].astype(np.float64)
        step = np.clip(_log_moving(correct, num, *belief) - _log_inert(correct, num, a, b), -3.0, 3.0)
        kept["ratio"][at] = np.clip(0.97 * kept["ratio"][at].astype(np.float64) + step, -8.0, 4.0)
        kept["inert_correct"][at] = a + correct
        kept["inert_wrong"][at] = b + num - correct
        first = kept["first_rate"][at].astype(np.float64)
        first = np.where(np.isnan(first), rate, first)
        kept["first_rate"][at] = first
        kept["gain"][at] = 0.6 * kept["gain"][at].astype(np.float64) + 0.4 * (rate - first)
        mixed = (correct > 0) & (correct < num)
        kept["num_mixed"][at] = np.minimum(kept["num_mixed"][at].astype(np.int64) + mixed, 65_535)

    def given_up(self) -> NDArray[np.int64]:
        """Prompts whose labels or verifier deserve a look, the most suspect first.

        Those with three mixed groups or more whose value is cut to a fifth or less, and those whose majority answer was
        refused three times in a row although another answer was once judged right.
        """
        factor = self._learnable()
        noisy = (self.kept["num_mixed"] >= _MIXED_BEFORE_GUARD) & (factor <= 0.2)
        refused = (self.kept["refusals"] >= _MIXED_BEFORE_GUARD) & (self.kept["inert_correct"] > 1.0)
        places = np.flatnonzero(noisy | refused)
        return places[np.argsort(factor[places], kind="stable")].astype(np.int64)


_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(7)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


def _log_moving(correct: Floats, num: Floats, mean: Floats, variance: Floats) -> Floats:
    """Log probability of the count under the belief, up to the binomial coefficient that both models share."""
    logit = mean[:, None] + np.sqrt(variance)[:, None] * _NODES
    log_p, log_q = -np.logaddexp(0.0, -logit), -np.logaddexp(0.0, logit)
    found: Floats = np.log(np.exp(correct[:, None] * log_p + (num - correct)[:, None] * log_q) @ _WEIGHTS + 1e-300)
    return found


def _log_inert(correct: Floats, num: Floats, a: Floats, b: Floats) -> Floats:
    """The same under a Beta belief in a pass rate that never moved: log B(a + k, b + n - k) - log B(a, b)."""
    return _log_beta(a + correct, b + num - correct) - _log_beta(a, b)


def _log_beta(a: Floats, b: Floats) -> Floats:
    return np.array([math.lgamma(x) + math.lgamma(y) - math.lgamma(x + y) for x, y in zip(a.tolist(), b.tolist(), strict=True)])


def counts(groups: Sequence[GroupOutcome]) -> tuple[NDArray[np.int64], Floats, Floats, NDArray[np.bool_]]:
    """Prompts with a verifiable rollout, each once, in order of index; correct and all verifiable rollouts; trained on."""
    rows = [(g.index, float(np.nansum(g.verdicts)), float((~np.isnan(g.verdicts)).sum()), g.purpose == "train") for g in groups]
    rows = [row for row in rows if row[2] > 0]
    at, inverse = np.unique(np.array([row[0] for row in rows], dtype=np.int64), return_inverse=True)
    correct, num, trained = np.zeros(len(at)), np.zeros(len(at)), np.zeros(len(at), dtype=np.bool_)
    for place, row in zip(inverse.tolist(), rows, strict=True):
        correct[place] += row[1]
        num[place] += row[2]
        trained[place] |= row[3]
    return at, correct, num, trained

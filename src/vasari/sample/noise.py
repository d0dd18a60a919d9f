"""Noise detectors: they find prompts whose verdicts vary for reasons that training cannot learn."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vasari.core.records import GroupOutcome
from vasari.sample.belief import NODES, WEIGHTS, log_likelihood
from vasari.sample.ranked import Tally

Floats = NDArray[np.float64]

LEAST = 0.03
"""Least trust in a prompt, above 0: a prompt must be able to return once its verifier is mended or
its format is learnt."""
ENOUGH_COHERENCE = 0.35
"""Least mean coherence (signed squared correlation) of a fully trusted prompt; hard prompts whose
verdicts can be learnt from reach it."""
INCOHERENT = 0.15
"""Mean coherence below which a prompt's pass rate that never moves looks like noise."""
DISTRUSTED = 0.2
"""Highest trust at which a prompt counts as distrusted."""
REFUSED_ONCE = 0.7
"""Factor on trust for each group in a row whose majority answer was judged wrong, unless its right
rollouts are the surer ones: a hard prompt has a common wrong answer too, but where the label is
wrong the surest rollouts fail."""
_MOST_REFUSALS = 10
_PRIOR_COHERENCE = 0.45
_PRIOR_GROUPS = 3.0
"""Groups that the mean coherence of a prompt's category counts for: one group says little."""
_MIXED_BEFORE_GUARD = 3
_MOST_COUNTED = np.iinfo(np.uint16).max

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
"""Arrays kept for the prompts: type, and value before a prompt's first group. `pairs` counts pairs
of rollouts with one answer, `torn` the pairs among them with unlike verdicts."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Trust in each prompt: how far the variance of its verdicts is signal, not noise."""

    coherence: Floats
    """[prompts] mean coherence over groups, shrunk to the category's mean (weight: three groups)
    and this to the pool's (weight: four groups)."""
    by_group: Floats
    """[prompts] in [0.03, 1], the trust by coherence and agreement, without the inert guard."""
    trust: Floats
    """[prompts] in [0.03, 1], the factor on a prompt's value; includes the inert guard."""


class NoiseEvidence:
    """Evidence, for each prompt, that the variance of its verdicts is noise.

    It comes from three detectors: whether verdicts follow the policy's confidence (`coherence`),
    whether the verifier contradicts itself or the policy's majority (`agreement`), and whether the
    pass rate ever moves (`inert_guard`).
    """

    def __init__(
        self,
        num_prompts: int,
        categories: NDArray[np.int64],
        num_categories: int,
        *,
        coherence: bool,
        agreement: bool,
        inert_guard: bool,
    ) -> None:
        self._uses_coherence, self._uses_agreement = coherence, agreement
        self._uses_inert_guard = inert_guard
        self.kept: dict[str, NDArray[Any]] = {
            name: np.full(num_prompts, missing, dtype=dtype)
            for name, (dtype, missing) in ARRAYS.items()
        }
        self._categories = categories
        # Sum and number of coherences by category; all prompts are one where there are none.
        self._by_category = np.zeros((2, max(1, num_categories)))

    def trust(self, at: Any = slice(None)) -> Trust:
        """Return the present trust in the prompts `at` (default all): are their verdicts signal?"""
        mean_coherence = self._mean_coherence(at)
        by_group = self._by_group(mean_coherence, at)
        return Trust(mean_coherence, by_group, self._guarded(by_group, mean_coherence, at))

    @property
    def has_coherence(self) -> bool:
        """Whether any group came with the policy's confidence."""
        return bool(self._by_category[1].sum() > 0)

    @property
    def by_category(self) -> list[float]:
        """Sums of coherence by category, then their numbers, to be saved.

        They were summed in the order of the groups; another order would end in other digits.
        """
        sums: list[float] = self._by_category.ravel().tolist()
        return sums

    def restore(
        self, kept: Mapping[str, NDArray[Any]], by_category: Sequence[float] | None
    ) -> None:
        """Load what `kept` and `by_category` held when they were saved.

        Without the second (another pool, or a state of 0.1) its sums are taken anew.

        Raises:
            ValueError: The second is of other categories.
        """
        self.kept = dict(kept)
        if by_category is not None:
            self._by_category = np.array(by_category, dtype=np.float64).reshape(
                self._by_category.shape
            )
            return
        for row, name in zip(self._by_category, ("coherence_sum", "coherence_num"), strict=True):
            row[:] = np.bincount(self._categories, weights=self._float(name), minlength=len(row))

    def _by_group(self, mean_coherence: Floats, at: Any) -> Floats:
        found = np.ones(len(mean_coherence))
        if self._uses_coherence:
            found *= np.clip(mean_coherence / ENOUGH_COHERENCE, LEAST, 1.0)
        if self._uses_agreement:
            num_discordant, num_pairs = self._float("torn", at), self._float("pairs", at)
            found *= np.clip(1.0 - 4.0 * num_discordant / (num_pairs + 4.0), LEAST, 1.0)
            refusals = np.minimum(self._float("refusals", at), _MOST_REFUSALS)
            known = self.kept["coherence_num"][at] > 0
            found *= np.where(known, REFUSED_ONCE**refusals, 1.0)
        return np.maximum(found, LEAST)

    def _guarded(self, by_group: Floats, mean_coherence: Floats, at: Any) -> Floats:
        if not self._uses_inert_guard:
            return by_group
        num_mixed, ratio = self.kept["num_mixed"][at], self.kept["ratio"][at]
        inert = (num_mixed >= _MIXED_BEFORE_GUARD) & (ratio < 0.3)
        if self._uses_coherence:
            # Verdicts that keep following from the rollouts can still be learnt from, and a pass
            # rate that stays is no evidence alone: most do, between two visits.
            known = self.kept["coherence_num"][at] >= _MIXED_BEFORE_GUARD
            inert &= known & (mean_coherence < INCOHERENT)
        gain = np.clip(0.15 + self._float("gain", at) / 0.15, 0.05, 1.0)
        return np.maximum(np.where(inert, by_group * gain, by_group), LEAST)

    def _float(self, name: str, at: Any = slice(None)) -> Floats:
        values: Floats = self.kept[name][at].astype(np.float64)
        return values

    def _mean_coherence(self, at: Any) -> Floats:
        total, count = self._by_category.sum(axis=1)
        pool = (total + 4.0 * _PRIOR_COHERENCE) / (count + 4.0)
        near: Floats | float = pool
        if self._by_category.shape[1] > 1:
            by_sum, by_num = self._by_category
            near = ((by_sum + 4.0 * pool) / (by_num + 4.0))[self._categories[at]]
        sums, nums = self._float("coherence_sum", at), self._float("coherence_num", at)
        found: Floats = (sums + _PRIOR_GROUPS * near) / (nums + _PRIOR_GROUPS)
        return found

    def learn(
        self, groups: Sequence[GroupOutcome], seen: Tally, belief: tuple[Floats, Floats]
    ) -> None:
        """Update each prompt's evidence that its verdicts are noise, from new groups.

        Args:
            groups: With their confidences and answers.
            seen: The verdicts of these groups by prompt.
            belief: [seen] mean and variance of the logit of each prompt's pass rate before them.
        """
        for group in groups:
            self._learn_group(group)
        self._learn_movement(seen, belief)

    def _learn_group(self, group: GroupOutcome) -> None:
        """Update the coherence and agreement of a prompt from one group."""
        place, kept = group.index, self.kept
        found = coherence(group.verdicts, group.confidence)
        if not math.isnan(found) and kept["coherence_num"][place] < _MOST_COUNTED:
            kept["coherence_sum"][place] += np.float32(found)
            kept["coherence_num"][place] += np.uint16(1)
            self._by_category[:, self._categories[place]] += (found, 1.0)
        if len(group.answers):
            num_pairs, num_discordant = judged_two_ways(group.verdicts, group.answers)
            kept["pairs"][place] += np.float32(num_pairs)
            kept["torn"][place] += np.float32(num_discordant)
            refused = majority_refused(group)
            if refused is not None and not (refused and found > 0.0):
                num_refusals = min(int(kept["refusals"][place]) + 1, _MOST_COUNTED)
                kept["refusals"][place] = num_refusals if refused else 0

    def _learn_movement(self, seen: Tally, belief: tuple[Floats, Floats]) -> None:
        """Update how likely it is that each prompt's pass rate moves, and how far it rose."""
        kept, at, rate = self.kept, seen.prompts, seen.pass_rates
        correct, num = seen.num_correct, seen.num_verifiable
        a, b = self._float("inert_correct", at), self._float("inert_wrong", at)
        step = np.clip(_log_moving(seen, *belief) - _log_inert(correct, num, a, b), -3.0, 3.0)
        kept["ratio"][at] = np.clip(0.97 * self._float("ratio", at) + step, -8.0, 4.0)
        kept["inert_correct"][at] = a + correct
        kept["inert_wrong"][at] = b + num - correct
        first = self._float("first_rate", at)
        first = np.where(np.isnan(first), rate, first)
        kept["first_rate"][at] = first
        kept["gain"][at] = 0.6 * self._float("gain", at) + 0.4 * (rate - first)
        mixed = (correct > 0) & (correct < num)
        kept["num_mixed"][at] = np.minimum(self._float("num_mixed", at) + mixed, _MOST_COUNTED)

    def given_up(self, by_group: Floats) -> NDArray[np.int64]:
        """Return prompts whose label or verifier may be wrong, the most suspect first.

        Those with three mixed groups or more whose value is cut to a fifth or less, and those whose
        majority answer was refused three times in a row although another answer was once judged
        right.

        Args:
            by_group: `by_group` of the present `Trust`.
        """
        noisy = (self.kept["num_mixed"] >= _MIXED_BEFORE_GUARD) & (by_group <= DISTRUSTED)
        refused = (self.kept["refusals"] >= _MIXED_BEFORE_GUARD) & (
            self.kept["inert_correct"] > 1.0
        )
        if not self._uses_agreement:
            refused[:] = False
        places = np.flatnonzero(noisy | refused)
        return places[np.argsort(by_group[places], kind="stable")].astype(np.int64)


def _log_moving(seen: Tally, mean: Floats, variance: Floats) -> Floats:
    """Log probability of each correct count if pass rates move, up to the same constant."""
    logits = mean[:, None] + np.sqrt(variance)[:, None] * NODES
    chances = np.exp(
        log_likelihood(logits, seen.num_correct[:, None], seen.num_verifiable[:, None])
    )
    found: Floats = np.log(chances @ WEIGHTS + 1e-300)
    return found


def _log_inert(correct: Floats, num: Floats, a: Floats, b: Floats) -> Floats:
    """Log probability of each correct count at a fixed rate ~ Beta(a, b), up to a constant."""
    return _log_beta(a + correct, b + num - correct) - _log_beta(a, b)


def _log_beta(a: Floats, b: Floats) -> Floats:
    return np.array(
        [
            math.lgamma(x) + math.lgamma(y) - math.lgamma(x + y)
            for x, y in zip(a.tolist(), b.tolist(), strict=True)
        ]
    )


def coherence(verdicts: NDArray[np.float64], confidence: NDArray[np.float64] | None) -> float:
    """Signed squared correlation of verdict and confidence over a group, in [-1, 1], or nan.

    A verdict that follows from what the policy did is predicted by its confidence: easy
    prompts come near 0.9, hard ones near 0.35, verdicts by coin flip near 0, and a wrong label
    below 0 (the surest rollouts are judged wrong). Independent verdicts have an expected square of
    1 / (n - 1), so the sign is what lets chance average out.

    Args:
        verdicts: [rollouts] 1, 0 or nan.
        confidence: [rollouts] the least token log-probability of each rollout under the policy that
            wrote it, or None.
    """
    if confidence is None:
        return math.nan
    known = ~np.isnan(verdicts) & np.isfinite(confidence)
    correct, sure = verdicts[known], confidence[known]
    if correct.size < 3:
        return math.nan
    correct, sure = correct - correct.mean(), sure - sure.mean()
    norm = float((correct @ correct) * (sure @ sure))
    if norm <= 1e-18:
        return math.nan
    product = float(correct @ sure)
    return product * abs(product) / norm


def judged_two_ways(
    verdicts: NDArray[np.float64], answers: Sequence[str | None]
) -> tuple[int, int]:
    """Count pairs of rollouts with the same final answer, and those pairs with unlike verdicts.

    A rule that looks at the answer alone never judges so: such a pair shows a flaky verifier or a
    reward by chance.

    Args:
        verdicts: [rollouts] 1, 0 or nan.
        answers: Final answer of each rollout, None where none was found; empty when answers are not
            known.
    """
    correct: dict[str, list[float]] = {}
    for verdict, answer in zip(verdicts.tolist(), answers, strict=False):
        if answer is not None and not math.isnan(verdict):
            correct.setdefault(answer, []).append(verdict)
    num_pairs = num_discordant = 0
    for judged in correct.values():
        num_right = int(sum(judged))
        num_pairs += len(judged) * (len(judged) - 1) // 2
        num_discordant += num_right * (len(judged) - num_right)
    return num_pairs, num_discordant


def majority_refused(group: GroupOutcome) -> bool | None:
    """Whether a group's majority answer was judged wrong; None if no answer has half the rollouts.

    Where it stays wrong while other answers are now and then judged right, the label may be wrong.
    """
    judged = [
        (answer, verdict)
        for answer, verdict in zip(group.answers, group.verdicts.tolist(), strict=False)
        if answer is not None and not math.isnan(verdict)
    ]
    counts = Counter(answer for answer, _ in judged)
    common = max(counts, key=lambda answer: (counts[answer], answer), default="")
    if not judged or 2 * counts[common] < group.num_rollouts:
        return None
    return not any(verdict for answer, verdict in judged if answer == common)

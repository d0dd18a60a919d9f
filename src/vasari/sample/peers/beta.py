"""The sampler "beta": Beta distributions of the prompts' pass rates, as in MoPPS, BOTS and VADE."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, final

import numpy as np
from numpy.typing import NDArray

from vasari.core.bounds import Bounds, Count, Positive, Share, check_fields
from vasari.core.errors import ConfigError
from vasari.core.records import Draw, GroupOutcome
from vasari.sample.base import PromptSampler, draw_of
from vasari.sample.ranked import Candidates, highest, tally
from vasari.score.value import (
    GroupValue,
    beta_information,
    expected_group_value,
    group_value,
)

BetaDecay = Literal["observe", "time"]
"""When old verdicts lose weight: at a prompt's next group, or with every batch."""

BetaDraw = Literal["thompson", "mean"]
"""Which pass rate is taken from a prompt's Beta distribution: a random draw, or the mean."""

BetaScore = Literal["nearest", "group_value", "information"]
"""Score by which a batch takes the highest prompts."""

# Beliefs scored at once: what fits into a processor's cache takes half the time of a whole pool at
# once.
_CHUNK = 16384


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class BetaSettings:
    """Settings of the sampler "beta"; defaults: MoPPS (arXiv:2507.04632) for visual geometry."""

    prior_alpha: Positive = 1.0
    """a0 of the prior Beta(a0, b0), above 0."""
    prior_beta: Positive = 1.0
    """b0 of the prior Beta(a0, b0), above 0."""
    decay: Share = 0.5
    """Share of the old evidence that is kept, in [0, 1]; 1 forgets nothing, as MoPPS on MATH."""
    decay_on: BetaDecay = "observe"
    """"observe": evidence shrinks when its prompt is seen again (MoPPS), so a prompt that is not
    seen stays as certain as it was. "time": it shrinks with every batch, seen or not."""
    draw: BetaDraw = "thompson"
    """"thompson": a pass rate drawn from each prompt's Beta distribution. "mean": its mean."""
    score: BetaScore = "nearest"
    """"nearest": nearest to `target`. "group_value": highest V_n(p), or its expectation under the
    belief where `draw` is "mean". "information": highest mutual information with the next verdict;
    of the belief itself, so `draw` is "mean"."""
    target: Share = 0.5
    """Pass rate that "nearest" looks for, in [0, 1]."""
    value: GroupValue = "std"
    """Value of k correct rollouts for "group_value". All but "knap" fall off evenly on both sides
    of 1/2."""
    num_rollouts: Annotated[int, Bounds(least=2)] = 8
    """Rollouts of a group for "group_value", at least 2."""
    candidate_factor: Count = 16
    """Candidates for each prompt of a batch, from a shuffled pass over the pool; 0: the whole pool.
    MoPPS takes 16 or 8."""

    def __post_init__(self) -> None:
        check_fields(self)
        if self.score == "information" and self.draw != "mean":
            raise ConfigError(
                "score 'information' is of the belief itself, not of a pass rate drawn from it: set"
                " draw='mean'"
            )


# The authors' lambda is 1 on MATH, and 0.5 on Countdown and visual geometry.
BETA_PRESETS: dict[str, BetaSettings] = {
    "mopps": BetaSettings(),
    "mopps-math": BetaSettings(decay=1.0),
}
"""Settings by the name that a recipe gives as `preset`."""


@final
class BetaSampler(PromptSampler):
    """Sampler that takes prompts of highest score under Beta distributions of their pass rates.

    MoPPS (arXiv:2507.04632): k of n correct turn Beta(a, b) into `a <- decay a + (1 - decay) a0 +
    k` and `b <- decay b + (1 - decay) b0 + n - k`; a batch of B draws p ~ Beta(a, b) for each of 16
    B candidates and takes the B nearest to 1/2. Its relatives are settings: a mean instead of a
    draw and information instead of nearness are what InSight (arXiv:2603.01907) scores by, less its
    weight of difficulty; decay with time, the whole pool as candidates and Thompson draws are BOTS
    (arXiv:2510.26374) and VADE (arXiv:2511.18902) without what each adds. BOTS's implicit evidence
    is not included: it interpolates the pass rates of two reference models on every prompt, which a
    pool rarely has. VADE's two-scale decay of the prior is not included either.

    Groups of one prompt that are observed together are one observation; unverifiable rollouts do
    not count.
    """

    name: ClassVar[str] = "beta"
    saved_by_prompt: ClassVar[Mapping[str, float]] = {"right": 0.0, "wrong": 0.0, "seen_at": -1}
    saved = ("clock", "candidates")

    def __init__(
        self,
        settings: BetaSettings | None = None,
        *,
        num_prompts: int,
        seed: int,
        prompt_ids: Iterable[str] | None = None,
    ) -> None:
        super().__init__(num_prompts=num_prompts, seed=seed, prompt_ids=prompt_ids)
        self.settings = settings or BetaSettings()
        """Settings that this sampler was made with."""
        size = self.num_prompts
        # Evidence beyond the prior: a - a0 and b - b0, as of `seen_at`.
        self._right = np.zeros(size)
        self._wrong = np.zeros(size)
        self._seen_at = np.full(size, -1, dtype=np.int32)
        self._candidates = Candidates(size, self.settings.candidate_factor)

    def alphas(self) -> NDArray[np.float64]:
        """Return parameter a of the present Beta(a, b) of each prompt's pass rate: [prompts]."""
        return self._belief(None)[0]

    def betas(self) -> NDArray[np.float64]:
        """Return parameter b of the present Beta(a, b) of each prompt's pass rate: [prompts]."""
        return self._belief(None)[1]

    def metrics(self) -> Mapping[str, float]:
        """Return log metrics: share of prompts seen, their mean pass rate and rollout count."""
        seen = np.flatnonzero(self._seen_at >= 0)
        alpha, beta = self._belief(seen)
        evidence = alpha + beta - self.settings.prior_alpha - self.settings.prior_beta
        return {
            "sampler/seen_share": len(seen) / self.num_prompts,
            "sampler/pass_rate_mean": (
                float((alpha / (alpha + beta)).mean()) if len(seen) else math.nan
            ),
            "sampler/evidence_mean": float(evidence.mean()) if len(seen) else math.nan,
        }

    def _belief(
        self, at: NDArray[np.int64] | None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return a and b of the Beta distributions of the prompts `at`, or of all prompts."""
        rows: Any = slice(None) if at is None else at
        right, wrong = self._right[rows], self._wrong[rows]
        if self.settings.decay_on == "time" and self.settings.decay < 1:
            kept = self._kept(rows)
            right, wrong = right * kept, wrong * kept
        return self.settings.prior_alpha + right, self.settings.prior_beta + wrong

    def _kept(self, rows: Any) -> NDArray[np.float64]:
        """Return the share of each prompt's evidence that is left since the prompt was seen."""
        age = np.maximum(self._clock.now - self._seen_at[rows], 0)
        kept: NDArray[np.float64] = np.power(self.settings.decay, age, dtype=np.float64)
        return kept

    def _draw(self, num_prompts: int) -> Draw:
        candidates = self._candidates.draw(self._rng, num_prompts)
        scores = self._scores(*self._belief(candidates))
        picked = highest(scores, num_prompts, self._rng)
        return draw_of(promoted=picked if candidates is None else candidates[picked])

    def _scores(self, alpha: NDArray[np.float64], beta: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the score of each Beta distribution; higher = taken first."""
        settings = self.settings
        rates = (
            self._rng.beta(alpha, beta) if settings.draw == "thompson" else alpha / (alpha + beta)
        )
        if settings.score == "nearest":
            return -np.abs(rates - settings.target)
        scores = np.empty(len(alpha))
        for start in range(0, len(alpha), _CHUNK):
            part = slice(start, start + _CHUNK)
            if settings.score == "information":
                scores[part] = beta_information(alpha[part], beta[part])
            elif settings.draw == "mean":
                scores[part] = expected_group_value(
                    alpha[part], beta[part], settings.num_rollouts, settings.value
                )
            else:
                scores[part] = group_value(rates[part], settings.num_rollouts, settings.value)
        return scores

    def _observe(self, groups: Sequence[GroupOutcome]) -> None:
        seen = tally(groups)
        at = seen.prompts
        if not len(at):
            return
        kept = self.settings.decay if self.settings.decay_on == "observe" else self._kept(at)
        self._right[at] = kept * self._right[at] + seen.num_correct
        self._wrong[at] = kept * self._wrong[at] + (seen.num_verifiable - seen.num_correct)
        self._seen_at[at] = self._clock.now

    def _check_saved(self, found: Mapping[str, Any]) -> None:
        for key in ("right", "wrong"):
            if not (np.isfinite(found[key]).all() and (found[key] >= 0).all()):
                raise ValueError(f"saved {key!r} holds a count that is negative or infinite")

"""The sampler "progress": draws prompts by what their next group is expected to teach."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from sample_efficiency.published.belief import PassRateBelief
from sample_efficiency.published.noise import ARRAYS, DISTRUSTED, NoiseEvidence
from sample_efficiency.published.parts import tally
from vasari.core.bounds import Count, NotNegative, Positive, Share, check_fields
from vasari.records import Draw, GroupOutcome
from vasari.sample import PoolFeatures, PromptSampler
from vasari.sample.belief import NODES, WEIGHTS, log_likelihood, sigmoid
from vasari.sample.ranked import highest
from vasari.sample.weighted import gumbel_top
from vasari.score.value import group_value

_LOGITS = np.linspace(-8.0, 8.0, 257)
_NUM_DEVIATIONS = 33
_LENGTH_MEMORY = 0.7
_BELIEF_BY_PROMPT = ("residual", "variance", "trained")
COOLDOWN_PENALTY = 1e9
"""Amount by which a prompt's log weight is lowered in its cooldown: it is drawn after all other
prompts, and among prompts in cooldown in proportion to its weight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressSettings:
    """Settings of the sampler "progress"; 0 or False switches a field's mechanism off."""

    shared: bool = True
    """Learn pass rates across prompts too, by their categories and feature values."""
    prior_variance: Positive = 6.0
    """Variance of the pass-rate logit of an unseen prompt, above 0, or no count could change the
    estimate; a prompt not seen for long returns to it."""
    drift: NotNegative = 0.03
    """Variance that each batch without rollouts of a prompt adds to its logit."""
    optimism: NotNegative = 0.5
    """How many standard deviations of a prompt's uncertain value are added to its mean."""
    coherence: bool = True
    """Distrust verdicts that the policy's confidence does not predict."""
    agreement: bool = True
    """Distrust a prompt on which one and the same answer was judged both right and wrong, or whose
    majority answer is refused again and again."""
    inert_guard: bool = True
    """Distrust counts that a pass rate which never moves explains better, unless they rise."""
    cost_power: NotNegative = 0.5
    """Value is divided by the relative length of rollouts to this power; 1 counts by the token."""
    sharpness: NotNegative = 16.0
    """Prompts are drawn in proportion to value to this power."""
    explore: Share = 0.05
    """Share of a batch that goes to the prompts not seen for longest."""
    cooldown: Count = 2
    """A prompt returns at the earliest this many batches after it was seen, as long as the pool has
    others."""

    def __post_init__(self) -> None:
        check_fields(self)


@final
class ProgressSampler(PromptSampler):
    """Sampler that draws prompts by what their next group of rollouts is expected to teach.

    The value of a prompt is E[V_n(p)] + optimism * sd[V_n(p)] under the belief about its pass rate
    p (`PassRateBelief`), where V_n is the expected spread of a group's advantages (`group_value`);
    times the trust (`NoiseEvidence`); divided by its relative length to `cost_power`. All but
    a share `explore` of a batch is drawn in proportion to value ** `sharpness` without replacement;
    the rest are the prompts not seen for longest, so that every prompt returns.

    After the tracker of BOTS and GPS (arXiv:2510.26374 and 2602.01970: a belief in place of
    refreshes); the noise detectors by coherence and by agreement are ours. Prompts whose variance
    looks like noise are in `given_up`: likely wrong labels, for people to look at.
    """

    name: ClassVar[str] = "progress"
    saved_by_prompt: ClassVar[Mapping[str, float]] = {"seen_at": -1, "length": math.nan}
    saved = ("clock", "num_rollouts", "log_loss", "picked")

    def __init__(
        self,
        settings: ProgressSettings | None = None,
        *,
        num_prompts: int,
        seed: int,
        prompt_ids: Iterable[str] | None = None,
        features: PoolFeatures | None = None,
    ) -> None:
        super().__init__(num_prompts=num_prompts, seed=seed, prompt_ids=prompt_ids)
        self.settings = settings or ProgressSettings()
        """Settings that this sampler was made with."""
        self._features = features or PoolFeatures()
        self._belief, self._noise = self._blank()
        self._seen_at = np.full(self.num_prompts, -1, dtype=np.int32)
        self._length = np.full(self.num_prompts, np.nan, dtype=np.float32)
        self._num_rollouts = 8
        self._log_loss = math.nan
        self._picked = np.zeros(0, dtype=np.int64)
        self._table: tuple[int, NDArray[np.float32]] | None = None

    @property
    def uses_logprobs(self) -> bool:
        """Whether token log-probabilities are needed: only if the setting `coherence` is on."""
        return self.settings.coherence

    def scores(self) -> NDArray[np.float64]:
        """Return what each prompt's next group is expected to teach: [prompts], above 0."""
        belief, age = self._belief, self._age()
        places = np.rint((np.clip(belief.logits(), -8.0, 8.0) + 8.0) * 16.0).astype(np.int32)
        share = np.sqrt(belief.variances(age) / np.float32(self.settings.prior_variance))
        spread = np.rint(share * (_NUM_DEVIATIONS - 1)).astype(np.int32)
        found: NDArray[np.float64] = (
            self._values().ravel()[places * _NUM_DEVIATIONS + spread] * self._noise.trust().trust
        )
        if self.settings.cost_power:
            found /= self._relative_cost()
        return found

    def given_up(self) -> NDArray[np.int64]:
        """Return the prompts whose label or verifier looks wrong, the most suspect first."""
        return self._noise.given_up(self._noise.trust().by_group)

    def metrics(self) -> Mapping[str, float]:
        """Return log metrics: expected pass rate, its log loss, share of prompts held for noisy."""
        seen = self._seen_at >= 0
        trust = self._noise.trust()
        distrusted = trust.trust <= DISTRUSTED
        return {
            "sampler/seen_share": float(seen.mean()),
            "sampler/pass_rate_expected": float(
                sigmoid(self._belief.logits().astype(np.float64)).mean()
            ),
            "sampler/log_loss": self._log_loss,
            "sampler/distrusted_share": float(distrusted.mean()),
            "sampler/distrusted_in_batch": _mean(distrusted[self._picked]),
            "sampler/coherence_in_batch": _mean(trust.coherence[self._picked]),
            "sampler/given_up": float(len(self._noise.given_up(trust.by_group))),
            "sampler/batches_since_seen": _mean(self._age()[seen]),
            "sampler/drift": self._belief.delta,
        }

    def _draw(self, num_prompts: int) -> Draw:
        num_explored = math.ceil(self.settings.explore * num_prompts - 1e-9)
        num_promoted = num_prompts - num_explored
        age, unseen = self._age(), self._seen_at < 0
        log_weights = self.settings.sharpness * np.log(self.scores())
        log_weights[~unseen & (age < self.settings.cooldown)] -= COOLDOWN_PENALTY
        promoted = gumbel_top(self._rng, log_weights, num_promoted)
        waited = np.where(unseen, np.inf, age)
        waited[promoted] = -np.inf
        explored = highest(waited, num_explored, self._rng)
        self._picked = promoted
        roles = ("promoted",) * len(promoted) + ("revisit",) * len(explored)
        return Draw(np.concatenate([promoted, explored]), roles)

    def _observe(self, groups: Sequence[GroupOutcome]) -> None:
        if not groups:
            return
        seen = tally(groups)
        batches = [self._clock.batch_of(group.batch) for group in groups]
        if seen.prompts.size:
            correct, num, age = seen.num_correct, seen.num_verifiable, self._age()[seen.prompts]
            before = self._belief.predicted(seen.prompts, age)
            self._log_loss = -float(np.mean(log_likelihood(before[0], correct, num) / num))
            self._noise.learn(groups, seen, before)
            self._belief.learn(seen.prompts, correct, num, age, seen.trained)
            self._num_rollouts = max(2, int(np.median(num)))
        for group, batch in zip(groups, batches, strict=True):
            self._seen_at[group.index] = max(batch, self._seen_at[group.index])
            if group.num_tokens:
                mean, old = group.num_tokens / group.num_rollouts, float(self._length[group.index])
                new = (
                    mean if math.isnan(old) else _LENGTH_MEMORY * old + (1 - _LENGTH_MEMORY) * mean
                )
                self._length[group.index] = new

    def _age(self) -> NDArray[np.int32]:
        """Return the batches since each prompt was seen, or since the start if never: [prompts]."""
        age = np.maximum(self._clock.now - np.maximum(self._seen_at, 0), 0)
        return np.asarray(age, dtype=np.int32)

    def _values(self) -> NDArray[np.float32]:
        """Return a table of group values before trust and cost, by logit mean and deviation."""
        if self._table is None or self._table[0] != self._num_rollouts:
            deviations = np.linspace(0.0, math.sqrt(self.settings.prior_variance), _NUM_DEVIATIONS)
            logits = _LOGITS[:, None, None] + deviations[:, None] * NODES
            worth = group_value(sigmoid(logits), self._num_rollouts, "std")
            mean = worth @ WEIGHTS
            spread = np.sqrt(np.maximum((worth - mean[..., None]) ** 2 @ WEIGHTS, 0.0))
            table = np.maximum(mean + self.settings.optimism * spread, 1e-6).astype(np.float32)
            self._table = self._num_rollouts, table
        return self._table[1]

    def _relative_cost(self) -> NDArray[np.float64]:
        known = ~np.isnan(self._length)
        mean = _mean(self._length[known])
        if not mean > 0:
            return np.ones(self.num_prompts)
        relative = np.where(known, self._length / mean, 1.0).astype(np.float64)
        return np.clip(relative**self.settings.cost_power, 1 / 3, 3.0)

    def _blank(self) -> tuple[PassRateBelief, NoiseEvidence]:
        settings, known = self.settings, self._features
        belief = PassRateBelief(
            self.num_prompts,
            known if settings.shared else None,
            prior_variance=settings.prior_variance,
            drift=settings.drift,
        )
        categories = known.categories
        if not len(categories):
            categories = np.zeros(self.num_prompts, dtype=np.int64)
        noise = NoiseEvidence(
            self.num_prompts,
            categories,
            len(known.category_names),
            coherence=settings.coherence,
            agreement=settings.agreement,
            inert_guard=settings.inert_guard,
        )
        return belief, noise

    def _state(self) -> dict[str, Any]:
        by_prompt = {name: getattr(self._belief, name).copy() for name in _BELIEF_BY_PROMPT}
        by_prompt |= {name: array.copy() for name, array in self._noise.kept.items()}
        return {"belief": self._belief.state(), **by_prompt, **super()._state()}

    def _restore(self, state: Mapping[str, Any], origin: NDArray[np.int64] | None) -> None:
        belief, noise = self._blank()
        belief.restore(state["belief"])
        unseen = (0.0, self.settings.prior_variance, 0)
        for name, missing in zip(_BELIEF_BY_PROMPT, unseen, strict=True):
            dtype = getattr(belief, name).dtype
            setattr(belief, name, self._carried(state, name, origin, dtype=dtype, missing=missing))
        noise.kept = {
            name: self._carried(state, name, origin, dtype=dtype, missing=missing)
            for name, (dtype, missing) in ARRAYS.items()
        }
        if not (np.isfinite(belief.residual).all() and (belief.variance > 0).all()):
            raise ValueError("a saved belief is not finite")
        super()._restore(state, origin)
        self._belief, self._noise = belief, noise


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean()) if values.size else math.nan

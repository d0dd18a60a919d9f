"""What each prompt's next group is worth to training, estimated from training groups alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vasari.core.records import GroupOutcome
from vasari.sample.base import BatchClock
from vasari.sample.belief import PassRateBelief, expected_rate, sigmoid
from vasari.sample.features import PoolFeatures
from vasari.sample.noise import ARRAYS, DISTRUSTED, NoiseEvidence
from vasari.sample.ranked import Tally, tally
from vasari.score.value import group_value

_LOGITS = np.linspace(-8.0, 8.0, 257)
_MOST_DEVIATION = 4.0
_NUM_DEVIATIONS = 33
_LENGTH_MEMORY = 0.7
_LEAST_VALUE = 1e-6
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(21)
_WEIGHTS /= _WEIGHTS.sum()
_BELIEF_BY_PROMPT: Mapping[str, float] = {"residual": 0.0, "variance": math.inf}
_CONSTANT_MEMORY = 0.98
BY_PROMPT: Mapping[str, float] = {"seen_at": -1, "length": math.nan}

At = Any
"""Prompts as an index array, or a slice: all by default."""


class PromptValues:
    """Estimates, for each prompt, of what one more group of rollouts is worth to training.

    The value of a prompt is the expected standard deviation of its group's verdicts, which is the
    size of the policy gradient with GRPO's advantages: E[V_n(p)] / V_n(1/2), in [0, 1], under the
    belief about its pass rate p (`PassRateBelief`). Beside it stand the trust in its verdicts
    (`NoiseEvidence`) and the length of its rollouts.
    """

    def __init__(
        self,
        num_prompts: int,
        features: PoolFeatures | None,
        clock: BatchClock,
        *,
        shared: bool,
        prior_variance: float,
        drift: float,
        detectors: Mapping[str, bool],
    ) -> None:
        """Begin with no groups seen.

        Args:
            num_prompts: Size of the pool.
            features: What is known of its prompts, or None.
            clock: Counts the batches; kept, not copied.
            shared: Learn pass rates across prompts, by features.
            prior_variance: First guess of how far prompts' logits differ.
            drift: Variance that each batch without a group adds to a prompt's logit.
            detectors: Which detectors of noise are on: coherence, agreement, inert_guard.
        """
        known = features or PoolFeatures()
        self._num_prompts, self._clock = num_prompts, clock
        self.belief = PassRateBelief(
            num_prompts, known if shared else None, prior_variance=prior_variance, drift=drift
        )
        categories = known.categories
        if not len(categories):
            categories = np.zeros(num_prompts, dtype=np.int64)
        self.noise = NoiseEvidence(num_prompts, categories, len(known.category_names), **detectors)
        self.seen_at = np.full(num_prompts, -1, dtype=np.int32)
        """[prompts] batch in which each prompt was last seen, -1: never."""
        self.length = np.full(num_prompts, np.nan, dtype=np.float32)
        """[prompts] mean tokens of its rollouts, recent groups more; nan: none seen."""
        self.num_rollouts = 8
        """Rollouts of a training group, as last seen."""
        self.log_loss = math.nan
        """Mean log loss in nats a rollout of the last groups, as predicted before they came."""
        self.log_loss_constant = math.nan
        """Likewise of one pass rate for all prompts, the mean of the groups before them."""
        self._constant = np.array([0.5, 1.0])
        self._learnt_at: int | None = None
        self._table: tuple[int, NDArray[np.float32], NDArray[np.float32]] | None = None

    def means(self, at: At = slice(None)) -> NDArray[np.float32]:
        """Return the expected value of the next group of the prompts `at`: in (0, 1]."""
        return self._read(at, self._tables()[1])

    def deviations(self, at: At = slice(None)) -> NDArray[np.float32]:
        """Return the standard deviation of that value under the belief, of the prompts `at`."""
        return self._read(at, self._tables()[2])

    def age(self, at: At = slice(None)) -> NDArray[np.int32]:
        """Return the batches since each prompt was seen, or since the start if never."""
        age = np.maximum(self._clock.now - np.maximum(self.seen_at[at], 0), 0)
        return np.asarray(age, dtype=np.int32)

    def relative_lengths(self) -> NDArray[np.float64]:
        """Return each prompt's mean rollout length beside the pool's, 1 where none is known."""
        known = ~np.isnan(self.length)
        mean = mean_of(self.length[known])
        if not mean > 0:
            return np.ones(self._num_prompts)
        return np.where(known, self.length / mean, 1.0).astype(np.float64)

    def follow(self, clock: BatchClock) -> None:
        """Count batches by another counter from now on."""
        self._clock = clock

    def given_up(self) -> NDArray[np.int64]:
        """Return the prompts whose label or verifier looks wrong, the most suspect first."""
        return self.noise.given_up(self.noise.trust().by_group)

    def learn(self, groups: Sequence[GroupOutcome]) -> None:
        """Update the estimates from new groups, each counted at its own batch."""
        if not groups:
            return
        seen = tally(groups)
        batches = [self._clock.batch_of(group.batch) for group in groups]
        sizes = [group.num_rollouts for group in groups if group.purpose == "train"]
        if sizes:
            self.num_rollouts = max(2, int(np.median(sizes)))
        if seen.prompts.size:
            age = self.age(seen.prompts)
            before = self.belief.predicted(seen.prompts, age)
            self._score_predictions(seen, expected_rate(*before))
            self.noise.learn(groups, seen, before)
            now = self._clock.now
            elapsed = 1 if self._learnt_at is None else max(0, now - self._learnt_at)
            self._learnt_at = now
            self.belief.learn(
                seen.prompts, seen.num_correct, seen.num_verifiable, age, num_batches=elapsed
            )
        for group, batch in zip(groups, batches, strict=True):
            self.seen_at[group.index] = max(batch, self.seen_at[group.index])
            if group.num_tokens:
                mean, old = group.num_tokens / group.num_rollouts, float(self.length[group.index])
                self.length[group.index] = (
                    mean if math.isnan(old) else _LENGTH_MEMORY * old + (1 - _LENGTH_MEMORY) * mean
                )

    def metrics(self, picked: NDArray[np.int64]) -> dict[str, float]:
        """Return log metrics of the belief, the noise detectors, and the prompts last `picked`."""
        seen, trust = self.seen_at >= 0, self.noise.trust()
        distrusted = trust.trust <= DISTRUSTED
        return {
            "sampler/seen_share": float(seen.mean()),
            "sampler/pass_rate_expected": float(
                sigmoid(self.belief.logits().astype(np.float64)).mean()
            ),
            "sampler/log_loss": self.log_loss,
            "sampler/log_loss_constant": self.log_loss_constant,
            "sampler/distrusted_share": float(distrusted.mean()),
            "sampler/distrusted_in_batch": mean_of(distrusted[picked]),
            "sampler/coherence_in_batch": mean_of(trust.coherence[picked])
            if self.noise.has_coherence
            else math.nan,
            "sampler/given_up": float(len(self.noise.given_up(trust.by_group))),
            "sampler/batches_since_seen": mean_of(self.age()[seen]),
            "sampler/spread": self.belief.own.variance,
        }

    def state(self) -> dict[str, Any]:
        """Return the estimates, to be saved: arrays and JSON values."""
        by_prompt = {name: getattr(self.belief, name).copy() for name in _BELIEF_BY_PROMPT}
        by_prompt |= {name: array.copy() for name, array in self.noise.kept.items()}
        by_prompt |= {name: getattr(self, name).copy() for name in BY_PROMPT}
        numbers = ("num_rollouts", "log_loss", "log_loss_constant")
        return {
            "belief": self.belief.state(),
            **by_prompt,
            **{name: getattr(self, name) for name in numbers},
            "constant": self._constant.tolist(),
            "coherence_by_category": self.noise.by_category,
            "learnt_at": self._learnt_at,
        }

    def restore(self, state: Mapping[str, Any], carried: Any, *, same_pool: bool) -> None:
        """Load what `state` returned, or raise and leave these estimates unusable.

        Args:
            state: From `state`.
            carried: Returns a saved [prompts] array in the present pool's order, called with its
                name, type and value for new prompts.
            same_pool: Whether the state is of this very pool.

        Raises:
            ValueError: What was saved cannot come from any run.
        """
        self.belief.restore(state["belief"])
        for name, missing in _BELIEF_BY_PROMPT.items():
            setattr(self.belief, name, carried(name, getattr(self.belief, name).dtype, missing))
        self.noise.restore(
            {name: carried(name, dtype, missing) for name, (dtype, missing) in ARRAYS.items()},
            state.get("coherence_by_category") if same_pool else None,
        )
        for name, missing in BY_PROMPT.items():
            setattr(self, name, carried(name, getattr(self, name).dtype, missing))
        # States of 0.1 held a fixed variance for unseen prompts.
        self.belief.variance[self.seen_at < 0] = np.inf
        if not (np.isfinite(self.belief.residual).all() and (self.belief.variance > 0).all()):
            raise ValueError("a saved belief is not finite")
        self.num_rollouts = int(state["num_rollouts"])
        self.log_loss = float(state["log_loss"])
        self.log_loss_constant = float(state.get("log_loss_constant", math.nan))
        self._constant = np.array(state.get("constant", [0.5, 1.0]), dtype=np.float64)
        learnt_at = state.get("learnt_at")
        self._learnt_at = None if learnt_at is None else int(learnt_at)

    def _score_predictions(self, seen: Tally, rate: NDArray[np.float64]) -> None:
        """Keep the log loss of predicted pass rates, beside that of one rate for all prompts."""
        constant = np.full_like(rate, self._constant[0] / self._constant[1])
        self.log_loss = _log_loss(rate, seen)
        self.log_loss_constant = _log_loss(constant, seen)
        self._constant *= _CONSTANT_MEMORY
        self._constant += (seen.num_correct.sum(), seen.num_verifiable.sum())

    def _read(self, at: At, table: NDArray[np.float32]) -> NDArray[np.float32]:
        places = np.rint((np.clip(self.belief.logits(at), -8.0, 8.0) + 8.0) * 16.0)
        deviations = np.sqrt(self.belief.variances(self.age(at), at))
        columns = np.rint(deviations * np.float32((_NUM_DEVIATIONS - 1) / _MOST_DEVIATION))
        columns = np.minimum(columns, _NUM_DEVIATIONS - 1).astype(np.int32)
        found: NDArray[np.float32] = table.ravel()[
            places.astype(np.int32) * _NUM_DEVIATIONS + columns
        ]
        return found

    def _tables(self) -> tuple[int, NDArray[np.float32], NDArray[np.float32]]:
        """Return mean and deviation of a group's value by mean and deviation of the logit."""
        if self._table is None or self._table[0] != self.num_rollouts:
            deviations = np.linspace(0.0, _MOST_DEVIATION, _NUM_DEVIATIONS)
            logits = _LOGITS[:, None, None] + deviations[:, None] * _NODES
            best = float(group_value(0.5, self.num_rollouts, "std"))
            worth = group_value(sigmoid(logits), self.num_rollouts, "std") / best
            mean = worth @ _WEIGHTS
            spread = np.sqrt(np.maximum((worth - mean[..., None]) ** 2 @ _WEIGHTS, 0.0))
            mean = np.maximum(mean, _LEAST_VALUE)
            self._table = (
                self.num_rollouts,
                mean.astype(np.float32),
                spread.astype(np.float32),
            )
        return self._table


def mean_of(values: NDArray[Any]) -> float:
    """Return the mean of an array, nan if it is empty."""
    return float(values.mean()) if values.size else math.nan


def _log_loss(rate: NDArray[np.float64], seen: Tally) -> float:
    """Return the log loss in nats a rollout, mean over groups, of predicted pass rates."""
    rate, share = np.clip(rate, 1e-6, 1.0 - 1e-6), seen.pass_rates
    return float(-np.mean(share * np.log(rate) + (1.0 - share) * np.log1p(-rate)))

"""Estimates of every prompt's pass rate, learnt from its own groups and from those of the pool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vasari.sample import PoolFeatures
from vasari.sample.belief import sigmoid

Floats = NDArray[np.float64]

_MAX_SURPRISE = 4.0
_LEAST_INFORMATION = 0.05
_SHARED_DRIFT = 0.002
_NEWTON_STEPS = 3


class PassRateBelief:
    """Estimate of each prompt's pass rate: the mean and variance of its log-odds (logit).

    logit p_i = theta . phi_i + u_i + delta [i was trained on when last seen]; its variance grows
    while the prompt is not seen.

    theta is learnt from every group (an extended Kalman step in information form), so prompts that
    were not rolled out move with the policy too; u_i is the prompt's own (a Laplace step on its
    binomial count). phi_i holds a constant, the prompt's category, and its feature values.
    """

    def __init__(
        self,
        num_prompts: int,
        features: PoolFeatures | None,
        *,
        prior_variance: float,
        drift: float,
    ) -> None:
        known = features or PoolFeatures()
        self._categories = (
            known.categories if len(known.category_names) > 1 and len(known.categories) else None
        )
        self._values = known.values.astype(np.float32) if known.values.size else None
        self._num_names = len(known.category_names) if self._categories is not None else 0
        self._prior_variance, self._drift = prior_variance, drift
        size = 1 + self._num_names + (0 if self._values is None else self._values.shape[1])
        self.theta = np.zeros(size)
        """Coefficients that all prompts share: constant, categories, feature values."""
        self._spread: Floats = np.eye(size)
        self.delta = 0.0
        """How much a prompt's logit rises by being trained on, until its next visit."""
        self.residual = np.zeros(num_prompts, dtype=np.float32)
        self.variance = np.full(num_prompts, prior_variance, dtype=np.float32)
        self.trained = np.zeros(num_prompts, dtype=np.bool_)

    def logits(self) -> NDArray[np.float32]:
        """Return the mean log-odds (logit) of each prompt's pass rate: [prompts]."""
        shared = self.theta.astype(np.float32)
        found: NDArray[np.float32] = (
            self.residual + shared[0] + np.float32(self.delta) * self.trained
        )
        if self._categories is not None:
            found += shared[1 : 1 + self._num_names][self._categories]
        if self._values is not None:
            found += self._values @ shared[1 + self._num_names :]
        return found

    def variances(self, age: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return variances of pass rates' log-odds, if unseen for `age` batches: [prompts]."""
        grown = self.variance + np.float32(self._drift) * age
        return np.minimum(grown, np.float32(self._prior_variance), out=grown)

    def predicted(self, at: NDArray[np.int64], age: NDArray[np.int32]) -> tuple[Floats, Floats]:
        """Return mean and variance of the log-odds of the pass rates of prompts `at`.

        Each prompt was last seen `age` batches ago.
        """
        mean = self._design(at) @ self.theta + self.residual[at] + self.delta * self.trained[at]
        return mean, np.minimum(self.variance[at] + self._drift * age, self._prior_variance)

    def learn(
        self,
        at: NDArray[np.int64],
        correct: Floats,
        num: Floats,
        age: NDArray[np.int32],
        trained: NDArray[np.bool_],
    ) -> None:
        """Update the pass-rate estimates of the prompts `at` from their new verdicts.

        `correct[i]` of `num[i]` rollouts of prompt `at[i]` were right; `at` holds no duplicates.
        """
        mean, variance = self.predicted(at, age)
        rate = sigmoid(mean)
        information = np.maximum(num * rate * (1 - rate), _LEAST_INFORMATION)
        surprise = np.clip((correct - num * rate) / information, -_MAX_SURPRISE, _MAX_SURPRISE)
        returned = self.trained[at]
        if returned.any():
            self.delta = float(np.clip(self.delta + 0.05 * surprise[returned].mean(), -1.0, 1.0))
        self._learn_shared(self._design(at), surprise, 1.0 / information + variance)
        shared = self._design(at) @ self.theta
        prior = shared + self.residual[at] + self.delta * returned
        logit = prior.copy()
        for _ in range(_NEWTON_STEPS):
            rate = sigmoid(logit)
            slope = correct - num * rate - (logit - prior) / variance
            logit += np.clip(slope / (num * rate * (1 - rate) + 1.0 / variance), -2.0, 2.0)
        rate = sigmoid(logit)
        self.residual[at] = logit - shared
        self.variance[at] = 1.0 / (num * rate * (1 - rate) + 1.0 / variance)
        self.trained[at] = trained

    def state(self) -> dict[str, Any]:
        """Return the regression coefficients that all prompts share: arrays and numbers to save."""
        return {
            "theta": self.theta.copy(),
            "spread": self._spread.copy(),
            "delta": self.delta,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Load the regression coefficients that a call of `state` returned.

        Raises:
            ValueError: Its arrays have other shapes, as with other features.
        """
        theta, spread = (np.array(state[name], dtype=np.float64) for name in ("theta", "spread"))
        if theta.shape != self.theta.shape or spread.shape != self._spread.shape:
            raise ValueError(f"saved with {theta.size} features, this pool has {self.theta.size}")
        self.theta, self._spread, self.delta = theta, spread, float(state["delta"])

    def _design(self, at: NDArray[np.int64]) -> Floats:
        design = np.zeros((len(at), len(self.theta)))
        design[:, 0] = 1.0
        if self._categories is not None:
            design[np.arange(len(at)), 1 + self._categories[at]] = 1.0
        if self._values is not None:
            design[:, 1 + self._num_names :] = self._values[at]
        return design

    def _learn_shared(self, design: Floats, surprise: Floats, noise: Floats) -> None:
        grown = self._spread + _SHARED_DRIFT * np.eye(len(self.theta))
        precision: Floats = np.asarray(np.linalg.inv(grown), dtype=np.float64)
        weighted = design / noise[:, None]
        self._spread = np.asarray(np.linalg.inv(precision + design.T @ weighted), dtype=np.float64)
        self.theta += self._spread @ (weighted.T @ surprise)

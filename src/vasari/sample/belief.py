"""Estimates of every prompt's pass rate, learnt from its own groups and from those of the pool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vasari.sample.features import PoolFeatures
from vasari.sample.spread import SpreadFit

Floats = NDArray[np.float64]

NODES, WEIGHTS = (
    np.asarray(column, dtype=np.float64) for column in np.polynomial.hermite_e.hermegauss(7)
)
"""Gauss-Hermite nodes and weights: the mean of a function f of a standard normal number is
`f(NODES) @ WEIGHTS`, exact for polynomials up to degree 13."""
WEIGHTS /= WEIGHTS.sum()

_LEVEL_VARIANCE = 2.0
_SHARED_VARIANCE = 1.0
"""Prior variance of a prompt's logit that categories explain, and again that feature values do,
however many there are: a hundred columns are no reason to expect a hundredfold difference."""
_SHARED_DRIFT = 0.01
"""Variance that each batch adds to the coefficient of the constant; others in proportion to their
prior variance."""
_MOST_DRIFT = 1.0
_DRIFT_MEMORY = 0.95
_DRIFT_PRIOR = 20.0
"""Information (variance of verdicts) that the drift of trained prompts starts with, at drift 0."""
_NEWTON_STEPS = 8
_CHUNK = 65_536


class PassRateBelief:
    """Estimate of each prompt's pass rate: the mean and variance of its log-odds (logit).

    logit p_i = theta . phi_i + u_i + delta [i was trained on when last seen], where phi_i holds a
    constant, the prompt's category and its feature values. theta is learnt from every group (a
    Kalman step on a Laplace approximation, in information form), so prompts that were not rolled
    out move with the policy too. u_i is the prompt's own; how far prompts differ, the variance of
    u_i before a prompt's first group, is fitted to first groups (`SpreadFit`), and a prompt that is
    not seen returns to it.
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
        self._drift = drift
        num_values = 0 if self._values is None else self._values.shape[1]
        size = 1 + self._num_names + num_values
        self.theta = np.zeros(size)
        """Coefficients that all prompts share: constant, categories, feature values."""
        self._prior = np.full(size, _SHARED_VARIANCE / max(1, num_values))
        self._prior[: 1 + self._num_names] = _SHARED_VARIANCE
        self._prior[0] = _LEVEL_VARIANCE
        self._spread: Floats = np.diag(self._prior)
        self.own = SpreadFit(prior_variance)
        """Fit of the variance by which the logits of unseen prompts differ."""
        self.delta = 0.0
        """How much a prompt's logit rises by being trained on, until its next visit."""
        self._drift_sums = np.zeros(2)
        self.residual = np.zeros(num_prompts, dtype=np.float32)
        self.variance = np.full(num_prompts, np.inf, dtype=np.float32)
        """[prompts] variance of u_i when the prompt was last seen; inf: never."""
        self.trained = np.zeros(num_prompts, dtype=np.bool_)

    def logits(self, at: Any = slice(None)) -> NDArray[np.float32]:
        """Return the mean log-odds (logit) of the pass rates of prompts `at`, default all."""
        shared = self.theta.astype(np.float32)
        found: NDArray[np.float32] = (
            self.residual[at] + shared[0] + np.float32(self.delta) * self.trained[at]
        )
        if self._categories is not None:
            found += shared[1 : 1 + self._num_names][self._categories[at]]
        if self._values is not None:
            found += self._values[at] @ shared[1 + self._num_names :]
        return found

    def variances(self, age: NDArray[np.int32], at: Any = slice(None)) -> NDArray[np.float32]:
        """Return variances of the log-odds of prompts `at` (default all), unseen for `age` batches.

        They count what is not known of the prompt itself and of the shared coefficients.
        """
        grown = self.variance[at] + np.float32(self._drift) * age
        np.minimum(grown, np.float32(self.own.variance), out=grown)
        grown += self._shared_variances(at)
        found: NDArray[np.float32] = grown
        return found

    def predicted(self, at: NDArray[np.int64], age: NDArray[np.int32]) -> tuple[Floats, Floats]:
        """Return mean and variance of the log-odds of the pass rates of prompts `at`.

        Each prompt was last seen `age` batches ago.
        """
        mean = self.logits(at).astype(np.float64)
        return mean, self.variances(age, at).astype(np.float64)

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
        `trained` says where the group gave a gradient: not where all its rewards were equal.
        """
        mean, variance = self.predicted(at, age)
        first, returned = np.isinf(self.variance[at]), self.trained[at]
        self._learn_drift(returned, correct, num, mean, variance)
        self.own.learn(correct[first], num[first], mean[first], self._shared_variances(at[first]))
        # What the verdicts alone say of each logit, as a normal likelihood around the mode.
        mode = posterior_mode(mean, variance, correct, num)
        rate = sigmoid(mode)
        information = np.maximum(num * rate * (1 - rate), 1e-6)
        told = mode + (correct - num * rate) / information
        own = np.minimum(self.variance[at] + self._drift * age, self.own.variance)
        own = own.astype(np.float64)
        self._learn_shared(self._design(at), told - mean, 1.0 / information + own)
        shared = self._design(at) @ self.theta
        prior = shared + self.residual[at] + self.delta * returned
        logit = posterior_mode(prior, own, correct, num)
        rate = sigmoid(logit)
        self.residual[at] = logit - shared
        self.variance[at] = 1.0 / (num * rate * (1 - rate) + 1.0 / own)
        self.trained[at] = trained

    def state(self) -> dict[str, Any]:
        """Return what all prompts share (coefficients, drift, spread): arrays and numbers."""
        return {
            "theta": self.theta.copy(),
            "spread": self._spread.copy(),
            "delta": self.delta,
            "drift_sums": self._drift_sums.copy(),
            "own": self.own.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Load what a call of `state` returned.

        Raises:
            ValueError: Its arrays have other shapes, as with other features.
        """
        theta, spread = (np.array(state[name], dtype=np.float64) for name in ("theta", "spread"))
        if theta.shape != self.theta.shape or spread.shape != self._spread.shape:
            raise ValueError(f"saved with {theta.size} features, this pool has {self.theta.size}")
        self.theta, self._spread, self.delta = theta, spread, float(state["delta"])
        if "own" in state:  # not in states of version 0.2 and earlier
            self._drift_sums = np.array(state["drift_sums"], dtype=np.float64)
            self.own = self.own.restored(state["own"])

    def _design(self, at: NDArray[np.int64]) -> Floats:
        design = np.zeros((len(at), len(self.theta)))
        design[:, 0] = 1.0
        if self._categories is not None:
            design[np.arange(len(at)), 1 + self._categories[at]] = 1.0
        if self._values is not None:
            design[:, 1 + self._num_names :] = self._values[at]
        return design

    def _shared_variances(self, at: Any) -> NDArray[np.float32]:
        """Return phi . spread . phi of prompts `at`: the variance of their shared part."""
        spread, names = self._spread.astype(np.float32), 1 + self._num_names
        # Covariance of the coefficients of constant and category, by category.
        found = np.full(max(1, self._num_names), spread[0, 0], dtype=np.float32)
        cross = np.repeat(spread[:1, names:], len(found), axis=0)
        if self._num_names:
            places = np.arange(1, names)
            found += spread[places, places] + 2.0 * spread[0, 1:names]
            cross = cross + spread[1:names, names:]
        num = len(self.residual[at]) if isinstance(at, slice) else len(at)
        kinds = np.zeros(num, dtype=np.int64) if self._categories is None else self._categories[at]
        result: NDArray[np.float32] = found[kinds]
        if self._values is None:
            return result
        values, root = self._values[at], np.linalg.cholesky(self._spread[names:, names:])
        root = root.astype(np.float32)
        for start in range(0, num, _CHUNK):
            part = slice(start, start + _CHUNK)
            own = values[part]
            turned = own @ root
            result[part] += np.einsum("ij,ij->i", turned, turned)
            result[part] += 2.0 * np.einsum("ij,ij->i", own, cross[kinds[part]])
        return result

    def _learn_shared(self, design: Floats, surprise: Floats, noise: Floats) -> None:
        grown = self._spread + _SHARED_DRIFT * np.diag(self._prior / _LEVEL_VARIANCE)
        precision: Floats = np.asarray(np.linalg.inv(grown), dtype=np.float64)
        weighted = design / noise[:, None]
        self._spread = np.asarray(np.linalg.inv(precision + design.T @ weighted), dtype=np.float64)
        self.theta += self._spread @ (weighted.T @ surprise)

    def _learn_drift(
        self, returned: NDArray[np.bool_], correct: Floats, num: Floats, mean: Floats, var: Floats
    ) -> None:
        """Update the drift from prompts that were trained on and came back.

        A sum of surprises over a sum of variances: each surprise has mean 0 under a right belief,
        also at pass rates near 0 and 1, which a mean of ratios has not.
        """
        if not returned.any():
            return
        rate = expected_rate(mean[returned], var[returned])
        surprise = float((correct[returned] - num[returned] * rate).sum())
        self._drift_sums *= _DRIFT_MEMORY
        information = float((num[returned] * rate * (1.0 - rate)).sum())
        self._drift_sums += (surprise + self.delta * information, information)
        found = self._drift_sums[0] / (self._drift_sums[1] + _DRIFT_PRIOR)
        self.delta = float(np.clip(found, -_MOST_DRIFT, _MOST_DRIFT))


def posterior_mode(mean: Floats, variance: Floats, correct: Floats, num: Floats) -> Floats:
    """Return the mode of each logit, normal beforehand, after `correct` of `num` right rollouts."""
    logit = mean.copy()
    for _ in range(_NEWTON_STEPS):
        rate = sigmoid(logit)
        slope = correct - num * rate - (logit - mean) / variance
        logit += np.clip(slope / (num * rate * (1 - rate) + 1.0 / variance), -2.0, 2.0)
    return logit


def expected_rate(mean: Floats, variance: Floats) -> Floats:
    """Return the expected pass rate where its log-odds are normal, by seven nodes: shape of both.

    It is nearer to 1/2 than the pass rate at the mean of the log-odds.
    """
    rates: Floats = sigmoid(mean[..., None] + np.sqrt(variance)[..., None] * NODES) @ WEIGHTS
    return rates


def sigmoid(logits: Floats) -> Floats:
    """Return pass rates from their log-odds, 1 / (1 + exp(-logit)), without overflow."""
    rates: Floats = 0.5 * (1.0 + np.tanh(0.5 * logits))
    return rates


def log_likelihood(logits: Floats, correct: Floats, num: Floats) -> Floats:
    """Return the log probability that `correct` of `num` rollouts are correct, up to a constant."""
    found: Floats = -correct * np.logaddexp(0.0, -logits) - (num - correct) * np.logaddexp(
        0.0, logits
    )
    return found

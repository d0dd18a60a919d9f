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
_NEWTON_STEPS = 8
_CHUNK = 65_536


class PassRateBelief:
    """Estimate of each prompt's pass rate: the mean and variance of its log-odds (logit).

    logit p_i = theta . phi_i + u_i, where phi_i holds a constant, the prompt's category and its
    feature values. theta is learnt from every group (a Kalman step on a Laplace approximation, in
    information form), so prompts that were not rolled out move with the policy too. u_i is the
    prompt's own, 0 on the mean of the prompts seen, or the constant could wander; how far prompts
    differ, the variance of u_i before a prompt's first group, is fitted to first groups
    (`SpreadFit`), and a prompt that is not seen returns to it.
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
        self._category_names = known.category_names if self._categories is not None else ()
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
        self.residual = np.zeros(num_prompts, dtype=np.float32)
        self.variance = np.full(num_prompts, np.inf, dtype=np.float32)
        """[prompts] variance of u_i when the prompt was last seen; inf: never."""

    def logits(self, at: Any = slice(None)) -> NDArray[np.float32]:
        """Return the mean log-odds (logit) of the pass rates of prompts `at`, default all."""
        shared = self.theta.astype(np.float32)
        found: NDArray[np.float32] = self.residual[at] + shared[0]
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
        *,
        num_batches: int = 1,
    ) -> None:
        """Update the pass-rate estimates of the prompts `at` from their new verdicts.

        Args:
            at: The prompts, without duplicates.
            correct: [groups] right rollouts of each.
            num: [groups] rollouts of each, at least 1.
            age: [groups] batches since each was last seen.
            num_batches: Batches since the last call, which let the policy move.
        """
        mean, variance = self.predicted(at, age)
        first = np.isinf(self.variance[at])
        self.own.learn(
            correct[first],
            num[first],
            mean[first],
            self._shared_variances(at[first]),
            num_batches=num_batches,
        )
        # What the verdicts alone say of each logit, as a normal likelihood around the mode.
        mode = posterior_mode(mean, variance, correct, num)
        rate = sigmoid(mode)
        information = np.maximum(num * rate * (1 - rate), 1e-6)
        told = mode + (correct - num * rate) / information
        own = np.minimum(self.variance[at] + self._drift * age, self.own.variance)
        own = own.astype(np.float64)
        noise = 1.0 / information + own
        self._learn_shared(self._design(at), told - mean, noise, num_batches)
        shared = self._design(at) @ self.theta
        logit = posterior_mode(shared + self.residual[at], own, correct, num)
        rate = sigmoid(logit)
        self.residual[at] = logit - shared
        self.variance[at] = 1.0 / (num * rate * (1 - rate) + 1.0 / own)
        self._centre()

    def state(self) -> dict[str, Any]:
        """Return what all prompts share (coefficients and spread): arrays and JSON values."""
        return {
            "theta": self.theta.copy(),
            "spread": self._spread.copy(),
            "category_names": list(self._category_names),
            "own": self.own.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Load what a call of `state` returned; coefficients of categories follow their names.

        A category that was not there begins as at the start, and one that is gone is left out.

        Raises:
            ValueError: The saved feature values have other columns than this pool's.
        """
        theta, spread = (np.array(state[name], dtype=np.float64) for name in ("theta", "spread"))
        names = list(state.get("category_names", self._category_names))
        num_saved, num_now = (
            size - 1 - len(own)
            for size, own in ((theta.size, names), (self.theta.size, self._category_names))
        )
        if num_saved != num_now or spread.shape != (theta.size, theta.size):
            raise ValueError(f"saved with {num_saved} columns of features, this pool has {num_now}")
        place = {name: 1 + number for number, name in enumerate(names)}
        kept = [0, *(place.get(name, -1) for name in self._category_names)]
        kept += range(1 + len(names), theta.size)
        here = np.flatnonzero(np.array(kept) >= 0)
        there = np.array(kept)[here]
        self.theta, self._spread = np.zeros(len(kept)), np.diag(self._prior)
        self.theta[here] = theta[there]
        self._spread[np.ix_(here, here)] = spread[np.ix_(there, there)]
        if "own" in state:  # not in states of 0.1
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

    def _centre(self) -> None:
        """Move the mean of the residuals of prompts seen into the constant.

        Predictions of these prompts stay; without it the constant and the residuals wander apart.
        """
        seen = np.isfinite(self.variance)
        shift = float(self.residual[seen].mean(dtype=np.float64))
        self.theta[0] += shift
        self.residual[seen] -= np.float32(shift)

    def _learn_shared(
        self, design: Floats, surprise: Floats, noise: Floats, num_batches: int
    ) -> None:
        drift = _SHARED_DRIFT * num_batches
        grown = self._spread + drift * np.diag(self._prior / _LEVEL_VARIANCE)
        precision: Floats = np.asarray(np.linalg.inv(grown), dtype=np.float64)
        weighted = design / noise[:, None]
        self._spread = np.asarray(np.linalg.inv(precision + design.T @ weighted), dtype=np.float64)
        self.theta += self._spread @ (weighted.T @ surprise)


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

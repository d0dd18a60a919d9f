"""How far the pass rates of unseen prompts differ: a variance fitted to prompts' first groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

GRID: Floats = np.array([0.25, 0.5, 1.0, 2.0, 3.5, 6.0, 10.0])
"""Variances among which the fit chooses, in squared logits."""

_PRIOR_WEIGHT = 0.5
"""Strength of the starting value: log weight lost a squared factor of e away from it."""
_MEMORY = 0.99
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(31)
_WEIGHTS /= _WEIGHTS.sum()


class SpreadFit:
    """Fit of the variance of unseen prompts' log-odds around what features predict of them.

    Each first group of a prompt, k of n right, has the likelihood of a binomial count whose logit
    is normal around the prediction; the fit is the mean of a grid of variances, weighted by their
    likelihoods over all first groups (empirical Bayes). Earlier groups fade slowly, as the policy
    moves.
    """

    def __init__(self, start: float) -> None:
        """Begin at the variance `start`, which a few dozen groups outweigh."""
        self._log_prior = -_PRIOR_WEIGHT * np.log(GRID / start) ** 2
        self._log_likelihood = np.zeros(len(GRID))
        self.variance = float(start)
        """Fitted variance; `start` before the first group."""

    def learn(
        self, correct: Floats, num: Floats, mean: Floats, known: Any, *, num_batches: int = 1
    ) -> None:
        """Update the fit from first groups.

        Args:
            correct: [groups] right rollouts.
            num: [groups] rollouts.
            mean: [groups] the logit that was predicted.
            known: [groups] variance of the prediction itself.
            num_batches: Batches since the last call, by which earlier groups fade.
        """
        if not len(correct):
            return
        total = np.asarray(known, dtype=np.float64)[:, None] + GRID
        logits = mean[:, None, None] + np.sqrt(total)[..., None] * _NODES
        right, all_rollouts = correct[:, None, None], num[:, None, None]
        exponents = -right * np.logaddexp(0.0, -logits)
        exponents -= (all_rollouts - right) * np.logaddexp(0.0, logits)
        top = exponents.max(axis=(1, 2), keepdims=True)
        found = np.log(np.exp(exponents - top) @ _WEIGHTS + 1e-300)
        self._log_likelihood = _MEMORY**num_batches * self._log_likelihood + found.sum(axis=0)
        weights = self._log_likelihood + self._log_prior
        weights = np.exp(weights - weights.max())
        self.variance = float(np.exp(weights @ np.log(GRID) / weights.sum()))

    def state(self) -> dict[str, Any]:
        """Return the fit as JSON values, to be saved."""
        return {"log_likelihood": self._log_likelihood.tolist(), "variance": self.variance}

    def restored(self, state: Mapping[str, Any], origin: Any = None) -> SpreadFit:  # noqa: ARG002
        """Return a fit that continues from a saved state; `origin` is not used.

        Raises:
            ValueError: The saved fit has another grid.
        """
        fit = SpreadFit(1.0)
        fit._log_prior = self._log_prior
        fit._log_likelihood = np.array(state["log_likelihood"], dtype=np.float64)
        fit.variance = float(state["variance"])
        if fit._log_likelihood.shape != GRID.shape or not fit.variance > 0:
            raise ValueError("a saved spread has another grid")
        return fit

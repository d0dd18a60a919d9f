"""How much the verdicts or the rewards of one group vary."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vasari.core.errors import DataError


def pass_rate(verdicts: ArrayLike) -> float:
    """Share of correct rollouts among the verifiable ones, in [0, 1]; nan when none is verifiable.

    Args:
        verdicts: [rollouts] of 1 correct, 0 incorrect, nan unverifiable.

    Raises:
        DataError: Not a vector, or a value other than 0, 1 and nan.
    """
    seen = _verifiable(verdicts)
    return float(seen.mean()) if seen.size else math.nan


def outcome_variance(verdicts: ArrayLike) -> float:
    """Outcome variance (OVS) `p * (1 - p)` of a group's pass rate p, in [0, 1/4].

    The plug-in estimate of arXiv:2509.21268, section 3. Unverifiable rollouts (nan) do not count;
    nan when no rollout is verifiable.

    Args:
        verdicts: [rollouts] of 1 correct, 0 incorrect, nan unverifiable.

    Raises:
        DataError: Not a vector, or a value other than 0, 1 and nan: graded rewards need
            `reward_variance`.
    """
    rate = pass_rate(verdicts)
    return rate * (1.0 - rate)


def unbiased_outcome_variance(verdicts: ArrayLike) -> float:
    """Unbiased outcome variance, `n / (n - 1) * p * (1 - p)` for n rollouts of pass rate p.

    nan below two verifiable rollouts. It reaches 1/2 for two rollouts, so it does not live in [0,
    1/4] as the plug-in estimate does.

    Raises:
        DataError: As `outcome_variance`.
    """
    seen = _verifiable(verdicts)
    if seen.size < 2:
        return math.nan
    rate = float(seen.mean())
    return rate * (1.0 - rate) * seen.size / (seen.size - 1)


def reward_variance(rewards: ArrayLike) -> float:
    """Population variance (ddof=0) of one group's rewards; nan when all are nan.

    For 0/1 rewards it equals `outcome_variance`. For graded rewards `p * (1 - p)` of the mean is no
    variance: a group of all 0.5 would score the maximum.

    Args:
        rewards: [rollouts], nan for an unverifiable rollout, which does not count.

    Raises:
        DataError: Not a vector, or an infinite value.
    """
    values = _vector(rewards, "rewards")
    values = values[~np.isnan(values)]
    if np.isinf(values).any():
        raise DataError("rewards must be finite or nan, got an infinite one")
    if values.size == 0:
        return math.nan
    if values.min() == values.max():
        return 0.0
    return float(values.var())


def _verifiable(verdicts: ArrayLike) -> NDArray[np.float64]:
    values = _vector(verdicts, "verdicts")
    seen = values[~np.isnan(values)]
    graded = seen[(seen != 0.0) & (seen != 1.0)]
    if graded.size:
        raise DataError(
            f"verdicts must be 0, 1 or nan, got {graded[0]:g}; "
            "p * (1 - p) of graded rewards is no variance: use reward_variance"
        )
    return seen


def _vector(values: ArrayLike, name: str) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise DataError(f"{name} of one group must be a vector, got shape {array.shape}")
    return array

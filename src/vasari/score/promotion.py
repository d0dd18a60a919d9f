"""The promotion score (VPS) of a prompt: variance-aware sampling draws in proportion to it."""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vasari.core.errors import ConfigError

Normalise = Literal["none", "range"]
"""`none` weighs the scores as they come, as the paper does; `range` first brings OVS from [0, 1/4]
to [0, 1]."""

MAX_OUTCOME_VARIANCE = 0.25
"""Largest outcome variance: p * (1 - p) at pass rate p = 1/2."""


def promotion_score(
    ovs: ArrayLike,
    tds: ArrayLike,
    alpha: float = 0.8,
    beta: float = 0.2,
    normalise: Normalise = "none",
) -> NDArray[np.float64]:
    """Return the promotion scores of prompts, `alpha * outcome variance + beta * diversity`.

    The formula is `alpha * ovs + beta * tds`.

    It has the shape of the inputs, and is nan where one of them is. Mind the scales: OVS lives in
    [0, 1/4] and TDS in [0, 1], so that with `none` the paper's weights 0.8 and 0.2 let both terms
    reach 0.2. With `range` OVS is multiplied by 4 first.

    Args:
        ovs: Outcome variance, in [0, 1/4].
        tds: Trajectory diversity, in [0, 1], 1 = most diverse.
        alpha: Weight of OVS (arXiv:2509.21268, section 6.1).
        beta: Weight of TDS.
        normalise: "none" or "range".

    Raises:
        ConfigError: A weight is negative or not finite, or `normalise` is unknown.
    """
    check_weights(alpha, beta, normalise)
    scale = 1.0 / MAX_OUTCOME_VARIANCE if normalise == "range" else 1.0
    score: NDArray[np.float64] = np.asarray(
        alpha * scale * np.asarray(ovs, dtype=np.float64) + beta * np.asarray(tds, dtype=np.float64)
    )
    return score


def check_weights(alpha: float, beta: float, normalise: str) -> None:
    """Raise if `alpha`, `beta` or `normalise`, with which prompts are scored, is invalid.

    Raises:
        ConfigError: A weight is negative or not finite, or `normalise` is unknown.
    """
    for name, weight in (("alpha", alpha), ("beta", beta)):
        if not (math.isfinite(weight) and weight >= 0):
            raise ConfigError(f"{name} must be finite and at least 0, got {weight}")
    if normalise not in get_args(Normalise):
        raise ConfigError(
            f"normalise must be one of {', '.join(get_args(Normalise))}, got {normalise!r}"
        )

"""Advantages from the rewards of groups, and the denominators that trainers use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vasari.core.bounds import NotNegative, check_fields
from vasari.core.errors import DataError

AdvantageScale = Literal["none", "std", "leave_one_out"]
"""`none` stops after centring; `std` divides by the group's standard deviation; `leave_one_out`
subtracts from each reward the mean of the others, which is centring times n / (n - 1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvantageDenominator:
    """Settings for turning centred rewards into advantages, e.g. division by `std + epsilon`."""

    scale: AdvantageScale = "std"
    """"none" stops after centring (Dr. GRPO, arXiv:2503.20783); "leave_one_out" has the mean of the
    others as baseline (RLOO, arXiv:2402.14740)."""
    ddof: Literal[0, 1] = 0
    """0 for the population, 1 for the sample standard deviation."""
    epsilon: NotNegative = 1e-6
    """Added to the standard deviation."""

    def __post_init__(self) -> None:
        check_fields(self)


# TRL 1.16 GRPOTrainer; verl compute_grpo_outcome_advantage; EasyR1 the same; nanochat's
# scripts/chat_rl.py; Dr. GRPO arXiv:2503.20783; RLOO arXiv:2402.14740.
ADVANTAGE_DENOMINATORS: dict[str, AdvantageDenominator] = {
    "trl": AdvantageDenominator(ddof=1, epsilon=1e-4),
    "verl": AdvantageDenominator(ddof=1, epsilon=1e-6),
    "easyr1": AdvantageDenominator(ddof=1, epsilon=1e-6),
    "nanochat": AdvantageDenominator(scale="none"),
    "dr_grpo": AdvantageDenominator(scale="none"),
    "rloo": AdvantageDenominator(scale="leave_one_out"),
    "population": AdvantageDenominator(ddof=0, epsilon=1e-6),
}
"""Advantage settings by the name of the trainer that uses them."""


def group_advantages(
    rewards: ArrayLike, *, scale: AdvantageScale, ddof: Literal[0, 1] = 0, epsilon: float = 1e-6
) -> NDArray[np.float64]:
    """Return advantages: rewards minus their group's mean, divided by the group's std if asked.

    Args:
        rewards: [prompt, rollout]; nan for an unverifiable rollout, which leaves its group's mean
            and deviation and gets advantage 0.
        scale: "none" stops after centring (Dr. GRPO, arXiv:2503.20783). "std" divides by `std(ddof)
            + epsilon`. "leave_one_out" subtracts the mean of the other rollouts' rewards (RLOO,
            arXiv:2402.14740).
        ddof: 0 for the population, 1 for the sample standard deviation; see
            `ADVANTAGE_DENOMINATORS`.
        epsilon: Added to the standard deviation.

    Returns:
        Same shape. Rows sum to 0; a group with equal rewards, or with fewer than two verifiable
        ones, gives zeros.

    Raises:
        DataError: Not [prompt, rollout], fewer than two rollouts a group, or an infinite reward.
        ConfigError: An unknown scale, a ddof other than 0 and 1, or a negative epsilon.
    """
    denominator = AdvantageDenominator(scale=scale, ddof=ddof, epsilon=epsilon)
    values = np.asarray(rewards, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] < 2:
        raise DataError(
            "rewards must be [prompt, rollout] with at least 2 rollouts a group, got shape"
            f" {values.shape}"
        )
    if np.isinf(values).any():
        raise DataError("rewards must be finite or nan, got an infinite one")
    known = ~np.isnan(values)
    num_known = known.sum(axis=1, keepdims=True)
    total = np.where(known, values, 0.0).sum(axis=1, keepdims=True)
    centred = np.where(known, values - total / np.maximum(num_known, 1), 0.0)
    # Rounding leaves 1e-17 in a group of equal rewards, and the division would blow it up.
    lowest = np.where(known, values, np.inf).min(axis=1, keepdims=True)
    highest = np.where(known, values, -np.inf).max(axis=1, keepdims=True)
    centred = np.where((num_known < 2) | (lowest >= highest), 0.0, centred)
    if denominator.scale == "leave_one_out":  # r - (sum - r) / (n - 1) = (r - mean) n / (n - 1)
        centred *= num_known / np.maximum(num_known - 1, 1)
    if denominator.scale != "std":
        return centred
    deviation = np.sqrt(
        (centred**2).sum(axis=1, keepdims=True) / np.maximum(num_known - denominator.ddof, 1)
    )
    divisor = deviation + denominator.epsilon
    advantages: NDArray[np.float64] = np.divide(
        centred, divisor, out=np.zeros_like(centred), where=divisor > 0
    )
    return advantages

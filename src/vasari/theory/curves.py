"""Held-out accuracy over all rollouts charged."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import final

import numpy as np
from numpy.typing import NDArray

from vasari.core.ledger import Ledger


@final
@dataclass(frozen=True, slots=True)
class Curve:
    """The points of one arm's run, in the order of rollouts."""

    arm: str
    budget: int
    """Charged rollouts after which the run ended; the last step may pass it."""
    ledger: Ledger = field(default_factory=Ledger)
    """Everything that was charged; its total is the curve's x-axis."""
    uncharged: Ledger = field(default_factory=Ledger)
    """Rollouts that an arm with free refresh had for nothing."""
    _points: list[tuple[float, ...]] = field(default_factory=list)

    def add(self, *, step: int, accuracy: float, noise_share: float, mixed_share: float) -> None:
        """Add a point at the number of rollouts charged so far."""
        charged = self.ledger
        self._points.append(
            (
                charged.total_rollouts,
                sum(charged.tokens.values()),
                step,
                accuracy,
                noise_share,
                mixed_share,
            ),
        )

    def _column(self, place: int) -> NDArray[np.float64]:
        return np.array([point[place] for point in self._points], dtype=np.float64)

    @property
    def rollouts(self) -> NDArray[np.float64]:
        """[points] rollouts charged so far, not falling."""
        return self._column(0)

    @property
    def tokens(self) -> NDArray[np.float64]:
        """[points] tokens charged so far."""
        return self._column(1)

    @property
    def steps(self) -> NDArray[np.float64]:
        """[points] training steps so far."""
        return self._column(2)

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """[points] expected share of the held-out prompts solved."""
        return self._column(3)

    @property
    def noise_share(self) -> NDArray[np.float64]:
        """[points] share of noisy prompts in the batches since the last point, nan without one."""
        return self._column(4)

    @property
    def mixed_share(self) -> NDArray[np.float64]:
        """[points] share of groups with both verdicts since the last point, nan without one."""
        return self._column(5)

    def accuracy_at(self, rollouts: float) -> float:
        """Accuracy once so many rollouts are charged, interpolated; the last one beyond the end."""
        return float(np.interp(rollouts, self.rollouts, self.accuracy))

    @property
    def final_accuracy(self) -> float:
        """Accuracy at the budget."""
        return self.accuracy_at(self.budget)

    def rollouts_to(self, target: float) -> float:
        """Rollouts charged when the accuracy reaches the target; infinite beyond the budget."""
        rollouts, accuracy = self.rollouts, self.accuracy
        reached = np.flatnonzero(accuracy >= target)
        if not reached.size:
            return math.inf
        first = int(reached[0])
        if first == 0:
            return float(rollouts[0])
        below, above = accuracy[first - 1], accuracy[first]
        share = (target - below) / (above - below)
        found = float(rollouts[first - 1] + share * (rollouts[first] - rollouts[first - 1]))
        return found if found <= self.budget else math.inf

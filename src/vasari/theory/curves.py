"""Held-out accuracy of a simulated training run, over the rollouts charged to it."""

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
    """Accuracy and other measurements of a simulated training run, by rollouts spent (charged)."""

    arm: str
    budget: int
    """Charged rollouts after which the run ended; the last step may pass it."""
    ledger: Ledger = field(default_factory=Ledger)
    """All rollouts and tokens charged to the run; their total is the curve's x-axis."""
    uncharged: Ledger = field(default_factory=Ledger)
    """Rollouts for re-estimating prompts' scores that the run was not charged for."""
    _points: list[tuple[float, ...]] = field(default_factory=list)

    def add(self, *, step: int, accuracy: float, noise_share: float, mixed_share: float) -> None:
        """Add a point to the curve: these measurements, after the rollouts charged so far."""
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
        """Array [points]: rollouts charged to the run up to each point of the curve."""
        return self._column(0)

    @property
    def tokens(self) -> NDArray[np.float64]:
        """Array [points]: tokens charged to the run up to each point of the curve."""
        return self._column(1)

    @property
    def steps(self) -> NDArray[np.float64]:
        """Array [points]: training steps that the run did up to each point of the curve."""
        return self._column(2)

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """Array [points]: expected share of held-out prompts solved, at each point of the curve."""
        return self._column(3)

    @property
    def noise_share(self) -> NDArray[np.float64]:
        """Array [points]: noisy share of the prompts drawn since the point before, or nan."""
        return self._column(4)

    @property
    def mixed_share(self) -> NDArray[np.float64]:
        """Array [points]: share of groups with passes and failures, since the point before.

        It is nan when there are no groups.
        """
        return self._column(5)

    def accuracy_at(self, rollouts: float) -> float:
        """Return held-out accuracy after `rollouts` charged rollouts, interpolated between points.

        Beyond the last point it is the accuracy of the last point.
        """
        return float(np.interp(rollouts, self.rollouts, self.accuracy))

    @property
    def final_accuracy(self) -> float:
        """Held-out accuracy when the run's budget of rollouts is spent."""
        return self.accuracy_at(self.budget)

    def rollouts_to(self, target: float) -> float:
        """Return how many rollouts it takes to reach accuracy `target`; infinite if over budget."""
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

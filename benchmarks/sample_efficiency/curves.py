"""Curves of accuracy over rollouts of finished training runs. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from vasari.core.errors import DataError

Floats = NDArray[np.float64]
Measure = Literal["greedy", "sampled"]
"""How held-out prompts are answered: the likeliest token at each step, or drawn as in training."""

MEASURES: tuple[Measure, ...] = get_args(Measure)


class Run(NamedTuple):
    """What the paired runs of all arms share: cold start, prompts and random numbers."""

    cold_start: int
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One training run's cost of each batch, and its answers to held-out prompts over time."""

    pool: str
    arm: str
    run: Run
    budget: int
    charged: Floats
    """[batches + 1] rollouts charged after each batch, what was spent beforehand first."""
    measured: NDArray[np.int64]
    """[points] after how many batches accuracy was measured."""
    correct: Mapping[Measure, Floats]
    """[points, prompts] share of the rollouts of each held-out prompt that solved it."""
    cell: Mapping[str, Any]
    """The whole `curve.json`."""

    @classmethod
    def read(cls, cell: Mapping[str, Any]) -> Curve:
        """Make a curve from the content of `curve.json`.

        Raises:
            DataError: Another schema, or the first or the last batch was not measured.
        """
        where = f"{cell.get('pool')} / {cell.get('arm')} / seed {cell.get('seed')}"
        if cell.get("schema") != 2:
            raise DataError(f"{where}: schema {cell.get('schema')!r}, expected 2; run it again")
        points = cell["points"]
        measured = np.array([point["batch"] for point in points], dtype=np.int64)
        if not len(points) or measured[0] != 0 or measured[-1] != len(cell["charged"]):
            raise DataError(
                f"{where}: measured after batches {measured.tolist()} of {len(cell['charged'])};"
                " the first must be 0 and the last the end"
            )
        return cls(
            pool=cell["pool"],
            arm=cell["arm"],
            run=Run(cell["cold_start"], cell["seed"]),
            budget=cell["budget"],
            charged=np.array([cell["spent_before"], *cell["charged"]], dtype=np.float64),
            measured=measured,
            correct={
                name: np.array([[float(c) for c in point[name]] for point in points])
                / (cell["num_sampled"] if name == "sampled" else 1)
                for name in MEASURES
            },
            cell=cell,
        )

    def at(self, marks: Floats, measure: Measure) -> Floats:
        """Return the share of rollouts that solve each prompt [marks, prompts], at each cost.

        The policy at a mark is that of the last batch paid for by then: what a refresh costs moves
        no weights, and a run that cannot pay for another batch keeps its last policy. Between two
        measurements numbers are interpolated by batch.
        """
        batch = np.maximum(np.searchsorted(self.charged, marks + 1e-6, side="right") - 1, 0)
        right = np.searchsorted(self.measured, batch, side="left")
        right = np.clip(right, min(1, len(self.measured) - 1), len(self.measured) - 1)
        left = np.maximum(right - 1, 0)
        gap = self.measured[right] - self.measured[left]
        weight = np.clip((batch - self.measured[left]) / np.maximum(gap, 1), 0.0, 1.0)[:, None]
        found = self.correct[measure]
        return np.asarray((1 - weight) * found[left] + weight * found[right])

    def accuracy(self, marks: Floats, measure: Measure) -> Floats:
        """Return the accuracy at each cost: [marks]."""
        return np.asarray(self.at(marks, measure).mean(axis=1))

    def over_budget(self, marks: Floats, measure: Measure) -> Floats:
        """Return each prompt's mean over the budget, by the trapezoid rule: [prompts].

        The primary measure of the study is its mean over prompts.
        """
        return trapezoid(marks, self.at(marks, measure))


def marks_of(budget: int, num_marks: int) -> Floats:
    """Return the costs at which accuracy is compared: 0 to the budget, [num_marks + 1]."""
    return np.asarray(budget * np.arange(num_marks + 1) / num_marks)


def trapezoid(marks: Floats, values: Floats) -> Floats:
    """Return the mean of `values` [marks, ...] over the costs from the first mark to the last."""
    widths = np.diff(marks) / (marks[-1] - marks[0])
    return np.asarray(np.tensordot(widths, (values[:-1] + values[1:]) / 2, axes=1))

"""Read, align, smooth and compare curves of accuracy over cost, with NumPy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vasari.core.errors import DataError

Floats = NDArray[np.float64]
Axis = Literal["rollouts", "tokens"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One training run's cost of each batch, and its accuracy on each held-out prompt over time."""

    pool: str
    arm: str
    seed: int
    spent: Mapping[Axis, Floats]
    """By axis: [batches + 1] spent after each batch, 0 first."""
    measured: NDArray[np.int64]
    """[points] after how many batches accuracy was measured."""
    shares: Floats
    """[points, prompts] share of correct rollouts."""
    cell: Mapping[str, Any]
    """The whole `curve.json`."""

    @classmethod
    def read(cls, cell: Mapping[str, Any]) -> Curve:
        """Make a curve from the content of `curve.json`.

        Raises:
            DataError: The batches do not follow each other.
        """
        batches = cell["batches"]
        if [row["batch"] for row in batches] != list(range(1, len(batches) + 1)):
            raise DataError(
                f"{cell['pool']} / {cell['arm']} / seed {cell['seed']}: batches are missing from"
                " its record"
            )
        free = ("refresh",) if cell["free_refresh"] else ()
        spent: dict[Axis, Floats] = {}
        for axis in ("rollouts", "tokens"):
            totals = [
                sum(count for purpose, count in row[axis].items() if purpose not in free)
                for row in batches
            ]
            spent[axis] = np.array([0.0, *totals])  # type: ignore[index]
        points = cell["points"]
        return cls(
            pool=cell["pool"],
            arm=cell["arm"],
            seed=cell["seed"],
            spent=spent,
            measured=np.array([point["batch"] for point in points], dtype=np.int64),
            shares=np.array(
                [np.array(point["correct"]) / point["num_rollouts"] for point in points]
            ),
            cell=cell,
        )

    def at(self, axis: Axis, marks: Floats) -> Floats:
        """Return the share of correct rollouts [marks, prompts] at each cost; nan beyond the end.

        The policy at a mark is that of the last batch paid for by then: what a refresh costs moves
        no weights. Between two measurements shares are interpolated by batch.
        """
        spent = self.spent[axis]
        batch = np.searchsorted(spent, marks + 1e-6, side="right") - 1
        right = np.clip(
            np.searchsorted(self.measured, batch, side="left"), 1, len(self.measured) - 1
        )
        left = right - 1
        gap = self.measured[right] - self.measured[left]
        weight = np.clip((batch - self.measured[left]) / np.maximum(gap, 1), 0.0, 1.0)[:, None]
        found: Floats = (1 - weight) * self.shares[left] + weight * self.shares[right]
        found[marks > spent[-1] + 1e-6] = np.nan
        return found


def isotonic(values: Floats) -> Floats:
    """Return the closest sequence that never falls (pool adjacent violators, equal weights)."""
    means: list[float] = []
    sizes: list[int] = []
    for value in values.tolist():
        means.append(value)
        sizes.append(1)
        while len(means) > 1 and means[-2] > means[-1]:
            size = sizes[-2] + sizes[-1]
            means[-2:] = [(means[-2] * sizes[-2] + means[-1] * sizes[-1]) / size]
            sizes[-2:] = [size]
    return np.repeat(means, sizes)


def first_crossing(marks: Floats, values: Floats, target: float) -> float:
    """Return the cost at which the smoothed curve first reaches the target; nan if never."""
    known = np.isfinite(values)
    smooth, at = isotonic(values[known]), marks[known]
    reached = np.flatnonzero(smooth >= target - 1e-12)
    if not reached.size:
        return float("nan")
    place = int(reached[0])
    if place == 0:
        return float(at[0])
    rise = (target - smooth[place - 1]) / (smooth[place] - smooth[place - 1])
    return float(at[place - 1] + np.clip(rise, 0.0, 1.0) * (at[place] - at[place - 1]))


@dataclass(frozen=True, slots=True)
class Estimate:
    """An estimated number with its 95% interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, resampled: Floats) -> Estimate:
        """Return a value with the 2.5% and 97.5% percentiles of its resampled values."""
        known = resampled[np.isfinite(resampled)]
        low, high = np.quantile(known, [0.025, 0.975]) if known.size else (np.nan, np.nan)
        return cls(float(value), float(low), float(high))

    def as_json(self) -> dict[str, float | None]:
        """Return the three numbers for JSON, with None in place of nan."""
        numbers = {"value": self.value, "low": self.low, "high": self.high}
        return {name: number if np.isfinite(number) else None for name, number in numbers.items()}


@dataclass(frozen=True, slots=True)
class Comparison:
    """Comparison of an arm (sampler setup) with uniform sampling on the seeds that both have."""

    seeds: tuple[int, ...]
    final: Estimate
    """Accuracy at the budget; nan where the arm does not get that far."""
    final_difference: Estimate
    """`final` minus that of uniform sampling, paired."""
    mean_difference: Estimate
    """Mean accuracy over all marks minus that of uniform sampling, paired."""
    spent_to_target: Estimate
    """What the seeds' mean curve had spent when it reached uniform's final accuracy; the whole
    budget where it never did."""
    ratio: Estimate
    """`spent_to_target` over the same of uniform sampling."""
    reached: bool
    """Whether the seeds' mean curve reached uniform's final accuracy."""
    reached_share: float
    """Share of seeds whose own curve reached uniform's final accuracy of the same seed."""
    restricted_mean: float
    """Mean over seeds of what their own curves had spent by then, the whole budget where they never
    did, over the budget."""


def compare(
    arm: Sequence[Floats],
    uniform: Sequence[Floats],
    seeds: Sequence[int],
    marks: Floats,
    *,
    num: int,
) -> Comparison:
    """Compare an arm (sampler setup) with uniform sampling, with bootstrap intervals.

    The bootstrap resamples seeds and held-out prompts, the same ones for both arms.

    Args:
        arm: [seeds] of [marks, prompts] share of correct rollouts.
        uniform: The same of uniform.
        seeds: Names of the seeds.
        marks: [marks] of the axis, the first is 0 and the last is the budget.
        num: Resamples.
    """
    ours, theirs = np.stack(arm), np.stack(uniform)
    rng = np.random.default_rng(0)
    num_seeds, _, num_prompts = ours.shape
    of_seeds = rng.multinomial(num_seeds, np.full(num_seeds, 1 / num_seeds), size=num) / num_seeds
    of_prompts = (
        rng.multinomial(num_prompts, np.full(num_prompts, 1 / num_prompts), size=num) / num_prompts
    )
    a, u = (
        np.array([(p @ np.tensordot(s, x, 1).T) for s, p in zip(of_seeds, of_prompts, strict=True)])
        for x in (ours, theirs)
    )
    mean_a, mean_u = ours.mean(axis=(0, 2)), theirs.mean(axis=(0, 2))
    budget = marks[-1]
    own = [
        _to_target(marks, x.mean(axis=1), y.mean(axis=1)) for x, y in zip(ours, theirs, strict=True)
    ]
    spent, base = _to_target(marks, mean_a, mean_u), _to_target(marks, mean_u, mean_u)
    all_spent = np.array([_to_target(marks, x, y) for x, y in zip(a, u, strict=True)])
    all_base = np.array([_to_target(marks, y, y) for y in u])
    censored = np.where(np.isnan(all_spent), budget, all_spent)
    value = budget if np.isnan(spent) else spent
    return Comparison(
        seeds=tuple(seeds),
        final=Estimate.of(mean_a[-1], a[:, -1]),
        final_difference=Estimate.of(mean_a[-1] - mean_u[-1], a[:, -1] - u[:, -1]),
        mean_difference=Estimate.of(float(np.mean(mean_a - mean_u)), (a - u).mean(axis=1)),
        spent_to_target=Estimate.of(value, censored),
        ratio=Estimate.of(
            _over(value, base),
            np.array([_over(x, y) for x, y in zip(censored, all_base, strict=True)]),
        ),
        reached=not np.isnan(spent),
        reached_share=float(np.mean([not np.isnan(x) for x in own])),
        restricted_mean=float(np.mean([budget if np.isnan(x) else x for x in own])) / budget,
    )


def mean_curve(shares: Sequence[Floats], *, num: int) -> tuple[Floats, Floats, Floats]:
    """Return the mean over seeds and prompts at each mark, with its 95% bootstrap interval."""
    found = np.stack(shares)
    rng = np.random.default_rng(0)
    num_seeds, _, num_prompts = found.shape
    of_seeds = rng.multinomial(num_seeds, np.full(num_seeds, 1 / num_seeds), size=num) / num_seeds
    of_prompts = (
        rng.multinomial(num_prompts, np.full(num_prompts, 1 / num_prompts), size=num) / num_prompts
    )
    drawn = np.array(
        [p @ np.tensordot(s, found, 1).T for s, p in zip(of_seeds, of_prompts, strict=True)]
    )
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    return found.mean(axis=(0, 2)), low, high


def _to_target(marks: Floats, values: Floats, uniform: Floats) -> float:
    """Return the cost at which a curve reaches uniform's smoothed final accuracy; nan if never."""
    return first_crossing(marks, values, float(isotonic(uniform[np.isfinite(uniform)])[-1]))


def _over(value: float, base: float) -> float:
    return value / base if base > 0 else float("nan")

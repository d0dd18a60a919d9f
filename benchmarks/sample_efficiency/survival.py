"""Rollouts until a target is reached, as survival times: runs that never reach it are censored."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Times:
    """Time of each run, and whether it reached the target then or was last seen short of it."""

    times: Floats
    """[runs] rollouts at which the target was reached, or the budget."""
    reached: NDArray[np.bool_]
    """[runs] False: censored."""


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
        return math.nan
    place = int(reached[0])
    if place == 0:
        return float(at[0])
    rise = (target - smooth[place - 1]) / (smooth[place] - smooth[place - 1])
    return float(at[place - 1] + np.clip(rise, 0.0, 1.0) * (at[place] - at[place - 1]))


def times_to_target(marks: Floats, curves: Sequence[Floats], targets: Sequence[float]) -> Times:
    """Return when each curve reaches its target, censored at its last finite mark."""
    found = [first_crossing(marks, c, t) for c, t in zip(curves, targets, strict=True)]
    ends = [float(marks[np.isfinite(curve)][-1]) for curve in curves]
    reached = ~np.isnan(found)
    return Times(np.where(reached, found, ends), reached)


def kaplan_meier(runs: Times) -> tuple[Floats, Floats]:
    """Return the times of events, and the share of runs still short of the target after each.

    A run censored at the time of an event counts as at risk there.
    """
    at = np.unique(runs.times[runs.reached])
    share, shares = 1.0, []
    for time in at:
        at_risk = np.sum(runs.times >= time)
        share *= 1 - np.sum((runs.times == time) & runs.reached) / at_risk
        shares.append(share)
    return at, np.array(shares)


def restricted_mean(runs: Times, horizon: float) -> float:
    """Return the mean time short of the target up to `horizon`: the area under Kaplan-Meier."""
    at, shares = kaplan_meier(runs)
    inside = at < horizon
    edges = np.concatenate([[0.0], at[inside], [horizon]])
    heights = np.concatenate([[1.0], shares[inside]])
    return float(np.sum(np.diff(edges) * heights))


def log_rank(first: Times, second: Times, strata: Sequence[tuple[int, int]] = ()) -> float:
    """Return the two-sided p-value of the log-rank test that both reach targets equally fast.

    Args:
        first: The runs of one arm.
        second: The runs of the other.
        strata: For each stratum its number of runs in `first` and `second`, in their order; empty:
            all are one. Observed and expected events are summed over strata.
    """
    excess = variance = 0.0
    starts = np.zeros(2, dtype=int)
    for sizes in strata or [(len(first.times), len(second.times))]:
        parts = [
            Times(arm.times[s : s + n], arm.reached[s : s + n])
            for arm, s, n in zip((first, second), starts, sizes, strict=True)
        ]
        starts = starts + np.array(sizes)
        more, spread = _observed_less_expected(*parts)
        excess, variance = excess + more, variance + spread
    return math.erfc(math.sqrt(excess**2 / variance / 2)) if variance > 0 else math.nan


def _observed_less_expected(first: Times, second: Times) -> tuple[float, float]:
    """Return the first arm's events above expectation, and the variance of that number."""
    times = np.concatenate([first.times, second.times])
    reached = np.concatenate([first.reached, second.reached])
    excess = variance = 0.0
    for time in np.unique(times[reached]):
        at_risk, own = np.sum(times >= time), np.sum(first.times >= time)
        events = np.sum((times == time) & reached)
        excess += np.sum((first.times == time) & first.reached) - events * own / at_risk
        if at_risk > 1:
            share = own / at_risk
            variance += events * share * (1 - share) * (at_risk - events) / (at_risk - 1)
    return float(excess), float(variance)

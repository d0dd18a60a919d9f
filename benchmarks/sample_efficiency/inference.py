"""Tests and intervals of the study: Student's t, Holm, bootstrap, sign flips and power."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vasari.evaluate import seeds
from vasari.evaluate.seeds import t_quantile, t_within

Floats = NDArray[np.float64]

ALPHA = 0.025
"""Chance of a false claim among all confirmatory tests, which are one-sided."""


def student_cdf(t: float, df: int) -> float:
    """Return the chance that Student's t with `df` degrees of freedom is at most `t`."""
    return 0.5 + math.copysign(t_within(abs(t), df), t) / 2


def student_quantile(p: float, df: int) -> float:
    """Return the number below which Student's t with `df` degrees of freedom lies with chance p."""
    return math.copysign(t_quantile(abs(2 * p - 1), df), p - 0.5)


@dataclass(frozen=True, slots=True)
class Mean:
    """Mean of paired differences with its two-sided 95% t-interval."""

    value: float
    low: float
    high: float
    deviation: float
    """Standard deviation of the differences."""
    num: int
    """Number of differences."""


def mean_of(differences: Sequence[float] | Floats) -> Mean:
    """Return the mean of paired differences, with its 95% t-interval; nan ends for fewer than 2."""
    found = np.asarray(differences, dtype=np.float64)
    if found.size < 2:
        value = float(found.mean()) if found.size else math.nan
        return Mean(value, math.nan, math.nan, math.nan, found.size)
    value, deviation = float(found.mean()), float(found.std(ddof=1))
    reach = student_quantile(0.975, found.size - 1) * deviation / math.sqrt(found.size)
    return Mean(value, value - reach, value + reach, deviation, found.size)


def p_above(differences: Sequence[float] | Floats, bound: float = 0.0) -> float:
    """Return the one-sided p-value of "the mean difference is at most `bound`", by a t-test.

    With `bound` 0 a small one shows superiority; with minus the margin, non-inferiority. Equal
    differences give 0 or 1; fewer than two give nan.
    """
    found = np.asarray(differences, dtype=np.float64)
    if found.size < 2:
        return math.nan
    excess, error = float(found.mean()) - bound, float(found.std(ddof=1)) / math.sqrt(found.size)
    if error < 1e-15:
        return 0.0 if excess > 0 else 1.0
    return 1.0 - student_cdf(excess / error, found.size - 1)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return p-values adjusted by Holm's step-down rule (Holm 1979); nan counts as 1."""
    known = {name: 1.0 if math.isnan(p) else p for name, p in p_values.items()}
    adjusted = seeds.holm(known)
    return {name: adjusted[name] for name in p_values}


def hierarchical_interval(
    differences: Sequence[Floats], clusters: Sequence[int], *, num: int = 4000
) -> tuple[float, float]:
    """Return the 95% percentile interval of the mean over runs, of which clusters are resampled.

    Cold starts are resampled, the runs within each, and the held-out prompts, which all runs of a
    cold start share. With four cold starts such an interval is too narrow on average.

    Args:
        differences: For each run the [prompts] differences of its paired accuracies.
        clusters: The cold start of each run.
        num: Resamples.
    """
    rng = np.random.default_rng(0)
    by_cluster: dict[int, list[Floats]] = {}
    for cluster, row in zip(clusters, differences, strict=True):
        by_cluster.setdefault(cluster, []).append(row)
    stacked = [np.stack(rows) for rows in by_cluster.values()]
    found = np.empty(num)
    for place in range(num):
        total = count = 0.0
        for own in rng.integers(len(stacked), size=len(stacked)):
            rows = stacked[own]
            runs = rows[rng.integers(len(rows), size=len(rows))].mean(axis=0)
            total += len(rows) * float(runs[rng.integers(runs.size, size=runs.size)].mean())
            count += len(rows)
        found[place] = total / count
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def sign_flip_p(differences: Sequence[float] | Floats) -> float:
    """Return the exact two-sided sign-flip p-value of "differences are symmetric around 0"."""
    found = np.asarray(differences, dtype=np.float64)
    signs = 1 - 2 * ((np.arange(2**found.size)[:, None] >> np.arange(found.size)) & 1)
    sums = np.abs(signs @ found)
    return float(np.mean(sums >= abs(found.sum()) - 1e-12))


def false_claims(
    differences: Mapping[str, Floats],
    bounds: Mapping[str, float],
    strata: Mapping[str, str],
    procedure: Callable[[Mapping[str, Floats]], Sequence[str]],
    *,
    num: int = 1000,
) -> float:
    """Return how often a procedure claims anything when signs are flipped at random, in [0, 1].

    Each test's differences less its bound are flipped, so that every null hypothesis holds with
    equality.

    Args:
        differences: [runs] paired differences of each test.
        bounds: 0 for superiority, minus the margin for non-inferiority, by test.
        strata: Tests of one stratum share the flips of their runs.
        procedure: Returns the names of the tests in which it claims something.
        num: Random sets of flips.
    """
    rng = np.random.default_rng(0)
    length = max(len(values) for values in differences.values())
    claimed = 0
    for _ in range(num):
        flips = {s: rng.choice([-1.0, 1.0], size=length) for s in sorted(set(strata.values()))}
        null = {
            name: bounds[name] + flips[strata[name]][: len(values)] * (values - bounds[name])
            for name, values in differences.items()
        }
        claimed += bool(procedure(null))
    return claimed / num


def supported_margin(
    differences: Sequence[float] | Floats,
    *,
    num_runs: int,
    alpha: float = ALPHA,
    power: float = 0.8,
) -> float:
    """Return the margin (or gain) that `num_runs` paired runs find with the given power.

    `(t_{1 - alpha} + t_{power}) s / sqrt(n)` with n - 1 degrees of freedom and s the deviation of
    the pilot's paired differences: the usual approximation of the noncentral t.
    """
    deviation = mean_of(differences).deviation
    df = num_runs - 1
    reach = student_quantile(1 - alpha, df) + student_quantile(power, df)
    return reach * deviation / math.sqrt(num_runs)

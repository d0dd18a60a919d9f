"""Means over training seeds: Student's interval and test, and Holm's correction for many tests."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vasari.core.errors import DataError


@dataclass(frozen=True, slots=True)
class SeedMean:
    """A mean over seeds with its 95% interval and the p-value of the mean 0."""

    mean: float
    low: float | None
    """None for one seed or equal values, which do not say how far another seed would lie."""
    high: float | None
    p: float | None
    """Two-sided p-value of Student's test that the mean is 0; None where there is no interval."""
    n: int
    """Seeds."""


def seed_mean(values: Sequence[float]) -> SeedMean:
    """Return the mean of one value a seed, with Student's 95% interval and test.

    Raises:
        DataError: No values.
    """
    n = len(values)
    if not n:
        raise DataError("a mean over seeds needs the value of one seed or more, got none")
    mean = sum(values) / n
    if n == 1 or max(values) - min(values) < 1e-12:
        return SeedMean(mean, None, None, None, n)
    error = math.sqrt(sum((value - mean) ** 2 for value in values) / (n - 1) / n)
    margin = t_quantile(0.95, n - 1) * error
    p = 1 - t_within(abs(mean) / error, n - 1)
    return SeedMean(mean, mean - margin, mean + margin, p, n)


def t_within(t: float, df: int) -> float:
    """Return the chance that Student's t with `df` degrees of freedom lies between -t and t.

    Abramowitz and Stegun 1964, 26.7.3 and 26.7.4: a finite sum for whole degrees of freedom.
    """
    angle = math.atan(t / math.sqrt(df))
    sine, cosine = math.sin(angle), math.cos(angle)
    if df % 2 == 0:
        term = total = 1.0
        for k in range(1, df // 2):
            term *= cosine**2 * (2 * k - 1) / (2 * k)
            total += term
        return sine * total
    if df == 1:
        return 2 * angle / math.pi
    term = total = cosine
    for k in range(1, (df - 1) // 2):
        term *= cosine**2 * 2 * k / (2 * k + 1)
        total += term
    return 2 * (angle + sine * total) / math.pi


def t_quantile(confidence: float, df: int) -> float:
    """Return the t for which Student's t with `df` degrees of freedom is within -t and t."""
    low, high = 0.0, 1e6
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if t_within(middle, df) < confidence else (low, middle)
    return high


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return Holm's adjusted p-values: below 0.05 holds for all tests together (Holm 1979)."""
    adjusted: dict[str, float] = {}
    largest = 0.0
    for place, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[name]))
        adjusted[name] = largest
    return adjusted

"""Scores with their intervals: accuracy, pass@k, maj@k and paired differences. NumPy only.

Prompts are what is sampled: an interval resamples prompts, never the rollouts of one prompt, which
are not independent.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from vasari.core.errors import DataError

Verdicts = Sequence[Sequence[float] | NDArray[np.float64]] | NDArray[np.float64]
"""[prompts][rollouts] of 1 correct, 0 incorrect, nan unverifiable; prompts may differ in their
number of rollouts."""

Clusters = Sequence[Hashable] | NDArray[np.generic]
"""[prompts] name of each prompt's cluster, which is resampled whole: versions of one problem."""

NUM_RESAMPLES = 10_000
CONFIDENCE = 0.95

_CELLS_AT_ONCE = 4_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over prompts with its interval."""

    mean: float
    low: float
    high: float
    n: int
    """Prompts, the size of the sample; clusters where several prompts count as one."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Mean accuracy over prompts with its interval, and the number of unverifiable rollouts."""

    interval: Interval
    """Over all prompts: an unverifiable rollout counts as not solved."""
    num_rollouts: int
    num_unverifiable: int
    """Rollouts without a verdict."""


def accuracy(
    verdicts: Verdicts,
    *,
    clusters: Clusters | None = None,
    confidence: float = CONFIDENCE,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> Accuracy:
    """Return the accuracy (mean over prompts of the share of correct rollouts) with its interval.

    Args:
        verdicts: [prompts][rollouts], 1, 0 or nan; nan is not solved, and counted.
        clusters: [prompts] what is resampled together; None: each prompt.
        confidence: Confidence level of the interval, in (0, 1).
        num_resamples: Resamples of the bootstrap, at least 1.
        seed: Random seed of the bootstrap.

    Raises:
        DataError: No prompts, a prompt without rollouts, or a verdict that is not 0, 1 or nan.
    """
    rows = _rows(verdicts)
    interval = share_mean(
        solved_shares(rows),
        clusters=clusters,
        confidence=confidence,
        num_resamples=num_resamples,
        seed=seed,
    )
    unverifiable = sum(int(np.isnan(row).sum()) for row in rows)
    return Accuracy(
        interval, num_rollouts=sum(row.size for row in rows), num_unverifiable=unverifiable
    )


def solved_shares(verdicts: Verdicts) -> NDArray[np.float64]:
    """Return each prompt's share of correct rollouts; an unverifiable one counts as not correct."""
    return np.array([float(np.nansum(row)) / len(row) for row in verdicts])


def pass_at_k(verdicts: Verdicts, k: int) -> NDArray[np.float64]:
    """Return each prompt's unbiased pass@k, the chance that at least one of k rollouts is correct.

    `1 - C(n-c, k) / C(n, k)` for c correct of n rollouts: Chen et al. 2021 (arXiv:2107.03374),
    equation 1. Unverifiable rollouts are not correct.

    Raises:
        DataError: A prompt has fewer than k rollouts, or k < 1.
    """
    rows = _rows(verdicts)
    _check_k(k, min(row.size for row in rows))
    counts = [(row.size, int(np.nansum(row))) for row in rows]
    return np.array([1.0 - math.comb(n - c, k) / math.comb(n, k) for n, c in counts])


def maj_at_k(
    answers: Sequence[Sequence[str | None]], verdicts: Verdicts, k: int
) -> NDArray[np.float64]:
    """Return each prompt's maj@k: 1 if the most frequent answer of its first k rollouts is correct.

    Values are in [0, 1]. Of answers that tie for the most votes each counts equally, so a two-way
    tie with one correct answer is 0.5. A rollout without an answer (None) never wins; without any
    answer the prompt counts 0. An answer whose rollouts differ in their verdict counts by its mean
    verdict, an unverifiable one as not correct.

    Args:
        answers: [prompts][rollouts] the extracted answers, spelled alike where they are alike.
        verdicts: [prompts][rollouts] of the same rollouts.
        k: Rollouts that vote.

    Raises:
        DataError: Shapes differ, a prompt has fewer than k rollouts, or k < 1.
    """
    rows = _rows(verdicts)
    if len(answers) != len(rows) or any(
        len(said) != row.size for said, row in zip(answers, rows, strict=True)
    ):
        raise DataError("answers and verdicts must have one entry for each rollout of each prompt")
    _check_k(k, min(row.size for row in rows))
    return np.array([_majority(said[:k], row[:k]) for said, row in zip(answers, rows, strict=True)])


def paired_difference(
    a: NDArray[np.float64] | Sequence[float],
    b: NDArray[np.float64] | Sequence[float],
    *,
    clusters: Clusters | None = None,
    confidence: float = CONFIDENCE,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Return the mean over prompts of score `a` minus score `b`, with a paired bootstrap interval.

    Where all differences are equal, `z^2 / (n + z^2)` lies to either side of them: Tango's interval
    (1998) of a paired difference without a discordant pair.

    Args:
        a: [prompts] score of the first model on each prompt, such as its share of correct rollouts;
            nan counts as 0.
        b: [prompts] score of the second model on the same prompts.
        clusters: As in `accuracy`.
        confidence: As in `accuracy`.
        num_resamples: As in `accuracy`.
        seed: As in `accuracy`.

    Raises:
        DataError: The two are not vectors of one length, or are empty.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.ndim != 1 or first.shape != second.shape:
        raise DataError(
            f"paired scores must be vectors over the same prompts, got shapes {first.shape} and"
            f" {second.shape}"
        )
    difference = np.nan_to_num(first) - np.nan_to_num(second)
    found = bootstrap_mean(
        difference, clusters=clusters, confidence=confidence, num_resamples=num_resamples, seed=seed
    )
    if not _is_constant(difference, clusters):
        return found
    # Two models that agree on all of n prompts may differ on the next one.
    _, margin = wilson(0.0, found.n, confidence=confidence)
    return Interval(
        found.mean, max(-1.0, found.mean - margin), min(1.0, found.mean + margin), found.n
    )


def improvement_chance(
    difference: NDArray[np.float64],
    *,
    clusters: Clusters | None = None,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> float:
    """Return the share of bootstrap resamples with a mean difference above 0; 0 counts as half.

    A resample with mean 0 counts half, so that two equal models give 0.5.

    Args:
        difference: [prompts] score of the second model minus that of the first.
        clusters: As in `accuracy`.
        num_resamples: As in `accuracy`.
        seed: As in `accuracy`.

    Raises:
        DataError: There are no differences.
    """
    if difference.size == 0:
        raise DataError("the chance of an improvement needs at least one prompt")
    # The mean over resampled clusters has the sign of the mean over their prompts.
    sums, _ = _cluster_sums(difference, clusters)
    means = _resampled_means(sums, np.ones_like(sums), num_resamples, np.random.default_rng(seed))
    # Rounded, because differences that cancel do so only up to their last digit.
    means = means.round(12)
    better, equal = int((means > 0).sum()), int((means == 0).sum())
    return (better + 0.5 * equal) / num_resamples


def clustered_standard_error(
    values: NDArray[np.float64] | Sequence[float], clusters: Clusters
) -> float:
    """Return the cluster-robust standard error of the mean of `values` over prompts.

    Miller 2024 (arXiv:2411.00640), equation 4: `sqrt(sum_c (sum_{i in c} (s_i - mean))^2) / n`;
    with clusters of one prompt it is the plain standard error with ddof 0.

    Args:
        values: [prompts] score of each prompt, such as its share of correct rollouts.
        clusters: [prompts] cluster of each prompt.

    Raises:
        DataError: No values, or clusters of another length.
    """
    data = _vector(values)
    sums, _ = _cluster_sums(data - data.mean(), clusters)
    return math.sqrt(float(np.square(sums).sum())) / data.size


def share_interval(correct: Sequence[bool], clusters: Clusters) -> tuple[float, float]:
    """Return the 95% interval of the share of correct outputs: Wilson's, or a cluster bootstrap.

    Wilson's where every output is a cluster of its own.
    """
    if len(set(clusters)) == len(correct):
        return wilson(sum(correct) / len(correct), len(correct), confidence=CONFIDENCE)
    found = share_mean(np.array(correct, dtype=np.float64), clusters=clusters)
    return found.low, found.high


def wilson(share: float, n: int, *, confidence: float) -> tuple[float, float]:
    """Return Wilson's interval (low, high) of a share of n independent prompts or outputs.

    Wilson (1927): `(p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)`.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    middle = share + z**2 / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    scale = 1 + z**2 / n
    # Rounding may put an end of it a last digit beside a share of 0 or 1.
    return min(share, max(0.0, (middle - half) / scale)), max(
        share, min(1.0, (middle + half) / scale)
    )


def share_mean(
    values: NDArray[np.float64] | Sequence[float],
    *,
    clusters: Clusters | None = None,
    confidence: float = CONFIDENCE,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Return the mean of shares in [0, 1] over prompts: `bootstrap_mean`, or Wilson's interval.

    Wilson's, with the number of clusters for n, where all have the same mean: every resample is
    the same then, and 20 of 20 prompts solved would say that the 21st is.
    """
    found = bootstrap_mean(
        values, clusters=clusters, confidence=confidence, num_resamples=num_resamples, seed=seed
    )
    if not _is_constant(_vector(values), clusters):
        return found
    low, high = wilson(min(1.0, max(0.0, found.mean)), found.n, confidence=confidence)
    return Interval(found.mean, min(low, found.mean), max(high, found.mean), found.n)


def bootstrap_mean(
    values: NDArray[np.float64] | Sequence[float],
    *,
    clusters: Clusters | None = None,
    confidence: float = CONFIDENCE,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Return the mean of `values` over prompts, with its percentile cluster-bootstrap interval.

    Equal seeds give equal intervals. Constant values give an interval without width: for shares
    and differences of shares there are `share_mean` and `paired_difference`.

    Raises:
        DataError: No values, a value that is not finite, `clusters` of another length, or settings
            out of range.
    """
    data = _vector(values)
    if not 0.0 < confidence < 1.0 or num_resamples < 1:
        raise DataError(
            f"confidence must be in (0, 1) and num_resamples at least 1, got {confidence} and"
            f" {num_resamples}"
        )
    sums, sizes = _cluster_sums(data, clusters)
    means = _resampled_means(sums, sizes, num_resamples, np.random.default_rng(seed))
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    mean = float(data.mean())
    # Rounding may put the interval of constant data a last digit beside its mean; so may a handful
    # of resamples.
    return Interval(mean, min(float(low), mean), max(float(high), mean), int(sums.size))


def _vector(values: NDArray[np.float64] | Sequence[float]) -> NDArray[np.float64]:
    data = np.asarray(values, dtype=np.float64)
    if data.ndim != 1 or data.size == 0:
        raise DataError(
            f"a mean over prompts needs a vector of at least one value, got shape {data.shape}"
        )
    if not np.isfinite(data).all():
        raise DataError("a mean over prompts needs finite values")
    return data


def _is_constant(data: NDArray[np.float64], clusters: Clusters | None) -> bool:
    """Whether all clusters have the same mean, so that resampling them moves nothing."""
    sums, sizes = _cluster_sums(data, clusters)
    return bool(np.ptp(sums / sizes) < 1e-12)


def _cluster_sums(
    data: NDArray[np.float64], clusters: Clusters | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return each cluster's sum of values and its number of prompts, both [clusters]."""
    if clusters is None:
        return data, np.ones_like(data)
    if len(clusters) != data.size:
        raise DataError(
            f"clusters must name one for each of the {data.size} prompts, got {len(clusters)}"
        )
    names: dict[Hashable, int] = {}
    codes = np.array([names.setdefault(cluster, len(names)) for cluster in clusters])
    sums, sizes = np.bincount(codes, weights=data), np.bincount(codes)
    return sums.astype(np.float64), sizes.astype(np.float64)


def _resampled_means(
    sums: NDArray[np.float64],
    sizes: NDArray[np.float64],
    num_resamples: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Return means of resampled clusters, computed in blocks that bound the memory."""
    means = np.empty(num_resamples)
    block = max(1, _CELLS_AT_ONCE // sums.size)
    for start in range(0, num_resamples, block):
        stop = min(start + block, num_resamples)
        rows = rng.integers(sums.size, size=(stop - start, sums.size))
        means[start:stop] = sums[rows].sum(axis=1) / sizes[rows].sum(axis=1)
    return means


def _rows(verdicts: Verdicts) -> list[NDArray[np.float64]]:
    rows = [np.atleast_1d(np.asarray(row, dtype=np.float64)) for row in verdicts]
    if not rows:
        raise DataError("a score needs at least one prompt, got none")
    for prompt, row in enumerate(rows):
        if row.ndim != 1 or row.size == 0:
            raise DataError(
                f"prompt {prompt} needs a vector of at least one verdict, got shape {row.shape}"
            )
        if not (np.isnan(row) | (row == 0) | (row == 1)).all():
            raise DataError(f"prompt {prompt}: verdicts must be 0, 1 or nan, got {row.tolist()}")
    return rows


def _check_k(k: int, num_rollouts: int) -> None:
    if not 1 <= k <= num_rollouts:
        raise DataError(
            f"k must be from 1 to the fewest rollouts of a prompt, {num_rollouts}, got {k}"
        )


def _majority(answers: Sequence[str | None], verdicts: NDArray[np.float64]) -> float:
    votes = Counter(answer for answer in answers if answer is not None)
    if not votes:
        return 0.0
    most = max(votes.values())
    solved = np.nan_to_num(verdicts)
    shares = [
        float(
            np.mean([value for said, value in zip(answers, solved, strict=True) if said == winner])
        )
        for winner, count in votes.items()
        if count == most
    ]
    return float(np.mean(shares))

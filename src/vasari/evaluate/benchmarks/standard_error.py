"""The standard error of a mean over prompts that share something. NumPy only."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from vasari.core.errors import DataError


def clustered_standard_error(
    values: NDArray[np.float64] | Sequence[float], clusters: Sequence[Hashable]
) -> float:
    """The standard error of the mean of `values`, with prompts of one cluster taken as dependent.

    Miller 2024 (arXiv:2411.00640), equation 4: `sqrt(sum_c (sum_{i in c} (s_i - mean))^2) / n`;
    with clusters of one prompt it is the plain standard error with ddof 0.

    Args:
        values: [prompts] a score each, such as the share of correct rollouts.
        clusters: [prompts] what each belongs to.

    Raises:
        DataError: No values, or clusters of another length.
    """
    data = np.asarray(values, dtype=np.float64)
    if data.ndim != 1 or data.size == 0 or len(clusters) != data.size:
        raise DataError(
            f"a standard error needs values and one cluster for each, got {data.shape} and"
            f" {len(clusters)}"
        )
    names: dict[Hashable, int] = {}
    codes = np.array([names.setdefault(cluster, len(names)) for cluster in clusters])
    sums = np.bincount(codes, weights=data - data.mean())
    return math.sqrt(float(np.square(sums).sum())) / data.size

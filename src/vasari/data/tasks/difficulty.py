"""Pass rates of real models on real visual-math questions, and a pool's distance from them.

Source: DynaMath (arXiv:2411.00836), 501 questions in ten variants each, answered by 14 models; the
per-variant results of github.com/DynaMath/DynaMath at 598c3c3 (MIT licence).
`benchmarks/dynamath_pass_rates.py` computes the counts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vasari.core.errors import DataError

DYNAMATH_COUNTS: tuple[int, ...] = (1906, 671, 521, 467, 387, 411, 356, 354, 361, 422, 1158)
"""How many of 14 x 501 (model, question) pairs got k of 10 variants right, k = 0 to 10."""

DYNAMATH_PASS_RATES: tuple[float, ...] = tuple(
    count / sum(DYNAMATH_COUNTS) for count in DYNAMATH_COUNTS
)
"""Share of questions with pass rate k/10, averaged over the models: U-shaped, 27% never and 17%
always solved."""

_BINS: NDArray[np.float64] = np.arange(11) / 10


def shape_distance(pass_rates: ArrayLike) -> float:
    """Return the 1-Wasserstein distance from given pass rates to 14 models' pass rates on DynaMath.

    The distance lies in [0, 1].

    It is the area between the two cumulative distributions: the mean distance by which pass rates
    would have to move.

    Args:
        pass_rates: [prompts] in [0, 1]; nan (unverifiable) is left out.

    Raises:
        DataError: No pass rate, or one outside [0, 1].
    """
    rates = np.asarray(pass_rates, dtype=np.float64).ravel()
    rates = np.sort(rates[~np.isnan(rates)])
    if rates.size == 0:
        raise DataError("a distance needs at least one pass rate, got none")
    if rates[0] < 0 or rates[-1] > 1:
        raise DataError(f"pass rates must be in [0, 1], got {rates[0]:g} to {rates[-1]:g}")
    edges = np.sort(np.concatenate([rates, _BINS]))
    measured = np.searchsorted(rates, edges[:-1], side="right") / rates.size
    real = np.cumsum(DYNAMATH_PASS_RATES)[np.searchsorted(_BINS, edges[:-1], side="right") - 1]
    return float(np.sum(np.abs(measured - real) * np.diff(edges)))


def dynamath_level_weights() -> dict[str, float]:
    """Return the shares of levels "1" (easy) to "3" (hard) among questions of DynaMath.

    They are the mass of its pass rates above 0.66, from 0.33 to 0.66, and below 0.33: many easy,
    many hard, few middling. A level only guesses difficulty; what a given model finds hard is
    measured with `shape_distance`.
    """
    shares = np.asarray(DYNAMATH_PASS_RATES)
    easy, hard = float(shares[_BINS > 0.66].sum()), float(shares[_BINS < 0.33].sum())
    return {"1": easy, "2": 1.0 - easy - hard, "3": hard}

"""Reward variance within and between reasonings (arXiv:2509.21268, equation 6, appendix A.3)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from vasari.core.errors import DataError


@final
@dataclass(frozen=True, slots=True)
class VarianceParts:
    """Variance of a 0/1 reward: in total, within and between reasonings (chains of thought)."""

    total: float
    """Variance p (1 - p), with p the pass rate over all reasonings: what OVS estimates."""
    within: float
    """Mean variance given the reasoning Z, E[p_Z (1 - p_Z)] ("intra-trajectory")."""
    between: float
    """Variance of the pass rate p_Z between reasonings Z, Var[p_Z] ("inter-trajectory")."""


def variance_parts(pass_rates: NDArray[np.float64], weights: NDArray[np.float64]) -> VarianceParts:
    """Return a 0/1 reward's variance, and its parts within and between reasonings (equation 6).

    Each is computed from its own definition.

    The paper estimates `within` by p (1 - p) of the pass rate. That is `total`: OVS holds both
    parts, and nothing is left that a diversity score would have to add.

    Args:
        pass_rates: [reasonings] Pr(R = 1 | Z).
        weights: [reasonings] probability of each reasoning, summing to 1.

    Raises:
        DataError: Not one weight a rate, a value outside [0, 1], or weights that do not sum to 1.
    """
    _check(pass_rates, weights)
    rate = float(weights @ pass_rates)
    return VarianceParts(
        total=rate * (1.0 - rate),
        within=float(weights @ (pass_rates * (1.0 - pass_rates))),
        between=float(weights @ (pass_rates - rate) ** 2),
    )


@final
@dataclass(frozen=True, slots=True)
class DiversityBounds:
    """Bounds on the variance of the pass rate between reasonings, from reasonings' distances."""

    diversity: float
    """Mean squared distance E[d^2] of independent pairs: what TDS by edit distance estimates."""
    lipschitz: float
    """The least L with |p_z - p_z'| <= L d for all pairs; infinite where reasonings of distance 0
    differ."""
    co_lipschitz: float
    """The greatest l with |p_z - p_z'| >= l d for all pairs."""

    @property
    def upper(self) -> float:
        """Upper bound on the variance of pass rates between reasonings, Var[p_Z].

        It is L^2 / 2 E[d^2] with L = `lipschitz`, and infinite where L is.
        """
        return math.inf if math.isinf(self.lipschitz) else 0.5 * self.lipschitz**2 * self.diversity

    @property
    def lower(self) -> float:
        """Lower bound on the variance of pass rates between reasonings, Var[p_Z].

        It is l^2 / 2 E[d^2] with l = `co_lipschitz`: 0, which says nothing, unless different
        reasonings always differ in p.
        """
        return 0.5 * self.co_lipschitz**2 * self.diversity

    @property
    def claimed(self) -> float:
        """The paper's lower bound on the variance of pass rates (appendix A.3), which is wrong.

        It is L^2 / 4 E[d^2] with L = `lipschitz`.
        """
        return math.inf if math.isinf(self.lipschitz) else 0.25 * self.lipschitz**2 * self.diversity


def diversity_bounds(
    pass_rates: NDArray[np.float64], weights: NDArray[np.float64], distances: NDArray[np.float64]
) -> DiversityBounds:
    """Return bounds on the variance of pass rates between reasonings, from reasonings' distances.

    Var[p_Z] = E (p_Z - p_Z')^2 / 2 over independent pairs, an identity. So |p_z - p_z'| <= L d
    bounds the variance from above; a bound from below needs |p_z - p_z'| >= l d, that whoever
    reasons differently succeeds differently.

    Args:
        pass_rates: [reasonings] Pr(R = 1 | Z).
        weights: [reasonings] probability of each reasoning, summing to 1.
        distances: [reasonings, reasonings] d in [0, 1], symmetric with a diagonal of zeros.

    Raises:
        DataError: As `variance_parts`, or distances that are none.
    """
    _check(pass_rates, weights)
    num = len(pass_rates)
    if (
        distances.shape != (num, num)
        or (distances != distances.T).any()
        or np.diag(distances).any()
    ):
        raise DataError(
            f"distances of {num} reasonings must be symmetric [{num}, {num}] with zeros on the"
            " diagonal"
        )
    if (distances < 0).any() or (distances > 1).any():
        raise DataError("distances must lie in [0, 1]")
    apart = np.abs(pass_rates[:, None] - pass_rates[None, :])
    far = distances > 0
    ratios = apart[far] / distances[far]
    same = apart[~far].max(initial=0.0) > 0
    return DiversityBounds(
        diversity=float(weights @ distances**2 @ weights),
        lipschitz=math.inf if same else float(ratios.max(initial=0.0)),
        co_lipschitz=float(ratios.min()) if ratios.size else 0.0,
    )


def _check(pass_rates: NDArray[np.float64], weights: NDArray[np.float64]) -> None:
    if pass_rates.ndim != 1 or weights.shape != pass_rates.shape or not pass_rates.size:
        raise DataError(
            f"needs one weight a pass rate, got shapes {pass_rates.shape} and {weights.shape}"
        )
    if (pass_rates < 0).any() or (pass_rates > 1).any():
        raise DataError("pass rates must lie in [0, 1]")
    if (weights < 0).any() or not math.isclose(float(weights.sum()), 1.0, rel_tol=1e-9):
        raise DataError(f"weights must be at least 0 and sum to 1, got a sum of {weights.sum():g}")

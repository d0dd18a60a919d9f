"""The two levels of variance, and which way distances bound them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vasari.core.errors import DataError
from vasari.score import outcome_variance, promotion_score, trajectory_diversity
from vasari.theory.decomposition import diversity_bounds, variance_parts

unit = st.floats(0.0, 1.0, width=32)


@st.composite
def reasonings(draw):
    num = draw(st.integers(1, 5))
    weights = draw(arrays(np.float64, num, elements=st.floats(0.125, 1.0, width=32)))
    corner = np.triu(
        draw(arrays(np.float64, (num, num), elements=st.floats(0.0625, 1.0, width=32))), 1
    )
    return draw(arrays(np.float64, num, elements=unit)), weights / weights.sum(), corner + corner.T


@given(reasonings())
def test_total_variance_is_the_sum_of_its_parts(case):
    parts = variance_parts(*case[:2])
    assert parts.total == pytest.approx(parts.within + parts.between, abs=1e-12)


def test_the_parts_by_hand():
    # Half the reasonings pass at 1, half at 1/2: p = 3/4, within = 1/2 x 1/4, between = (1/4)^2.
    parts = variance_parts(np.array([1.0, 0.5]), np.array([0.5, 0.5]))
    assert (parts.total, parts.within, parts.between) == pytest.approx((3 / 16, 1 / 8, 1 / 16))


def test_outcome_variance_is_the_total_and_not_the_part_within():
    # Reasoning decides everything: nothing varies within it, yet OVS of its rollouts is 1/4.
    parts = variance_parts(np.array([1.0, 0.0]), np.array([0.5, 0.5]))
    assert parts.within == 0.0
    assert outcome_variance([1, 0, 1, 0]) == parts.total == parts.between == 0.25


@given(reasonings())
def test_a_lipschitz_condition_bounds_the_variance_between_from_above(case):
    rates, weights, distances = case
    assert (
        variance_parts(rates, weights).between
        <= diversity_bounds(rates, weights, distances).upper + 1e-12
    )


@given(reasonings())
def test_a_co_lipschitz_condition_bounds_it_from_below(case):
    rates, weights, distances = case
    assert (
        variance_parts(rates, weights).between
        >= diversity_bounds(rates, weights, distances).lower - 1e-12
    )


def test_appendix_a3_claims_the_upper_bounds_condition_for_a_lower_bound():
    # Three reasonings, all pairs at distance 1, rates 1/2, 1/2 and 1: L = 1/2, E d^2 = 2/3, so the
    # claim is L^2 / 4 E d^2 = 1/24. Var = 2/9 x 1/4 = 1/18 keeps to it. With the third seldom,
    # weights 0.49, 0.49, 0.02: E d^2 = 1 - 2 x 0.49^2 - 0.02^2 = 0.5194, the claim 0.0325, and Var
    # = 0.02 x 0.98 x 1/4 = 0.0049.
    rates, distances = np.array([0.5, 0.5, 1.0]), 1.0 - np.eye(3)
    even = np.full(3, 1 / 3)
    assert diversity_bounds(rates, even, distances).claimed == pytest.approx(1 / 24)
    assert variance_parts(rates, even).between == pytest.approx(1 / 18)
    seldom = np.array([0.49, 0.49, 0.02])
    assert diversity_bounds(rates, seldom, distances).claimed == pytest.approx(0.25 * 0.25 * 0.5194)
    assert variance_parts(rates, seldom).between == pytest.approx(0.0049)


def test_diverse_reasoning_of_one_pass_rate_has_no_variance_between():
    # All p_z = 1/2 satisfies |p_z - p_z'| <= d; with L = 1 the claim would be 1/8 for a variance of
    # 0.
    rates, weights, distances = np.full(2, 0.5), np.full(2, 0.5), 1.0 - np.eye(2)
    found = diversity_bounds(rates, weights, distances)
    assert found.diversity == 0.5
    assert (found.lipschitz, found.lower) == (0.0, 0.0)
    assert variance_parts(rates, weights).between == 0.0


def test_equal_reasoning_with_unequal_success_has_no_lipschitz_constant():
    found = diversity_bounds(np.array([0.0, 1.0]), np.full(2, 0.5), np.zeros((2, 2)))
    assert (found.lipschitz, found.upper, found.claimed) == (math.inf, math.inf, math.inf)


def test_the_promotion_score_is_no_monotone_surrogate_of_variance():
    # p = 1/2 told alike eight times (TDS 0) against p = 1/8 told in eight ways (TDS 1): more
    # variance, lower score.
    certain = promotion_score(
        outcome_variance([1, 1, 1, 1, 0, 0, 0, 0]), trajectory_diversity([[1, 2, 3]] * 8)
    )
    diverse = promotion_score(
        outcome_variance([1, 0, 0, 0, 0, 0, 0, 0]),
        trajectory_diversity([[3 * n, 3 * n + 1, 3 * n + 2] for n in range(8)]),
    )
    assert outcome_variance([1, 1, 1, 1, 0, 0, 0, 0]) > outcome_variance([1, 0, 0, 0, 0, 0, 0, 0])
    assert certain == pytest.approx(0.2)
    assert diverse > certain


@pytest.mark.parametrize(
    ("rates", "weights", "distances", "message"),
    [
        ([0.5], [0.5, 0.5], np.zeros((1, 1)), r"one weight a pass rate"),
        ([1.5], [1.0], np.zeros((1, 1)), r"pass rates must lie in \[0, 1\]"),
        ([0.5], [0.9], np.zeros((1, 1)), r"sum to 1, got a sum of 0\.9"),
        ([0.5, 0.5], [0.5, 0.5], np.array([[0.0, 1.0], [0.5, 0.0]]), r"must be symmetric \[2, 2\]"),
        (
            [0.5, 0.5],
            [0.5, 0.5],
            np.array([[0.0, 2.0], [2.0, 0.0]]),
            r"distances must lie in \[0, 1\]",
        ),
    ],
)
def test_reasonings_that_are_none_are_refused(rates, weights, distances, message):
    with pytest.raises(DataError, match=message):
        diversity_bounds(np.array(rates), np.array(weights), distances)

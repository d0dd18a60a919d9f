"""Times that are censored at the budget, and paired differences, by hand."""

import math

import numpy as np
import pytest

from simulate import censored_times, paired_difference
from vasari.core.errors import DataError


def test_seeds_that_do_not_arrive_count_as_late_in_the_median_and_as_the_budget_in_the_mean():
    # Sorted 10, 20, late: median 20, mean (10 + 20 + 100) / 3.
    found = censored_times([20.0, math.inf, 10.0], budget=100)
    assert (found.num_seeds, found.num_reached, found.median) == (3, 2, 20.0)
    assert found.restricted_mean == pytest.approx(130 / 3)


def test_the_median_is_not_reached_when_half_the_seeds_do_not_arrive():
    assert censored_times([10.0, math.inf], budget=100).median == math.inf
    assert censored_times([10.0, 101.0], budget=100).num_reached == 1


@pytest.mark.parametrize("times", [[], [math.nan], [-1.0]])
def test_times_that_no_run_has_are_refused(times):
    with pytest.raises(DataError, match=r"times must be a vector of numbers of at least 0"):
        censored_times(times, budget=10)


def test_a_constant_difference_has_an_interval_of_no_width():
    found = paired_difference([0.5, 0.7, 0.6], [0.4, 0.6, 0.5])
    assert (found.mean, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1))


def test_the_interval_of_a_paired_difference_is_that_of_the_mean():
    rng = np.random.default_rng(0)
    noise = rng.normal(0.0, 0.1, size=400)
    found = paired_difference(noise + 0.02, np.zeros(400))
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * noise.std() / 20, rel=0.1)


def test_values_without_a_baseline_each_are_refused():
    with pytest.raises(DataError, match=r"one baseline each, got 2 and 1"):
        paired_difference([0.1, 0.2], [0.1])

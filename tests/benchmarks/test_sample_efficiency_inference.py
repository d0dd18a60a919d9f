"""The study's tests and intervals beside tables, textbook examples and numbers by hand."""

import math

import mpmath
import numpy as np
import pytest

from sample_efficiency.inference import (
    false_claims,
    hierarchical_interval,
    holm,
    mean_of,
    p_above,
    sign_flip_p,
    student_cdf,
    student_quantile,
    supported_margin,
)
from sample_efficiency.survival import (
    Times,
    first_crossing,
    isotonic,
    kaplan_meier,
    log_rank,
    restricted_mean,
    times_to_target,
)


@pytest.mark.parametrize(
    ("p", "df", "expected"),  # the usual table of Student's t
    [(0.975, 11, 2.201), (0.95, 3, 2.353), (0.975, 1, 12.706), (0.8, 11, 0.876)],
)
def test_quantiles_are_those_of_the_table(p, df, expected):
    assert student_quantile(p, df) == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize("df", [1, 3, 11, 40])
@pytest.mark.parametrize("t", [-3.0, -0.4, 0.0, 1.7, 6.0])
def test_chances_are_those_of_mpmath(t, df):
    half = mpmath.betainc(df / 2, 0.5, 0, df / (df + t * t), regularized=True) / 2
    assert student_cdf(t, df) == pytest.approx(float(1 - half if t > 0 else half), abs=1e-10)


# Student's (1908) hours of sleep gained: the paired differences of his two drugs.
SLEEP = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]


def test_the_paired_t_test_of_student_s_sleep_data():
    """R's t.test gives mean 1.58, interval 0.7001 to 2.4599, and two-sided p 0.002833."""
    found = mean_of(SLEEP)
    assert (found.value, found.low, found.high) == pytest.approx((1.58, 0.7001, 2.4599), abs=5e-5)
    assert 2 * p_above(SLEEP) == pytest.approx(0.002833, abs=5e-7)


def test_one_difference_has_no_interval():
    assert math.isnan(mean_of([0.1]).low)
    assert math.isnan(p_above([0.1]))


def test_holm_s_rule_step_by_step():
    """0.01 x 4, 0.03 x 2 and 0.04 raised to the one before; 0.005 x 4 (Holm's rule by hand)."""
    found = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert found == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02})


def test_a_test_without_pairs_is_not_rejected():
    assert holm({"a": 0.01, "b": math.nan}) == pytest.approx({"a": 0.02, "b": 1.0})


@pytest.mark.parametrize(
    ("differences", "superior", "not_inferior"),
    [
        ([0.02, 0.03, 0.025, 0.03], True, True),
        ([-0.005, 0.005, -0.004, 0.004], False, True),
        ([-0.03, -0.025, -0.03, -0.02], False, False),
        ([-0.06, 0.06, -0.05, 0.05], False, False),  # too noisy to say
    ],
)
def test_superiority_and_non_inferiority(differences, superior, not_inferior):
    assert (p_above(differences) <= 0.025) == superior
    assert (p_above(differences, -0.02) <= 0.025) == not_inferior


def test_a_loss_of_exactly_the_margin_is_not_excused():
    assert p_above([-0.03, -0.01, -0.03, -0.01], -0.02) == pytest.approx(0.5)


def test_three_equal_signs_have_two_of_eight_patterns():
    assert sign_flip_p([1.0, 2.0, 3.0]) == pytest.approx(2 / 8)


def test_a_bootstrap_of_equal_numbers_has_no_width():
    rows = [np.full(5, 0.1)] * 4
    assert hierarchical_interval(rows, [1, 1, 2, 2], num=50) == pytest.approx((0.1, 0.1))


def test_a_bootstrap_spans_cold_starts_that_differ():
    rows = [np.full(5, value) for value in (0.0, 0.0, 0.2, 0.2)]
    assert hierarchical_interval(rows, [1, 1, 2, 2], num=500) == pytest.approx((0.0, 0.2))


def test_a_single_test_claims_at_its_level():
    """A t-test at one-sided 0.05 of differences whose signs are flipped at random."""
    values = np.random.default_rng(5).normal(size=12)
    rate = false_claims(
        {"a": values},
        {"a": 0.0},
        {"a": "pool"},
        lambda found: [name for name, own in found.items() if p_above(own) <= 0.05],
        num=2000,
    )
    assert rate == pytest.approx(0.05, abs=0.02)


def test_the_margin_is_the_two_quantiles_by_the_standard_error():
    """s = 0.02, n = 12: (2.201 + 0.876) x 0.02 / sqrt(12) = 0.01776."""
    found = supported_margin([0.02 / math.sqrt(2), -0.02 / math.sqrt(2)], num_runs=12)
    assert found == pytest.approx(0.01776, abs=1e-5)


# Freireich et al. (1963), weeks of remission; the example of Kaplan-Meier in most textbooks.
TREATED = Times(
    np.array([6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35.0]),
    np.array([1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0], dtype=bool),
)
PLACEBO = Times(
    np.array([1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23.0]),
    np.ones(21, dtype=bool),
)


def test_kaplan_meier_of_the_remission_data():
    at, shares = kaplan_meier(TREATED)
    assert at.tolist() == [6, 7, 10, 13, 16, 22, 23]
    expected = [0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448]
    np.testing.assert_allclose(shares, expected, atol=5e-4)


def test_log_rank_of_the_remission_data():
    """The published statistic is 16.79 with one degree of freedom."""
    assert log_rank(TREATED, PLACEBO) == pytest.approx(math.erfc(math.sqrt(16.79 / 2)), rel=0.01)


def test_alike_arms_have_no_log_rank_difference():
    assert log_rank(PLACEBO, PLACEBO, [(10, 10), (11, 11)]) == pytest.approx(1.0)


def test_a_restricted_mean_censors_at_the_horizon():
    runs = Times(np.array([2.0, 4.0, 10.0]), np.array([True, True, False]))
    assert restricted_mean(runs, 10.0) == pytest.approx((2 + 4 + 10) / 3)


def test_no_run_that_arrives_takes_the_whole_budget():
    runs = Times(np.array([10.0, 10.0]), np.array([False, False]))
    assert restricted_mean(runs, 10.0) == 10.0
    assert math.isnan(log_rank(runs, runs))


def test_a_curve_that_stays_below_is_censored_at_its_end():
    marks = np.arange(3.0)
    found = times_to_target(marks, [np.array([0, 0.4, 0.8]), np.array([0, 0.1, 0.2])], [0.6, 0.6])
    assert found.times.tolist() == pytest.approx([1.5, 2.0])
    assert found.reached.tolist() == [True, False]


def test_the_closest_rising_sequence_pools_what_falls():
    # 3 and 2 fall: their mean is 2.5.
    np.testing.assert_allclose(isotonic(np.array([1.0, 3.0, 2.0, 4.0])), [1.0, 2.5, 2.5, 4.0])


def test_a_target_that_is_never_reached_has_no_crossing():
    assert np.isnan(first_crossing(np.arange(3.0), np.array([0.1, 0.2, 0.3]), 0.4))

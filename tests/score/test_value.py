"""What a group is worth: values worked by hand, closed forms, and laws."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vasari.core.errors import ConfigError
from vasari.score.value import (
    GROUP_VALUES,
    beta_information,
    digamma,
    expected_group_value,
    group_value,
    group_value_table,
    mixed_probability,
)

EULER = 0.57721566490153286
counts = st.floats(0.05, 200.0)
kinds = st.sampled_from(GROUP_VALUES)
sizes = st.integers(2, 16)
few = settings(max_examples=30, deadline=None)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("std", [0, math.sqrt(3) / 4, 1 / 2, math.sqrt(3) / 4, 0]),  # sqrt(k (4 - k)) / 4
        ("var", [0, 1 / 4, 1 / 3, 1 / 4, 0]),  # k (4 - k) / 12
        ("mix", [0, 1, 1, 1, 0]),
        ("knap", [0, 9 / 64, 1 / 8, 3 / 64, 0]),  # (k/4) (1 - k/4)^2
    ],
)
def test_the_table_of_four_rollouts_is_the_one_worked_by_hand(kind, expected):
    np.testing.assert_allclose(group_value_table(4, kind), expected, atol=1e-15)


# n = 2: only k = 1 counts, with probability 2 p (1 - p) = 0.42 at p = 0.3; v(1) = 1/2, 1/2, 1, 1/8.
@pytest.mark.parametrize(
    ("kind", "expected"), [("std", 0.21), ("var", 0.21), ("mix", 0.42), ("knap", 0.0525)]
)
def test_two_rollouts_at_three_tenths_are_worth_what_is_worked_by_hand(kind, expected):
    assert group_value(0.3, 2, kind) == pytest.approx(expected, abs=1e-15)


# p uniform in [0, 1] makes each k of n equally likely (1 / (n + 1)): sums of the table, divided by
# 4, for n = 3.
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("std", 2 * math.sqrt(2) / 3 / 4),
        ("var", 2 * (1 / 3) / 4),
        ("mix", 1 / 2),
        ("knap", (4 / 27 + 2 / 27) / 4),
    ],
)
def test_under_a_uniform_belief_every_count_is_equally_likely(kind, expected):
    assert expected_group_value(1.0, 1.0, 3, kind) == pytest.approx(expected, abs=1e-15)


@few
@given(kinds, sizes, st.floats(0, 1))
def test_a_group_s_value_is_the_binomial_mean_of_the_table(kind, n, p):
    weights = [math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]
    assert group_value(p, n, kind) == pytest.approx(
        float(np.dot(weights, group_value_table(n, kind))), abs=1e-12
    )


@few
@given(kinds, sizes, counts, counts)
def test_the_expected_value_is_the_beta_binomial_mean_of_the_table(kind, n, a, b):
    def log_beta(x, y):
        return math.lgamma(x) + math.lgamma(y) - math.lgamma(x + y)

    weights = [
        math.comb(n, k) * math.exp(log_beta(a + k, b + n - k) - log_beta(a, b))
        for k in range(n + 1)
    ]
    expected = float(np.dot(weights, group_value_table(n, kind)))
    assert expected_group_value(a, b, n, kind) == pytest.approx(expected, rel=1e-9, abs=1e-10)


@few
@given(kinds, sizes, st.floats(0.01, 0.99))
def test_a_belief_that_is_sure_expects_the_value_at_its_rate(kind, n, p):
    sure = 1e9
    assert expected_group_value(p * sure, (1 - p) * sure, n, kind) == pytest.approx(
        float(group_value(p, n, kind)), abs=1e-5
    )


@few
@given(kinds, sizes)
def test_groups_at_pass_rates_zero_and_one_are_worth_nothing(kind, n):
    assert group_value(np.array([0.0, 1.0]), n, kind).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("kind", GROUP_VALUES)
def test_an_unknown_pass_rate_has_an_unknown_value(kind):
    values = group_value(np.array([[math.nan, 0.5]]), 4, kind)
    assert values.shape == (1, 2)
    assert np.isnan(values).tolist() == [[True, False]]


def test_a_mixed_group_of_two_under_a_uniform_belief_has_a_chance_of_a_third():
    # Both right: E[p^2] = 1/3; both wrong as likely.
    assert mixed_probability(1.0, 1.0, 2) == pytest.approx(1 / 3, abs=1e-15)


@few
@given(counts, counts, sizes)
def test_the_chance_of_a_mixed_group_is_a_probability_and_grows_with_its_size(a, b, n):
    small, large = mixed_probability(a, b, n), mixed_probability(a, b, n + 1)
    assert 0.0 <= small <= large + 1e-12 <= 1.0 + 1e-12


def test_a_large_group_is_valued_without_overflow():
    # Towards n = infinity std is sqrt(p (1 - p)): pi / 8 under a uniform belief, 1/2 at p = 1/2.
    assert expected_group_value(1.0, 1.0, 1200, "std") == pytest.approx(math.pi / 8, abs=1e-3)
    assert group_value(0.5, 1200, "std") == pytest.approx(0.5, abs=1e-3)


# psi(1) = -gamma, psi(1/2) = -gamma - 2 ln 2, psi(2) = 1 - gamma, psi(10) = H_9 - gamma.
@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (1.0, -EULER),
        (0.5, -EULER - 2 * math.log(2)),
        (2.0, 1 - EULER),
        (10.0, sum(1 / k for k in range(1, 10)) - EULER),
        (1e6, math.log(1e6) - 0.5e-6),
    ],
)
def test_digamma_has_its_closed_forms(x, expected):
    assert digamma(x) == pytest.approx(expected, abs=1e-12)


@few
@given(st.floats(1e-3, 1e6))
def test_digamma_keeps_its_recurrence_across_the_start_of_the_series(x):
    assert digamma(x + 1.0) - digamma(x) == pytest.approx(1.0 / x, rel=1e-9, abs=1e-11)


def test_digamma_agrees_with_scipy():
    special = pytest.importorskip("scipy.special")
    x = np.geomspace(1e-3, 1e6, 500)
    np.testing.assert_allclose(digamma(x), special.digamma(x), rtol=1e-11, atol=1e-12)


def test_one_rollout_under_a_uniform_belief_tells_ln_2_less_a_half():
    # Entropy of the verdict ln 2; mean entropy given p: -2 * integral of p ln p = 1/2.
    assert beta_information(1.0, 1.0) == pytest.approx(math.log(2) - 0.5, abs=1e-12)


@few
@given(counts, counts)
def test_information_is_positive_symmetric_and_shrinks_with_evidence(a, b):
    here = float(beta_information(a, b))
    assert here >= 0.0
    assert beta_information(b, a) == pytest.approx(here, abs=1e-12)
    assert float(beta_information(3 * a, 3 * b)) <= here + 1e-12


@pytest.mark.parametrize("num_rollouts", [1, 0, 2.0, True, None])
@pytest.mark.parametrize(
    "function", [group_value_table, lambda n, kind: mixed_probability(1.0, 1.0, n)]
)
def test_groups_of_fewer_than_two_are_refused(function, num_rollouts):
    with pytest.raises(ConfigError, match=r"whole number of at least 2 rollouts, got"):
        function(num_rollouts, "mix")


def test_an_unknown_value_is_refused_with_the_known_ones():
    with pytest.raises(
        ConfigError, match=r"group value must be one of std, var, mix, knap, got 'asym'"
    ):
        group_value(0.5, 4, "asym")

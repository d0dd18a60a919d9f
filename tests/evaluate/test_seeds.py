"""Means over seeds: Student's quantiles as printed in tables, and Holm's correction by hand."""

import pytest

from vasari.core.errors import DataError
from vasari.evaluate.seeds import holm, seed_mean, t_quantile, t_within


@pytest.mark.parametrize(
    ("df", "printed"),
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (7, 2.365), (10, 2.228), (29, 2.045)],
)
def test_quantiles_are_those_of_the_printed_table(df, printed):
    assert t_quantile(0.95, df) == pytest.approx(printed, abs=5e-4)
    assert t_within(printed, df) == pytest.approx(0.95, abs=5e-5)


def test_an_interval_over_three_seeds_worked_by_hand():
    # sd 0.01, standard error 0.01 / sqrt(3), t = 11 sqrt(3), and P(|t| > x) = 1 - x / sqrt(2 + x^2)
    # for two degrees of freedom.
    found = seed_mean([0.10, 0.12, 0.11])
    assert found.mean == pytest.approx(0.11)
    assert found.high - found.mean == pytest.approx(4.3027 * 0.01 / 3**0.5, rel=1e-4)
    assert found.low + found.high == pytest.approx(0.22)
    assert found.p == pytest.approx(1 - (363 / 365) ** 0.5)


@pytest.mark.parametrize("values", [[0.5], [0.5, 0.5]])
def test_one_seed_or_equal_ones_have_no_interval_and_no_test(values):
    found = seed_mean(values)
    assert (found.mean, found.low, found.high, found.p) == (0.5, None, None, None)
    assert found.n == len(values)


def test_no_seed_is_an_error():
    with pytest.raises(DataError, match="one seed or more"):
        seed_mean([])


def test_holm_worked_by_hand():
    # In order 4 x 0.005, 3 x 0.01, 2 x 0.03, 1 x 0.04; none is below the one before it.
    found = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert found == pytest.approx({"d": 0.02, "a": 0.03, "c": 0.06, "b": 0.06})
    assert holm({"a": 0.9, "b": 0.8}) == {"b": 1.0, "a": 1.0}

"""The clustered standard error against a hand calculation and against what it must become without
clusters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasari.core.errors import DataError
from vasari.evaluate.benchmarks.standard_error import clustered_standard_error

shares = st.lists(st.floats(0, 1), min_size=1, max_size=40)


def test_two_clusters_that_agree_within_count_as_two_observations():
    # Mean 1/2; the clusters' sums of deviations are 1 and -1: sqrt(1 + 1) / 4. Apart: sqrt(4 * 1/4)
    # / 4.
    assert clustered_standard_error([1, 1, 0, 0], ["a", "a", "b", "b"]) == pytest.approx(2**0.5 / 4)
    assert clustered_standard_error([1, 1, 0, 0], list("abcd")) == pytest.approx(1 / 4)


def test_clusters_whose_members_cancel_leave_no_error():
    assert clustered_standard_error([1, 0, 1, 0], ["a", "a", "b", "b"]) == 0


@given(shares)
def test_without_clusters_it_is_the_plain_standard_error(values):
    expected = np.std(values) / len(values) ** 0.5
    assert clustered_standard_error(values, list(range(len(values)))) == pytest.approx(
        expected, abs=1e-12
    )


@given(shares, st.integers(1, 5))
def test_copies_of_every_prompt_in_its_cluster_change_nothing(values, copies):
    once = clustered_standard_error(values, list(range(len(values))))
    repeated = [value for value in values for _ in range(copies)]
    clusters = [place for place in range(len(values)) for _ in range(copies)]
    assert clustered_standard_error(repeated, clusters) == pytest.approx(once, abs=1e-12)


def test_values_without_clusters_are_refused():
    with pytest.raises(DataError, match=r"one cluster for each, got \(2,\) and 1"):
        clustered_standard_error([1, 0], ["a"])

"""The shape of real pass rates, and the distance from it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasari.core.errors import DataError
from vasari.data.tasks.difficulty import (
    DYNAMATH_COUNTS,
    DYNAMATH_PASS_RATES,
    dynamath_level_weights,
    shape_distance,
)

samples = st.lists(st.floats(0, 1), min_size=1, max_size=30)

CSV = """Question ID,Variant 1,Variant 2,Variant 3,Variant 4,Variant 5,Variant 6,Variant 7,Variant 8,Variant 9,Variant 10
Q1,fail,correct,fail,fail,fail,fail,fail,fail,fail,correct
Q2,fail,fail,fail,fail,fail,fail,fail,fail,fail,fail
,,,,,,,,,,
A_avg,50,50,50,50,50,50,50,50,50,50
"""


@given(st.floats(0, 1))
def test_the_distance_of_equal_pass_rates_is_the_mean_distance_from_them(rate):
    expected = sum(share * abs(k / 10 - rate) for k, share in enumerate(DYNAMATH_PASS_RATES))
    assert shape_distance([rate] * 3) == pytest.approx(expected, abs=1e-12)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=30))
def test_moving_pass_rates_changes_the_distance_by_at_most_their_mean_move(pairs):
    before, after = np.array(pairs).T
    assert (
        abs(shape_distance(before) - shape_distance(after)) <= np.abs(before - after).mean() + 1e-9
    )


@given(samples)
def test_order_and_repetition_do_not_change_the_distance(sample):
    assert shape_distance([*reversed(sample), *sample]) == pytest.approx(
        shape_distance(sample), abs=1e-12
    )


def test_the_real_pass_rates_have_distance_zero():
    assert shape_distance(np.repeat(np.arange(11) / 10, DYNAMATH_COUNTS)) == pytest.approx(
        0, abs=1e-12
    )


def test_unverifiable_prompts_are_left_out():
    assert shape_distance([0.5, float("nan")]) == shape_distance([0.5])


@pytest.mark.parametrize(
    ("rates", "message"),
    [([], "at least one"), ([float("nan")], "at least one"), ([1.5], r"in \[0, 1\]")],
)
def test_pass_rates_that_are_none_are_refused(rates, message):
    with pytest.raises(DataError, match=message):
        shape_distance(rates)


def test_shares_sum_to_one_and_the_mean_is_that_of_the_published_verdicts():
    # 29,597 of the 70,140 verdicts in the 14 files say "correct".
    assert sum(DYNAMATH_PASS_RATES) == pytest.approx(1)
    assert sum(k / 10 * share for k, share in enumerate(DYNAMATH_PASS_RATES)) == pytest.approx(
        29_597 / 70_140
    )


def test_pass_rates_drawn_from_the_real_ones_come_close_to_them():
    rng = np.random.default_rng(0)
    drawn = rng.choice(np.arange(11) / 10, size=20_000, p=DYNAMATH_PASS_RATES)
    assert shape_distance(drawn) < 0.01


def test_levels_take_the_mass_of_the_histogram_on_their_side():
    easy, middle, hard = 354 + 361 + 422 + 1158, 387 + 411 + 356, 1906 + 671 + 521 + 467
    expected = {"1": easy / 7014, "2": middle / 7014, "3": hard / 7014}
    assert dynamath_level_weights() == pytest.approx(expected)


def test_the_script_counts_questions_and_leaves_out_totals(tmp_path):
    (tmp_path / "one-result.csv").write_text(CSV)
    script = Path(__file__).parents[3] / "benchmarks" / "dynamath_pass_rates.py"
    found = subprocess.run(
        [sys.executable, str(script), "--data", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 1
    assert "| one | 1 | 0 | 1 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0.100 |" in found.stdout

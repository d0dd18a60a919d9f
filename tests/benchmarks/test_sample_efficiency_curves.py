"""Curves of accuracy over what was spent, by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sample_efficiency.curves import Curve, compare, first_crossing, isotonic
from vasari.core.errors import DataError

numbers = st.lists(st.floats(0, 1), min_size=1, max_size=20)


def cell(rollouts, points, **changes):
    """A cell of training rollouts and refresh rollouts by batch, and shares of correct rollouts by
    batch."""
    batches = [
        {
            "batch": place,
            "rollouts": {"train": train, "refresh": refresh},
            "tokens": {"train": 10 * train, "refresh": 0},
        }
        for place, (train, refresh) in enumerate(rollouts, start=1)
    ]
    measured = [
        {"batch": batch, "num_rollouts": 4, "correct": correct} for batch, correct in points
    ]
    return {
        "pool": "p",
        "arm": "a",
        "seed": 0,
        "free_refresh": False,
        "batches": batches,
        "points": measured,
    } | changes


def test_the_closest_rising_sequence_pools_what_falls():
    # 3 and 2 fall: their mean is 2.5.
    np.testing.assert_allclose(isotonic(np.array([1.0, 3.0, 2.0, 4.0])), [1.0, 2.5, 2.5, 4.0])


@given(numbers)
def test_a_smoothed_curve_never_falls_and_keeps_its_mean(values):
    smooth = isotonic(np.array(values))
    assert (np.diff(smooth) >= -1e-12).all()
    assert smooth.mean() == pytest.approx(np.mean(values), abs=1e-9)


def test_a_target_between_two_marks_is_crossed_between_them():
    assert first_crossing(np.arange(4.0), np.array([0.2, 0.4, 0.6, 0.8]), 0.5) == pytest.approx(1.5)


def test_a_target_that_is_never_reached_has_no_crossing():
    assert np.isnan(first_crossing(np.arange(3.0), np.array([0.1, 0.2, 0.3]), 0.4))


def test_a_refresh_is_paid_for_and_moves_no_weights():
    """Batch 1 costs 10 of refresh and 4 of training, batch 2 costs 4: 13 rollouts buy the cold
    start, 14 one batch."""
    curve = Curve.read(cell([(4, 10), (8, 10)], [(0, [0, 0]), (2, [4, 2])]))
    found = curve.at("rollouts", np.array([0.0, 13.0, 14.0, 18.0]))
    np.testing.assert_allclose(found, [[0, 0], [0, 0], [0.5, 0.25], [1, 0.5]])


def test_a_free_refresh_is_left_out():
    curve = Curve.read(cell([(4, 10), (8, 10)], [(0, [0]), (2, [4])], free_refresh=True))
    np.testing.assert_allclose(curve.at("rollouts", np.array([4.0, 8.0])), [[0.5], [1.0]])


def test_beyond_its_end_a_curve_says_nothing():
    curve = Curve.read(cell([(4, 0)], [(0, [0]), (1, [4])]))
    assert np.isnan(curve.at("rollouts", np.array([5.0]))).all()


def test_a_record_with_a_gap_is_refused():
    broken = cell([(4, 0), (8, 0)], [(0, [0])])
    broken["batches"].pop(0)
    with pytest.raises(DataError, match=r"p / a / seed 0: batches are missing"):
        Curve.read(broken)


def curves(values, *, seeds=3, prompts=5):
    """[seeds] of [marks, prompts], all prompts alike."""
    return [np.repeat(np.array(values)[:, None], prompts, axis=1) for _ in range(seeds)]


def test_an_arm_that_is_twice_as_fast_needs_half_the_rollouts():
    # Uniform rises by 0.2 a mark to 0.8 at the fourth; the arm is there at the second.
    marks = np.arange(5.0) * 100
    found = compare(
        curves([0, 0.4, 0.8, 0.8, 0.8]), curves([0, 0.2, 0.4, 0.6, 0.8]), [1, 2, 3], marks, num=50
    )
    assert (found.spent_to_target.value, found.ratio.value, found.restricted_mean) == pytest.approx(
        (200, 0.5, 0.5)
    )
    assert (found.reached, found.reached_share) == (True, 1.0)


def test_an_arm_that_never_gets_there_is_given_the_whole_budget():
    marks = np.arange(3.0) * 100
    found = compare(curves([0, 0.1, 0.2]), curves([0, 0.2, 0.4]), [1, 2, 3], marks, num=50)
    assert (found.reached, found.spent_to_target.value, found.ratio.value) == (False, 200, 1.0)


def test_uniform_beside_itself_differs_by_nothing():
    rng = np.random.default_rng(0)
    own = [np.cumsum(rng.random((4, 6)), axis=0) / 4 for _ in range(3)]
    found = compare(own, own, [1, 2, 3], np.arange(4.0), num=100)
    assert (
        found.final_difference.low,
        found.final_difference.high,
        found.ratio.low,
        found.ratio.high,
    ) == (0, 0, 1, 1)


def test_an_interval_is_wider_when_seeds_differ():
    marks, uniform = np.arange(2.0), curves([0, 0.5], seeds=4)
    alike = compare(curves([0, 0.6], seeds=4), uniform, [1, 2, 3, 4], marks, num=200)
    apart = [curves([0, end], seeds=1)[0] for end in (0.4, 0.5, 0.7, 0.8)]
    differing = compare(apart, uniform, [1, 2, 3, 4], marks, num=200)
    assert alike.final_difference.high - alike.final_difference.low == pytest.approx(0)
    assert differing.final_difference.high - differing.final_difference.low > 0.1

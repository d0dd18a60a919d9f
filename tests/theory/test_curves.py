"""Curves over rollouts charged."""

import math

import pytest

from vasari.theory.curves import Curve


def curve_of(points, budget=300):
    curve = Curve("arm", budget)
    charged = 0
    for rollouts, accuracy in points:
        curve.ledger.charge("train", rollouts=rollouts - charged, tokens=2 * (rollouts - charged))
        charged = rollouts
        curve.add(step=0, accuracy=accuracy, noise_share=math.nan, mixed_share=math.nan)
    return curve


def test_the_x_axis_is_what_the_ledger_charged():
    curve = curve_of([(0, 0.1), (100, 0.2)])
    assert curve.rollouts.tolist() == [0, 100]
    assert curve.tokens.tolist() == [0, 200]


def test_rollouts_to_a_target_lie_on_the_line_between_two_points():
    # From 0.2 at 100 to 0.4 at 200: 0.35 after three quarters of the way.
    assert curve_of([(0, 0.1), (100, 0.2), (200, 0.4)]).rollouts_to(0.35) == pytest.approx(175)


def test_the_first_time_counts_when_accuracy_falls_again():
    assert curve_of([(0, 0.1), (100, 0.5), (200, 0.2), (300, 0.6)]).rollouts_to(0.5) == 100


def test_a_target_met_at_the_start_costs_nothing_and_one_never_met_is_infinite():
    curve = curve_of([(0, 0.1), (100, 0.2)])
    assert curve.rollouts_to(0.1) == 0
    assert curve.rollouts_to(0.9) == math.inf


def test_a_target_met_beyond_the_budget_is_not_met():
    curve = curve_of([(0, 0.0), (200, 0.2), (400, 0.4)])
    assert curve.rollouts_to(0.29) == pytest.approx(290)
    assert curve.rollouts_to(0.35) == math.inf
    assert curve.final_accuracy == pytest.approx(0.3)


def test_a_jump_of_the_x_axis_at_equal_accuracy_is_no_progress():
    # A refresh: 500 rollouts are charged and nothing is learnt.
    assert curve_of([(0, 0.1), (100, 0.2), (200, 0.2), (300, 0.4)]).accuracy_at(
        150
    ) == pytest.approx(0.2)

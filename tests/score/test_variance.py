import math

import pytest

from vasari.core.errors import DataError
from vasari.score import outcome_variance, pass_rate, reward_variance, unbiased_outcome_variance

NAN = math.nan


@pytest.mark.parametrize(
    ("verdicts", "rate", "variance"),
    [
        ([1, 0], 0.5, 0.25),
        ([1, 1, 1, 0], 0.75, 0.1875),
        ([1, 1, 1], 1.0, 0.0),
        ([0, 0], 0.0, 0.0),
        ([True, False, True, False], 0.5, 0.25),
        ([1, NAN, 0, NAN], 0.5, 0.25),
        ([NAN, 1], 1.0, 0.0),
    ],
)
def test_pass_rate_and_variance_follow_from_the_verifiable_verdicts(verdicts, rate, variance):
    assert (pass_rate(verdicts), outcome_variance(verdicts)) == (rate, variance)


@pytest.mark.parametrize("verdicts", [[], [NAN], [NAN, NAN]])
def test_a_group_without_a_verifiable_rollout_has_no_variance(verdicts):
    assert math.isnan(outcome_variance(verdicts))
    assert math.isnan(pass_rate(verdicts))
    assert math.isnan(reward_variance(verdicts))


def test_the_unbiased_variance_is_the_sample_variance():
    assert unbiased_outcome_variance([1, 0, 0, NAN, 0]) == pytest.approx(0.25)


def test_the_unbiased_variance_needs_two_verifiable_rollouts():
    assert math.isnan(unbiased_outcome_variance([1, NAN]))


@pytest.mark.parametrize("graded", [[0.5, 0.5], [1, 0.1], [2, 0], [math.inf, 0]])
def test_graded_rewards_are_sent_to_reward_variance(graded):
    with pytest.raises(DataError, match="use reward_variance"):
        outcome_variance(graded)


def test_equal_graded_rewards_have_no_variance():
    assert reward_variance([0.1] * 3) == 0.0


def test_reward_variance_is_the_population_variance_of_the_verifiable_rewards():
    assert reward_variance([2.0, NAN, 0.0]) == 1.0


def test_infinite_rewards_are_refused():
    with pytest.raises(DataError, match="finite"):
        reward_variance([math.inf, 1.0])


def test_a_table_of_groups_is_refused():
    with pytest.raises(DataError, match=r"vector, got shape \(2, 2\)"):
        outcome_variance([[1, 0], [0, 1]])

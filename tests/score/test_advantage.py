import math

import numpy as np
import pytest

from vasari.core.errors import ConfigError, DataError
from vasari.score import ADVANTAGE_DENOMINATORS, group_advantages

NAN = math.nan

# [1, 0, 0, 0]: mean 1/4, population deviation sqrt(3)/4, sample deviation 1/2.
FIRST = {
    "trl": 0.75 / (0.5 + 1e-4),
    "verl": 0.75 / (0.5 + 1e-6),
    "easyr1": 0.75 / (0.5 + 1e-6),
    "nanochat": 0.75,
    "dr_grpo": 0.75,
    "rloo": 1.0,
    "population": 0.75 / (math.sqrt(3) / 4 + 1e-6),
}


@pytest.mark.parametrize("name", FIRST)
def test_each_trainer_has_its_denominator(name):
    preset = ADVANTAGE_DENOMINATORS[name]
    advantages = group_advantages(
        [[1, 0, 0, 0]], scale=preset.scale, ddof=preset.ddof, epsilon=preset.epsilon
    )
    assert advantages[0, 0] == pytest.approx(FIRST[name], rel=1e-12)


def test_every_preset_is_tested():
    assert set(FIRST) == set(ADVANTAGE_DENOMINATORS)


def test_an_unverifiable_rollout_leaves_mean_and_deviation_and_gets_zero():
    with_gap = group_advantages([[2.0, NAN, 0.0, 1.0]], scale="std", ddof=1, epsilon=1e-4)
    without = group_advantages([[2.0, 0.0, 1.0]], scale="std", ddof=1, epsilon=1e-4)
    np.testing.assert_allclose(with_gap[:, [0, 2, 3]], without)
    assert with_gap[0, 1] == 0.0


def test_leave_one_out_subtracts_the_mean_of_the_other_verifiable_rollouts():
    # 4 - (1 + 0) / 2 = 3.5; 1 - (4 + 0) / 2 = -1; 0 - (4 + 1) / 2 = -2.5.
    np.testing.assert_allclose(
        group_advantages([[4.0, NAN, 1.0, 0.0]], scale="leave_one_out"), [[3.5, 0.0, -1.0, -2.5]]
    )


@pytest.mark.parametrize("scale", ["none", "std", "leave_one_out"])
def test_fewer_than_two_verifiable_rollouts_give_zeros(scale):
    assert not group_advantages([[1.0, NAN, NAN], [NAN, NAN, NAN]], scale=scale).any()


def test_equal_rewards_give_exact_zeros_even_without_epsilon():
    assert not group_advantages(
        [[0.1] * 3, [1e9 + 0.1] * 3], scale="std", ddof=1, epsilon=0.0
    ).any()


def test_one_rollout_per_group_is_refused():
    with pytest.raises(DataError, match="at least 2 rollouts a group"):
        group_advantages([[1.0], [0.0]], scale="none")


def test_infinite_rewards_are_refused():
    with pytest.raises(DataError, match="infinite"):
        group_advantages([[1.0, math.inf]], scale="none")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scale": "batch"}, "none, std, leave_one_out, got 'batch'"),
        ({"scale": "std", "ddof": 2}, "ddof must be one of 0, 1"),
        ({"scale": "std", "epsilon": -1.0}, "epsilon"),
    ],
)
def test_impossible_denominators_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        group_advantages([[1.0, 0.0]], **settings)


def test_no_groups_give_no_advantages():
    assert group_advantages(np.zeros((0, 4)), scale="std").shape == (0, 4)

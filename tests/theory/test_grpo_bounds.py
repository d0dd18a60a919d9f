"""Whitening and clipping: what they keep of the bound, and what not."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vasari.core.errors import ConfigError
from vasari.score import group_advantages
from vasari.theory.bounds import local_constants
from vasari.theory.grpo_bounds import (
    clipped_gradient,
    group_factor,
    unclipped_radius,
    whitened_gain_rate,
)
from vasari.theory.softmax_policy import SoftmaxPrompt

rates = st.floats(0.01, 0.99)
numbers = st.floats(-2.0, 2.0, width=32)


def expected_group_gradient(prompt, theta, num_rollouts, **scale):
    """Mean over all groups of the mean of A_i g_i, by naming every group."""
    chances, scores = prompt.probabilities(theta), prompt.scores(theta)
    total = np.zeros(len(theta))
    for group in itertools.product(range(len(chances)), repeat=num_rollouts):
        answers = list(group)
        advantages = group_advantages(prompt.rewards[answers][None], **scale)[0]
        total += np.prod(chances[answers]) * (advantages @ scores[answers]) / num_rollouts
    return total


@pytest.mark.parametrize(
    "scale",
    [
        {"scale": "none"},
        {"scale": "std", "ddof": 0, "epsilon": 0.0},
        {"scale": "std", "ddof": 1, "epsilon": 1e-4},
    ],
)
def test_the_expected_group_gradient_is_the_factor_times_the_gradient(scale):
    prompt, theta = SoftmaxPrompt.tabular([1.0, 0.0, 1.0]), np.array([0.2, -0.5, 0.4])
    factor = group_factor(prompt.value(theta), 4, **scale)
    np.testing.assert_allclose(
        expected_group_gradient(prompt, theta, 4, **scale),
        factor * prompt.gradient(theta),
        rtol=1e-9,
    )


@given(rates, st.integers(2, 32))
def test_a_groups_own_mean_shrinks_the_gradient_by_one_rollout(rate, num_rollouts):
    assert group_factor(rate, num_rollouts, scale="none") == pytest.approx(
        (num_rollouts - 1) / num_rollouts
    )


@given(rates, st.integers(2, 64))
def test_whitening_is_a_positive_factor_below_its_bound(rate, num_rollouts):
    bound = math.sqrt((num_rollouts - 1) / num_rollouts / (rate * (1 - rate)))
    assert 0.0 < group_factor(rate, num_rollouts) <= bound * (1 + 1e-9)


def test_whitening_two_rollouts_by_hand():
    # p = 1/2, n = 2: mixed half the time with s = 1/2, so E[s] = 1/4, over p (1 - p) = 1/4.
    assert group_factor(0.5, 2) == pytest.approx(1.0)


def test_a_large_whitened_group_divides_by_the_deviation():
    assert group_factor(0.2, 4000) == pytest.approx(1 / 0.4, rel=1e-3)


def test_whitened_gain_is_linear_in_the_deviation():
    # Two answers: |grad J|^2 = 2 q^2 and sd = sqrt(q), so the rate is 2 q^(3/2); at p = 1/2, 1/4;
    # at p = 1/10, 2 x 0.027.
    for rate, expected in ((0.5, 0.25), (0.1, 0.054)):
        prompt, theta = (
            SoftmaxPrompt.tabular([1.0, 0.0]),
            np.array([math.log(rate / (1 - rate)), 0.0]),
        )
        found = local_constants(prompt, theta)
        assert whitened_gain_rate(found.squared_gradient, found.variance) == pytest.approx(expected)
    assert whitened_gain_rate(0.0, 0.0) == 0.0


def test_whitening_can_lower_the_mean_reward_of_prompts_that_pull_apart():
    # One parameter at 0. Prompt 1: two answers, features 1 apart, p = 1/2. Prompt 2: one right
    # answer of twenty, features 3 apart the other way. Gradients 0.25 and -3 x 0.0475 sum to
    # 0.1075; whitened, 0.5 and -3 x sqrt(0.0475) to -0.154.
    easy = SoftmaxPrompt(features=np.array([[1.0], [0.0]]), rewards=np.array([1.0, 0.0]))
    hard = SoftmaxPrompt(
        features=np.vstack([[[-3.0]], np.zeros((19, 1))]), rewards=np.array([1.0] + [0.0] * 19)
    )
    theta = np.zeros(1)
    assert hard.value(theta) == pytest.approx(1 / 20)
    plain = easy.gradient(theta)[0] + hard.gradient(theta)[0]
    whitened = sum(p.gradient(theta)[0] / math.sqrt(p.variance(theta)) for p in (easy, hard))
    assert plain == pytest.approx(0.25 - 3 * 0.0475)
    assert whitened == pytest.approx(0.5 - 3 * math.sqrt(0.0475))
    assert plain > 0 > whitened


@st.composite
def cases(draw):
    answers, dims = draw(st.integers(2, 4)), draw(st.integers(1, 3))
    prompt = SoftmaxPrompt(
        features=draw(arrays(np.float64, (answers, dims), elements=numbers)),
        rewards=draw(arrays(np.float64, answers, elements=st.sampled_from([0.0, 1.0]))),
    )
    return (
        prompt,
        draw(arrays(np.float64, dims, elements=numbers)),
        draw(arrays(np.float64, dims, elements=numbers)),
    )


@given(cases(), st.floats(0.05, 0.5))
def test_nothing_is_clipped_on_the_policy_that_drew(case, clip):
    prompt, theta, _ = case
    np.testing.assert_allclose(
        clipped_gradient(prompt, theta, theta, clip=clip), prompt.gradient(theta), atol=1e-12
    )


@given(cases(), st.floats(0.05, 0.5))
def test_nothing_is_clipped_within_the_radius(case, clip):
    prompt, old, direction = case
    length = np.linalg.norm(direction)
    reach = min(unclipped_radius(prompt, clip=clip), 10.0)
    theta = old + (direction / length * reach * 0.999 if length > 1e-6 else 0.0)
    np.testing.assert_allclose(
        clipped_gradient(prompt, theta, old, clip=clip), prompt.gradient(theta), atol=1e-9
    )


def test_clipping_can_leave_no_gradient_where_there_is_variance():
    # From p = 1/2 to p = 2/3: ratios 4/3 and 2/3 leave [0.8, 1.2] on both sides, and Var = 2/9.
    prompt, old, theta = (
        SoftmaxPrompt.tabular([1.0, 0.0]),
        np.zeros(2),
        np.array([math.log(2.0), 0.0]),
    )
    assert prompt.variance(theta) == pytest.approx(2 / 9)
    assert not clipped_gradient(prompt, theta, old, clip=0.2).any()
    assert np.linalg.norm(prompt.gradient(theta)) == pytest.approx(math.sqrt(2) * 2 / 9)


def test_a_smaller_clip_gives_a_larger_bias_not_a_smaller_one():
    # Ratios 1.1 and 0.9: a clip of 0.05 silences both, one of 0.2 neither. The bias is no
    # O(epsilon).
    prompt, old, theta = (
        SoftmaxPrompt.tabular([1.0, 0.0]),
        np.zeros(2),
        np.array([math.log(0.55 / 0.45), 0.0]),
    )
    tight, loose = (
        np.linalg.norm(clipped_gradient(prompt, theta, old, clip=c) - prompt.gradient(theta))
        for c in (0.05, 0.2)
    )
    assert loose == pytest.approx(0.0, abs=1e-12)
    assert tight == pytest.approx(math.sqrt(2) * 0.55 * 0.45)


def test_a_clipped_step_can_go_against_the_mean_reward():
    # Rewards 1, 1, 0; from thirds to 0.7, 0.2, 0.1. Ratios 2.1 and 0.3 silence the first and the
    # wrong answer; what is left, 0.2 x 1/3 x (e_2 - pi) = (-0.7, 0.8, -0.1) / 15, takes from the
    # first to give to the second. Against grad J = (0.07, 0.02, -0.09): (-0.049 + 0.016 + 0.009) /
    # 15 = -0.0016.
    prompt, old = SoftmaxPrompt.tabular([1.0, 1.0, 0.0]), np.zeros(3)
    theta = np.log([0.7, 0.2, 0.1])
    assert clipped_gradient(prompt, theta, old, clip=0.2) @ prompt.gradient(theta) == pytest.approx(
        -0.0016
    )


@pytest.mark.parametrize("clip", [0.0, 1.0, -0.1])
def test_clips_outside_zero_and_one_are_refused(clip):
    prompt = SoftmaxPrompt.tabular([1.0, 0.0])
    with pytest.raises(ConfigError, match=r"clip must be inside \(0, 1\)"):
        clipped_gradient(prompt, np.zeros(2), np.zeros(2), clip=clip)
    with pytest.raises(ConfigError, match=r"clip must be inside \(0, 1\)"):
        unclipped_radius(prompt, clip=clip)


def test_groups_that_are_none_are_refused():
    with pytest.raises(ConfigError, match=r"needs a pass rate inside \(0, 1\)"):
        group_factor(0.5, 1)
    with pytest.raises(ConfigError, match=r"needs a pass rate inside \(0, 1\)"):
        group_factor(1.0, 8)

"""The variance-progress bound with local constants, and the paper's statements that fail."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vasari.core.errors import ConfigError, DataError
from vasari.theory.bounds import (
    best_baseline,
    estimator_variance,
    expected_gain,
    local_constants,
    progress_of_many_answers,
    progress_of_two_answers,
)
from vasari.theory.softmax_policy import SoftmaxPrompt

numbers = st.floats(-2.0, 2.0, width=32)
unit = st.floats(0.0, 1.0, width=32)
rates = st.floats(0.001, 0.999)


@st.composite
def cases(draw):
    """A prompt of 2 to 4 answers with features in 1 to 3 dimensions, and parameters."""
    answers, dims = draw(st.integers(2, 4)), draw(st.integers(1, 3))
    prompt = SoftmaxPrompt(
        features=draw(arrays(np.float64, (answers, dims), elements=numbers)),
        rewards=draw(arrays(np.float64, answers, elements=unit)),
    )
    return prompt, draw(arrays(np.float64, dims, elements=numbers))


def two_answers(rate):
    return SoftmaxPrompt.tabular([1.0, 0.0]), np.array([math.log(rate / (1 - rate)), 0.0])


@given(cases(), st.floats(0.0, 1.0))
def test_one_step_gains_at_least_half_the_local_constant_times_eta_times_variance(case, share):
    prompt, theta = case
    found = local_constants(prompt, theta)
    assume(found.squared_gradient > 1e-6)
    eta = share * found.largest_step()
    promised = 0.5 * found.progress * eta * found.variance
    assert expected_gain(prompt, theta, eta) >= promised - 1e-9 * max(1.0, eta)


@given(cases(), st.floats(0.0, 20.0))
def test_no_step_gains_less_than_taylor_and_smoothness_allow(case, eta):
    prompt, theta = case
    assert expected_gain(prompt, theta, eta) >= local_constants(prompt, theta).guaranteed_gain(
        eta
    ) - 1e-9 * max(1.0, eta**2)


@given(cases(), st.integers(1, 64))
def test_a_larger_group_allows_a_larger_step(case, num_rollouts):
    found = local_constants(*case)
    assume(found.squared_gradient > 1e-9)
    assert found.largest_step(num_rollouts + 1) >= found.largest_step(num_rollouts) * (1 - 1e-12)


def test_a_step_beyond_the_largest_can_lose():
    # A huge step after the middling answer runs past the good one: it ends on whichever answer lies
    # farthest.
    prompt = SoftmaxPrompt(
        features=np.array([[1.0], [0.0], [-2.0]]), rewards=np.array([0.6, 1.0, 0.0])
    )
    theta = np.array([0.3])
    assert local_constants(prompt, theta).largest_step() < 60
    assert expected_gain(prompt, theta, 60.0) < 0


@given(rates)
def test_the_ratio_of_two_answers_is_two_p_one_minus_p(rate):
    found = local_constants(*two_answers(rate))
    assert found.progress == pytest.approx(progress_of_two_answers(rate), rel=1e-6)


def test_no_constant_serves_all_pass_rates():
    # 2 x 10^-6 x (1 - 10^-6): below any c_min that somebody may name.
    assert local_constants(*two_answers(1e-6)).progress == pytest.approx(2e-6, rel=1e-5)


@pytest.mark.parametrize(("num_right", "num_wrong"), [(1, 1), (1, 3), (4, 4), (2, 50)])
def test_the_ratio_of_many_answers_falls_with_their_number(num_right, num_wrong):
    # At p = 1/2 and a logit an answer; variance is 1/4 in every case.
    prompt = SoftmaxPrompt.tabular([1.0] * num_right + [0.0] * num_wrong)
    theta = np.array(
        [math.log(0.5 / num_right)] * num_right + [math.log(0.5 / num_wrong)] * num_wrong
    )
    found = local_constants(prompt, theta)
    assert found.variance == pytest.approx(0.25)
    assert found.progress == pytest.approx(0.25 * (1 / num_right + 1 / num_wrong))
    assert found.progress == pytest.approx(progress_of_many_answers(0.5, num_right, num_wrong))


def test_a_coin_flip_has_the_greatest_variance_and_no_gradient():
    # Either answer passes half the time: Var = 1/4, grad J = 0, and no step is promised anything.
    coin = SoftmaxPrompt.tabular([0.5, 0.5], noise=np.array([0.25, 0.25]))
    found = local_constants(coin, np.array([0.3, -0.2]))
    assert found.variance == pytest.approx(0.25)
    assert (found.squared_gradient, found.progress) == pytest.approx((0.0, 0.0), abs=1e-12)
    assert found.second_moment > 0.1


def test_answers_that_share_their_features_have_variance_and_no_gradient():
    # Parameters that cannot tell right from wrong: the ratio is 0 where the variance is 1/4.
    prompt = SoftmaxPrompt(features=np.ones((2, 1)), rewards=np.array([1.0, 0.0]))
    found = local_constants(prompt, np.zeros(1))
    assert (found.variance, found.progress) == (0.25, 0.0)


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5, 0.8])
def test_the_variance_does_not_factorise(rate):
    # With q = p (1 - p): E|g (R - J)|^2 = 2 q (1 - 3 q), |grad J|^2 = 2 q^2; equation 4 says Var[R]
    # E|g|^2 = 2 q^2.
    prompt, theta = two_answers(rate)
    spread = rate * (1 - rate)
    found = estimator_variance(prompt, theta, prompt.value(theta))
    assert found == pytest.approx(2 * spread * (1 - 3 * spread) - 2 * spread**2, abs=1e-12)
    assert np.trace(prompt.fisher(theta)) * prompt.variance(theta) == pytest.approx(2 * spread**2)


def test_the_lower_half_of_the_sandwich_fails():
    # One parameter, p = 1/2: every rollout gives the same g (R - J) = 1/4, so the estimator has no
    # variance at all, while lambda_min Var[R] = 1/4 x 1/4 (lemma 1). Dropping - grad J grad J^T
    # enlarges what it should bound from below.
    prompt, theta = (
        SoftmaxPrompt(features=np.array([[1.0], [0.0]]), rewards=np.array([1.0, 0.0])),
        np.zeros(1),
    )
    assert estimator_variance(prompt, theta, prompt.value(theta)) == pytest.approx(0.0, abs=1e-12)
    assert prompt.fisher(theta)[0, 0] * prompt.variance(theta) == pytest.approx(1 / 16)


@given(cases())
def test_the_upper_half_of_the_sandwich_holds(case):
    prompt, theta = case
    found = local_constants(prompt, theta)
    assert found.second_moment <= prompt.diameter**2 * found.variance + 1e-9


def test_the_mean_reward_is_not_the_best_baseline():
    # p = 3/4: scores of squared length 2/16 (right) and 18/16 (wrong); E|g|^2 R = 3/4 x 2/16 =
    # 6/64, E|g|^2 = 24/64.
    prompt, theta = two_answers(0.75)
    assert best_baseline(prompt, theta) == pytest.approx(0.25)
    assert prompt.value(theta) == pytest.approx(0.75)
    # E|g (R - b)|^2: at b = 1/4, 3/4 x 1/8 x 9/16 + 1/4 x 9/8 x 1/16 = 36/512; at b = 3/4, 84/512;
    # the gradient 36/512.
    assert estimator_variance(prompt, theta, 0.25) == pytest.approx(0.0, abs=1e-12)
    assert estimator_variance(prompt, theta, 0.75) == pytest.approx(48 / 512)


@given(cases(), st.floats(-1.0, 2.0))
def test_no_baseline_beats_the_best_one(case, baseline):
    prompt, theta = case
    best = estimator_variance(prompt, theta, best_baseline(prompt, theta))
    assert best <= estimator_variance(prompt, theta, baseline) + 1e-9


def test_noisy_rewards_have_no_gain_that_is_a_sum_over_answers():
    coin = SoftmaxPrompt.tabular([0.5, 0.5], noise=np.array([0.25, 0.25]))
    with pytest.raises(DataError, match=r"needs rewards without noise"):
        expected_gain(coin, np.zeros(2), 0.1)


def test_a_prompt_without_right_answers_has_no_ratio():
    with pytest.raises(ConfigError, match=r"needs a right and a wrong answer, got 0 and 3"):
        progress_of_many_answers(0.5, 0, 3)

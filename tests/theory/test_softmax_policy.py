"""Exact gradients and constants of softmax policies."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vasari.core.errors import DataError
from vasari.theory.softmax_policy import SoftmaxPrompt

numbers = st.floats(-2.0, 2.0, width=32)


@st.composite
def prompts_with_parameters(draw):
    """A prompt of 2 to 4 answers with features in 1 to 3 dimensions, and parameters."""
    answers, dims = draw(st.integers(2, 4)), draw(st.integers(1, 3))
    prompt = SoftmaxPrompt(
        features=draw(arrays(np.float64, (answers, dims), elements=numbers)),
        rewards=draw(arrays(np.float64, answers, elements=st.floats(0.0, 1.0, width=32))),
    )
    return prompt, draw(arrays(np.float64, dims, elements=numbers))


@given(prompts_with_parameters())
def test_scores_have_mean_zero(case):
    prompt, theta = case
    np.testing.assert_allclose(prompt.probabilities(theta) @ prompt.scores(theta), 0.0, atol=1e-12)


@given(prompts_with_parameters())
def test_the_gradient_is_that_of_the_value(case):
    prompt, theta = case
    step = 1e-5
    differences = [
        (prompt.value(theta + step * e) - prompt.value(theta - step * e)) / (2 * step)
        for e in np.eye(len(theta))
    ]
    np.testing.assert_allclose(prompt.gradient(theta), differences, atol=1e-8)


@given(prompts_with_parameters(), st.integers(0, 2**32))
def test_no_curvature_exceeds_the_smoothness(case, seed):
    prompt, theta = case
    direction = np.random.default_rng(seed).standard_normal(len(theta))
    direction /= np.linalg.norm(direction)
    step = 1e-3
    slopes = [direction @ prompt.gradient(theta + sign * step * direction) for sign in (1, -1)]
    assert abs(slopes[0] - slopes[1]) / (2 * step) <= prompt.smoothness + 1e-9


def test_a_logit_an_answer_has_a_singular_fisher_matrix():
    # Proposition 2 asks for a least eigenvalue above 0; adding a constant to all logits changes
    # nothing.
    prompt = SoftmaxPrompt.tabular([1.0, 0.0, 0.0])
    assert np.linalg.eigvalsh(prompt.fisher(np.zeros(3)))[0] == pytest.approx(0.0, abs=1e-12)


def test_two_answers_by_hand():
    # Logits log 3 and 0: p = 3/4; gradient p (1 - p) (1, -1); Var = 3/16.
    prompt, theta = SoftmaxPrompt.tabular([1.0, 0.0]), np.array([np.log(3.0), 0.0])
    np.testing.assert_allclose(prompt.probabilities(theta), [0.75, 0.25])
    np.testing.assert_allclose(prompt.gradient(theta), [3 / 16, -3 / 16])
    assert prompt.variance(theta) == pytest.approx(3 / 16)
    assert prompt.diameter == pytest.approx(np.sqrt(2.0))
    assert prompt.smoothness == pytest.approx(1.0)


def test_noise_adds_to_the_variance_and_not_to_the_gradient():
    quiet, theta = SoftmaxPrompt.tabular([1.0, 0.0]), np.zeros(2)
    noisy = SoftmaxPrompt.tabular([1.0, 0.0], noise=np.array([0.1, 0.3]))
    assert noisy.variance(theta) == pytest.approx(quiet.variance(theta) + 0.2)
    np.testing.assert_array_equal(noisy.gradient(theta), quiet.gradient(theta))


@pytest.mark.parametrize(
    ("features", "rewards", "noise", "message"),
    [
        (np.eye(3), np.zeros(2), np.zeros(0), r"must be \[answers, dims\] and \[answers\]"),
        (np.eye(1), np.zeros(1), np.zeros(0), r"at least 2 answers"),
        (np.eye(2), np.zeros(2), np.array([-1.0, 0.0]), r"one variance of at least 0 an answer"),
    ],
)
def test_prompts_that_are_none_are_refused(features, rewards, noise, message):
    with pytest.raises(DataError, match=message):
        SoftmaxPrompt(features=features, rewards=rewards, noise=noise)

"""The linear learner: its group gradient by hand, and what noise does to it."""

import numpy as np
import pytest

from vasari.theory.learner import GENERAL_SCALE, SKILL_SCALE, LinearLearner
from vasari.theory.pools import SimulatedPoolSettings, make_simulated_pool


@pytest.fixture
def pool():
    return make_simulated_pool(
        SimulatedPoolSettings(num_prompts=20, num_held_out=10, num_skills=3, num_random=2), seed=0
    )


def updated(pool, right, verdicts, *, noise=0.0, index=4):
    learner = LinearLearner(pool, learning_rate=0.1, score_noise=noise)
    learner.update(
        np.array([index]),
        np.array([right], float),
        np.array([verdicts], float),
        batch=1,
        rng=np.random.default_rng(0),
    )
    return learner.weights


def test_an_untrained_learner_solves_at_the_logistic_of_minus_the_difficulty(pool):
    learner = LinearLearner(pool, learning_rate=0.1, score_noise=0.0)
    np.testing.assert_allclose(
        learner.solve_rates(np.arange(20)), 1 / (1 + np.exp(pool.difficulty[:20]))
    )


def test_a_mixed_group_raises_its_skill_and_general_ability_and_no_other_skill(pool):
    # Adam's first step is the learning rate in the direction of the gradient's sign.
    weights = updated(pool, [1, 1, 0, 0], [1, 1, 0, 0])
    skill = pool.skills[4]
    assert weights[0] == pytest.approx(0.1, rel=1e-4)
    assert weights[1 + skill] == pytest.approx(0.1, rel=1e-4)
    assert np.delete(weights[1:4], skill).tolist() == [0.0, 0.0]


def test_a_wrong_label_lowers_what_it_should_raise(pool):
    assert updated(pool, [1, 1, 0, 0], [0, 0, 1, 0])[0] == pytest.approx(-0.1, rel=1e-4)


@pytest.mark.parametrize("verdicts", [[0, 0, 0, 0], [1, 1, 1, 1]])
def test_a_unanimous_group_moves_nothing_whatever_the_noise(pool, verdicts):
    assert not updated(pool, verdicts, verdicts, noise=5.0).any()


def test_noise_reaches_other_skills_through_a_mixed_group(pool):
    assert updated(pool, [1, 1, 0, 0], [1, 1, 0, 0], noise=1.0)[1:4].all()


def test_the_group_gradient_is_the_deviation_of_its_verdicts_times_the_features(pool):
    # k = 1 of 4: s = sqrt(3) / 4, advantages (3/4, -1/4, -1/4, -1/4) / s; their mean with `right`
    # is 3/16 / s = s.
    learner = LinearLearner(pool, learning_rate=0.1, score_noise=0.0)
    verdicts = np.array([[1.0, 0, 0, 0]])
    gradient = learner.gradient(
        np.array([4]), verdicts, verdicts, batch=2, rng=np.random.default_rng(0)
    )
    deviation = np.sqrt(3) / 4
    assert gradient[0] == pytest.approx(GENERAL_SCALE * deviation / 2, rel=1e-5)
    assert gradient[1 + pool.skills[4]] == pytest.approx(SKILL_SCALE * deviation / 2, rel=1e-5)

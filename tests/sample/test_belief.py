from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasari.sample.belief import PassRateBelief, expected_rate
from vasari.sample.features import PoolFeatures


def belief(num_prompts=4, features=None, **changes):
    return PassRateBelief(
        num_prompts, features, **({"prior_variance": 6.0, "drift": 0.03} | changes)
    )


def told(sense, place, correct, num, *, times=1, age=0):
    for _ in range(times):
        sense.learn(
            np.array([place]),
            np.array([float(correct)]),
            np.array([float(num)]),
            np.array([age]),
        )


def rates(sense):
    return 1 / (1 + np.exp(-sense.logits()))


def test_nothing_seen_means_even_odds_and_the_prior_variance():
    sense = belief()
    assert rates(sense) == pytest.approx(0.5)
    # 6 of each prompt's own, and 2 of the level that all share.
    assert sense.variances(np.zeros(4, dtype=np.int32)) == pytest.approx(8.0)


@given(st.integers(0, 64))
def test_many_rollouts_bring_the_belief_to_their_share(correct):
    sense = belief()
    told(sense, 2, correct, 64, times=3)
    assert rates(sense)[2] == pytest.approx(correct / 64, abs=0.08)


@given(st.integers(0, 8), st.integers(0, 8))
def test_more_correct_rollouts_never_lower_the_belief(one, other):
    first, second = belief(), belief()
    told(first, 0, min(one, other), 8)
    told(second, 0, max(one, other), 8)
    assert first.logits()[0] <= second.logits()[0] + 1e-6


def test_rollouts_narrow_the_belief_and_age_widens_it_to_that_of_an_unseen_prompt():
    sense = belief()
    told(sense, 0, 4, 8)
    fresh, aged, old = (
        float(sense.variances(np.full(4, age, dtype=np.int32))[0]) for age in (0, 10, 10_000)
    )
    assert fresh < aged < old
    assert aged - fresh == pytest.approx(0.3, abs=1e-5)
    assert old == pytest.approx(float(sense.variances(np.zeros(4, dtype=np.int32))[1]))


def groups_of(rng, num_prompts, *, variance, level=0.0, num=8):
    """Right rollouts of `num` each, of prompts whose logits are normal around `level`."""
    logits = level + np.sqrt(variance) * rng.standard_normal(num_prompts)
    return rng.binomial(num, 1 / (1 + np.exp(-logits))).astype(float)


@pytest.mark.parametrize("variance", [0.5, 2.0, 6.0])
def test_how_far_unseen_prompts_differ_is_learnt_from_first_groups(variance):
    rng = np.random.default_rng(0)
    sense = belief(2000, prior_variance=2.0)
    counts = groups_of(rng, 640, variance=variance, level=0.7)
    for start in range(0, 640, 16):
        at = np.arange(start, start + 16)
        none = np.zeros(16, dtype=np.int32)
        sense.learn(at, counts[at], np.full(16, 8.0), none)
    assert sense.own.variance == pytest.approx(variance, rel=0.3)
    unseen = float(sense.variances(np.zeros(2000, dtype=np.int32))[-1])
    assert unseen == pytest.approx(sense.own.variance, rel=0.1)


def test_columns_that_mean_nothing_do_no_harm_to_a_young_belief():
    # Prequential: each batch is predicted before it is learnt from. A constant is the mean pass
    # rate of all batches before, 1/2 at first.
    losses = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        columns = PoolFeatures(values=rng.standard_normal((96, 40)))
        sense = belief(96, columns, prior_variance=2.0)
        counts = groups_of(rng, 96, variance=2.0, level=0.8)
        right = total = 0.0
        for start in range(0, 96, 16):
            at, none = np.arange(start, start + 16), np.zeros(16, dtype=np.int32)
            ours = expected_rate(*sense.predicted(at, none))
            theirs = np.full(16, (right + 1) / (total + 2))
            losses.append([loss(rate, counts[at] / 8) for rate in (ours, theirs)])
            sense.learn(at, counts[at], np.full(16, 8.0), none)
            right, total = right + counts[at].sum(), total + 128
    ours, theirs = np.mean(losses, axis=0)
    assert ours < theirs + 0.005


def loss(rate, share):
    return -np.mean(share * np.log(rate) + (1 - share) * np.log(1 - rate))


def test_what_is_not_known_of_the_columns_counts_as_uncertainty():
    known = PoolFeatures(values=np.array([[3.0], [0.0], [3.0]]))
    sense = belief(3, known, prior_variance=2.0)
    none = np.zeros(3, dtype=np.int32)
    # Prior: 2 of the level, 2 of the prompt's own, and the square of the column.
    assert sense.variances(none) == pytest.approx([4.0 + 9.0, 4.0, 4.0 + 9.0])
    for _ in range(40):
        told(sense, 0, 32, 64)
    assert sense.variances(none)[2] - sense.variances(none)[1] < 1.0
    assert sense.predicted(np.arange(3), none)[1] == pytest.approx(sense.variances(none))


@pytest.mark.parametrize("level", [-1.0, 0.0, 2.0])
def test_a_belief_about_pass_rates_that_stay_stays_right(level):
    # Before, the constant, the drift of trained prompts and the prompts' own parts ran away from
    # each other: after so many visits the mean of the pool was expected at 0.50 in place of 0.32.
    rng = np.random.default_rng(0)
    logits = level + 1.5 * rng.standard_normal(400)
    true = 1 / (1 + np.exp(-logits))
    sense = belief(401, prior_variance=2.0)
    for batch in range(250):
        at = rng.choice(400, size=64, replace=False)
        correct = rng.binomial(8, true[at]).astype(float)
        sense.learn(at, correct, np.full(64, 8.0), np.full(64, 6 * (batch > 6), dtype=np.int32))
    expected = expected_rate(*sense.predicted(np.arange(401), np.zeros(401, dtype=np.int32)))
    assert expected[:400].mean() == pytest.approx(true.mean(), abs=0.03)
    assert np.sqrt(np.mean((expected[:400] - true) ** 2)) < 0.1
    # What it expects of a prompt never seen is the mean of the others.
    assert expected[400] == pytest.approx(true.mean(), abs=0.06)


@pytest.mark.parametrize(("correct", "num"), [(0, 8), (1, 8), (4, 8), (8, 8), (1, 2), (60, 64)])
def test_a_group_moves_the_belief_as_bayes_says(correct, num):
    # The exact posterior on a fine grid; the belief takes its mode and curvature.
    sense = belief(2, prior_variance=2.0, drift=0.0)
    sense.restore(sense.state() | {"spread": [[1e-6]]})
    told(sense, 0, correct, num)
    grid = np.linspace(-12, 12, 4001)
    rate = 1 / (1 + np.exp(-grid))
    weights = np.exp(-(grid**2) / 2 / 2.0) * rate**correct * (1 - rate) ** (num - correct)
    exact = float(weights @ rate / weights.sum())
    assert expected_rate(*sense.predicted(np.array([0]), np.zeros(1, dtype=np.int32)))[
        0
    ] == pytest.approx(exact, abs=0.02)


def test_a_batch_told_group_by_group_lets_the_policy_move_once():
    sizes = []
    for parts in (1, 16):
        sense = belief(64, prior_variance=2.0)
        for batch in range(4):
            for number, at in enumerate(
                np.array_split(np.arange(16 * batch, 16 * batch + 16), parts)
            ):
                none = np.zeros(len(at), dtype=np.int32)
                sense.learn(
                    at,
                    np.full(len(at), 4.0),
                    np.full(len(at), 8.0),
                    none,
                    num_batches=int(number == 0),
                )
        sizes.append(float(sense.state()["spread"][0, 0]))
    assert sizes[1] == pytest.approx(sizes[0], rel=0.1)


def test_coefficients_follow_the_names_of_categories():
    def pool(*names):
        return PoolFeatures(
            categories=np.arange(len(names)), category_names=names, values=np.eye(3)[: len(names)]
        )

    sense = belief(2, pool("algebra", "botany"))
    for _ in range(20):
        told(sense, 0, 8, 8)
        told(sense, 1, 0, 8)
    state = sense.state()
    other = belief(3, pool("botany", "chess", "zoology"))
    other.restore(state)
    assert other.theta[1] == sense.theta[2] < 0
    assert other.theta[2] == other.theta[3] == 0.0
    assert other.theta[0] == sense.theta[0]
    assert other.theta[4:].tolist() == sense.theta[3:].tolist()
    # What is not known of a new category is what was not known at the start.
    fresh = belief(3, pool("botany", "chess", "zoology")).state()["spread"]
    assert other.state()["spread"][2, 2] == fresh[2, 2] > other.state()["spread"][1, 1]


@pytest.mark.parametrize("rate", [0.03, 0.5, 0.97])
def test_expected_pass_rates_come_to_the_true_ones(rate):
    rng = np.random.default_rng(1)
    sense = belief(400, prior_variance=2.0)
    num, every = np.full(400, 8.0), np.arange(400)
    for visit in range(12):
        counts = rng.binomial(8, rate, size=400).astype(float)
        age = np.full(400, int(visit > 0), dtype=np.int32)
        sense.learn(every, counts, num, age)
    expected = expected_rate(*sense.predicted(every, np.ones(400, dtype=np.int32)))
    assert expected.mean() == pytest.approx(rate, abs=0.012)


def test_prompts_of_a_category_learn_from_each_other():
    known = PoolFeatures(categories=np.array([0, 0, 1, 1]), category_names=("easy", "hard"))
    sense = belief(features=known)
    for _ in range(6):
        told(sense, 0, 8, 8)
        told(sense, 2, 0, 8)
    assert rates(sense)[1] > 0.6
    assert rates(sense)[3] < 0.4


def test_feature_values_carry_over_to_prompts_that_share_them():
    known = PoolFeatures(values=np.array([[1.0], [1.0], [-1.0], [-1.0]]))
    sense = belief(features=known)
    for _ in range(6):
        told(sense, 0, 8, 8)
        told(sense, 2, 0, 8)
    assert rates(sense)[1] > rates(sense)[3] + 0.2


def test_a_state_of_other_features_is_refused():
    state = belief(features=PoolFeatures(values=np.zeros((4, 2)))).state()
    with pytest.raises(ValueError, match="saved with 2 columns of features, this pool has 0"):
        belief().restore(state)

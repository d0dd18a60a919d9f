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


def told(sense, place, correct, num, *, times=1, age=0, trained=True):
    for _ in range(times):
        sense.learn(
            np.array([place]),
            np.array([float(correct)]),
            np.array([float(num)]),
            np.array([age]),
            np.array([trained]),
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
    told(sense, 2, correct, 64, times=3, trained=False)
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
        sense.learn(at, counts[at], np.full(16, 8.0), none, none > 0)
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
            sense.learn(at, counts[at], np.full(16, 8.0), none, none > 0)
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
        told(sense, 0, 32, 64, trained=False)
    assert sense.variances(none)[2] - sense.variances(none)[1] < 1.0
    assert sense.predicted(np.arange(3), none)[1] == pytest.approx(sense.variances(none))


@pytest.mark.parametrize("rate", [0.01, 0.5, 0.99])
def test_prompts_whose_pass_rate_stays_show_no_drift(rate):
    # A belief that is sure of the true pass rate. Before, its surprises were clipped at 4, and had
    # the mean -0.6 at a pass rate of 0.01.
    rng = np.random.default_rng(1)
    sense = belief(8000, drift=0.0)
    sense.restore(sense.state() | {"theta": [np.log(rate / (1 - rate))], "spread": [[1e-4]]})
    sense.variance[:], sense.trained[:] = 1e-3, True
    for start in range(0, 8000, 400):
        at = np.arange(start, start + 400)
        counts = rng.binomial(8, rate, size=400).astype(float)
        sense.learn(at, counts, np.full(400, 8.0), np.zeros(400, dtype=np.int32), at >= 0)
    assert abs(sense.delta) < 0.1


@pytest.mark.parametrize("rate", [0.03, 0.5, 0.97])
def test_expected_pass_rates_come_to_the_true_ones(rate):
    rng = np.random.default_rng(1)
    sense = belief(400, prior_variance=2.0)
    num, every = np.full(400, 8.0), np.arange(400)
    for visit in range(12):
        counts = rng.binomial(8, rate, size=400).astype(float)
        age = np.full(400, int(visit > 0), dtype=np.int32)
        sense.learn(every, counts, num, age, np.ones(400, dtype=bool))
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


def test_prompts_that_rose_after_training_raise_the_expected_drift():
    sense = belief()
    for correct in (1, 3, 5, 7):
        told(sense, 0, correct, 8)
    assert sense.delta > 0


def test_a_state_of_other_features_is_refused():
    state = belief(features=PoolFeatures(values=np.zeros((4, 2)))).state()
    with pytest.raises(ValueError, match="saved with 3 features, this pool has 1"):
        belief().restore(state)

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasari.sample.belief import PassRateBelief
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
    assert sense.variances(np.zeros(4, dtype=np.int32)) == pytest.approx(6.0)


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


def test_rollouts_narrow_the_belief_and_age_widens_it_to_the_prior():
    sense = belief()
    told(sense, 0, 4, 8)
    fresh, aged, old = (
        float(sense.variances(np.full(4, age, dtype=np.int32))[0]) for age in (0, 10, 10_000)
    )
    assert fresh < aged < old
    assert aged - fresh == pytest.approx(0.3, abs=1e-5)
    assert old == 6.0


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

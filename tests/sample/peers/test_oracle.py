import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vasari.core.errors import ConfigError, DataError, StateError
from vasari.records import GroupOutcome
from vasari.sample import PoolFeatures, make_sampler
from vasari.sample.weighted import gumbel_top


def sampler_of(rates, *, seed=0, prompt_ids=None, **changes):
    features = PoolFeatures(pass_rates=np.array(rates, dtype=np.float64))
    return make_sampler(
        "oracle",
        num_prompts=len(rates),
        seed=seed,
        prompt_ids=prompt_ids,
        features=features,
        **changes,
    )


# p (1 - p) of 0.5 and 0.1: 0.25 and 0.09; squared 0.0625 and 0.0081.
@pytest.mark.parametrize(("sharpness", "expected"), [(1.0, 0.25 / 0.34), (2.0, 0.0625 / 0.0706)])
def test_first_picks_are_proportional_to_the_value_to_the_power_of_eta(sharpness, expected):
    sampler = sampler_of([0.5, 0.1, 0.0, 1.0], sharpness=sharpness)
    share = np.mean([sampler.draw(2).indices[0] == 0 for _ in range(2000)])
    assert abs(share - expected) < 6 * math.sqrt(expected * (1 - expected) / 2000)


# For n = 2 only k = 1 counts, with chance 2 p (1 - p) = 0.32 at p = 0.2: worth 1/2 ("std"), 1
# ("mix"), 1/2 * 1/4 ("knap").
@pytest.mark.parametrize(
    ("value", "expected"),
    [("variance", 0.16), ("var", 0.16), ("std", 0.16), ("mix", 0.32), ("knap", 0.04)],
)
def test_values_are_those_of_the_next_group(value, expected):
    assert sampler_of([0.2, 0.0, 1.0], value=value, num_rollouts=2).values() == pytest.approx(
        [expected, 0, 0]
    )


def test_prompts_known_to_be_noise_come_last():
    sampler = sampler_of([0.0, 0.5, 0.0, 0.01, 0.0])
    for _ in range(50):
        assert set(sampler.draw(3).indices[:2].tolist()) == {1, 3}


def test_new_pass_rates_count_from_the_next_draw():
    sampler = sampler_of([0.5, 0.0])
    sampler.update_pass_rates([0.0, 0.3])
    assert sampler.draw(1).indices.tolist() == [1]


def test_what_is_observed_teaches_an_oracle_nothing():
    one, other = sampler_of([0.5, 0.2, 0.4]), sampler_of([0.5, 0.2, 0.4])
    one.observe([GroupOutcome(index=0, rewards=np.zeros(4), verdicts=np.zeros(4))])
    assert one.draw(3).indices.tolist() == other.draw(3).indices.tolist()


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        ([0.5], "shape"),
        ([0.5, 1.5], r"in \[0, 1\]"),
        ([0.5, math.nan], "an oracle knows each of them"),
    ],
)
def test_impossible_pass_rates_are_refused_and_change_nothing(rates, message):
    sampler = sampler_of([0.5, 0.2])
    with pytest.raises(DataError, match=message):
        sampler.update_pass_rates(rates)
    assert sampler.values() == pytest.approx([0.25, 0.16])


def test_an_oracle_without_pass_rates_is_refused():
    with pytest.raises(ConfigError, match="needs the true pass rates"):
        make_sampler("oracle", num_prompts=2, seed=0)


def test_a_changed_pool_keeps_refreshed_rates_by_id_and_gives_new_prompts_their_own():
    old = sampler_of([0.5, 0.2], prompt_ids="ab")
    old.update_pass_rates([0.1, 0.4])
    new = sampler_of([0.3, 0.9, 0.9], prompt_ids="cba")
    new.load_state_dict(
        json.loads(json.dumps(old.state_dict(), default=lambda array: array.tolist())), remap=True
    )
    assert new.values() == pytest.approx([0.21, 0.24, 0.09])


def test_a_damaged_state_is_refused_and_changes_nothing():
    sampler = sampler_of([0.5, 0.2])
    state = sampler.state_dict()
    state["state"]["pass_rates"] = [0.5, 2.0]
    with pytest.raises(StateError, match="saved pass rates are damaged"):
        sampler.load_state_dict(state)
    assert sampler.values() == pytest.approx([0.25, 0.16])


def test_an_unknown_value_is_refused():
    with pytest.raises(
        ConfigError, match="value must be one of variance, std, var, mix, knap, got 'entropy'"
    ):
        sampler_of([0.5], value="entropy")


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from([-math.inf, -1e4, -3.0, 0.0, 700.0]), min_size=1, max_size=60),
    st.integers(0, 2**32),
    st.data(),
)
def test_gumbel_picks_are_different_and_weights_of_0_come_last(logarithms, seed, data):
    logarithms = np.array(logarithms)
    num = data.draw(st.integers(1, len(logarithms)))
    picks = gumbel_top(np.random.default_rng(seed), logarithms, num)
    assert len(set(picks.tolist())) == num
    num_finite = int(np.isfinite(logarithms).sum())
    assert np.isfinite(logarithms[picks[:num_finite]]).all()


def test_gumbel_picks_keep_apart_weights_that_round_to_0():
    rng = np.random.default_rng(0)
    # exp(-2000) is 0 in floating point; the ratio of the weights is e.
    share = np.mean([gumbel_top(rng, np.array([-2000.0, -2001.0]), 1)[0] == 0 for _ in range(3000)])
    expected = math.e / (1 + math.e)
    assert abs(share - expected) < 6 * math.sqrt(expected * (1 - expected) / 3000)


def test_second_gumbel_picks_are_proportional_among_those_left():
    rng, pairs = np.random.default_rng(1), np.zeros((3, 3))
    for _ in range(3000):
        first, second = gumbel_top(rng, np.log([4.0, 2.0, 1.0]), 2)
        pairs[first, second] += 1
    # 4/7 * 2/3, 4/7 * 1/3, 2/7 * 4/5, 2/7 * 1/5, 1/7 * 4/6, 1/7 * 2/6.
    expected = 3000 * np.array([[0, 8 / 21, 4 / 21], [8 / 35, 0, 2 / 35], [2 / 21, 1 / 21, 0]])
    assert (np.abs(pairs - expected) <= 6 * np.sqrt(expected) + 1e-9).all()

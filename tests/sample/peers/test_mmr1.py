"""The released sampler's rules, worked by hand: D = 11 prompts in batches of 4, so 2 weighted, 2 of
the permutation."""

import logging
import math

import numpy as np
import pytest

from vasari.core.errors import ConfigError, DataError, StateError
from vasari.records import GroupOutcome
from vasari.sample import Mmr1Sampler, Mmr1Settings, make_sampler
from vasari.sample.peers.mmr1 import _warn_once


def group(index, verdicts, *, rewards=None, tokens=(), purpose="refresh", step=None):
    verdicts = np.array(verdicts, dtype=float)
    rewards = verdicts if rewards is None else np.array(rewards, dtype=float)
    return GroupOutcome(
        index=index,
        rewards=rewards,
        verdicts=verdicts,
        token_ids=tokens,
        purpose=purpose,
        batch=step,
    )


def random_halves(sampler, num_batches, *, refresh_every=0):
    """Places in the permutation that each batch's random half takes."""
    place = {
        prompt: at for at, prompt in enumerate(sampler.state_dict()["state"]["order"].tolist())
    }
    halves = []
    for step in range(num_batches):
        if refresh_every:
            sampler.observe([group(int(index), [1, 0], step=step) for index in sampler.due(step)])
        draw = sampler.draw(4)
        halves.append(
            [
                place[i]
                for i, role in zip(draw.indices.tolist(), draw.roles, strict=True)
                if role == "uniform"
            ]
        )
    return halves


def test_the_random_half_is_a_fixed_cycle_with_two_rules_for_its_place():
    # A pass has 11 // 4 = 2 batches and begins at (batches drawn x 2) mod 11. Batches 0-3 follow
    # one another. Pass 2 begins at 8, and then 10 + 2 > 11: place 10 is skipped and the cycle
    # begins anew. Pass 3 begins at 12 mod 11 = 1, where the cycle itself stands at 2: place 1 comes
    # twice. Then 16 mod 11 = 5, and 20 mod 11 = 9, once more around.
    sampler = Mmr1Sampler(num_prompts=11, seed=3)
    expected = [
        [0, 1],
        [2, 3],
        [4, 5],
        [6, 7],
        [8, 9],
        [0, 1],
        [1, 2],
        [3, 4],
        [5, 6],
        [7, 8],
        [9, 10],
        [0, 1],
    ]
    assert random_halves(sampler, 12) == expected


def test_the_half_after_a_refresh_is_the_one_that_was_just_trained():
    # Refreshes before batches 3, 6 and 9 start a pass when 2, 5 and 8 batches are counted: at 4, at
    # 10, and at 16 mod 11
    # = 5. Place 10 has one prompt left, so that half begins at 0, as batch 5's did. Other passes
    # begin where they should.
    sampler = Mmr1Sampler(Mmr1Settings(refresh_every=3), num_prompts=11, seed=3)
    expected = [[0, 1], [2, 3], [4, 5], [4, 5], [6, 7], [0, 1], [0, 1], [2, 3], [5, 6], [5, 6]]
    assert random_halves(sampler, 10, refresh_every=3) == expected


def test_the_permutation_is_never_shuffled_again():
    sampler = Mmr1Sampler(num_prompts=8, seed=0)
    halves = [tuple(half) for half in random_halves(sampler, 40)]
    assert set(halves) == {(0, 1), (2, 3), (4, 5), (6, 7)}


@pytest.mark.parametrize(
    ("ratio", "num_weighted"), [(0.29, 28), (0.57, 56), (0.58, 57), (0.5, 50), (1.0, 100)]
)
def test_the_weighted_part_is_cut_off_where_floats_are_short(ratio, num_weighted):
    sampler = Mmr1Sampler(Mmr1Settings(mix_ratio=ratio), num_prompts=200, seed=0)
    assert sampler.draw(100).roles.count("promoted") == num_weighted


def test_the_parts_alternate_until_one_is_used_up():
    roles = Mmr1Sampler(Mmr1Settings(mix_ratio=0.4), num_prompts=9, seed=0).draw(5).roles
    assert roles == ("promoted", "uniform", "promoted", "uniform", "uniform")


def refreshed(settings, *refreshes):
    sampler = Mmr1Sampler(settings, num_prompts=3, seed=0)
    for step, verdicts in enumerate(refreshes):
        sampler.observe([group(index, given, step=step) for index, given in enumerate(verdicts)])
        sampler.draw(2)
    return sampler.scores()


FIRST = ([0, 0, 0, 1], [0, 1, 0, 1], [0, 0, 0, 0])  # p(1 - p) = 3/16, 4/16, 0
SECOND = ([0, 0, 0, 0], [0, 0, 0, 1], [0, 1, 1, 0])  # 0, 3/16, 4/16


def test_weights_are_scaled_by_the_two_extreme_prompts():
    # (3/16 - 0) / (4/16 - 0) = 3/4; with p = 1/4 in place of 0 the same prompt has (3 - 3) / (4 -
    # 3) = 0.
    np.testing.assert_allclose(refreshed(Mmr1Settings(), FIRST), [0.75, 1, 0], atol=1e-6)
    np.testing.assert_allclose(
        refreshed(Mmr1Settings(), (*FIRST[:2], [0, 0, 0, 1])), [0, 1, 0], atol=1e-6
    )


@pytest.mark.parametrize(
    ("momentum", "expected"),
    [(0.0, [0, 0.75, 1]), (0.25, [0.1875, 0.8125, 0.75]), (1.0, [0.75, 1, 0])],
)
def test_momentum_is_the_share_of_the_old_weights(momentum, expected):
    # 0.25: a quarter of 0.75, 1, 0 and three quarters of 0, 0.75, 1. 1 keeps the first weights for
    # ever.
    np.testing.assert_allclose(
        refreshed(Mmr1Settings(momentum=momentum), FIRST, SECOND), expected, atol=1e-6
    )


def test_similar_rollouts_are_promoted():
    sampler = Mmr1Sampler(Mmr1Settings(alpha=0.8, beta=0.2), num_prompts=2, seed=0)
    alike, apart = [[1, 2, 3]] * 2, [[1, 2, 3], [4, 5, 6]]
    sampler.observe([group(0, [0, 1], tokens=alike), group(1, [0, 1], tokens=apart)])
    sampler.draw(2)
    np.testing.assert_allclose(sampler.scores(), [1.0, 0.0], atol=1e-6)


def test_equal_graded_rewards_have_the_highest_weight():
    # p(1 - p) of a mean reward of 0.5 is 1/4, although nothing varies; of half the rollouts right
    # it is 1/4 as well.
    sampler = Mmr1Sampler(Mmr1Settings(accuracy="rewards"), num_prompts=3, seed=0)
    sampler.observe(
        [
            group(0, [0, 0], rewards=[0.5, 0.5]),
            group(1, [0, 1]),
            group(2, [0, 0], rewards=[0.1, 0.1]),
        ]
    )
    sampler.draw(2)
    # 0.1 x 0.9 = 0.09 is the least here and has weight 0.
    np.testing.assert_allclose(sampler.scores(), [1.0, 1.0, 0.0], atol=1e-6)


def test_a_mean_reward_above_one_is_refused_and_teaches_nothing():
    sampler = Mmr1Sampler(Mmr1Settings(accuracy="rewards"), num_prompts=3, seed=0)
    before = sampler.state_dict()["state"]
    with pytest.raises(
        DataError, match=r"prompt 1: its mean reward is 1.5, but accuracy=rewards needs \[0, 1\]"
    ):
        sampler.observe([group(0, [0, 1]), group(1, [1, 1], rewards=[2, 1])])
    np.testing.assert_equal(sampler.state_dict()["state"], before)


def test_unverifiable_groups_and_training_groups_teach_nothing():
    sampler = Mmr1Sampler(num_prompts=2, seed=0)
    sampler.observe([group(0, [math.nan, math.nan]), group(1, [1, 0], purpose="train")])
    sampler.draw(2)
    assert not sampler.scores().any()


def test_a_refresh_names_each_prompt_once_and_counts_the_copies():
    sampler = make_sampler("mmr1", num_prompts=11, seed=0, refresh_batch=4, num_refresh_rollouts=8)
    assert sampler.due(0).tolist() == list(range(11))
    sampler.observe([group(index, [1, 0], step=0) for index in range(11)])
    assert not sampler.due(0).size
    sampler.draw(4)
    # Three batches of 4 hold 12: one copy, 8 rollouts.
    assert sampler.metrics()["sampler/refresh_copies"] == 8.0
    assert not sampler.due(3).size
    assert len(sampler.due(4)) == 11


def test_duplicates_stay_in_a_batch():
    sampler = Mmr1Sampler(Mmr1Settings(mix_ratio=1.0), num_prompts=8, seed=0)
    sampler.observe([group(5, [1, 0])])
    assert sampler.draw(8).indices.tolist() == [5] * 8


def test_a_pass_that_holds_no_batch_is_refused():
    with pytest.raises(
        ConfigError, match=r"a batch of 12 prompts cannot be drawn from 11: no pass holds one"
    ):
        Mmr1Sampler(num_prompts=11, seed=0).draw(12)


def test_a_changed_pool_keeps_the_weights_of_known_prompts():
    old = Mmr1Sampler(num_prompts=3, seed=0, prompt_ids=["a", "b", "c"])
    old.observe([group(index, given, step=0) for index, given in enumerate(FIRST)])
    old.draw(2)
    new = Mmr1Sampler(num_prompts=3, seed=1, prompt_ids=["d", "b", "a"])
    new.load_state_dict(old.state_dict(), remap=True)
    np.testing.assert_allclose(new.scores(), [0, 1, 0.75], atol=1e-6)
    order = new.state_dict()["state"]["order"].tolist()
    kept = [
        {0: 2, 1: 1}[index] for index in old.state_dict()["state"]["order"].tolist() if index != 2
    ]
    assert order == [*kept, 0]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("order", [0, 0, 1], r"is no permutation"),
        ("order", [0, 1], r"is no permutation"),
        ("weights", [0.0, -1.0, 0.0], r"negative or infinite"),
        ("metric", [0.0], r"has 1 entries for 3 prompts"),
        ("left", -1, r"a saved count is negative"),
        ("place", "x", r"sampler state is damaged"),
    ],
)
def test_damaged_state_is_refused_and_changes_nothing(key, value, message):
    sampler = Mmr1Sampler(num_prompts=3, seed=0)
    state = sampler.state_dict()
    before = sampler.state_dict()["state"]
    state["state"][key] = value
    with pytest.raises(StateError, match=message):
        sampler.load_state_dict(state)
    np.testing.assert_equal(sampler.state_dict()["state"], before)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mix_ratio": 1.5}, r"mix_ratio must be at least 0 and at most 1, got 1.5"),
        ({"momentum": 2}, r"momentum must be at least 0 and at most 1"),
        ({"alpha": -1}, r"alpha must be at least 0, got -1"),
        ({"beta": math.inf}, r"beta must be a finite number"),
        ({"refresh_every": 0}, r"refresh_every must be a whole number"),
        ({"refresh_batch": True}, r"refresh_batch must be a whole number"),
        ({"diversity": "edit_distance"}, r"diversity must be one of self_bleu, distinct_n"),
        ({"accuracy": "both"}, r"accuracy must be one of verdicts, rewards"),
    ],
)
def test_impossible_settings_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        Mmr1Settings(**changes)


def test_it_says_once_that_it_is_for_comparison_only(caplog):
    _warn_once.cache_clear()
    with caplog.at_level(logging.WARNING):
        for seed in range(3):
            Mmr1Sampler(num_prompts=3, seed=seed)
    assert [
        record.message.endswith('it is for comparison only; use "vas" to train')
        for record in caplog.records
    ] == [True]

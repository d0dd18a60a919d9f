import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vasari.core.errors import ConfigError, DataError, StateError
from vasari.records import GroupOutcome
from vasari.sample import PoolFeatures, make_sampler

NAN = math.nan


def group(index, rewards, verdicts=None):
    rewards = np.array(rewards, dtype=np.float64)
    return GroupOutcome(
        index=index,
        rewards=rewards,
        verdicts=np.array(rewards if verdicts is None else verdicts, dtype=float),
    )


def features(categories, names="ab"):
    return PoolFeatures(categories=np.array(categories), category_names=tuple(names))


def sampler_of(preset, *, categories=(0, 0, 1, 1), names="ab", seed=0, prompt_ids=None, **changes):
    return make_sampler(
        "bins",
        preset=preset,
        num_prompts=len(categories),
        seed=seed,
        prompt_ids=prompt_ids,
        features=features(categories, names),
        **changes,
    )


# |A| of [1, 0, 0, 0]: 0.75 / 0.4330 = 1.7321 once and 0.25 / 0.4330 = 0.5774 three times, on
# average 0.8660.
# [1, 1, 1, 1] has 0, so that category a averages 0.4330 over its 8 rollouts; [1, 0] of category b
# has 1.
BATCH = [group(0, [1, 0, 0, 0]), group(1, [1, 1, 1, 1]), group(2, [1, 0])]


def test_sec_moves_each_category_towards_its_mean_advantage():
    sampler = sampler_of("sec", learning_rate=0.5)
    sampler.observe(BATCH)
    np.testing.assert_allclose(sampler.category_scores(), [0.5 * 0.4330127, 0.5], atol=1e-5)
    # The unverifiable rollout leaves [1, 0], whose |A| is 1: 0.5 * 0.2165 + 0.5 * 1.
    sampler.observe([group(1, [1, 0, NAN])])
    np.testing.assert_allclose(sampler.category_scores(), [0.6082532, 0.5], atol=1e-5)


def test_sec_draws_categories_by_the_softmax_of_their_values():
    sampler = sampler_of("sec", temperature=0.5)
    sampler.observe(BATCH)
    # softmax((0.2165, 0.5) / 0.5): 1 / (1 + exp(-0.5670)) = 0.6381 for b.
    share = np.mean([sampler.draw(1).indices[0] >= 2 for _ in range(2000)])
    assert abs(share - 0.6381) < 6 * math.sqrt(0.6381 * 0.3619 / 2000)


def test_dump_adds_the_bonus_of_few_rollouts():
    sampler = sampler_of("dump")
    sampler.observe(BATCH)
    # N = 10, n = (8, 2): 0.4330 + sqrt(2 ln 10 / 9) = 0.4330 + 0.7153, and 1 + sqrt(2 ln 10 / 3) =
    # 1 + 1.2390.
    np.testing.assert_allclose(sampler.category_scores(), [1.1483347, 2.2389741], atol=1e-5)


def test_dump_counts_unverifiable_rollouts_as_tried():
    sampler = sampler_of("dump")
    sampler.observe([*BATCH, group(3, [NAN, NAN, NAN])])
    # N = 13, n_b = 5: 1 + sqrt(2 ln 13 / 6) = 1 + 0.9246530.
    assert sampler.category_scores()[1] == pytest.approx(1.9246530, abs=1e-5)


def test_dump_forgets_what_lies_before_its_window():
    sampler = sampler_of("dump", window=3)
    sampler.observe(BATCH)
    sampler.observe([group(1, [1, 0])])
    # The last three |A| of category a are 0, 1, 1. N = 12, n_a = 10: 2/3 + sqrt(2 ln 12 / 11) = 2/3
    # + 0.6721616.
    assert sampler.category_scores()[0] == pytest.approx(1.3388283, abs=1e-5)


def test_thompson_weighs_by_the_chance_of_a_mixed_group_under_decaying_counts():
    sampler = sampler_of("thompson", num_rollouts=2, decay=0.5)
    sampler.observe(BATCH)
    # a: 5 right, 3 wrong, mean (1 + 5) / (2 + 8) = 0.6: 1 - 0.36 - 0.16. b: mean 1/2: 1 - 1/4 -
    # 1/4.
    np.testing.assert_allclose(sampler.category_scores(), [0.48, 0.5], atol=1e-12)
    sampler.observe([group(3, [1])])
    # a decays to 2.5 and 1.5, mean 7/12: 1 - 49/144 - 25/144 = 70/144. b: 1.5 and 0.5, mean 5/8: 1
    # - 25/64 - 9/64 = 30/64.
    np.testing.assert_allclose(sampler.category_scores(), [70 / 144, 30 / 64], atol=1e-12)


def test_thompson_reads_verdicts_and_not_rewards():
    sampler = sampler_of("thompson", num_rollouts=2)
    sampler.observe([group(0, [0.5, 0.7], verdicts=[1, 1])])
    # Mean (1 + 2) / (2 + 2) = 3/4: 1 - 9/16 - 1/16.
    assert sampler.category_scores()[0] == pytest.approx(6 / 16)


def test_thompson_gives_no_category_up():
    sampler = sampler_of("thompson", floor=0.05)
    sampler.observe([group(0, [1] * 4000)])
    assert sampler.category_scores()[0] == 0.05
    # The other category's weight is at most 1, so that a has a chance of at least 1/21: no draw in
    # 300 is 1 in 2 million.
    assert any(sampler.draw(1).indices[0] < 2 for _ in range(300))


@pytest.mark.parametrize("preset", ["sec", "dump"])
def test_groups_without_two_verifiable_rewards_teach_no_advantage(preset):
    sampler = sampler_of(preset, temperature=1)
    sampler.observe([group(0, [NAN, NAN]), group(2, [1, NAN])])
    np.testing.assert_allclose(sampler.category_scores(), sampler.category_scores()[::-1])
    assert sampler.category_scores()[0] == pytest.approx(
        0 if preset == "sec" else math.sqrt(2 * math.log(4) / 3)
    )


def test_an_infinite_reward_is_refused_and_teaches_nothing():
    sampler = sampler_of("sec")
    with pytest.raises(DataError, match="rewards must be finite"):
        sampler.observe([group(0, [1, 0]), group(2, [math.inf, 0], verdicts=[1, 0])])
    assert sampler.category_scores().tolist() == [0, 0]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=30), st.integers(0, 2**32), st.data())
def test_within_a_category_every_prompt_is_visited_once_per_pass(categories, seed, data):
    sampler = sampler_of("thompson", categories=categories, names="abcd", seed=seed)
    visits = np.zeros(len(categories), dtype=int)
    for size in data.draw(st.lists(st.integers(1, len(categories)), max_size=12)):
        np.add.at(visits, sampler.draw(size).indices, 1)
    for category in set(categories):
        inside = visits[np.array(categories) == category]
        assert inside.max() - inside.min() <= 1


def test_a_batch_of_the_whole_pool_holds_every_prompt_however_unequal_the_chances():
    sampler = sampler_of("sec", categories=[0] * 7 + [1], temperature=1e-6)
    sampler.observe([group(7, [1, 0])])
    assert sorted(sampler.draw(8).indices.tolist()) == list(range(8))


def test_categories_without_prompts_are_never_drawn():
    sampler = sampler_of("dump", categories=[1, 1, 3], names="abcde")
    assert sorted(sampler.draw(3).indices.tolist()) == [0, 1, 2]
    assert sampler.metrics()["sampler/categories"] == 2


def test_without_categories_the_pool_is_one_and_drawn_uniformly():
    sampler = make_sampler("bins", num_prompts=5, seed=0)
    assert sampler.draw(5).roles == ("uniform",) * 5
    assert sampler.category_names == ("",)


@pytest.mark.parametrize("preset", ["sec", "dump", "thompson"])
def test_a_changed_pool_keeps_what_its_categories_learnt_and_who_was_visited(preset):
    old = sampler_of(preset, prompt_ids="wxyz")
    old.observe(BATCH)
    visited = "wxyz"[old.draw(1).indices[0]]
    expected = dict(zip("ab", old.category_scores(), strict=True))
    new = sampler_of(preset, categories=[2, 1, 1, 0, 2], names="cba", prompt_ids="xzyvw", seed=9)
    new.load_state_dict(
        json.loads(json.dumps(old.state_dict(), default=lambda array: array.tolist())), remap=True
    )
    assert dict(zip("cba", new.category_scores(), strict=True))["a"] == pytest.approx(expected["a"])
    assert dict(zip("cba", new.category_scores(), strict=True))["b"] == pytest.approx(expected["b"])
    # The running pass of the visited prompt's category ends without it.
    mates = {"w": "x", "x": "w", "y": "z", "z": "y"}
    order = []
    while not {visited, mates[visited]} & set(order):
        order.append("xzyvw"[new.draw(1).indices[0]])
    assert order[-1] == mates[visited]


def test_other_categories_of_the_same_prompts_are_refused():
    state = sampler_of("sec").state_dict()
    with pytest.raises(
        StateError, match=r"of categories \['a', 'b'\], these prompts have \['a', 'c'\]"
    ):
        sampler_of("sec", names="ac").load_state_dict(state)
    with pytest.raises(StateError, match="of other categories of these prompts"):
        sampler_of("sec", categories=[0, 1, 0, 1]).load_state_dict(state)


DAMAGE = {
    "value": [0.0],
    "correct": [-1.0, 0.0],
    "recent": [0.0],
    "num_recent": [9, 0],
    "names": [],
    "passes": {"order": [0, 0, 2, 3], "sizes": [2, 2], "cursors": [0, 0], "num_passes": [0, 0]},
}


@pytest.mark.parametrize("key", DAMAGE)
def test_a_damaged_state_is_refused_and_changes_nothing(key):
    one, other = sampler_of("dump", window=5), sampler_of("dump", window=5)
    state = one.state_dict()
    state["state"][key] = DAMAGE[key]
    with pytest.raises(StateError, match=r"saved|categories"):
        one.load_state_dict(state)
    assert one.draw(3).indices.tolist() == other.draw(3).indices.tolist()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rule": "ucb"}, "rule must be one of sec, dump, thompson, got 'ucb'"),
        ({"temperature": 0}, "temperature must be above 0, got 0"),
        ({"learning_rate": 1.5}, "learning_rate must be above 0 and at most 1"),
        ({"window": 0}, "window must be a whole number of at least 1"),
    ],
)
def test_impossible_settings_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        sampler_of("sec", **changes)

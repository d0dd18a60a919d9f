"""The sampler "replay": who is replayed, when and how often; settings, saved state."""

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vasari.core.errors import ConfigError, StateError
from vasari.records import GroupOutcome
from vasari.sample.peers.replay import ReplaySampler, ReplaySettings


def replay(num_prompts=8, seed=0, prompt_ids=None, **changes):
    return ReplaySampler(
        ReplaySettings(**changes), num_prompts=num_prompts, seed=seed, prompt_ids=prompt_ids
    )


def outcome(index, num_correct, num_rollouts=8):
    verdicts = np.array([1.0] * num_correct + [0.0] * (num_rollouts - num_correct))
    return GroupOutcome(index=index, rewards=verdicts, verdicts=verdicts)


def test_prompts_of_middling_pass_rates_are_in_the_buffer():
    sampler = replay(9)
    sampler.observe([outcome(index, index) for index in range(9)])
    # 2/8 to 6/8, both ends included.
    assert sampler.buffered().tolist() == [2, 3, 4, 5, 6]
    sampler.observe([outcome(4, 8), outcome(0, 4)])
    assert sampler.buffered().tolist() == [0, 2, 3, 5, 6]


def test_an_unverifiable_group_leaves_the_buffer():
    sampler = replay()
    sampler.observe([outcome(3, 4)])
    none = np.full(4, np.nan)
    sampler.observe([GroupOutcome(index=index, rewards=none, verdicts=none) for index in (1, 3)])
    assert sampler.buffered().tolist() == [3]


def test_the_replayed_are_nearest_to_a_half_and_the_rest_is_fresh():
    sampler = replay(9, replay_share=0.5)
    sampler.observe([outcome(index, index) for index in range(9)])
    draw = sampler.draw(6)
    # floor(0.5 * 6) = 3 places: 4/8, then 3/8 and 5/8.
    assert draw.indices[0] == 4
    assert set(draw.indices[1:3].tolist()) == {3, 5}
    assert draw.roles == ("promoted",) * 3 + ("uniform",) * 3


def test_a_prompt_cools_down_after_every_visit_before_it_is_replayed():
    sampler = replay(4, replay_share=0.5, cooldown=2)
    sampler.observe([outcome(1, 4)])
    visits, replays = [], []
    for step in range(20):
        sampler.due(step)
        draw = sampler.draw(2)
        if "promoted" in draw.roles:
            assert draw.indices[0] == 1
            assert all(step - visit > 2 for visit in visits)
            replays.append(step)
        if 1 in draw.indices.tolist():
            visits.append(step)
    assert replays[0] == 0
    assert len(replays) >= 3


def test_a_prompt_is_replayed_no_more_than_so_often_between_fresh_visits():
    sampler = replay(3, replay_share=1.0, cooldown=0, max_reuse=2)
    roles = []
    for _ in range(9):
        draw = sampler.draw(1)
        roles.append(draw.roles[0])
        sampler.observe([outcome(int(draw.indices[0]), 4)])
    # A fresh visit fills the buffer, two replays use it up.
    assert roles == ["uniform", "promoted", "promoted"] * 3


def test_fresh_prompts_come_once_per_pass():
    sampler, fresh = replay(6, replay_share=0.5, cooldown=0, max_reuse=99), []
    sampler.observe([outcome(0, 4)])
    for _ in range(12):
        draw = sampler.draw(2)
        assert draw.roles == ("promoted", "uniform")
        assert draw.indices[0] == 0
        fresh.append(int(draw.indices[1]))
    # Prompt 0 always stands in the replayed place, so its own turns are owed.
    assert (
        np.bincount(fresh, minlength=6)[1:].max() - np.bincount(fresh, minlength=6)[1:].min() <= 1
    )


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(6)), st.integers(0, 3))
def test_the_replayed_are_chosen_wherever_they_stand(places, seed):
    sampler = replay(6, seed, replay_share=0.5)
    sampler.observe(
        [outcome(place, k) for place, k in zip(places, [0, 2, 4, 5, 7, 8], strict=True)]
    )
    assert sampler.draw(6).indices[:3].tolist() == [places[2], places[3], places[1]]


def test_metrics_count_the_buffer():
    sampler = replay(8, cooldown=3)
    sampler.observe([outcome(1, 4), outcome(2, 4), outcome(3, 8)])
    sampler.draw(2)
    metrics = sampler.metrics()
    assert (metrics["sampler/buffer_size"], metrics["sampler/replayed"]) == (2, 1)
    # One of the two was just replayed; the other is ready unless it was the fresh one.
    assert metrics["sampler/buffer_ready"] <= 1
    assert sampler.due(1).tolist() == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"replay_share": 1.1}, r"replay_share must be at least 0 and at most 1"),
        ({"lowest_rate": -0.1}, r"lowest_rate must be at least 0"),
        ({"lowest_rate": 0.8}, r"lowest_rate 0.8 is above highest_rate 0.75"),
        ({"cooldown": -1}, r"cooldown must be a whole number of at least 0"),
        ({"max_reuse": 0}, r"max_reuse must be a whole number of at least 1"),
    ],
)
def test_settings_out_of_range_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        ReplaySettings(**changes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("rates"), r"'rates' is missing"),
        (lambda state: state.update(rates=np.full(8, 2.0)), r"outside \[0, 1\]"),
        (lambda state: state.update(num_reused=np.full(8, -1)), r"count negative"),
        (lambda state: state.update(drawn_at=np.zeros(3)), r"'drawn_at' has 3 entries for 8"),
        (lambda state: state["passes"].update(cursor=99), r"cursor 99 lies outside"),
        (lambda state: state.update(clock=None), r"damaged: TypeError"),
    ],
)
def test_damaged_state_is_refused_and_changes_nothing(change, message):
    sampler, twin = replay(), replay()
    for one in (sampler, twin):
        one.observe([outcome(2, 4), outcome(5, 3)])
        one.draw(3)
    state = copy.deepcopy(sampler.state_dict())
    change(state["state"])
    with pytest.raises(StateError, match=message):
        sampler.load_state_dict(state)
    assert [sampler.draw(3).indices.tolist() for _ in range(5)] == [
        twin.draw(3).indices.tolist() for _ in range(5)
    ]


def test_the_buffer_is_carried_to_a_changed_pool_by_id():
    sampler = replay(3, prompt_ids=["a", "b", "c"])
    sampler.observe([outcome(0, 4), outcome(2, 5)])
    other = replay(4, prompt_ids=["c", "x", "b", "a"])
    other.load_state_dict(sampler.state_dict(), remap=True)
    assert other.buffered().tolist() == [0, 3]

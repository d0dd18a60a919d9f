"""The sampler "prioritised": priorities worked by hand, retests; settings, saved state."""

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vasari.core.errors import ConfigError, StateError
from vasari.records import GroupOutcome
from vasari.sample.peers.prioritised import PrioritisedSampler, PrioritisedSettings


def prioritised(num_prompts=6, seed=0, prompt_ids=None, **changes):
    return PrioritisedSampler(
        PrioritisedSettings(**changes), num_prompts=num_prompts, seed=seed, prompt_ids=prompt_ids
    )


def outcome(index, num_correct, num_rollouts=4):
    verdicts = np.array([1.0] * num_correct + [0.0] * (num_rollouts - num_correct))
    return GroupOutcome(index=index, rewards=verdicts, verdicts=verdicts)


def test_priorities_are_moving_averages_of_the_outcome_variance():
    sampler = prioritised(2, smoothing=0.25)
    sampler.observe([outcome(1, 1)])
    # First group: 1/4 * 3/4 = 3/16. Then 0.75 * 3/16 + 0.25 * 1/4 = 13/64.
    assert sampler.priorities().tolist() == [0.25, 3 / 16]
    sampler.observe([outcome(1, 2)])
    assert sampler.priorities().tolist() == [0.25, 13 / 64]


def test_an_unverifiable_group_leaves_a_priority():
    sampler, none = prioritised(2), np.full(3, np.nan)
    sampler.observe([GroupOutcome(index=0, rewards=none, verdicts=none)])
    assert sampler.priorities().tolist() == [0.25, 0.25]
    assert sampler.metrics()["sampler/seen_share"] == 0.0


def test_the_highest_priorities_come_first_and_unanimous_prompts_only_to_fill():
    sampler = prioritised(6)
    for index, (num_correct, num_rollouts) in enumerate(
        [(1, 8), (4, 8), (0, 8), (2, 8), (8, 8), (3, 8)]
    ):
        sampler.observe([outcome(index, num_correct, num_rollouts)])
    # Variances 7/64, 16/64, -, 12/64, -, 15/64.
    assert sampler.draw(4).indices.tolist() == [1, 5, 3, 0]
    draw = sampler.draw(5)
    assert draw.indices[4] in (2, 4)
    assert draw.roles == ("promoted",) * 4 + ("revisit",)


def test_the_unseen_come_before_all_but_the_half_right():
    sampler = prioritised(4)
    sampler.observe([outcome(0, 1), outcome(1, 3)])
    assert set(sampler.draw(2).indices.tolist()) == {2, 3}


def test_a_mixed_retest_brings_a_prompt_back():
    sampler = prioritised(2, smoothing=0.5)
    sampler.observe([outcome(0, 4), outcome(1, 1)])
    assert sampler.draw(1).indices.tolist() == [1]
    sampler.observe([outcome(0, 2)])
    # 0.5 * 0 + 0.5 * 1/4 = 1/8, below 3/16; ranked again.
    assert sampler.priorities().tolist() == [1 / 8, 3 / 16]
    assert sampler.draw(2).roles == ("promoted", "promoted")


def test_solved_and_unsolved_prompts_are_retested_in_turn_the_oldest_first():
    sampler = prioritised(12, retest_every=3, retest_share=0.5)
    for step in range(4):
        sampler.due(step)
        # Step by step one more unsolved (0, 1, 2, 3) and one more solved (4, 5, 6, 7); 8 to 11 stay
        # mixed.
        sampler.observe([outcome(step, 0), outcome(4 + step, 4), outcome(8 + step, 2)])
        if step < 3:
            assert "revisit" not in sampler.draw(4).roles
    draw = sampler.draw(4)
    # floor(0.5 * 4) = 2 retests: the unsolved and the solved not seen since step 0.
    assert draw.roles == ("promoted", "promoted", "revisit", "revisit")
    assert draw.indices[2:].tolist() == [0, 4]
    assert set(draw.indices[:2].tolist()) <= {8, 9, 10, 11}
    sampler.due(4)
    assert "revisit" not in sampler.draw(4).roles


def test_one_kind_of_unanimous_prompts_makes_up_for_the_other():
    sampler = prioritised(8, retest_every=1, retest_share=0.5)
    sampler.due(0)
    sampler.observe([outcome(index, 4 if index < 3 else 2) for index in range(8)])
    sampler.due(1)
    draw = sampler.draw(4)
    assert draw.roles.count("revisit") == 2
    assert set(draw.indices[2:].tolist()) <= {0, 1, 2}


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(5)), st.integers(0, 3))
def test_prompts_are_chosen_wherever_they_stand(places, seed):
    sampler = prioritised(5, seed)
    sampler.observe(
        [outcome(place, k, 8) for place, k in zip(places, [0, 1, 2, 3, 4], strict=True)]
    )
    assert sampler.draw(5).indices.tolist() == [
        places[4],
        places[3],
        places[2],
        places[1],
        places[0],
    ]


def test_metrics_are_shares_of_the_pool():
    sampler = prioritised(4)
    sampler.observe([outcome(0, 0), outcome(1, 4), outcome(2, 1)])
    assert sampler.metrics() == {
        "sampler/seen_share": 0.75,
        "sampler/solved_share": 0.25,
        "sampler/unsolved_share": 0.25,
        "sampler/priority_mean": 3 / 16,
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"smoothing": 0}, r"smoothing must be above 0"),
        ({"smoothing": 1.5}, r"smoothing must be above 0 and at most 1"),
        ({"retest_share": -0.5}, r"retest_share must be at least 0"),
        ({"retest_every": 0}, r"retest_every must be a whole number of at least 1"),
    ],
)
def test_settings_out_of_range_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        PrioritisedSettings(**changes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("places"), r"'places' is missing"),
        (lambda state: state.update(places=np.full(6, 3)), r"must be 0, 1 or 2"),
        (lambda state: state.update(priorities=np.full(6, 0.3)), r"outside \[0, 1/4\]"),
        (lambda state: state.update(priorities=np.full(6, np.nan)), r"outside \[0, 1/4\]"),
        (lambda state: state.update(retested_at="never"), r"damaged: ValueError"),
    ],
)
def test_damaged_state_is_refused_and_changes_nothing(change, message):
    sampler, twin = prioritised(), prioritised()
    for one in (sampler, twin):
        one.observe([outcome(2, 2), outcome(5, 0), outcome(1, 1)])
    state = copy.deepcopy(sampler.state_dict())
    change(state["state"])
    with pytest.raises(StateError, match=message):
        sampler.load_state_dict(state)
    assert sampler.draw(6).indices.tolist() == twin.draw(6).indices.tolist()


def test_priorities_are_carried_to_a_changed_pool_by_id():
    sampler = prioritised(3, prompt_ids=["a", "b", "c"])
    sampler.observe([outcome(0, 1), outcome(2, 4)])
    other = prioritised(4, prompt_ids=["c", "x", "b", "a"])
    other.load_state_dict(sampler.state_dict(), remap=True)
    assert other.priorities().tolist() == [0.0, 0.25, 0.25, 3 / 16]
    assert other.draw(4).indices[3] == 0

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vasari.core.errors import ConfigError, StateError
from vasari.records import GroupOutcome
from vasari.sample import make_sampler

NAN = math.nan


def group(index, verdicts, *, step):
    verdicts = np.array(verdicts, dtype=np.float64)
    return GroupOutcome(index=index, rewards=verdicts, verdicts=verdicts, batch=step)


def sampler_of(num_prompts, *, seed=0, prompt_ids=None, **changes):
    return make_sampler(
        "retain", num_prompts=num_prompts, seed=seed, prompt_ids=prompt_ids, **changes
    )


def test_a_mastered_prompt_is_due_once_its_window_has_passed():
    sampler = sampler_of(6, repair_window=2)
    sampler.observe(
        [group(3, [1, 1, NAN], step=0), group(4, [1, 0], step=0), group(5, [1, NAN], step=0)]
    )
    due = {}
    for step in (1, 2, 3):
        sampler.due(step)
        due[step] = sampler.overdue().tolist()
    assert due == {1: [], 2: [], 3: [3]}


@pytest.mark.parametrize("seed", range(6))
def test_overdue_prompts_take_their_share_of_the_batch_the_oldest_first(seed):
    sampler = sampler_of(20, seed=seed, share=0.3, repair_window=5)
    for index in range(8):
        sampler.observe([group(index, [1, 1], step=index)])
    sampler.due(50)
    draw = sampler.draw(10)
    drawn = set(make_sampler("uniform", num_prompts=20, seed=seed).draw(10).indices.tolist())
    # floor(0.3 * 10) places. Overdue prompts that the inner sampler drew itself count, and keep
    # their places.
    own = drawn & set(range(8))
    expected = own | set([index for index in range(8) if index not in own][: max(0, 3 - len(own))])
    assert set(draw.indices[np.array(draw.roles) == "revisit"].tolist()) == expected
    assert set(draw.indices.tolist()) - expected <= drawn


def test_no_place_is_given_away_while_nothing_is_due():
    inner = make_sampler("uniform", num_prompts=9, seed=5)
    sampler = sampler_of(9, seed=5, share=1.0)
    sampler.due(0)
    draw = sampler.draw(4)
    assert (draw.indices.tolist(), draw.roles) == (inner.draw(4).indices.tolist(), ("uniform",) * 4)


def test_a_failed_review_ends_the_mastery_and_is_counted():
    sampler = sampler_of(4, repair_window=1)
    sampler.observe([group(0, [1, 1], step=0), group(1, [1, 1], step=0)])
    sampler.observe([group(0, [1, 0], step=5), group(1, [1, 1], step=5)])
    sampler.due(9)
    assert sampler.overdue().tolist() == [1]
    assert sampler.metrics()["sampler/relapses"] == 1.0


def test_mastery_can_be_less_than_all_right():
    sampler = sampler_of(4, repair_window=1, mastery=0.75)
    sampler.observe([group(0, [1, 1, 1, 0], step=0), group(1, [1, 1, 0, 0], step=0)])
    assert sampler.metrics()["sampler/mastered"] == 1.0


def test_groups_without_a_step_count_from_the_last_asking():
    sampler = sampler_of(3, repair_window=1)
    sampler.due(7)
    sampler.observe([group(0, [1, 1], step=None)])
    sampler.due(8)
    assert sampler.overdue().tolist() == []
    sampler.due(9)
    assert sampler.overdue().tolist() == [0]


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 30), st.floats(0, 1), st.integers(0, 2**32), st.data())
def test_batches_keep_their_size_and_reviews_their_share(pool, share, seed, data):
    sampler = sampler_of(pool, seed=seed, share=share, repair_window=1)
    mastered = set(data.draw(st.lists(st.integers(0, pool - 1))))
    sampler.observe([group(index, [1, 1], step=0) for index in mastered])
    sampler.due(5)
    for size in data.draw(st.lists(st.integers(1, pool), max_size=5)):
        draw = sampler.draw(size)
        assert len(set(draw.indices.tolist())) == size
        reviewed = {
            index
            for index, role in zip(draw.indices.tolist(), draw.roles, strict=True)
            if role == "revisit"
        }
        assert reviewed == mastered & set(draw.indices.tolist())
        assert len(reviewed) >= min(len(mastered), math.floor(share * size))


def test_a_changed_pool_keeps_mastery_by_id():
    old = sampler_of(3, prompt_ids="abc", repair_window=1)
    old.observe([group(0, [1, 1], step=0), group(2, [1, 1], step=0)])
    new = sampler_of(3, prompt_ids="cda", repair_window=1)
    new.load_state_dict(
        json.loads(json.dumps(old.state_dict(), default=lambda array: array.tolist())), remap=True
    )
    new.due(5)
    assert new.overdue().tolist() == [0, 2]


@pytest.mark.parametrize(
    ("key", "value"), [("mastered", [True]), ("checked_at", [-3, 0]), ("num_reviews", None)]
)
def test_a_damaged_state_is_refused_and_changes_nothing(key, value):
    sampler = sampler_of(2, repair_window=1)
    sampler.observe([group(0, [1, 1], step=0)])
    state = sampler.state_dict()
    state["state"]["own"][key] = value
    sampler.due(5)
    with pytest.raises(StateError, match=r"damaged|saved"):
        sampler.load_state_dict(state)
    assert sampler.overdue().tolist() == [0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"share": 1.5}, "share must be at least 0 and at most 1, got 1.5"),
        ({"repair_window": 0}, "repair_window must be a whole number of at least 1"),
        ({"mastery": 0}, "mastery must be above 0"),
    ],
)
def test_impossible_settings_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        sampler_of(4, **changes)

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasari.core.errors import ConfigError, StateError
from vasari.records import GroupOutcome
from vasari.sample import make_gate

NAN = math.nan


def group(verdicts, *, index=0, rewards=None, step=None):
    verdicts = np.array(verdicts, dtype=np.float64)
    return GroupOutcome(
        index=index,
        rewards=verdicts if rewards is None else np.array(rewards),
        verdicts=verdicts,
        batch=step,
    )


# SPEED with 4 of 8 rollouts: on with 0 < p < 1.
SPEED = [
    ([0, 0, 0, 0], 0),
    ([1, 0, 0, 0], 4),
    ([1, 1, 1, 0], 4),
    ([1, 1, 1, 1], 0),
    ([1, 0, NAN, NAN], 4),
    ([1, NAN, NAN, NAN], 0),
    ([NAN, NAN, NAN, NAN], 0),
    ([1, 0, 1, 0, 1], 3),
]


@pytest.mark.parametrize(("verdicts", "more"), SPEED)
def test_speed_goes_on_only_with_screenings_that_are_mixed(verdicts, more):
    admission = make_gate("two_stage").admit([group(verdicts)])
    assert (admission.admitted.tolist(), admission.more.tolist(), admission.redraw) == (
        [False],
        [more],
        int(not more),
    )


# 8 pilots: skip above 0.75, defer below 0.125; 24 more make 32.
@pytest.mark.parametrize(("num_right", "more"), [(0, 0), (1, 24), (4, 24), (6, 24), (7, 0), (8, 0)])
def test_pilot_commit_goes_on_between_an_eighth_and_three_quarters(num_right, more):
    admission = make_gate("two_stage", preset="pilot-commit").admit(
        [group([1] * num_right + [0] * (8 - num_right))]
    )
    assert admission.more.tolist() == [more]


def test_complete_groups_are_admitted_if_they_can_train():
    gate = make_gate("two_stage")
    admission = gate.admit([group([1, 0] * 4), group([1] + [NAN] * 7), group([0] * 8)])
    assert (admission.admitted.tolist(), admission.more.tolist(), admission.redraw) == (
        [True, False, True],
        [0, 0, 0],
        0,
    )


def test_thresholds_are_on_verdicts_and_not_on_graded_rewards():
    admission = make_gate("two_stage").admit(
        [group([0, 0, 0, 0], rewards=[0.1, 0.9, 0.1, 0.9]), group([1, 0], rewards=[1, 1])]
    )
    assert admission.more.tolist() == [0, 6]


def test_screening_and_continuation_make_one_admitted_group():
    gate = make_gate("two_stage", num_screening=2, num_rollouts=6)
    first = gate.admit([group([1, 0], index=3)])
    joined = group([1, 0] + [0] * int(first.more[0]), index=3)
    assert gate.admit([joined]).admitted.tolist() == [True]


def test_evicted_prompts_are_wanted_no_more():
    gate = make_gate("two_stage", evict_after=2)
    gate.admit([group([1] * 4, index=1), group([1] * 4, index=2), group([1] * 4, index=3)])
    assert gate.evicted == frozenset()
    gate.admit(
        [group([1] * 4, index=1), group([1, 1, 1, 0], index=2), group([1, NAN, NAN, NAN], index=3)]
    )
    gate.admit([group([1] * 4, index=2)])
    assert gate.evicted == {1}
    assert gate.wanted([0, 1, 2, 3], batch=9).tolist() == [True, False, True, True]


def test_pilot_commit_evicts_after_one_screening_and_speed_never():
    for preset, evicted in (("pilot-commit", {5}), ("speed", set())):
        gate = make_gate("two_stage", preset=preset)
        gate.admit([group([1] * 4, index=5)])
        assert gate.evicted == evicted


def test_prompts_that_were_too_hard_are_deferred_for_so_many_steps():
    gate = make_gate("two_stage", low=0.3, defer_batches=2)
    gate.admit(
        [
            group([1, 0, 0, 0], index=0, step=10),
            group([0] * 4, index=1, step=11),
            group([1, 1, 0, 0], index=2, step=10),
        ]
    )
    wanted = {step: gate.wanted([0, 1, 2], batch=step).tolist() for step in (11, 12, 13, 14)}
    assert wanted == {
        11: [False, False, True],
        12: [False, False, True],
        13: [True, False, True],
        14: [True, True, True],
    }


def test_deferral_counts_from_the_step_of_the_last_asking_where_a_group_has_none():
    gate = make_gate("two_stage", defer_batches=3)
    gate.wanted([0], batch=7)
    gate.admit([group([0] * 4)])
    assert gate.deferred == {0: 10}


@given(st.lists(st.lists(st.sampled_from([0.0, 1.0, NAN]), min_size=1, max_size=9), max_size=8))
def test_every_group_is_admitted_continued_or_replaced(table):
    admission = make_gate("two_stage").admit([group(verdicts) for verdicts in table])
    complete = np.array([len(verdicts) >= 8 for verdicts in table], dtype=bool)
    assert not (admission.admitted & (admission.more > 0)).any()
    assert not (admission.admitted & ~complete).any()
    assert (admission.more > 0).sum() + admission.redraw == (~complete).sum()


def test_other_gates_ask_for_no_more_rollouts():
    assert make_gate("mixed").admit([group([1, 0])]).more.tolist() == []


def test_a_resumed_gate_remembers_whom_it_evicted_and_deferred():
    gate, resumed = (make_gate("two_stage", evict_after=1, defer_batches=5) for _ in range(2))
    gate.admit([group([1] * 4, index=4, step=2), group([0] * 4, index=6, step=2)])
    resumed.load_state_dict(
        json.loads(json.dumps(gate.state_dict(), default=lambda array: array.tolist()))
    )
    assert (resumed.evicted, resumed.deferred) == ({4}, {6: 7})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("batch", "soon"),
        ("solved", [-1]),
        ("num_solved", []),
        ("deferred", [1, 1]),
        ("deferred_until", None),
    ],
)
def test_a_damaged_state_is_refused_and_changes_nothing(key, value):
    gate = make_gate("two_stage", evict_after=1, defer_batches=5)
    gate.admit([group([1] * 4, index=4, step=2), group([0] * 4, index=6, step=2)])
    state = gate.state_dict()
    state["state"] = state["state"] | {key: value}
    with pytest.raises(StateError, match="damaged"):
        gate.load_state_dict(state)
    assert (gate.evicted, gate.deferred) == ({4}, {6: 7})


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        (
            "two_stage",
            {"preset": "paper"},
            "preset of gate 'two_stage' must be one of default, speed, pilot-commit, got 'paper'",
        ),
        (
            "two_stage",
            {"lo": 0.1},
            "gate 'two_stage' has no setting 'lo'; it has: defer_batches, evict_after, high, low",
        ),
        ("two_stage", {"num_screening": 8}, "num_screening must be below num_rollouts"),
        ("two_stage", {"low": 0.8, "high": 0.2}, "low must be at most high, got 0.8 and 0.2"),
        ("two_stage", {"num_screening": 1}, "num_screening must be a whole number of at least 2"),
        ("mixed", {"low": 0.1}, "gate 'mixed' has no setting 'low'; it has: none"),
        ("all", {"preset": "speed"}, "gate 'all' has no setting 'preset'; it has: none"),
    ],
)
def test_impossible_settings_are_refused(name, settings, message):
    with pytest.raises(ConfigError, match=message):
        make_gate(name, **settings)

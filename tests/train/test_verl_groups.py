"""Groups of verl's batches: verdicts from its reward functions, what is observed and charged."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasari.core.errors import ConfigError, DataError
from vasari.records import Draw, Outcome
from vasari.sample import AllGate, UniformSampler
from vasari.train.run_state import RunState
from vasari.train.verl_groups import (
    BatchGroups,
    VerlRollout,
    check_group_folder,
    scored,
    verdict_on,
)


def rollout(
    score: float = 1.0, *, tokens: int = 3, session: int = 0, **facts: object
) -> VerlRollout:
    return VerlRollout(token_ids=list(range(tokens)), score=score, facts=facts, session=session)


@pytest.mark.parametrize(
    ("facts", "score", "verdict_from", "expected"),
    [
        ({"verdict": "correct", "acc": 0.0}, 0.0, "", Outcome.CORRECT),
        ({"verdict": "unverifiable"}, 1.0, "", Outcome.UNVERIFIABLE),
        ({"acc": 0.0}, 1.0, "", Outcome.INCORRECT),
        ({"acc": True}, 0.0, "", Outcome.CORRECT),
        ({}, 0.5, "", Outcome.CORRECT),
        ({}, -1.0, "", Outcome.INCORRECT),
        ({"good": 1, "acc": 0.0}, 0.0, "good", Outcome.CORRECT),
        ({"good": None}, 1.0, "good", Outcome.UNVERIFIABLE),
        ({"good": math.nan}, 1.0, "good", Outcome.UNVERIFIABLE),
        ({"verdict": "correct", "acc": 0.0}, 1.0, "acc", Outcome.INCORRECT),
        ({"verdict": "correct", "acc": 0.0}, 0.0, "verdict", Outcome.CORRECT),
        ({"verdict": True, "acc": 0.0}, 0.0, "", Outcome.CORRECT),
        ({"verdict": np.str_("incorrect")}, 1.0, "", Outcome.INCORRECT),
        ({"acc": None}, 1.0, "", Outcome.UNVERIFIABLE),
        ({"acc": math.nan}, 1.0, "", Outcome.UNVERIFIABLE),
        ({}, math.nan, "", Outcome.UNVERIFIABLE),
    ],
)
def test_the_verdict_is_what_the_reward_function_says(facts, score, verdict_from, expected):
    assert verdict_on(rollout(score, **facts), verdict_from).outcome is expected


def test_a_field_that_does_not_come_is_named():
    with pytest.raises(DataError, match="verdict_from is 'good', and the reward function returned"):
        verdict_on(rollout(acc=1.0), "good")


@pytest.mark.parametrize(
    ("facts", "verdict_from"),
    [
        ({"verdict": "yes"}, ""),
        ({"acc": "high"}, ""),
        ({"good": [1, 0]}, "good"),
        ({"good": {}}, "good"),
    ],
)
def test_what_is_no_verdict_is_refused_in_a_line(facts, verdict_from):
    with pytest.raises(DataError, match="neither a number nor one of correct, ") as error:
        verdict_on(rollout(**facts), verdict_from)
    assert "\n" not in str(error.value)
    assert "set vasari.verdict_from" in str(error.value)


def test_an_unverifiable_rollout_has_no_reward():
    assert math.isnan(scored(rollout(0.0, verdict="unverifiable"), index=0).reward.total)


def test_confidence_is_the_least_log_probability():
    found = VerlRollout(token_ids=[1, 2], score=1.0, facts={}, log_probs=[-0.5, -2.0])
    assert scored(found, index=0).confidence == -2.0
    assert scored(rollout(), index=0).confidence is None


class Queue:
    """What came back, by name."""

    def __init__(self, **groups: list[VerlRollout]) -> None:
        self.groups = groups
        self.asked: list[str] = []

    def __call__(self, names):
        self.asked += names
        return {name: self.groups[name] for name in names if name in self.groups}


def batch_of(queue: Queue, *names: str, verdict_from: str = "") -> BatchGroups:
    sampler = UniformSampler(num_prompts=8, seed=0)
    groups = BatchGroups(
        RunState(sampler=sampler, gate=AllGate()), queue, verdict_from=verdict_from, record=None
    )
    draw = Draw(np.arange(len(names), dtype=np.int64), ("uniform",) * len(names))
    groups.submit(names, draw)
    return groups


def test_evicted_groups_are_charged_as_discarded():
    queue = Queue(a=[rollout(), rollout(0.0)], b=[rollout(tokens=5)] * 2, c=[rollout()] * 2)
    groups = batch_of(queue, "a", "b", "c")
    groups.observe({"b"})
    groups.observe({"a", "b", "c"})
    metrics = groups.finish({"a"})
    assert queue.asked == ["b", "a", "c"]
    assert metrics["ledger/rollouts/train"] == 2
    assert metrics["ledger/rollouts/discarded"] == 4
    assert metrics["ledger/tokens/discarded"] == 16
    assert metrics["vasari/zero_variance_share"] == pytest.approx(2 / 3)
    assert metrics["vasari/batch"] == 0


def as_verl_does(score: float) -> dict[str, object]:
    """What verl's reward managers make of a function that returns a number."""
    return {"acc": score}


@pytest.mark.parametrize(
    ("facts_of", "verdict_from", "is_told"),
    [
        (lambda score: {}, "", True),
        (as_verl_does, "", True),
        (lambda score: {"acc": 0.0, "own": score}, "", False),
        (lambda score: {"acc": 0.0, "good": score}, "good", True),
        (lambda score: {"verdict": "incorrect", "acc": score}, "", False),
    ],
)
def test_numbers_that_all_read_as_wrong_are_told_once(facts_of, verdict_from, is_told, caplog):
    graded = [rollout(score, **facts_of(score)) for score in (0.1, 0.3)]
    groups = batch_of(Queue(a=graded, b=graded), "a", "b", verdict_from=verdict_from)
    groups.observe({"a"})
    groups.observe({"b"})
    assert caplog.text.count("all 2 of them read as incorrect") == is_told
    assert caplog.text.count("set vasari.verdict_from to a field") == is_told


def test_the_next_batch_begins_with_no_group():
    groups = batch_of(Queue(a=[rollout()]), "a")
    groups.observe({"a"})
    groups.finish({"a"})
    groups.submit(["b"], Draw(np.array([1]), ("uniform",)))
    assert (groups.num_draws, groups.place_of("b")) == (1, 0)
    assert groups.without_baseline(["a_0_0"]) == []


def test_a_group_of_which_nothing_came_back_is_not_observed():
    groups = batch_of(Queue(a=[rollout()]), "a", "b")
    groups.observe({"a", "b"})
    assert groups.finish({"a"})["ledger/rollouts/train"] == 1


def test_a_batch_of_which_nothing_came_back_can_be_finished():
    groups = batch_of(Queue(), "a")
    groups.observe({"a"})
    assert groups.finish(set())["ledger/rollouts/train"] == 0


@given(st.lists(st.sampled_from("cu"), min_size=1, max_size=5))
def test_what_has_no_verdict_and_what_is_left_alone_has_no_baseline(verdicts):
    own = [
        rollout(session=n, verdict={"c": "correct", "u": "unverifiable"}[verdict])
        for n, verdict in enumerate(verdicts)
    ]
    groups = batch_of(Queue(a=own), "a")
    groups.observe({"a"})
    keys = [f"a_{n}_{output}" for n in range(len(own)) for output in range(2)]
    unknown = {n for n, verdict in enumerate(verdicts) if verdict == "u"}
    alone = unknown and len(own) - len(unknown) == 1
    out = set(range(len(own))) if alone else unknown
    assert groups.without_baseline([*keys, "padding_0_0"]) == [
        key for key in keys if int(key.split("_")[1]) in out
    ]


def test_a_refresh_is_charged_and_is_of_no_batch():
    queue = Queue(a=[rollout(), rollout()])
    groups = batch_of(queue)
    (found,) = groups.observe_refresh({"a": 5})
    assert (found.purpose, found.rollouts[0].index) == ("refresh", 5)
    assert groups.finish(set())["ledger/rollouts/refresh"] == 2


def test_groups_of_two_trainings_are_not_mixed(tmp_path):
    check_group_folder("")
    check_group_folder(str(tmp_path / "new"))
    check_group_folder(str(tmp_path))
    (tmp_path / "000000-train.parquet").touch()
    with pytest.raises(ConfigError, match="holds the groups of another training"):
        check_group_folder(str(tmp_path))

"""Rollouts scored, and groups kept on disk and shown to samplers as they were."""

import dataclasses
import math

import numpy as np
import pytest

from vasari.records import Prompt, Rollout
from vasari.score import make_rewards
from vasari.train.group_file import MAX_STORED_CHARACTERS, GroupLog, read_groups
from vasari.train.groups import ScoredGroup, score_group

PROMPTS = [
    Prompt(id="three", question="1+2?", answer="3", kind="number"),
    Prompt(id="unreadable", question="How many?", answer="many", kind="number"),
]
RIGHT = "<think>1+2=3</think><answer>\\boxed{3}</answer>"
BARE = "\\boxed{3}"
WRONG = "<think>1+2=4</think><answer>\\boxed{4}</answer>"


def rollout(text, tokens=(1, 2), *, truncated=False):
    return Rollout(text=text, token_ids=np.array(tokens, dtype=np.int32), truncated=truncated)


TERMS = make_rewards([{"name": "accuracy"}, {"name": "format", "weight": 0.5}])


def score(index, rollouts):
    return score_group(rollouts, index=index, prompt=PROMPTS[index], terms=TERMS)


def group(rollouts, **facts):
    return ScoredGroup(rollouts=rollouts, **({"role": "uniform", "score": 0.25} | facts))


@pytest.mark.parametrize(("text", "reward"), [(RIGHT, 1.5), (BARE, 1.0), (WRONG, 0.5), ("3?", 0.0)])
def test_a_reward_is_accuracy_plus_format(text, reward):
    assert score(0, [rollout(text)])[0].reward.total == reward


def test_an_unverifiable_rollout_has_no_reward():
    (scored,) = score(1, [rollout(RIGHT)])
    assert math.isnan(scored.reward.total)
    assert math.isnan(scored.verdict.value)


def test_a_group_is_kept_on_disk_as_it_was(tmp_path):
    first, second = score(0, [rollout(RIGHT), rollout("no", [5], truncated=True)])
    log = GroupLog(tmp_path, [prompt.id for prompt in PROMPTS], updates_per_batch=2)
    log([group([first, dataclasses.replace(second, confidence=-3.0)])], 3)
    (row,) = read_groups(tmp_path).to_pylist()
    assert {
        name: row[name]
        for name in ("prompt_id", "prompt_index", "batch", "step", "role", "score", "purpose")
    } == {
        "prompt_id": "three",
        "prompt_index": 0,
        "batch": 3,
        "step": 6,
        "role": "uniform",
        "score": 0.25,
        "purpose": "train",
    }
    assert row["texts"] == [RIGHT, "no"]
    assert row["rewards"] == [1.5, 0.0]
    assert dict(row["reward_terms"]) == {"accuracy": [1.0, 0.0], "format": [0.5, 0.0]}
    assert row["decided_by"] == ["exact", "number"]
    assert row["truncated"] == [False, True]
    assert row["num_tokens"] == [2, 1]


def test_groups_are_kept_in_their_order_with_what_they_were_spent_on(tmp_path):
    log = GroupLog(tmp_path, ["three", "unreadable"])
    kinds = ["discarded", "train", "screen"]
    log([group(score(0, [rollout(RIGHT)]), purpose=purpose) for purpose in kinds], 0)
    log([group(score(0, [rollout(RIGHT)]), purpose="refresh", role="refresh")], 1)
    assert read_groups(tmp_path)["purpose"].to_pylist() == [*kinds, "refresh"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "000000-train.parquet",
        "000001-refresh.parquet",
    ]


def test_an_overlong_text_is_cut_on_disk_and_not_when_verified(tmp_path):
    GroupLog(tmp_path, ["three"])(
        [group(score(0, [rollout("x" * MAX_STORED_CHARACTERS + BARE)]))], 0
    )
    (row,) = read_groups(tmp_path).to_pylist()
    assert len(row["texts"][0]) == MAX_STORED_CHARACTERS
    assert row["verdicts"] == [1.0]


def test_texts_can_be_left_out(tmp_path):
    GroupLog(tmp_path, ["three"], keep_texts=False)([group(score(0, [rollout(RIGHT)]))], 0)
    assert read_groups(tmp_path)["texts"].to_pylist() == [None]


def test_a_sampler_sees_verdicts_tokens_and_the_batch():
    seen = group(score(0, [rollout(RIGHT, [4, 0]), rollout(WRONG, [5, 0])])).outcome(3)
    assert (seen.index, seen.batch, seen.purpose) == (0, 3, "train")
    np.testing.assert_array_equal(seen.verdicts, [1.0, 0.0])
    assert [ids.tolist() for ids in seen.token_ids] == [[4, 0], [5, 0]]
    assert list(seen.answers) == ["3", "4"]


def test_confidence_is_known_for_all_rollouts_or_for_none():
    one, other = score(0, [rollout(RIGHT), rollout(WRONG)])
    known = [
        dataclasses.replace(scored, confidence=value)
        for scored, value in ((one, -1.0), (other, -2.0))
    ]
    np.testing.assert_array_equal(group(known).outcome(0).confidence, [-1.0, -2.0])
    assert group([known[0], other]).outcome(0).confidence is None

import dataclasses
import math

import numpy as np
import pytest

from vasari.records import Prompt
from vasari.rundir import read_groups
from vasari.score.reward import RewardSettings
from vasari.train.books import MAX_STORED_CHARACTERS, RolloutBooks, outcome

PROMPTS = [
    Prompt(id="three", question="1+2?", answer="3", kind="number"),
    Prompt(id="unreadable", question="How many?", answer="many", kind="number"),
]
RIGHT = "<think>1+2=3</think><answer>\\boxed{3}</answer>"
BARE = "\\boxed{3}"
WRONG = "<think>1+2=4</think><answer>\\boxed{4}</answer>"


@pytest.fixture
def books(tmp_path):
    return RolloutBooks(PROMPTS, folder=tmp_path, rewards=RewardSettings(accuracy=1.0, format=0.5))


def record(books, group, *, batch=3, purpose="train", **changes):
    facts = {"batch": batch, "step": 7, "purpose": purpose, "roles": ["uniform"], "scores": [0.25]} | changes
    return books.record([group], **facts)


@pytest.mark.parametrize(("text", "reward"), [(RIGHT, 1.5), (BARE, 1.0), (WRONG, 0.5), ("3?", 0.0)])
def test_a_reward_is_accuracy_plus_format(books, text, reward):
    assert books.score(0, text, [1, 2]).reward.total == reward


def test_an_unverifiable_rollout_has_no_reward(books):
    scored = books.score(1, RIGHT, [1, 2])
    assert math.isnan(scored.reward.total)
    assert math.isnan(scored.verdict.value)


@pytest.mark.parametrize("purpose", ["train", "refresh"])
def test_every_rollout_and_token_is_charged_to_its_purpose(books, purpose):
    record(books, [books.score(0, RIGHT, [1, 2]), books.score(0, WRONG, [1, 2, 3])], purpose=purpose)
    assert books.ledger.rollouts[purpose] == books.ledger.total_rollouts == 2
    assert books.ledger.tokens[purpose] == 5


def test_a_group_that_a_gate_left_out_is_charged_and_kept_as_discarded_in_its_place(books, tmp_path):
    groups = [[books.score(0, WRONG, [1])], [books.score(0, RIGHT, [1, 2])], [books.score(0, WRONG, [1, 2, 3])]]
    facts = {"batch": 3, "step": 7, "purpose": "train", "roles": ["uniform"] * 3, "scores": [0.0] * 3}
    seen = books.record(groups, **facts, discarded=[0, 2])
    assert books.ledger.rollouts == {"train": 1, "refresh": 0, "screen": 0, "discarded": 2}
    assert books.ledger.tokens == {"train": 2, "refresh": 0, "screen": 0, "discarded": 4}
    assert read_groups(tmp_path)["purpose"].to_pylist() == ["discarded", "train", "discarded"]
    assert [group.purpose for group in seen] == ["train"] * 3


def test_a_screening_beside_whole_groups_is_charged_and_kept_as_a_probe(books, tmp_path):
    groups = [[books.score(0, WRONG, [1])] * 2, [books.score(0, RIGHT, [1, 2])] * 4, [books.score(1, RIGHT, [3])] * 4]
    facts = {"batch": 3, "step": 7, "purpose": "train", "roles": ["uniform"] * 3, "scores": [0.0] * 3}
    books.record(groups, **facts, screened_only=[0], discarded=[2])
    assert books.ledger.rollouts == {"train": 4, "refresh": 0, "screen": 2, "discarded": 4}
    assert books.ledger.tokens == {"train": 8, "refresh": 0, "screen": 2, "discarded": 4}
    rows = read_groups(tmp_path).to_pylist()
    assert [(row["purpose"], len(row["texts"])) for row in rows] == [("screen", 2), ("train", 4), ("discarded", 4)]


def test_a_group_is_kept_on_disk_as_it_was(books, tmp_path):
    group = [books.score(0, RIGHT, [1, 2]), dataclasses.replace(books.score(0, "no", [5], truncated=True), confidence=-3.0)]
    record(books, group)
    (row,) = read_groups(tmp_path).to_pylist()
    assert {name: row[name] for name in ("prompt_id", "prompt_index", "batch", "step", "role", "score", "purpose")} == {
        "prompt_id": "three",
        "prompt_index": 0,
        "batch": 3,
        "step": 7,
        "role": "uniform",
        "score": 0.25,
        "purpose": "train",
    }
    assert row["texts"] == [RIGHT, "no"]
    assert row["rewards"] == [1.5, 0.0]
    assert row["accuracy_rewards"] == [1.0, 0.0]
    assert row["format_rewards"] == [0.5, 0.0]
    assert row["decided_by"] == ["exact", "number"]
    assert row["truncated"] == [False, True]
    assert row["num_tokens"] == [2, 1]


def test_an_overlong_text_is_cut_on_disk_and_not_when_verified(books, tmp_path):
    long = "x" * MAX_STORED_CHARACTERS + BARE
    record(books, [books.score(0, long, [1])])
    (row,) = read_groups(tmp_path).to_pylist()
    assert len(row["texts"][0]) == MAX_STORED_CHARACTERS
    assert row["verdicts"] == [1.0]


def test_texts_can_be_left_out(tmp_path):
    books = RolloutBooks(PROMPTS, folder=tmp_path, rewards=RewardSettings(), keep_texts=False)
    record(books, [books.score(0, RIGHT, [1])])
    assert read_groups(tmp_path)["texts"].to_pylist() == [None]


def test_a_sampler_sees_the_batch_as_its_clock(books):
    (seen,) = record(books, [books.score(0, RIGHT, [4, 0]), books.score(0, WRONG, [5, 0])], batch=3)
    assert (seen.index, seen.step, seen.purpose) == (0, 3, "train")
    np.testing.assert_array_equal(seen.verdicts, [1.0, 0.0])
    assert [ids.tolist() for ids in seen.token_ids] == [[4, 0], [5, 0]]


def test_confidence_is_known_for_all_rollouts_or_for_none(books):
    known = [dataclasses.replace(books.score(0, RIGHT, [1]), confidence=c) for c in (-1.0, -2.0)]
    np.testing.assert_array_equal(outcome(known, purpose="train", batch=0).confidence, [-1.0, -2.0])
    assert outcome([known[0], books.score(0, RIGHT, [1])], purpose="train", batch=0).confidence is None

"""Counts worked by hand."""

from __future__ import annotations

import json

import pytest

from vasari.core.errors import StateError
from vasari.records import GroupOutcome
from vasari.train.drawn import DrawnPrompts


def group(index, *lengths):
    verdicts = [1.0] * len(lengths)
    tokens = [[1] * length for length in lengths]
    return GroupOutcome(index=index, rewards=verdicts, verdicts=verdicts, token_ids=tokens)


def test_a_run_says_how_many_prompts_it_drew_how_evenly_and_how_long():
    drawn = DrawnPrompts()
    assert drawn.metrics() == {}
    drawn.count([group(4, 2, 4), group(7, 9, 9)])
    drawn.count([group(4, 1, 1), group(9, 3, 5), group(4, 1, 1)])
    # Counts 3, 1, 1: 25 / 11 prompts drawn equally often vary as much.
    assert drawn.metrics() == {
        "drawn/different_prompts": 3.0,
        "drawn/effective_prompts": pytest.approx(25 / 11),
        "drawn/mean_tokens": pytest.approx((1 + 4 + 1) / 3),
        "drawn/first_time_share": pytest.approx(1 / 3),
    }


def test_counts_go_on_after_they_were_saved():
    one, other = DrawnPrompts(), DrawnPrompts()
    one.count([group(4, 2), group(7, 9)])
    other.load_state_dict(json.loads(json.dumps(one.state_dict())))
    for drawn in (one, other):
        drawn.count([group(4, 3), group(5, 3)])
    assert one.metrics() == other.metrics()
    other.load_state_dict({})
    assert other.metrics() == {}
    other.count([group(4, 3)])
    assert other.metrics()["drawn/first_time_share"] == 1.0


@pytest.mark.parametrize(
    "damaged", [{"prompts": [1], "counts": []}, {"prompts": [1], "counts": [-3]}]
)
def test_damaged_counts_are_refused(damaged):
    with pytest.raises(StateError, match="saved counts of drawn prompts are damaged"):
        DrawnPrompts().load_state_dict(damaged)

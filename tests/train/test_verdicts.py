"""How verdicts are read from rewards, and which rollouts leave their group's baseline."""

import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasari.core.errors import ConfigError
from vasari.records import Outcome, Verdict
from vasari.train.verdicts import Judge

NAN = np.nan
RIGHT, WRONG, NEITHER = (
    Verdict(outcome) for outcome in (Outcome.CORRECT, Outcome.INCORRECT, Outcome.UNVERIFIABLE)
)


def outcomes(judgement):
    return [verdict.value for verdict in judgement.verdicts]


def totals(judgement):
    return [reward.total for reward in judgement.rewards]


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0.0, 1.0], [0, 1]), ([-1.0, 1.0], [0, 1]), ([0.49, 0.5], [0, 1]), ([NAN, 1.0], [NAN, 1])],
)
def test_the_first_reward_function_says_what_is_correct(values, expected):
    judgement = Judge(["accuracy"], [2.0]).judge(np.array(values)[:, None], None)
    np.testing.assert_array_equal(outcomes(judgement), expected)
    np.testing.assert_array_equal(totals(judgement), 2 * np.array(values))


def test_another_reward_function_can_be_named():
    values = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert outcomes(Judge(["format", "accuracy"], [1, 1]).judge(values, None)) == [1, 0]
    assert outcomes(Judge(["format", "accuracy"], [1, 1], "accuracy").judge(values, None)) == [0, 1]


def test_a_function_can_read_all_rewards():
    judge = Judge(
        ["a", "b"], [0.1, 0.1], lambda rewards: (rewards["a"] + rewards["b"] > 1.5).astype(float)
    )
    assert outcomes(judge.judge(np.array([[1.0, 1.0], [1.0, 0.0]]), None)) == [1, 0]


@pytest.mark.parametrize(
    ("returned", "words"),
    [([1.0], "1 verdicts for 2"), ([0.3, 1.0], r"must give 1 \(correct\), 0 \(incorrect\) or nan")],
)
def test_a_bad_reader_is_named(returned, words):
    with pytest.raises(ConfigError, match=words):
        Judge(["a"], [1], lambda _: returned).judge(np.ones((2, 1)), None)


def test_a_verifier_decides_instead_of_the_rewards():
    judgement = Judge(["a"], [1], verify=lambda row, text: RIGHT).judge(
        np.array([[0.0], [1.0], [1.0]]), [RIGHT, WRONG, NEITHER]
    )
    np.testing.assert_array_equal(outcomes(judgement), [1, 0, NAN])
    np.testing.assert_array_equal(
        totals(judgement), [0.0, 1.0, NAN]
    )  # an unverifiable rollout leaves the baseline


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            {"verdict_from": "b"},
            "verdict_from must be one of the reward functions a, or a function; got 'b'",
        ),
        (
            {"verdict_from": "a", "verify": lambda row, text: RIGHT},
            "give verify .* or verdict_from .*, not both",
        ),
    ],
)
def test_what_contradicts_itself_is_refused(arguments, words):
    with pytest.raises(ConfigError, match=words):
        Judge(["a"], [1], **arguments)


@pytest.mark.parametrize(
    ("essential", "expected"),
    [((), [3.0, 2.0, 1.0, NAN]), (("a",), [3.0, NAN, 1.0, NAN]), (("b",), [3.0, 2.0, NAN, NAN])],
)
def test_none_leaves_the_sum_and_an_essential_none_the_baseline(essential, expected):
    values = np.array([[1.0, 1.0], [NAN, 1.0], [1.0, NAN], [NAN, NAN]])
    judge = Judge(["a", "b"], [1, 2], essential=essential)
    np.testing.assert_array_equal(totals(judge.judge(values, None)), expected)


def test_the_parts_are_weighted_and_named():
    reward = Judge(["a", "b"], [1.0, 0.5]).judge(np.array([[1.0, 1.0]]), None).rewards[0]
    assert reward.breakdown == {"a": 1.0, "b": 0.5}
    assert reward.total == 1.5


def test_it_warns_once_where_no_reward_reads_as_correct(caplog):
    judge = Judge(["shaped"], [1])
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            judge.judge(np.array([[0.1], [0.4]]), None)
    assert len(caplog.records) == 1
    assert "verdict_from" in caplog.text


def test_it_does_not_warn_where_all_rewards_are_equal(caplog):
    """A group that nobody solved is all zeros, and says nothing about the scale of the rewards."""
    with caplog.at_level(logging.WARNING):
        Judge(["accuracy"], [1]).judge(np.zeros((4, 1)), None)
    assert caplog.records == []


FOUND = st.one_of(st.just(NAN), st.floats(-4, 4))
WEIGHT = st.floats(-4, 4)


def known(row):
    return [value for value in row if not np.isnan(value)]


@given(st.lists(st.tuples(FOUND, FOUND), min_size=1, max_size=6), st.tuples(WEIGHT, WEIGHT))
def test_a_total_is_the_weighted_sum_of_what_is_known_or_nothing_is_known(rows, weights):
    found = totals(Judge(["a", "b"], weights).judge(np.array(rows), None))
    weighted = [
        [value * weight for value, weight in zip(row, weights, strict=True)] for row in rows
    ]
    expected = [sum(known(row)) if known(row) else NAN for row in weighted]
    np.testing.assert_allclose(found, expected, atol=1e-12)


@given(
    st.lists(st.tuples(FOUND, FOUND), min_size=1, max_size=6), st.tuples(WEIGHT, WEIGHT), st.data()
)
def test_an_unverifiable_rollout_never_has_a_total_and_no_other_loses_its_own(rows, weights, data):
    verdicts = data.draw(
        st.lists(st.sampled_from([RIGHT, WRONG, NEITHER]), min_size=len(rows), max_size=len(rows))
    )
    judge = Judge(["a", "b"], weights, verify=lambda row, text: RIGHT)
    judgement = judge.judge(np.array(rows), verdicts)
    assert judgement.verdicts == verdicts
    expected = [
        verdict is NEITHER or not known(row) for verdict, row in zip(verdicts, rows, strict=True)
    ]
    assert (
        np.isnan(totals(judgement)).tolist()
        == expected
        == judge.unscorable(np.array(rows), verdicts).tolist()
    )


@given(st.lists(st.tuples(FOUND, FOUND), min_size=1, max_size=6), st.tuples(WEIGHT, WEIGHT))
def test_weights_change_no_verdict(rows, weights):
    one, other = (
        Judge(["a", "b"], own).judge(np.array(rows), None) for own in (weights, (1.0, 1.0))
    )
    np.testing.assert_array_equal(outcomes(one), outcomes(other))

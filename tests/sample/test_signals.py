from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasari.records import GroupOutcome
from vasari.sample.signals import coherence, judged_two_ways, majority_refused

NAN = math.nan


def test_verdicts_that_confidence_foretells_are_coherent():
    assert coherence(np.array([1.0, 1, 0, 0]), np.array([-0.1, -0.1, -2.0, -2.0])) == pytest.approx(
        1.0
    )


def test_sure_rollouts_that_are_judged_wrong_are_incoherent_below_zero():
    assert coherence(np.array([0.0, 0, 1, 1]), np.array([-0.1, -0.1, -2.0, -2.0])) == pytest.approx(
        -1.0
    )


def test_coherence_is_the_signed_square_of_the_correlation():
    # Verdicts 1 0 0 and confidences 0 -1 -3: deviations (2 -1 -1)/3 and (4 1 -5)/3, products 12/9,
    # squares 6/9 and 42/9.
    assert coherence(np.array([1.0, 0, 0]), np.array([0.0, -1, -3])) == pytest.approx(
        (12 / 9) ** 2 / (6 / 9 * 42 / 9)
    )


@pytest.mark.parametrize(
    ("verdicts", "confidence"),
    [
        ([1.0, 1, 1, 1], [-1.0, -2, -3, -4]),  # unanimous
        ([1.0, 0, 1, 0], [-1.0, -1, -1, -1]),  # equally sure
        ([1.0, 0, NAN, NAN], [-1.0, -2, -3, -4]),  # two verdicts
        ([1.0, 0, 1, 0], None),
    ],
)
def test_a_group_without_contrast_has_no_coherence(verdicts, confidence):
    assert math.isnan(
        coherence(np.array(verdicts), None if confidence is None else np.array(confidence))
    )


@given(st.integers(0, 2**32 - 1))
def test_verdicts_by_coin_flip_average_out(seed):
    rng = np.random.default_rng(seed)
    heard = [coherence(rng.integers(0, 2, 8).astype(float), rng.normal(size=8)) for _ in range(400)]
    assert abs(np.nanmean(heard)) < 0.06  # sd of the mean is about 0.01


def test_one_answer_with_two_verdicts_is_counted_in_pairs():
    # Three rollouts said 5, judged 1 1 0: of their 3 pairs 2 are torn; the two that said 7 agree;
    # None is nobody's answer.
    verdicts = np.array([1.0, 1, 0, 0, 0, 1, 0])
    assert judged_two_ways(verdicts, ["5", "5", "5", "7", "7", None, None]) == (4, 2)


def test_unverifiable_rollouts_and_unknown_answers_make_no_pairs():
    assert judged_two_ways(np.array([1.0, NAN]), ["5", "5"]) == (0, 0)
    assert judged_two_ways(np.array([1.0, 0.0]), []) == (0, 0)


@pytest.mark.parametrize(
    ("verdicts", "answers", "expected"),
    [
        ([0.0, 0, 0, 1], ["5", "5", "5", "6"], True),
        ([1.0, 1, 0, 0], ["5", "5", "6", "7"], False),
        ([0.0, 0, 0, 1], ["5", "6", "7", "8"], None),  # no answer of half the rollouts
        ([0.0, 1], [None, None], None),
        ([0.0, 1], [], None),
    ],
)
def test_the_majority_is_refused_where_its_answer_is_judged_wrong(verdicts, answers, expected):
    group = GroupOutcome(
        index=0, rewards=np.array(verdicts), verdicts=np.array(verdicts), answers=answers
    )
    assert majority_refused(group) is expected

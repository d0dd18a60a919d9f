"""Each number worked by hand from the formulas in the docstrings."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasari.records import GroupOutcome
from vasari.sample.noise import NoiseEvidence, coherence, judged_two_ways, majority_refused
from vasari.sample.ranked import tally

OFF = {"coherence": False, "agreement": False, "inert_guard": False}


def no_evidence(num_prompts=4, categories=(0, 0, 1, 1), **parts):
    on = dict.fromkeys(OFF, True)
    return NoiseEvidence(num_prompts, np.array(categories), len(set(categories)), **on | parts)


def group(index, verdicts, *, sure=None, answers=()):
    verdicts = np.array(verdicts, dtype=float)
    confidence = None if sure is None else np.array(sure, dtype=float)
    return GroupOutcome(
        index=index, rewards=verdicts, verdicts=verdicts, confidence=confidence, answers=answers
    )


def judged_after(evidence, *groups):
    """Evidence after these groups, one after the other, under a belief that is sure of a pass rate
    of a half."""
    for each in groups:
        evidence.learn([each], tally([each]), (np.zeros(1), np.zeros(1)))
    return evidence.trust()


def test_coherence_is_drawn_towards_the_category_and_that_towards_the_pool():
    judged = judged_after(no_evidence(), group(0, [1, 1, 0, 0], sure=[-1, -1, -2, -2]))
    # One group of coherence 1. Pool: (1 + 4 * 0.45) / (1 + 4) = 0.56. Categories: (1 + 4 * 0.56) /
    # 5 = 0.648 and 0.56.
    assert judged.coherence == pytest.approx([(1 + 3 * 0.648) / 4, 0.648, 0.56, 0.56])


def test_incoherent_verdicts_cut_the_value_in_proportion_down_to_the_least():
    evidence = no_evidence(num_prompts=2, categories=(0, 0), **OFF | {"coherence": True})
    judged = judged_after(evidence, *[group(0, [1, 1, 0, 0], sure=[-2, -2, -1, -1])] * 2)
    # Two groups of coherence -1. Pool: (-2 + 1.8) / (2 + 4) = -1/30, which is below 0; prompt 0:
    # (-2 - 3/30) / 5.
    assert judged.coherence == pytest.approx([-0.42, -1 / 30])
    assert judged.trust == pytest.approx([0.03, 0.03])
    # One group of -1: pool (-1 + 1.8) / 5 = 0.16, of 0.35 that would be enough; prompt 0: (-1 +
    # 3 * 0.16) / 4 < 0.
    assert judged_after(
        no_evidence(2, (0, 0)), group(0, [1, 1, 0, 0], sure=[-2, -2, -1, -1])
    ).trust == pytest.approx([0.03, 0.16 / 0.35])


def test_an_answer_judged_two_ways_cuts_the_value_by_its_share_of_pairs():
    evidence = no_evidence(**OFF | {"agreement": True})
    judged = judged_after(
        evidence,
        group(1, [1, 0, 1, 0], answers=["5", "5", "6", "7"]),
        group(2, [1, 0, 1, 0], answers=["5"] * 4),
    )
    # One pair, judged two ways: 1 - 4/5. Six pairs, two right and two wrong make four unlike pairs: 1 - 16/10 <
    # 0.03.
    assert judged.trust == pytest.approx([1.0, 0.2, 0.03, 1.0])


def test_each_refused_majority_in_a_row_takes_three_tenths_of_the_value_and_an_accepted_one_gives_it_back():
    evidence = no_evidence(**OFF | {"agreement": True})
    said, against = ["5", "5", "5", "6"], [-1, -1, -1, -2]
    refused = group(0, [0, 0, 0, 1], answers=said, sure=against)
    judged = judged_after(
        evidence, refused, refused, group(1, [0, 0, 0, 0], answers=["1", "2", "3", "4"])
    )
    # 5 + 5 + 5 against the label 6, twice: 0.7 * 0.7. Prompt 1 has no majority. Three pairs a
    # group, none of them unlike.
    assert judged.trust == pytest.approx([0.49, 1.0, 1.0, 1.0])
    assert judged_after(evidence, group(0, [1, 1, 1, 0], answers=["6", "6", "6", "5"])).trust[
        0
    ] == pytest.approx(1.0)


def test_a_refused_majority_is_no_evidence_where_the_right_rollouts_are_the_surer_ones():
    # Hard prompts have a common wrong answer too. Without confidence nothing tells the two apart.
    said = ["5", "5", "5", "6"]
    for sure in ([-2, -2, -2, -1], None):
        evidence = no_evidence(**OFF | {"agreement": True})
        judged = judged_after(evidence, *[group(0, [0, 0, 0, 1], answers=said, sure=sure)] * 4)
        assert judged.trust == pytest.approx([1.0] * 4)


def test_a_detector_that_is_off_gives_up_on_no_prompt():
    evidence = no_evidence(**OFF)
    doubtful = group(0, [0, 0, 0, 1], answers=["5", "5", "5", "6"], sure=[-1, -1, -1, -2])
    assert not len(evidence.given_up(judged_after(evidence, *[doubtful] * 4).by_group))


def test_a_pass_rate_that_stays_is_no_evidence_by_itself():
    evidence = no_evidence(1, (0,), **OFF | {"inert_guard": True, "coherence": True})
    still = [1, 0, 0, 0, 0, 0, 0, 0]
    assert judged_after(evidence, *[group(0, still)] * 4).trust == pytest.approx([1.0])
    # With confidences that say nothing of the verdicts, it is.
    noise = [-1, -2, -1, -2, -1, 0, -1, 0]
    evidence = no_evidence(1, (0,), **OFF | {"inert_guard": True, "coherence": True})
    judged = judged_after(evidence, *[group(0, still, sure=noise)] * 30)
    assert judged.trust[0] < 0.2


def test_counts_that_never_move_are_weighed_against_a_rate_that_can():
    evidence = no_evidence(**OFF | {"inert_guard": True})
    judged_after(evidence, group(3, [1, 1, 0, 0]))
    # Sure of 1/2: 1/16. Never moving, from Beta(1, 1): B(3, 3) / B(1, 1) = 2! 2! / 5! = 1/30.
    assert evidence.kept["ratio"][3] == pytest.approx(math.log(30 / 16))
    judged_after(evidence, group(3, [1, 1, 0, 0]))
    # From Beta(3, 3): B(5, 5) / B(3, 3) = (4! 4! / 9!) * 30 = 1/21; the first counts for 0.97 of
    # itself.
    assert evidence.kept["ratio"][3] == pytest.approx(0.97 * math.log(30 / 16) + math.log(21 / 16))


def test_counts_that_never_move_cut_the_value_unless_they_rise():
    still, rising = (
        no_evidence(num_prompts=1, categories=(0,), **OFF | {"inert_guard": True}) for _ in range(2)
    )
    assert judged_after(still, *[group(0, [1, 0, 0, 0, 0, 0, 0, 0])] * 2).trust == [
        1.0
    ]  # two mixed groups are too few
    # Under a belief sure of 1/2 counts of one in eight are likelier from a rate that stays: the
    # ratio falls below 0.3.
    assert judged_after(still, group(0, [1, 0, 0, 0, 0, 0, 0, 0])).trust == pytest.approx([0.15])
    counts = ([1, 0, 0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0, 0, 0])
    # The rate rose by 1/8, of which the last group shows 0.4: 0.15 + 0.4 / 8 / 0.15.
    assert judged_after(
        rising, *[group(0, verdicts) for verdicts in counts]
    ).trust == pytest.approx([0.15 + 0.05 / 0.15])


def test_those_given_up_come_most_suspect_first():
    evidence = no_evidence(**OFF | {"agreement": True})
    often, once = (
        group(2, [1, 0, 1, 0], answers=["5"] * 4),
        group(0, [1, 0, 1, 0], answers=["5", "5", "6", "7"]),
    )
    judged = judged_after(
        evidence, often, once, often, once, often, once, group(1, [1, 0, 1, 0], answers=["5"] * 4)
    )
    # Prompt 1 is as suspect as 2, but of one group only; three unlike pairs of three leave 0: 1 - 12 /
    # 7.
    assert judged.trust == pytest.approx([0.03, 0.03, 0.03, 1.0])
    assert evidence.given_up(judged.by_group).tolist() == [0, 2]
    assert evidence.given_up(np.array([0.1, 0.03, 0.05, 1.0])).tolist() == [2, 0]


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
    found = [coherence(rng.integers(0, 2, 8).astype(float), rng.normal(size=8)) for _ in range(400)]
    assert abs(np.nanmean(found)) < 0.06  # sd of the mean is about 0.01


def test_one_answer_with_two_verdicts_is_counted_in_pairs():
    # Three rollouts said 5, judged 1 1 0: of their 3 pairs 2 have unlike verdicts; the two that said 7 agree;
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
    one = GroupOutcome(
        index=0, rewards=np.array(verdicts), verdicts=np.array(verdicts), answers=answers
    )
    assert majority_refused(one) is expected

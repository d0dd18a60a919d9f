"""Each number worked by hand from the formulas in the docstrings."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vasari.records import GroupOutcome
from vasari.sample.distrust import Distrust
from vasari.sample.progress_settings import ProgressSettings
from vasari.sample.ranked import tally

SILENT = {"coherence": False, "agreement": False, "inert_guard": False}


def distrust(num_prompts=4, categories=(0, 0, 1, 1), **parts):
    return Distrust(
        num_prompts, np.array(categories), len(set(categories)), ProgressSettings(**parts)
    )


def group(index, verdicts, *, sure=None, answers=()):
    verdicts = np.array(verdicts, dtype=float)
    confidence = None if sure is None else np.array(sure, dtype=float)
    return GroupOutcome(
        index=index, rewards=verdicts, verdicts=verdicts, confidence=confidence, answers=answers
    )


def told(sense, *groups):
    """Evidence after these groups, one after the other, under a belief that is sure of a pass rate
    of a half."""
    for each in groups:
        sense.learn([each], tally([each]), (np.zeros(1), np.zeros(1)))
    return sense.judged()


def test_coherence_is_drawn_towards_the_category_and_that_towards_the_pool():
    judged = told(distrust(), group(0, [1, 1, 0, 0], sure=[-1, -1, -2, -2]))
    # One group of coherence 1. Pool: (1 + 4 * 0.45) / (1 + 4) = 0.56. Categories: (1 + 4 * 0.56) /
    # 5 = 0.648 and 0.56.
    assert judged.coherence == pytest.approx([(1 + 0.648) / 2, 0.648, 0.56, 0.56])


def test_incoherent_verdicts_cut_the_value_in_proportion_down_to_the_least():
    sense = distrust(num_prompts=2, categories=(0, 0), **SILENT | {"coherence": True})
    judged = told(sense, *[group(0, [1, 1, 0, 0], sure=[-2, -2, -1, -1])] * 2)
    # Two groups of coherence -1. Pool: (-2 + 1.8) / (2 + 4) = -1/30, which is below 0; prompt 0:
    # (-2 - 1/30) / 3.
    assert judged.coherence == pytest.approx([-61 / 90, -1 / 30])
    assert judged.factor == pytest.approx([0.03, 0.03])
    # One group of -1: pool (-1 + 1.8) / 5 = 0.16, of 0.35 that would be enough; prompt 0: (-1 +
    # 0.16) / 2 < 0.
    assert told(
        distrust(2, (0, 0)), group(0, [1, 1, 0, 0], sure=[-2, -2, -1, -1])
    ).factor == pytest.approx([0.03, 0.16 / 0.35])


def test_an_answer_judged_two_ways_cuts_the_value_by_its_share_of_pairs():
    sense = distrust(**SILENT | {"agreement": True})
    judged = told(
        sense,
        group(1, [1, 0, 1, 0], answers=["5", "5", "6", "7"]),
        group(2, [1, 0, 1, 0], answers=["5"] * 4),
    )
    # One pair, torn: 1 - 4/5. Six pairs, two right and two wrong make four torn ones: 1 - 16/10 <
    # 0.03.
    assert judged.factor == pytest.approx([1.0, 0.2, 0.03, 1.0])


def test_each_refused_majority_in_a_row_takes_three_tenths_of_the_value_and_an_accepted_one_gives_it_back():
    sense = distrust(**SILENT | {"agreement": True})
    refused = group(0, [0, 0, 0, 1], answers=["5", "5", "5", "6"])
    judged = told(sense, refused, refused, group(1, [0, 0, 0, 0], answers=["1", "2", "3", "4"]))
    # 5 + 5 + 5 against the label 6, twice: 0.7 * 0.7. Prompt 1 has no majority. Three pairs a
    # group, none of them torn.
    assert judged.factor == pytest.approx([0.49, 1.0, 1.0, 1.0])
    assert told(sense, group(0, [1, 1, 1, 0], answers=["6", "6", "6", "5"])).factor[
        0
    ] == pytest.approx(1.0)


def test_counts_that_never_move_are_weighed_against_a_rate_that_can():
    sense = distrust(**SILENT | {"inert_guard": True})
    told(sense, group(3, [1, 1, 0, 0]))
    # Sure of 1/2: 1/16. Never moving, from Beta(1, 1): B(3, 3) / B(1, 1) = 2! 2! / 5! = 1/30.
    assert sense.kept["ratio"][3] == pytest.approx(math.log(30 / 16))
    told(sense, group(3, [1, 1, 0, 0]))
    # From Beta(3, 3): B(5, 5) / B(3, 3) = (4! 4! / 9!) * 30 = 1/21; the first counts for 0.97 of
    # itself.
    assert sense.kept["ratio"][3] == pytest.approx(0.97 * math.log(30 / 16) + math.log(21 / 16))


def test_counts_that_never_move_cut_the_value_unless_they_rise():
    still, rising = (
        distrust(num_prompts=1, categories=(0,), **SILENT | {"inert_guard": True}) for _ in range(2)
    )
    assert told(still, *[group(0, [1, 0, 0, 0, 0, 0, 0, 0])] * 2).factor == [
        1.0
    ]  # two mixed groups are too few
    # Under a belief sure of 1/2 counts of one in eight are likelier from a rate that stays: the
    # ratio falls below 0.3.
    assert told(still, group(0, [1, 0, 0, 0, 0, 0, 0, 0])).factor == pytest.approx([0.15])
    counts = ([1, 0, 0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0, 0, 0])
    # The rate rose by 1/8, of which the last group shows 0.4: 0.15 + 0.4 / 8 / 0.15.
    assert told(rising, *[group(0, verdicts) for verdicts in counts]).factor == pytest.approx(
        [0.15 + 0.05 / 0.15]
    )


def test_those_given_up_come_most_suspect_first():
    sense = distrust(**SILENT | {"agreement": True})
    torn, odd = (
        group(2, [1, 0, 1, 0], answers=["5"] * 4),
        group(0, [1, 0, 1, 0], answers=["5", "5", "6", "7"]),
    )
    judged = told(sense, torn, odd, torn, odd, torn, odd, group(1, [1, 0, 1, 0], answers=["5"] * 4))
    # Prompt 1 is as torn as 2, but of one group only; three torn pairs of three leave 0: 1 - 12 /
    # 7.
    assert judged.factor == pytest.approx([0.03, 0.03, 0.03, 1.0])
    assert sense.given_up(judged.learnable).tolist() == [0, 2]
    assert sense.given_up(np.array([0.1, 0.03, 0.05, 1.0])).tolist() == [2, 0]

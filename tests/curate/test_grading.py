"""Curtailed grading gives the bins of full grading, for every sequence of verdicts, and draws no
rollout too many."""

import math
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasari.core.errors import ConfigError, DataError
from vasari.curate.choose.grading import Difficulty, Grader, GradingSettings, Tally, wilson_interval

NAN = math.nan
EASY, MEDIUM, HARD, UNGRADED = Difficulty


def full_bin(verdicts, least=1):
    """The bin of a full group in whole numbers: 5c >= 4n is easy, 5c <= n is hard."""
    correct = sum(v == 1 for v in verdicts)
    n = sum(not math.isnan(v) for v in verdicts)
    if n < least:
        return UNGRADED
    if 5 * correct >= 4 * n:
        return EASY
    return HARD if 5 * correct <= n else MEDIUM


@pytest.mark.parametrize("num", [1, 2, 3, 4, 5, 6, 7])
@pytest.mark.parametrize("least", [1, 3])
def test_every_sequence_of_verdicts_gets_the_bin_of_all_its_rollouts(num, least):
    if least > num:
        return
    grader = Grader(GradingSettings(num_rollouts=num, min_verifiable=least))
    wrong = [
        v
        for v in product([0.0, 1.0, NAN], repeat=num)
        if grader.grade(v).difficulty is not full_bin(v, least)
    ]
    assert wrong == []


@pytest.mark.parametrize("num", [4, 5, 7])
def test_every_sequence_is_kept_as_by_all_its_rollouts(num):
    grader = Grader(GradingSettings(num_rollouts=num), decide="keep")
    wrong = [
        v
        for v in product([0.0, 1.0, NAN], repeat=num)
        if grader.grade(v).kept is not (full_bin(v) in (MEDIUM, HARD))
    ]
    assert wrong == []


@pytest.mark.slow
@pytest.mark.parametrize("decide", ["bin", "keep"])
@pytest.mark.parametrize("num", [8, 10, 12, 16])
def test_every_sequence_of_right_and_wrong_keeps_its_bin_up_to_sixteen_rollouts(num, decide):
    grader = Grader(GradingSettings(num_rollouts=num), decide=decide)
    for verdicts in product([0.0, 1.0], repeat=num):
        grade = grader.grade(verdicts)
        assert grade.kept is (full_bin(verdicts) is not EASY)
        assert decide == "keep" or grade.difficulty is full_bin(verdicts)


@pytest.mark.parametrize("decide", ["bin", "keep"])
def test_one_rollout_fewer_would_have_left_the_decision_open(decide):
    # A decision is premature if two ways to go on differ; it is late if one draw before, no two
    # ways did.
    grader = Grader(GradingSettings(num_rollouts=6), decide=decide)
    for verdicts in product([0.0, 1.0, NAN], repeat=6):
        drawn = grader.grade(verdicts).tally.num_drawn
        ends = {
            full_bin([*verdicts[: drawn - 1], *rest])
            for rest in product([0.0, 1.0, NAN], repeat=7 - drawn)
        }
        assert (
            len(
                ends
                if decide == "bin"
                else {e if e is UNGRADED else e in (MEDIUM, HARD) for e in ends}
            )
            > 1
        )


@pytest.mark.parametrize("decide", ["bin", "keep"])
def test_waves_draw_exactly_what_one_by_one_draws(decide):
    grader = Grader(GradingSettings(num_rollouts=7), decide=decide)
    for verdicts in product([0.0, 1.0, NAN], repeat=7):
        tally = Tally()
        while wave := grader.next_wave(tally):
            for verdict in verdicts[tally.num_drawn : tally.num_drawn + wave]:
                tally = tally.with_verdict(verdict)
        assert tally == grader.grade(verdicts).tally


def test_eight_rollouts_are_cut_to_four_when_two_are_right_and_two_wrong():
    # 2 right of at most 8 is 0.25 > 0.2; 2 wrong leave at most 6/8 = 0.75 < 0.8: medium whatever
    # comes.
    grade = Grader(GradingSettings()).grade([0, 1, 0, 1, 1, 1, 1, 1])
    assert (grade.tally, grade.difficulty) == (Tally(2, 2, 0), MEDIUM)
    assert (grade.pass_rate, grade.least, grade.most) == (0.5, 0.25, 0.75)


def test_keeping_is_decided_by_two_wrong_of_eight_before_the_bin_is():
    grade = Grader(GradingSettings(), decide="keep").grade([0, 0, 1, 1, 1, 1, 1, 1])
    assert (grade.kept, grade.difficulty, grade.tally.num_drawn) == (True, None, 2)


def test_four_of_five_is_easy_and_one_of_five_is_hard():
    grader = Grader(GradingSettings(num_rollouts=5))
    assert (grader.bin_of(4, 1), grader.bin_of(1, 4), grader.bin_of(3, 2)) == (EASY, HARD, MEDIUM)


def test_an_unverifiable_rollout_is_no_wrong_one():
    grade = Grader(GradingSettings(num_rollouts=5)).grade([1, NAN, 1, 1, 1])
    assert (grade.difficulty, grade.pass_rate) == (EASY, 1.0)


def test_a_prompt_without_a_verifiable_rollout_is_ungraded_and_not_kept():
    grade = Grader(GradingSettings(num_rollouts=3)).grade([NAN] * 3)
    assert (grade.difficulty, grade.kept, math.isnan(grade.pass_rate), math.isnan(grade.least)) == (
        UNGRADED,
        False,
        True,
        True,
    )


def test_the_rest_of_a_stream_stays_undrawn():
    stream = iter([0.0, 0.0, 1.0, 1.0, 1.0])
    Grader(GradingSettings(num_rollouts=4)).grade(stream)
    # After 0, 0, 1 the fourth can only make 1/4 or 2/4: medium.
    assert list(stream) == [1.0, 1.0]


def test_too_few_verdicts_are_refused():
    with pytest.raises(DataError, match=r"2 verdicts do not decide the bin; give up to 8 a prompt"):
        Grader(GradingSettings()).grade([1, 0])


def test_more_rollouts_than_agreed_are_refused():
    with pytest.raises(DataError, match=r"3 rollouts of one prompt; the settings allow 2"):
        Grader(GradingSettings(num_rollouts=2)).grade_of(Tally(3, 0, 0))


def test_a_graded_reward_is_no_verdict():
    with pytest.raises(DataError, match=r"a verdict must be 1, 0 or nan, got 0\.5"):
        Tally().with_verdict(0.5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_rollouts": 0}, r"num_rollouts\n.*greater than or equal to 1"),
        ({"easy_from": 0.2}, r"0 <= hard_to < easy_from <= 1, got hard_to=0\.2, easy_from=0\.2"),
        ({"min_verifiable": 9}, r"min_verifiable must be in \[1, 8\], got 9"),
        ({"keep": ("ungraded",)}, r"keep\.0\n.*'easy', 'medium' or 'hard'"),
    ],
)
def test_a_wrong_setting_is_named(settings, message):
    with pytest.raises(ValueError, match=message):
        GradingSettings(**settings)


def test_a_decision_that_is_none_is_named():
    with pytest.raises(ConfigError, match=r"decide must be 'bin' or 'keep', got 'both'"):
        Grader(GradingSettings(), decide="both")


def test_the_interval_of_eight_of_ten_is_wilsons():
    # z = 1.96: (0.8 + 0.19208 -+ 1.96 sqrt(0.016 + 0.0096040)) / 1.38416 = (0.99208 -+ 0.313625) /
    # 1.38416.
    low, high = wilson_interval(8, 10)
    assert (low, high) == (pytest.approx(0.49016, abs=2e-4), pytest.approx(0.94332, abs=2e-4))


def test_nothing_verifiable_leaves_every_pass_rate_possible():
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_more_right_than_verifiable_is_refused():
    with pytest.raises(DataError, match=r"got 3 of 2"):
        wilson_interval(3, 2)


@given(st.integers(0, 40), st.integers(0, 40))
def test_the_interval_holds_the_pass_rate_and_mirrors(right, wrong):
    n = right + wrong
    low, high = wilson_interval(right, n)
    other_low, other_high = wilson_interval(wrong, n)
    assert n == 0 or 0 <= low <= right / n <= high <= 1
    assert (low, high) == (pytest.approx(1 - other_high), pytest.approx(1 - other_low))

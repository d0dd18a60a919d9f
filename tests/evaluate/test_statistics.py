"""Scores against hand calculations, and the laws they keep."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasari.core.errors import DataError
from vasari.evaluate.statistics import (
    accuracy,
    bootstrap_mean,
    clustered_standard_error,
    improvement_chance,
    maj_at_k,
    paired_difference,
    pass_at_k,
    share_interval,
)

NAN = math.nan
verdict_rows = st.lists(
    st.lists(st.sampled_from([0.0, 1.0, NAN]), min_size=4, max_size=7), min_size=1, max_size=6
)
scores = st.lists(st.floats(0, 1), min_size=1, max_size=30)


def test_accuracy_is_over_all_prompts_and_shows_unverifiable_rollouts_beside_it():
    found = accuracy([[1, 0], [1, 1], [0, NAN]], num_resamples=50)
    assert found.interval.mean == pytest.approx((0.5 + 1 + 0) / 3)
    assert (found.interval.n, found.num_rollouts, found.num_unverifiable) == (3, 6, 1)


def test_a_prompt_with_many_rollouts_weighs_no_more_than_one_with_few():
    assert accuracy([[1] * 100, [0]], num_resamples=10).interval.mean == pytest.approx(0.5)


def test_an_unverifiable_prompt_counts_as_not_solved():
    assert accuracy([[NAN], [1]], num_resamples=10).interval.mean == pytest.approx(0.5)


def test_two_prompts_resample_to_a_half_in_half_of_the_draws():
    # Means 0, 1/2, 1 have chances 1/4, 1/2, 1/4: the 30% and 70% quantiles are 1/2, the 2.5% and
    # 97.5% are 0 and 1.
    narrow = bootstrap_mean([0.0, 1.0], confidence=0.4)
    wide = bootstrap_mean([0.0, 1.0], confidence=0.95)
    assert (narrow.low, narrow.high, wide.low, wide.high) == (0.5, 0.5, 0.0, 1.0)


def test_the_interval_of_many_prompts_has_the_normal_width():
    interval = bootstrap_mean([0.0, 1.0] * 200)
    assert (interval.high - interval.low) / 2 == pytest.approx(
        1.96 * math.sqrt(0.25 / 400), rel=0.1
    )


def test_copies_of_a_prompt_in_one_cluster_do_not_narrow_the_interval():
    values = [0.0, 1.0, 1.0, 0.25]
    once = bootstrap_mean(values)
    copied = bootstrap_mean(values * 5, clusters=["a", "b", "c", "d"] * 5)
    assert (copied.low, copied.high, copied.n) == (once.low, once.high, 4)


def test_clusters_of_unequal_size_keep_the_mean_over_prompts():
    assert bootstrap_mean([1.0, 1.0, 1.0, 0.0], clusters=[1, 1, 1, 2]).mean == 0.75


def test_resampling_in_blocks_covers_every_resample(monkeypatch):
    whole = bootstrap_mean([0.0, 1.0, 0.5], num_resamples=101)
    monkeypatch.setattr("vasari.evaluate.statistics._CELLS_AT_ONCE", 30)
    assert bootstrap_mean([0.0, 1.0, 0.5], num_resamples=101) == whole


@given(scores, st.integers(0, 2**31))
def test_the_interval_holds_its_mean_and_repeats_with_its_seed(values, seed):
    first = bootstrap_mean(values, num_resamples=40, seed=seed)
    assert first.low <= first.mean <= first.high
    assert first == bootstrap_mean(values, num_resamples=40, seed=seed)


def test_pass_at_2_of_2_correct_in_5_is_seven_tenths():
    # 1 - C(3, 2) / C(5, 2) = 1 - 3 / 10
    assert pass_at_k([[1, 0, 0, 1, 0]], 2).tolist() == [pytest.approx(0.7)]


@given(verdict_rows, st.integers(1, 4))
def test_pass_at_k_is_the_share_of_k_subsets_with_a_correct_rollout(rows, k):
    expected = [
        np.mean([any(v == 1 for v in subset) for subset in itertools.combinations(row, k)])
        for row in rows
    ]
    np.testing.assert_allclose(pass_at_k(rows, k), expected, atol=1e-12)


@given(verdict_rows)
def test_pass_at_k_grows_with_k(rows):
    found = np.array([pass_at_k(rows, k) for k in range(1, 5)])
    assert (np.diff(found, axis=0) >= 0).all()


def test_the_most_frequent_answer_decides_maj_at_k():
    assert maj_at_k([["7", "5", "5"]], [[1, 0, 0]], 3).tolist() == [0.0]


def test_a_three_way_tie_with_one_correct_answer_counts_a_third():
    assert maj_at_k([["5", "6", "7"]], [[1, 0, 0]], 3).tolist() == [pytest.approx(1 / 3)]


def test_a_missing_answer_never_wins():
    assert maj_at_k(
        [[None, None, "5"], [None, None, None]], [[0, 0, 1], [0, 0, 0]], 3
    ).tolist() == [1.0, 0.0]


def test_only_the_first_k_rollouts_vote():
    assert maj_at_k([["5", "6", "6"]], [[1, 0, 0]], 1).tolist() == [1.0]


def test_an_unverifiable_majority_is_not_solved():
    assert maj_at_k([["5", "5", "6"]], [[NAN, NAN, 1]], 3).tolist() == [0.0]


@given(verdict_rows)
def test_a_unanimous_vote_scores_the_shared_verdict(rows):
    answers = [["same"] * len(row) for row in rows]
    verdicts = [[1.0] * len(row) for row in rows]
    assert maj_at_k(answers, verdicts, 4).tolist() == [1.0] * len(rows)


def test_a_paired_difference_is_narrower_than_two_separate_intervals():
    rng = np.random.default_rng(0)
    hard = (rng.random(200) < 0.5).astype(float)
    better = hard.copy()
    better[:10] = 1.0
    paired, alone = paired_difference(better, hard), bootstrap_mean(hard)
    assert paired.mean == pytest.approx(float((better - hard).mean()))
    assert paired.high - paired.low < (alone.high - alone.low) / 2


@given(scores)
def test_a_model_differs_from_itself_by_nothing(values):
    found = paired_difference(values, values, num_resamples=20)
    assert found.mean == 0.0
    assert found.high == -found.low


def test_models_that_agree_on_all_prompts_may_differ_on_the_next():
    # Tango's interval without a discordant pair: z^2 / (n + z^2).
    found = paired_difference([1.0, 0.0] * 10, [1.0, 0.0] * 10)
    assert (found.low, found.high) == pytest.approx((-0.161125, 0.161125), abs=1e-6)
    better = paired_difference([1.0] * 20, [0.0] * 20)
    assert (better.low, better.high) == pytest.approx((1 - 0.161125, 1.0), abs=1e-6)


@pytest.mark.parametrize(
    ("right", "n", "low", "high"),
    [
        # With z^2 = 3.841459: from 0 to z^2 / (n + z^2), and from n / (n + z^2) to 1.
        (0, 20, 0.0, 0.161125),
        (20, 20, 0.838875, 1.0),
        (0, 1, 0.0, 0.793451),
        (500, 500, 0.992376, 1.0),
    ],
)
def test_none_or_all_of_n_prompts_have_wilsons_interval(right, n, low, high):
    found = accuracy([[1.0] * 4] * right + [[0.0] * 4] * (n - right)).interval
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-6)
    assert (found.mean, found.n) == (right / n, n)


def test_versions_of_one_problem_count_once_where_all_are_solved():
    clusters = [str(i // 5) for i in range(100)]
    found = accuracy([[1.0]] * 100, clusters=clusters).interval
    assert (found.low, found.high, found.n) == (pytest.approx(0.838875, abs=1e-6), 1.0, 20)
    assert share_interval([True] * 100, clusters)[0] == pytest.approx(0.838875, abs=1e-6)


def test_prompts_of_equal_shares_give_no_interval_without_width():
    found = accuracy([[1.0, 0.0]]).interval
    assert (found.low, found.high) == pytest.approx((0.054621, 0.945379), abs=1e-6)


def test_other_shares_have_the_bootstrap():
    values = [0.0] * 19 + [1.0]
    assert accuracy([[v] for v in values]).interval == bootstrap_mean(values)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=20))
def test_swapping_the_models_changes_the_sign(pairs):
    a, b = zip(*pairs, strict=True)
    assert paired_difference(a, b, num_resamples=20).mean == pytest.approx(
        -paired_difference(b, a, num_resamples=20).mean
    )


def test_an_unverifiable_pair_counts_as_not_solved():
    assert paired_difference([NAN, 1.0], [1.0, 1.0], num_resamples=10).mean == pytest.approx(-0.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: accuracy([]), "at least one prompt"),
        (lambda: accuracy([[]]), "prompt 0 needs a vector"),
        (lambda: accuracy([[1], [0.5]]), "prompt 1: verdicts must be 0, 1 or nan"),
        (
            lambda: pass_at_k([[1, 0], [1]], 2),
            "k must be from 1 to the fewest rollouts of a prompt, 1, got 2",
        ),
        (lambda: pass_at_k([[1]], 0), "got 0"),
        (lambda: maj_at_k([["5"]], [[1, 0]], 1), "one entry for each rollout"),
        (lambda: maj_at_k([], [[1, 0]], 1), "one entry for each rollout"),
        (lambda: paired_difference([1.0], [1.0, 0.0]), "vectors over the same prompts"),
        (lambda: bootstrap_mean([]), "at least one value"),
        (lambda: bootstrap_mean([NAN]), "finite values"),
        (lambda: bootstrap_mean([1.0], clusters=[1, 2]), "one for each of the 1 prompts, got 2"),
        (lambda: bootstrap_mean([1.0], confidence=1.0), "confidence must be in"),
        (lambda: bootstrap_mean([1.0], num_resamples=0), "num_resamples at least 1"),
    ],
)
def test_what_cannot_be_scored_is_refused_by_name(call, message):
    with pytest.raises(DataError, match=message):
        call()


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=12))
def test_the_chances_of_an_improvement_and_of_a_loss_sum_to_one(values):
    difference = np.array(values)
    up = improvement_chance(difference, num_resamples=200)
    assert up + improvement_chance(-difference, num_resamples=200) == pytest.approx(1.0)


def test_the_chance_of_an_improvement_is_the_normal_one_for_many_prompts():
    difference = np.random.default_rng(0).normal(0.05, 1.0, size=500)
    z = difference.mean() / (difference.std() / math.sqrt(500))
    assert improvement_chance(difference) == pytest.approx(
        0.5 * (1 + math.erf(z / math.sqrt(2))), abs=0.02
    )


def test_no_differences_are_refused():
    with pytest.raises(DataError, match="at least one prompt"):
        improvement_chance(np.array([]))


shares = st.lists(st.floats(0, 1), min_size=1, max_size=40)


def test_two_clusters_that_agree_within_count_as_two_observations():
    # Mean 1/2; the clusters' sums of deviations are 1 and -1: sqrt(1 + 1) / 4. Apart: sqrt(4 * 1/4)
    # / 4.
    assert clustered_standard_error([1, 1, 0, 0], ["a", "a", "b", "b"]) == pytest.approx(2**0.5 / 4)
    assert clustered_standard_error([1, 1, 0, 0], list("abcd")) == pytest.approx(1 / 4)


def test_clusters_whose_members_cancel_leave_no_error():
    assert clustered_standard_error([1, 0, 1, 0], ["a", "a", "b", "b"]) == 0


@given(shares)
def test_without_clusters_it_is_the_plain_standard_error(values):
    expected = np.std(values) / len(values) ** 0.5
    assert clustered_standard_error(values, list(range(len(values)))) == pytest.approx(
        expected, abs=1e-12
    )


@given(shares, st.integers(1, 5))
def test_copies_of_every_prompt_in_its_cluster_change_nothing(values, copies):
    once = clustered_standard_error(values, list(range(len(values))))
    repeated = [value for value in values for _ in range(copies)]
    clusters = [place for place in range(len(values)) for _ in range(copies)]
    assert clustered_standard_error(repeated, clusters) == pytest.approx(once, abs=1e-12)


def test_values_without_clusters_are_refused():
    with pytest.raises(DataError, match=r"one for each of the 2 prompts, got 1"):
        clustered_standard_error([1, 0], ["a"])


@given(st.integers(0, 40), st.integers(1, 40))
def test_wilsons_interval_holds_the_share_and_stays_within_0_and_1(right, n):
    right = min(right, n)
    low, high = share_interval([True] * right + [False] * (n - right), range(n))
    assert 0 <= low <= right / n <= high <= 1


def test_outputs_of_one_problem_count_as_one_in_the_interval():
    apart = share_interval([True, False] * 50, range(100))
    together = share_interval([True, False] * 50, [str(i // 10) for i in range(100)])
    # Every cluster of ten holds five right answers: resampling them moves nothing, and Wilson's
    # interval for ten has to do.
    assert together == (pytest.approx(0.237, abs=1e-3), pytest.approx(0.763, abs=1e-3))
    assert apart == (pytest.approx(0.404, abs=1e-3), pytest.approx(0.596, abs=1e-3))

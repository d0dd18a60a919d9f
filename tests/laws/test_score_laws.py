"""What holds for every group: variance, diversity, advantages."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from nltk.metrics.distance import edit_distance
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

from vasari.core.errors import DataError
from vasari.score import (
    DIVERSITY_METRICS,
    format_ok,
    group_advantages,
    outcome_variance,
    promotion_score,
    reward_variance,
    trajectory_diversity,
    unbiased_outcome_variance,
)

verdict_lists = st.lists(st.sampled_from([0.0, 1.0, math.nan]), min_size=1, max_size=40)
rollouts = st.lists(st.lists(st.integers(0, 4), max_size=12), min_size=2, max_size=6)
metrics = st.sampled_from(DIVERSITY_METRICS)
tables = hnp.arrays(
    np.float64,
    st.tuples(st.integers(1, 5), st.integers(2, 8)),
    elements=st.one_of(st.integers(-3, 3).map(float), st.just(math.nan)),
)


@given(verdict_lists)
def test_outcome_variance_lives_in_zero_to_a_quarter_or_is_unknown(verdicts):
    variance = outcome_variance(verdicts)
    assert 0.0 <= variance <= 0.25 or (math.isnan(variance) and all(map(math.isnan, verdicts)))


@given(verdict_lists)
def test_reward_variance_of_verdicts_is_their_outcome_variance(verdicts):
    np.testing.assert_allclose(reward_variance(verdicts), outcome_variance(verdicts), atol=1e-12)


@given(verdict_lists, st.integers(0, 5))
def test_unverifiable_rollouts_change_no_variance(verdicts, num_gaps):
    np.testing.assert_equal(
        outcome_variance(verdicts + [math.nan] * num_gaps), outcome_variance(verdicts)
    )


@given(st.lists(st.sampled_from([0.0, 1.0]), min_size=2, max_size=30))
def test_the_unbiased_variance_is_that_of_numpy(verdicts):
    np.testing.assert_allclose(
        unbiased_outcome_variance(verdicts), np.var(verdicts, ddof=1), atol=1e-12
    )


@given(verdict_lists, st.floats(-2, 3).filter(lambda value: value not in {0.0, 1.0}))
def test_non_binary_rewards_are_never_scored_by_the_pass_rate(verdicts, graded):
    with pytest.raises(DataError, match="reward_variance"):
        outcome_variance([*verdicts, graded])


@given(rollouts, metrics)
def test_diversity_lives_in_zero_to_one(group, metric):
    assert 0.0 <= trajectory_diversity(group, metric) <= 1.0


@given(rollouts, metrics, st.randoms(use_true_random=False))
def test_the_order_of_rollouts_does_not_matter(group, metric, random):
    shuffled = list(group)
    random.shuffle(shuffled)
    assert trajectory_diversity(shuffled, metric) == pytest.approx(
        trajectory_diversity(group, metric), abs=1e-12
    )


@given(
    st.lists(st.integers(0, 9), min_size=3, max_size=30),
    st.integers(2, 6),
    st.sampled_from(["self_bleu", "edit_distance"]),
)
def test_identical_rollouts_of_three_tokens_have_no_diversity(tokens, num_rollouts, metric):
    assert trajectory_diversity([tokens] * num_rollouts, metric) == pytest.approx(0.0, abs=1e-12)


@given(rollouts, metrics, st.integers(1, 10**12))
def test_renaming_tokens_does_not_matter(group, metric, factor):
    renamed = [[token * factor - 7 for token in tokens] for tokens in group]
    words = [[f"word {token}" for token in tokens] for tokens in group]
    expected = pytest.approx(trajectory_diversity(group, metric), abs=1e-12)
    assert (trajectory_diversity(renamed, metric), trajectory_diversity(words, metric)) == (
        expected,
        expected,
    )


@given(rollouts)
def test_self_bleu_equals_nltk(group):
    smooth = SmoothingFunction().method1
    bleu = [
        sentence_bleu(
            group[:i] + group[i + 1 :], tokens, weights=(1 / 3,) * 3, smoothing_function=smooth
        )
        for i, tokens in enumerate(group)
    ]
    assert trajectory_diversity(group) == pytest.approx(1 - np.mean(bleu), abs=1e-12)


@given(st.lists(st.integers(0, 3), max_size=20), st.lists(st.integers(0, 3), max_size=20))
def test_edit_distance_equals_nltk(left, right):
    expected = (edit_distance(left, right) / max(len(left), len(right), 1)) ** 2
    assert trajectory_diversity([left, right], "edit_distance") == pytest.approx(
        expected, abs=1e-12
    )


@given(
    st.lists(st.tuples(st.floats(0, 0.25), st.floats(0, 1)), min_size=1),
    st.sampled_from(["none", "range"]),
)
def test_a_promotion_score_never_falls_when_a_part_rises(parts, normalise):
    ovs, tds = np.array(parts).T
    score = promotion_score(ovs, tds, normalise=normalise)
    assert (promotion_score(ovs + 0.01, tds, normalise=normalise) >= score).all()
    assert (promotion_score(ovs, tds + 0.01, normalise=normalise) >= score).all()
    assert (score >= 0).all()


@given(
    tables,
    st.floats(-5, 5),
    st.sampled_from(["none", "std", "leave_one_out"]),
    st.sampled_from([0, 1]),
)
def test_adding_a_constant_to_every_reward_changes_no_advantage(rewards, shift, scale, ddof):
    before = group_advantages(rewards, scale=scale, ddof=ddof)
    after = group_advantages(rewards + shift, scale=scale, ddof=ddof)
    np.testing.assert_allclose(after, before, atol=1e-9)


@given(tables, st.sampled_from(["none", "std", "leave_one_out"]), st.sampled_from([0, 1]))
def test_advantages_sum_to_zero_and_are_zero_where_unverifiable(rewards, scale, ddof):
    advantages = group_advantages(rewards, scale=scale, ddof=ddof)
    np.testing.assert_allclose(advantages.sum(axis=1), 0.0, atol=1e-9)
    assert not advantages[np.isnan(rewards)].any()


@given(st.floats(-1e6, 1e6), st.integers(2, 8), st.sampled_from(["none", "std"]))
def test_unanimous_groups_give_no_advantage(reward, num_rollouts, scale):
    assert not group_advantages([[reward] * num_rollouts], scale=scale, epsilon=0.0).any()


@settings(max_examples=300)
@given(
    st.lists(
        st.sampled_from(
            ["<think>", "</think>", "<answer>", "</answer>", "\\boxed{", "{", "}", "x", " ", "\\"]
        ),
        max_size=14,
    )
)
def test_text_outside_the_tags_is_never_well_formed(pieces):
    text = "".join(pieces)
    assert not format_ok(f"{text}y")
    assert not format_ok(f"y{text}")

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nltk.metrics.distance import edit_distance
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

from vasari.core.errors import ConfigError, DataError
from vasari.score import DIVERSITY_METRICS, trajectory_diversity


def nltk_diversity(group, n=3):
    smooth = SmoothingFunction().method1
    bleu = [
        sentence_bleu(
            group[:i] + group[i + 1 :], text, weights=(1 / n,) * n, smoothing_function=smooth
        )
        for i, text in enumerate(group)
    ]
    return 1 - float(np.mean(bleu))


@pytest.mark.parametrize(
    "group",
    [
        [[], []],
        [[], [1]],
        [[1], [1]],
        [[1], [2]],
        [[1, 2], [1, 2]],
        [[1, 2], [2, 1], [1]],
        [[1, 2, 3], [1, 2, 3]],
        [[1, 1, 1, 1], [1, 1], [1]],
        [["a", "cat", "sat"], ["a", "cat", "sat", "down"], []],
        [[-5, 10**15, 2], [10**15, 2], [2, -5]],
        [list(range(12)), list(range(8)), list(range(20)), list(range(10))],
    ],
)
def test_self_bleu_is_nltk_to_the_last_digits(group):
    assert trajectory_diversity(group) == pytest.approx(nltk_diversity(group), abs=1e-12)


@pytest.mark.parametrize("largest", [30, 2**19 - 1, 2**40])
def test_self_bleu_of_long_rollouts_is_nltk_whatever_the_vocabulary(largest):
    rng = np.random.default_rng(largest)
    group = [(rng.zipf(1.3, size=rng.integers(100, 300)) % largest).tolist() for _ in range(6)]
    assert trajectory_diversity(group) == pytest.approx(nltk_diversity(group), abs=1e-12)


@pytest.mark.parametrize("n", [1, 2, 4, 6])
def test_other_ngram_orders_are_nltk_too(n):
    rng = np.random.default_rng(n)
    group = [rng.integers(0, 5, size=30).tolist() for _ in range(5)]
    assert trajectory_diversity(group, n=n) == pytest.approx(nltk_diversity(group, n), abs=1e-12)


# Around the limits of 16, 31, 32 and 63 bits, and negative ones.
ids_of_any_size = st.sampled_from(
    [0, 1, 2, 2**16 - 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, -1, -(2**31)]
)


@given(
    rollouts=st.lists(st.lists(ids_of_any_size, max_size=10), min_size=1, max_size=4),
    copies=st.integers(1, 3),
    n=st.integers(1, 4),
)
def test_self_bleu_of_short_empty_equal_or_odd_rollouts_is_nltk(rollouts, copies, n):
    group = rollouts * max(2, copies) if len(rollouts) == 1 else rollouts * copies
    assert trajectory_diversity(group, n=n) == pytest.approx(nltk_diversity(group, n), abs=1e-12)


def test_long_ngrams_of_a_large_vocabulary_do_not_overflow():
    rng = np.random.default_rng(0)
    group = [rng.integers(0, 2**18, size=40).tolist() for _ in range(3)]
    group += [[*group[0][:20], 7, *group[1][20:]]]
    assert trajectory_diversity(group, n=9) == pytest.approx(nltk_diversity(group, 9), abs=1e-12)


def test_arrays_of_token_ids_count_as_lists_of_them():
    group = [[3, 4, 5, 6], [3, 4, 9], [1]]
    arrays = [np.array(tokens, dtype=np.int32) for tokens in group]
    assert trajectory_diversity(arrays) == trajectory_diversity(group)


def test_number_words_are_not_numbers():
    assert trajectory_diversity([["1", "2"], [1, 2]]) == 1.0


def test_distinct_n_counts_different_ngrams_of_the_group():
    # 3-grams: 123 234 | 123 | none: two different ones of three.
    assert trajectory_diversity([[1, 2, 3, 4], [1, 2, 3], [5, 6]], "distinct_n") == pytest.approx(
        2 / 3
    )


def test_distinct_n_of_rollouts_without_an_ngram_is_zero():
    assert trajectory_diversity([[1], []], "distinct_n") == 0.0


def test_edit_distance_is_the_mean_square_over_pairs():
    # kitten-sitting: 3 of 7; kitten-kitten: 0; kitten-sitting again: 3 of 7.
    group = [list("kitten"), list("sitting"), list("kitten")]
    assert trajectory_diversity(group, "edit_distance") == pytest.approx(2 / 3 * (3 / 7) ** 2)


@pytest.mark.parametrize("length", [1, 3, 63, 64, 65, 130])
def test_edit_distance_is_that_of_nltk(length):
    rng = np.random.default_rng(length)
    left, right = (
        rng.integers(0, 4, size=length).tolist(),
        rng.integers(0, 4, size=rng.integers(1, 90)).tolist(),
    )
    expected = (edit_distance(left, right) / max(len(left), len(right))) ** 2
    assert trajectory_diversity([left, right], "edit_distance") == pytest.approx(expected)


def test_edit_distance_of_empty_rollouts():
    assert trajectory_diversity([[], []], "edit_distance") == 0.0
    assert trajectory_diversity([[], [1, 2]], "edit_distance") == 1.0


@pytest.mark.parametrize("metric", DIVERSITY_METRICS)
def test_one_rollout_is_refused(metric):
    with pytest.raises(DataError, match="at least 2 rollouts, got 1"):
        trajectory_diversity([[1, 2, 3]], metric)


@pytest.mark.parametrize("metric", DIVERSITY_METRICS)
def test_a_padded_array_is_refused(metric):
    with pytest.raises(
        DataError, match="padding cannot be told from tokens: pass one unpadded sequence a rollout"
    ):
        trajectory_diversity(np.zeros((4, 8), dtype=np.int64), metric)


def test_texts_in_place_of_tokens_are_refused():
    with pytest.raises(DataError, match="rollout 0 is a text"):
        trajectory_diversity(["some words", "some others"])
    with pytest.raises(DataError, match="got one text"):
        trajectory_diversity("some words")


def test_nested_rollouts_are_refused():
    with pytest.raises(DataError, match="sequence of token ids or words"):
        trajectory_diversity([[[1], [2]], [[1]]])
    with pytest.raises(DataError, match="rollout 1 is not one sequence"):
        trajectory_diversity([np.arange(3), np.zeros((2, 2), dtype=np.int64)])


def test_unknown_metrics_and_orders_are_refused():
    with pytest.raises(ConfigError, match="self_bleu, distinct_n, edit_distance, got 'bleu'"):
        trajectory_diversity([[1], [2]], "bleu")
    with pytest.raises(ConfigError, match="n >= 1"):
        trajectory_diversity([[1], [2]], n=0)

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vasari.score.ngrams import clipped_matches, longer, num_distinct, numbered, shared, unigrams

# Times 0x9E3779B97F4A7C15, the hash's factor, its inverse modulo 2**64 gives 1: small multiples of
# it share the first slot.
INVERSE = pow(0x9E3779B97F4A7C15, -1, 2**64)
COLLIDING = [
    int(np.array(INVERSE * number % 2**64, dtype=np.uint64).view(np.int64))
    for number in range(1, 9)
]

some_tokens = st.sampled_from([*COLLIDING, 0, 1, 2, -1, 2**16, 2**31, 2**32, 2**63 - 1])
groups = st.lists(st.lists(some_tokens, max_size=12), min_size=2, max_size=6)


def group_unigrams(rollouts):
    tokens = np.array([token for rollout in rollouts for token in rollout], dtype=np.int64)
    return unigrams(tokens, np.array([len(rollout) for rollout in rollouts]))


def ngrams_of(rollout, n):
    return Counter(zip(*(rollout[start:] for start in range(n)), strict=False))


def matches_by_definition(rollouts, n):
    """The sum of each n-gram's count, clipped to its best count in one of the others."""
    counts = [ngrams_of(rollout, n) for rollout in rollouts]
    return [
        sum(
            min(number, max(other[ngram] for other in counts[:i] + counts[i + 1 :]))
            for ngram, number in own.items()
        )
        for i, own in enumerate(counts)
    ]


def test_tokens_that_fall_into_one_slot_get_numbers_of_their_own():
    codes = numbered(group_unigrams([COLLIDING, COLLIDING[::-1]])).codes
    np.testing.assert_array_equal(codes[:8], codes[:7:-1])
    assert len(set(codes.tolist())) == 8


@given(groups)
def test_numbers_are_equal_exactly_where_tokens_are(rollouts):
    tokens = [token for rollout in rollouts for token in rollout]
    codes = numbered(group_unigrams(rollouts)).codes.tolist()
    assert len(set(zip(tokens, codes, strict=True))) == len(set(tokens)) == len(set(codes))


def test_only_ngrams_of_two_rollouts_are_shared():
    # 5 stands twice in the first rollout alone; 7 and 8 in two.
    kept = shared(numbered(group_unigrams([[5, 7, 5, 8], [8, 9], [7, 7]])))
    assert (kept.num_codes, kept.owners.tolist(), kept.starts.tolist()) == (
        2,
        [0, 0, 1, 2, 2],
        [1, 3, 5, 8, 9],
    )


def test_longer_ngrams_stay_inside_a_rollout():
    pairs = longer(numbered(group_unigrams([[1, 2, 3], [], [4], [1, 2]])))
    assert pairs.owners.tolist() == [0, 0, 3]
    assert pairs.codes[0] == pairs.codes[2] != pairs.codes[1]


@given(groups, st.integers(1, 5))
def test_distinct_ngrams_are_those_of_a_set(rollouts, n):
    ngrams = numbered(group_unigrams(rollouts))
    for _ in range(n - 1):
        ngrams = numbered(longer(ngrams))
    assert num_distinct(ngrams) == len(
        set().union(*(ngrams_of(rollout, n) for rollout in rollouts))
    )


@given(groups)
def test_matches_are_clipped_to_the_best_other_rollout(rollouts):
    ngrams = group_unigrams(rollouts)
    for n in (1, 2, 3):
        ngrams = shared(numbered(longer(ngrams) if n > 1 else ngrams))
        assert clipped_matches(ngrams, len(rollouts)).tolist() == matches_by_definition(rollouts, n)


def test_many_rollouts_are_clipped_as_few_are():
    # 300 rollouts and 250 n-grams would be a table of 75,000 counts for 1,700 tokens: pairs are
    # sorted instead.
    rng = np.random.default_rng(0)
    rollouts = [(rng.zipf(1.3, 4) % 5).tolist() for _ in range(298)] + [
        list(range(250)),
        list(range(250)),
    ]
    ngrams = shared(numbered(group_unigrams(rollouts)))
    assert ngrams.num_codes * len(rollouts) == 75_000
    assert clipped_matches(ngrams, len(rollouts)).tolist() == matches_by_definition(rollouts, 1)

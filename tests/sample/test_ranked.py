"""Taking the best of a candidate set, and counting verdicts."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vasari.core.errors import StateError
from vasari.records import GroupOutcome
from vasari.sample.base import BatchClock
from vasari.sample.ranked import Candidates, highest, tally


def outcome(index, verdicts, purpose="train"):
    verdicts = np.array(verdicts, dtype=np.float64)
    return GroupOutcome(index=index, rewards=verdicts, verdicts=verdicts, purpose=purpose)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-5, 5), min_size=1, max_size=40), st.data())
def test_the_highest_are_taken_best_first(scores, data):
    num = data.draw(st.integers(0, len(scores)))
    places = highest(np.array(scores, dtype=np.float64), num, np.random.default_rng(0))
    assert len(set(places.tolist())) == num
    assert [scores[place] for place in places] == sorted(scores, reverse=True)[:num]


@pytest.mark.parametrize("num_levels", [1, 2, 50, 10**9])
@pytest.mark.parametrize("num", [1, 100, 4999, 5000])
def test_the_highest_of_many_are_those_of_a_sort(num_levels, num):
    scores = np.random.default_rng(num).integers(0, num_levels, size=5000) / num_levels
    places = highest(scores, num, np.random.default_rng(0))
    assert len(np.unique(places)) == num
    np.testing.assert_array_equal(
        np.round(scores[places], 9), np.round(np.sort(scores)[::-1][:num], 9)
    )


def test_ties_are_broken_evenly_also_those_that_rounding_tells_apart():
    # 0.5 - 0.4 and 0.6 - 0.5 differ in the last bit.
    scores, counts = np.array([-(0.5 - 0.4), -(0.6 - 0.5), -0.3, -0.1]), np.zeros(4)
    rng = np.random.default_rng(1)
    for _ in range(3000):
        counts[highest(scores, 1, rng)] += 1
    # A third each: 1000, deviation 26.
    assert counts[2] == 0
    assert (np.abs(counts[[0, 1, 3]] - 1000) < 6 * 26).all()


def test_verdicts_are_counted_by_prompt_without_the_unverifiable():
    seen = tally(
        [
            outcome(5, [1, 0, math.nan]),
            outcome(2, [math.nan] * 2),
            outcome(5, [1]),
            outcome(0, [0, 0]),
        ]
    )
    assert seen.prompts.tolist() == [0, 5]
    assert seen.num_correct.tolist() == [0, 2]
    assert seen.num_verifiable.tolist() == [2, 3]
    assert seen.pass_rates.tolist() == [0, 2 / 3]


def test_no_groups_count_nothing():
    assert tally([]).prompts.tolist() == []


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 30), st.integers(1, 4), st.integers(1, 5), st.integers(0, 9))
def test_candidates_come_in_passes_over_the_pool(num_prompts, factor, batch, seed):
    candidates, rng = Candidates(num_prompts, factor), np.random.default_rng(seed)
    counts = np.zeros(num_prompts)
    for _ in range(12):
        found = candidates.draw(rng, batch)
        if factor * batch >= num_prompts:
            assert found is None
            return
        assert len(found) == factor * batch
        counts[found] += 1
    assert counts.max() - counts.min() <= 1 or counts.max() <= math.ceil(counts.mean()) + 1


def test_without_a_factor_the_whole_pool_is_the_candidates():
    assert Candidates(100, 0).draw(np.random.default_rng(0), 2) is None


def test_a_clock_goes_by_draws_until_it_is_asked():
    clock, times = BatchClock(), []
    for step in (None, None, 7, None, 8):
        if step is not None:
            clock.set_batch(step)
        clock.count_draw()
        times.append(clock.now)
    assert times == [0, 1, 7, 7, 8]
    again = BatchClock().restored(clock.state())
    again.count_draw()
    assert again.now == 8


def test_a_clock_moves_up_to_the_groups_it_saw_and_goes_on_from_there():
    clock = BatchClock()
    clock.count_draw()
    assert [
        clock.batch_of(None),
        clock.batch_of(100),
        clock.batch_of(98),
        clock.batch_of(None),
    ] == [0, 100, 98, 100]
    clock.count_draw()
    assert clock.now == 101
    clock.set_batch(3)
    assert clock.batch_of(None) == 3


def test_a_clock_of_negative_draws_is_refused():
    with pytest.raises(StateError, match=r"damaged: -1 draws"):
        BatchClock().restored({"now": 0, "num_draws": -1, "asked": False})

"""Simulated rollouts: each kind of prompt passes as it should, and luck depends on prompt and visit
alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasari.theory.pools import PROMPT_KINDS, SimulatedPoolSettings, make_simulated_pool
from vasari.theory.rollouts import keyed_uniforms, pass_rates, roll_out

NUM = 400


def pool_of(kind):
    share = {} if kind == "clean" else {kind: 1.0}
    return make_simulated_pool(
        SimulatedPoolSettings(num_prompts=NUM, num_held_out=1, num_random=0, num_tokens=4, **share),
        seed=3,
    )


def groups_of(pool, solve_rate, *, indices=None, visit=0, num_rollouts=8, step=0, seed=0):
    indices = np.arange(NUM) if indices is None else np.asarray(indices)
    return roll_out(
        pool,
        indices,
        np.full(len(indices), solve_rate),
        visits=np.full(len(indices), visit),
        num_rollouts=num_rollouts,
        step=step,
        seed=seed,
    )


@given(st.integers(0, 2**40), st.integers(0, 2**40))
def test_keyed_uniforms_lie_in_the_unit_interval_and_depend_on_the_order_of_keys(first, second):
    there, back = keyed_uniforms(first, second)[0], keyed_uniforms(second, first)[0]
    assert 0.0 <= there < 1.0
    assert (there == back) == (first == second)


def test_keyed_uniforms_are_uniform():
    # 100,000 numbers in 10 bins of 10,000 expected; the deviation of a bin is 95.
    counts = np.histogram(keyed_uniforms(7, np.arange(100_000)), bins=10, range=(0, 1))[0]
    assert np.abs(counts - 10_000).max() < 6 * 95


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        # At a solve rate of 0.6; a rate r within its span stands for its mean.
        ("clean", 0.6),
        ("coin_flip", 0.425),
        ("guessable", 0.6 + 0.4 * 0.375),
        ("mislabelled", 0.4 * 0.5),
        ("impossible", 0.01),
    ],
)
def test_each_kind_passes_at_its_rate(kind, expected):
    verdicts = groups_of(pool_of(kind), 0.6, num_rollouts=40).verdicts
    # 16,000 verdicts; rates that differ between prompts add up to 0.1 / sqrt(400) = 0.005.
    assert verdicts.mean() == pytest.approx(
        expected, abs=6 * (0.5 / np.sqrt(verdicts.size) + 0.005 * (kind != "clean"))
    )


@pytest.mark.parametrize("kind", PROMPT_KINDS)
@pytest.mark.parametrize("step", [0, 50])
def test_true_pass_rates_are_those_of_the_verdicts(kind, step):
    pool = pool_of(kind)
    verdicts = groups_of(pool, 0.3, num_rollouts=40, step=step).verdicts
    rates = pass_rates(pool, np.arange(NUM), np.full(NUM, 0.3), step)
    assert verdicts.mean() == pytest.approx(rates.mean(), abs=6 * 0.5 / np.sqrt(verdicts.size))


def test_only_drifting_rates_move_with_the_steps():
    for kind in PROMPT_KINDS:
        pool, everything, half = pool_of(kind), np.arange(NUM), np.full(NUM, 0.5)
        moved = np.abs(
            pass_rates(pool, everything, half, 40) - pass_rates(pool, everything, half, 0)
        ).max()
        assert (moved > 0.1) == (kind == "drifting")


def test_a_prompt_at_its_visit_has_the_same_rollouts_in_any_batch():
    pool = pool_of("clean")
    alone = groups_of(pool, 0.5, indices=[17], visit=2)
    among = groups_of(pool, 0.5, indices=[3, 17, 90], visit=2)
    np.testing.assert_array_equal(alone.verdicts[0], among.verdicts[1])
    np.testing.assert_array_equal(alone.confidence[0], among.confidence[1])
    assert [row.tolist() for row in alone.tokens[0]] == [row.tolist() for row in among.tokens[1]]
    assert not np.array_equal(
        alone.confidence, groups_of(pool, 0.5, indices=[17], visit=3).confidence
    )


def test_a_better_learner_keeps_every_right_answer():
    pool = pool_of("clean")
    assert (groups_of(pool, 0.7).right >= groups_of(pool, 0.5).right).all()


def correlations(groups):
    mixed = groups.verdicts.std(axis=1) > 0
    verdicts, confidence = groups.verdicts[mixed], groups.confidence[mixed]
    centred = [part - part.mean(axis=1, keepdims=True) for part in (verdicts, confidence)]
    top = (centred[0] * centred[1]).sum(axis=1)
    return top / np.sqrt((centred[0] ** 2).sum(axis=1) * (centred[1] ** 2).sum(axis=1))


@pytest.mark.parametrize(("solve_rate", "expected"), [(0.8, 0.94), (0.5, 0.77), (0.2, 0.59)])
def test_confidence_follows_the_verdict_of_learnable_prompts_as_measured(solve_rate, expected):
    correlation = correlations(groups_of(pool_of("clean"), solve_rate, num_rollouts=64))
    assert correlation.mean() == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("kind", ["coin_flip", "drifting"])
def test_confidence_knows_nothing_of_a_coin(kind):
    assert abs(correlations(groups_of(pool_of(kind), 0.5)).mean()) < 0.1


def test_confidence_speaks_against_a_wrong_label():
    assert correlations(groups_of(pool_of("mislabelled"), 0.5, num_rollouts=16)).mean() < -0.2


def test_tokens_have_the_prompts_length_and_its_diversity():
    pool = pool_of("clean")
    groups = groups_of(pool, 0.5)
    lengths = [len(row) for group in groups.tokens for row in group]
    assert lengths == np.repeat(pool.lengths[:NUM], 8).tolist()
    assert groups.num_tokens == 8 * pool.lengths[:NUM].sum()
    assert groups.outcomes("train", 0)[5].num_tokens == 8 * pool.lengths[5]


def test_a_group_in_two_stages_is_the_group_in_one():
    pool, prompts = pool_of("clean"), np.arange(5)
    given = {
        "solve_rates": np.full(5, 0.5),
        "visits": np.zeros(5, dtype=np.int64),
        "step": 0,
        "seed": 0,
    }
    whole = roll_out(pool, prompts, num_rollouts=8, **given)
    stages = roll_out(pool, prompts, num_rollouts=3, **given).joined(
        roll_out(pool, prompts, num_rollouts=5, first=3, **given)
    )
    np.testing.assert_array_equal(stages.verdicts, whole.verdicts)
    np.testing.assert_array_equal(stages.confidence, whole.confidence)
    assert stages.num_tokens == whole.num_tokens
    assert [len(group) for group in stages.tokens] == [8] * 5

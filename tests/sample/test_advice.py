"""Advice on pools whose pass rates are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vasari.core.errors import DataError
from vasari.sample.advice import advise, fit_pass_rates


def counts(rates, num, seed=0):
    rates = np.asarray(rates, dtype=float)
    return np.random.default_rng(seed).binomial(num, rates).astype(float), np.full(len(rates), num)


def logit_normal(num_prompts, level, spread, seed=1):
    logits = level + spread * np.random.default_rng(seed).standard_normal(num_prompts)
    return 1 / (1 + np.exp(-logits))


@pytest.mark.parametrize(
    ("rates", "num", "size"),
    [
        ([0.02] * 200 + [0.98] * 200, 8, 8),
        ([0.0] * 160 + [0.5] * 240, 32, 8),
        ([0.0] * 160 + [0.5] * 240, 16, 16),
        ([0.0] * 100 + [0.6] * 300, 8, 8),
        (np.random.default_rng(3).beta(0.3, 0.3, 400), 8, 8),
        (np.random.default_rng(3).beta(0.3, 0.3, 400), 16, 4),
    ],
)
def test_pools_of_any_shape_are_fitted(rates, num, size):
    # A logit-normal shape gave 0.66 for 0.85, 0.70 for 0.40 and 0.17 for 0.26.
    rates = np.asarray(rates)
    expected = np.mean(rates**size + (1 - rates) ** size)
    found = advise(*counts(rates, num), group_size=size, passes=4)
    assert found.silent_share == pytest.approx(expected, abs=0.04)
    assert found.without_silence == pytest.approx(math.sqrt(1 / (1 - expected)), rel=0.12)
    assert found.spread == pytest.approx(rates.std(), abs=0.03)


def test_shares_of_pass_rates_explain_the_counts():
    # The fit's counts are the pool's: a mixture can do that, whatever it is of.
    correct, num = counts(logit_normal(3000, 0.5, 2.0), 8)
    shares = fit_pass_rates(correct, num)
    assert shares.sum() == pytest.approx(1.0)
    rates = np.concatenate([[0.0], np.linspace(0.005, 0.995, 199), [1.0]])
    for k in range(9):
        expected = math.comb(8, k) * (rates**k * (1 - rates) ** (8 - k)) @ shares
        assert expected == pytest.approx(np.mean(correct == k), abs=0.005)


def test_a_pool_without_a_mixed_group_has_nothing_to_choose():
    found = advise(*counts([0.0] * 60 + [1.0] * 40, 8), group_size=8, passes=4)
    assert found.silent_share == pytest.approx(1.0)
    assert math.isnan(found.without_silence)
    assert found.sampler == "uniform"
    assert found.reasons[0].startswith("No group is mixed")


def test_larger_groups_than_those_stored_are_an_extrapolation():
    found = advise(*counts(logit_normal(300, 0, 2), 4), group_size=16, passes=4)
    assert "an extrapolation" in found.reasons[-1]


def test_the_silent_share_is_that_of_the_groups_that_training_will_draw():
    rates = logit_normal(4000, 0.5, 2.0)
    for size in (4, 8, 16):
        expected = np.mean(rates**size + (1 - rates) ** size)
        found = advise(*counts(rates, 8), group_size=size, passes=4)
        assert found.silent_share == pytest.approx(expected, abs=0.02)
        assert found.without_silence == pytest.approx(math.sqrt(1 / (1 - expected)), rel=0.02)


def test_where_all_prompts_are_alike_uniform_is_as_good():
    found = advise(*counts(np.full(500, 0.5), 8), group_size=8, passes=10)
    assert found.sampler == "uniform"
    assert found.reachable < 1.02
    assert found.without_silence == pytest.approx(1 / math.sqrt(1 - 2 * 0.5**8), abs=0.02)


@pytest.mark.parametrize("passes", [1.0, 4.0])
@pytest.mark.parametrize(
    ("saved", "sampler"), [(math.nan, "uniform"), (0.01, "uniform"), (0.1, "weighted_passes")]
)
def test_a_pool_is_worth_choosing_from_where_prompts_differ_and_features_tell(
    passes, saved, sampler
):
    # The pre-registered study: a gain with features over four passes, none without them.
    found = advise(*counts(logit_normal(500, 0, 4), 8), group_size=8, passes=passes, saved=saved)
    assert found.sampler == sampler
    assert 1.2 < found.reachable < found.without_silence
    assert ("features save 10%" in found.reasons[0]) == (sampler == "weighted_passes")
    assert ("four passes" in found.reasons[0]) == (sampler == "uniform" and passes > 1)


def test_verdicts_that_follow_from_nothing_are_named_first():
    found = advise(*counts(np.full(90, 0.5), 8), group_size=8, passes=4, coherence=0.02)
    assert found.reasons[0].startswith("Verdicts hardly follow the policy's confidence")


def test_prompts_without_a_verdict_do_not_count():
    correct, num = counts(logit_normal(200, 0, 2), 8)
    # One rollout says nothing of a group either.
    more = advise(np.append(correct, [0.0, 1.0]), np.append(num, [0, 1]), group_size=8, passes=2)
    assert more == advise(correct, num, group_size=8, passes=2)
    with pytest.raises(DataError, match="no prompt has two verifiable rollouts or more"):
        advise(np.zeros(3), np.zeros(3), group_size=8, passes=1)
    with pytest.raises(DataError, match="planned passes must be above 0, got 0"):
        advise(correct, num, group_size=8, passes=0)

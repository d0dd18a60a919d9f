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


@pytest.mark.parametrize(("level", "spread"), [(0.0, 1.0), (1.0, 2.0), (-2.0, 1.4)])
def test_level_and_spread_of_pass_rates_are_found(level, spread):
    found = fit_pass_rates(*counts(logit_normal(3000, level, spread), 8))
    assert found == pytest.approx((level, spread), abs=0.35)


def test_the_silent_share_is_that_of_the_groups_that_training_will_draw():
    rates = logit_normal(4000, 0.5, 2.0)
    for size in (4, 8, 16):
        expected = np.mean(rates**size + (1 - rates) ** size)
        found = advise(*counts(rates, 8), group_size=size, passes=4)
        assert found.silent_share == pytest.approx(expected, abs=0.02)
        assert found.most == pytest.approx(math.sqrt(1 / (1 - expected)), rel=0.02)


def test_where_all_prompts_are_alike_uniform_is_as_good():
    found = advise(*counts(np.full(500, 0.5), 8), group_size=8, passes=10)
    assert found.sampler == "uniform"
    assert found.reachable < 1.02
    assert found.most == pytest.approx(1 / math.sqrt(1 - 2 * 0.5**8), abs=0.02)


def test_where_prompts_differ_and_come_back_choosing_pays():
    found = advise(*counts(logit_normal(500, 0.0, 4.0), 8), group_size=8, passes=4)
    assert found.sampler == "weighted_passes"
    assert 1.2 < found.reachable < found.most
    assert "the pool is passed 4 times" in found.reasons[0]


@pytest.mark.parametrize(
    ("saved", "sampler"), [(math.nan, "uniform"), (0.01, "uniform"), (0.1, "weighted_passes")]
)
def test_a_pool_that_is_passed_once_is_worth_choosing_from_only_where_features_tell(saved, sampler):
    found = advise(*counts(logit_normal(500, 0, 4), 8), group_size=8, passes=1.0, saved=saved)
    assert found.sampler == sampler


def test_verdicts_that_follow_from_nothing_are_named_first():
    found = advise(*counts(np.full(90, 0.5), 8), group_size=8, passes=4, coherence=0.02)
    assert found.reasons[0].startswith("Verdicts hardly follow the policy's confidence")


def test_prompts_without_a_verdict_do_not_count():
    correct, num = counts(logit_normal(200, 0, 2), 8)
    more = advise(np.append(correct, 0.0), np.append(num, 0), group_size=8, passes=2)
    assert more == advise(correct, num, group_size=8, passes=2)
    with pytest.raises(DataError, match="no prompt has a verifiable rollout"):
        advise(np.zeros(3), np.zeros(3), group_size=8, passes=1)
    with pytest.raises(DataError, match="planned passes must be above 0, got 0"):
        advise(correct, num, group_size=8, passes=0)

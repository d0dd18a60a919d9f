"""How often each prompt comes, counted."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vasari.core.errors import ConfigError
from vasari.records import GroupOutcome
from vasari.sample import PoolFeatures, make_sampler


def sampler_of(num_prompts=60, **settings):
    given = {"num_prompts": num_prompts, "seed": 1, "coherence": False, "inert_guard": False}
    return make_sampler("weighted_passes", **(given | settings))


def group(index, verdicts, *, batch=None, answers=()):
    return GroupOutcome(
        index=int(index), rewards=verdicts, verdicts=verdicts, answers=answers, batch=batch
    )


def told(sampler, rates, *, times=12, num=32):
    """The sampler after groups in which each prompt was solved at exactly its rate."""
    for _ in range(times):
        verdicts = [np.arange(num) < round(rate * num) for rate in rates]
        sampler.observe([group(i, own.astype(float)) for i, own in enumerate(verdicts)])
    return sampler


def counts_of(sampler, *, batches, size):
    drawn = np.concatenate([sampler.draw(size).indices for _ in range(batches)])
    return np.bincount(drawn, minlength=sampler.num_prompts)


@pytest.mark.parametrize("settings", [{}, {"power": 0.0}, {"least": 1.0}])
def test_prompts_of_equal_value_come_once_a_pass_as_in_uniform_sampling(settings):
    sampler = sampler_of(num_prompts=50, **settings)
    if settings:
        told(sampler, np.linspace(0, 1, 50))
    for _ in range(4):
        assert counts_of(sampler, batches=5, size=10).tolist() == [1] * 50


@pytest.mark.parametrize("size", [7, 33, 49])
def test_batches_that_do_not_divide_the_pool_lose_no_visit(size):
    counts = counts_of(sampler_of(num_prompts=50), batches=100, size=size)
    assert counts.max() - counts.min() <= 2


def test_passes_over_equal_prompts_have_new_orders():
    sampler = sampler_of()
    first, second = sampler.draw(60).indices, sampler.draw(60).indices
    assert sorted(first) == sorted(second) == list(range(60))
    assert first.tolist() != second.tolist()


def test_prompts_come_as_often_as_their_weights_say_to_within_one_visit():
    sampler = told(sampler_of(least=0.02, drift=0.0), np.tile([0.5, 0.1, 0.03, 1.0], 15))
    weights = sampler.scores()
    counts = counts_of(sampler, batches=200, size=15)
    num_passes = counts.sum() / weights.sum()
    # Each prompt begins anywhere between two visits, and the last pass is unfinished.
    assert np.abs(counts - num_passes * weights).max() <= 2.0
    assert weights.max() == pytest.approx(1.0, abs=1e-5)
    assert counts.min() > 0


def test_the_weight_is_the_expected_spread_of_advantages_relative_to_the_best_to_the_power():
    rates = np.array([0.5, 0.2, 0.1])
    spread = sum(
        math.comb(32, k) * rates**k * (1 - rates) ** (32 - k) * math.sqrt(k * (32 - k)) / 32
        for k in range(33)
    )
    one, two = (told(sampler_of(3, power=power), rates, times=60).scores() for power in (1.0, 2.0))
    assert one == pytest.approx(spread / spread[0], rel=0.05)
    assert two == pytest.approx(one**2, rel=1e-3)


def test_no_weight_is_below_the_least():
    sampler = told(sampler_of(40, least=0.1), [0.5] * 20 + [0.0] * 20)
    assert sampler.scores().min() == pytest.approx(0.1)
    counts = counts_of(sampler, batches=110, size=20)
    assert counts[20:].min() >= 9


def test_the_mix_of_batches_stays_the_same_over_a_pass():
    sampler = told(sampler_of(4000), np.tile([0.5, 0.06], 2000), times=6)
    weights = sampler.scores()
    expected = weights[::2].sum() / weights.sum()
    shares = [np.mean(sampler.draw(250).indices % 2 == 0) for _ in range(8)]
    # A share of 250 has a deviation of 0.03 at most; one strategy had 0.9 first and 0.1 last.
    assert np.abs(np.array(shares) - expected).max() < 0.1


def test_unseen_prompts_are_not_shunned():
    # Half of the pool was seen, each solved half the time: the best there is.
    sampler = sampler_of(400)
    rng = np.random.default_rng(0)
    for start in range(0, 200, 20):
        sampler.observe([group(i, rng.permutation([1.0, 0] * 4)) for i in range(start, start + 20)])
    weights = sampler.scores()
    assert weights[:200].mean() / weights[200:].mean() < 3.0


def test_a_prompt_in_a_batch_is_not_drawn_twice_even_where_nearly_all_of_the_pool_is_drawn():
    sampler = told(sampler_of(30), np.tile([0.5, 1.0, 0.0], 10))
    for size in (30, 29, 1, 30):
        assert len(set(sampler.draw(size).indices.tolist())) == size


def test_a_flaky_prompt_comes_less_often():
    sampler = sampler_of(2, agreement=True)
    for _ in range(6):
        sampler.observe(
            [
                group(0, [1.0, 0, 1, 0], answers=["5", "5", "5", "5"]),
                group(1, [1.0, 0, 1, 0], answers=["5", "6", "5", "7"]),
            ]
        )
    assert sampler.scores()[0] < 0.2 * sampler.scores()[1]
    assert sampler.given_up().tolist() == [0]


def test_looking_at_scores_and_metrics_changes_no_draw():
    one, other = (sampler_of(5000) for _ in range(2))
    for _ in range(5):
        one.scores(), one.metrics(), one.scores_of(np.array([3, 4]))
        assert one.draw(64).indices.tolist() == other.draw(64).indices.tolist()


def test_scores_of_some_prompts_are_those_of_all():
    known = PoolFeatures(
        categories=np.arange(60) % 3,
        category_names=("a", "b", "c"),
        values=np.random.default_rng(0).standard_normal((60, 5)),
    )
    sampler = told(sampler_of(features=known), np.linspace(0, 1, 60), times=2)
    at = np.array([5, 50, 7])
    assert sampler.scores_of(at) == pytest.approx(sampler.scores()[at], rel=1e-6)


def test_new_prompts_of_a_changed_pool_come_once_in_their_first_pass():
    ids = [f"p{i}" for i in range(60)]
    sampler = told(sampler_of(prompt_ids=ids), np.full(60, 0.5))
    changed = sampler_of(90, prompt_ids=[*ids[::-1], *(f"new{i}" for i in range(30))])
    changed.load_state_dict(sampler.state_dict(), remap=True)
    counts = counts_of(changed, batches=9, size=10)
    assert counts[60:].max() <= 2
    assert counts[60:].mean() > 0.6


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"least": 0.0}, "least must be at least 0.001 and at most 1, got 0"),
        ({"power": -1}, "power must be at least 0 and at most 100, got -1"),
    ],
)
def test_impossible_settings_are_refused(wrong, message):
    with pytest.raises(ConfigError, match=message):
        sampler_of(**wrong)


def test_a_resumed_sampler_logs_the_very_numbers():
    # Sums by category are of all groups in their order: taken anew they would end in other digits.
    known = PoolFeatures(categories=np.arange(60) % 3, category_names=("a", "b", "c"))
    one, other = (sampler_of(features=known, coherence=True) for _ in range(2))
    rng = np.random.default_rng(0)
    for batch in range(12):
        for index in one.draw(12).indices:
            verdicts = rng.permutation([1.0, 0, 1, 0, 0])
            sure = verdicts + rng.normal(size=5)
            one.observe(
                [
                    GroupOutcome(
                        index=int(index),
                        rewards=verdicts,
                        verdicts=verdicts,
                        confidence=sure,
                        batch=batch,
                    )
                ]
            )
    other.load_state_dict(one.state_dict())
    assert other.metrics() == one.metrics()
    assert other.scores().tolist() == one.scores().tolist()


def test_in_a_pool_of_thousands_the_few_best_prompts_are_not_forgotten():
    # A sample of 4,096 holds one of the 20 best of 100,000 now and then.
    sampler = sampler_of(100_000)
    for _ in range(3):
        sampler.observe([group(i, np.zeros(8)) for i in range(20, 2000)])
        sampler.observe([group(i, [1.0, 0] * 4) for i in range(20)])
    sampler.draw(64)
    medians = []
    for _ in range(30):
        draw = sampler.draw(64)
        sampler.observe([group(i, [1.0, 0] * 4 if i < 20 else np.zeros(8)) for i in draw.indices])
        medians.append(float(np.median(sampler.scores_of(np.arange(5000, 6000)))))
    steps = np.abs(np.diff(np.log(medians[5:])))
    assert steps.max() < 0.5


def test_the_size_of_training_groups_is_not_taken_from_a_refresh_or_lost_to_doubt():
    one, other = (told(sampler_of(30, drift=0.0), np.linspace(0, 1, 30)) for _ in range(2))
    refresh = GroupOutcome(
        index=0, rewards=np.zeros(128), verdicts=np.zeros(128), purpose="refresh", batch=0
    )
    doubtful = group(1, [1.0, *[np.nan] * 31])
    before = one.scores()[5:]
    one.observe([refresh, doubtful])
    # The rest of the pool moves with the shared coefficient alone.
    assert one.scores()[5:] == pytest.approx(before, abs=0.06)
    assert one._values.num_rollouts == other._values.num_rollouts == 32

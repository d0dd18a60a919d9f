from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from vasari.core.errors import ConfigError, StateError
from vasari.records import GroupOutcome
from vasari.sample import PoolFeatures, make_sampler

POOL = 60


def sampler_of(num_prompts=POOL, **settings):
    return make_sampler("progress", num_prompts=num_prompts, seed=1, **settings)


def group(index, verdicts, *, step, sure=None, answers=(), tokens=5):
    verdicts = np.array(verdicts, dtype=float)
    return GroupOutcome(
        index=index,
        rewards=verdicts,
        verdicts=verdicts,
        token_ids=[[1] * tokens] * len(verdicts),
        confidence=None if sure is None else np.array(sure, dtype=float),
        answers=answers,
        batch=step,
    )


def fed(sampler, rolled_out, *, steps=6, size=20, **facts):
    """The sampler after some steps, where `rolled_out(index, rng)` gives the verdicts and
    confidences of a group."""
    rng = np.random.default_rng(3)
    for step in range(steps):
        sampler.due(step)
        outcomes = [(int(i), *rolled_out(int(i), rng)) for i in sampler.draw(size).indices]
        sampler.observe(
            [group(i, verdicts, step=step, sure=sure, **facts) for i, verdicts, sure in outcomes]
        )
    sampler.due(steps)
    return sampler


def by_third(index, rng):
    """Prompts solved always, half the time, never."""
    verdicts = [np.ones(8), np.array([1.0, 0] * 4), np.zeros(8)][index % 3]
    return verdicts, verdicts - 1.5 + 0.01 * rng.normal(size=8)


def test_prompts_solved_half_the_time_are_preferred_to_solved_and_unsolvable_ones():
    sampler = fed(sampler_of(cooldown=0), by_third)
    scores = sampler.scores()
    assert np.median(scores[1::3]) > scores[0::3].max()
    assert np.median(scores[1::3]) > scores[2::3].max()
    drawn = np.concatenate([sampler.draw(20).indices[:19] for _ in range(20)])
    assert np.mean(drawn % 3 == 1) > 0.8


def test_the_value_of_a_prompt_is_the_expected_spread_and_a_bonus_for_not_knowing():
    # Nothing is seen, so the logit is normal with variance 2 of the pool's level and 1 of its own,
    # here as a sum over a fine grid; groups have 8 rollouts. A pass rate of 1/2 is worth 1.
    logits = np.linspace(-20, 20, 4001)
    weights = np.exp(-(logits**2) / 2 / 3)
    weights /= weights.sum()

    def spread(rates):
        return sum(
            math.comb(8, k) * rates**k * (1 - rates) ** (8 - k) * math.sqrt(k * (8 - k)) / 8
            for k in range(9)
        )

    worth = spread(1 / (1 + np.exp(-logits))) / spread(0.5)
    mean = weights @ worth
    deviation = math.sqrt(weights @ (worth - mean) ** 2)
    plain, hopeful = (
        sampler_of(prior_variance=1.0, optimism=optimism).scores() for optimism in (0.0, 2.0)
    )
    # The sampler takes seven nodes for the integral, and the nearest of 33 deviations.
    assert plain == pytest.approx(mean, rel=0.02)
    assert hopeful - plain == pytest.approx(2 * deviation, rel=0.1)


def test_first_picks_are_proportional_to_the_value_to_the_power_of_the_sharpness():
    sampler = sampler_of(num_prompts=2, sharpness=4.0, explore=0.0, cooldown=0)
    sampler.observe([group(0, [1] * 39 + [0], step=0), group(1, [1, 0] * 20, step=0)])
    first, second = sampler.scores() ** 4
    share = np.mean([sampler.draw(1).indices[0] == 0 for _ in range(1000)])
    # A binomial share of 1000: six deviations are at most 0.095.
    assert share == pytest.approx(first / (first + second), abs=0.095)
    assert first / (first + second) < 0.3


def test_every_prompt_is_seen_before_one_is_long_repeated():
    sampler = fed(sampler_of(), by_third, steps=9)
    assert sampler.metrics()["sampler/seen_share"] == 1.0


def test_coin_flips_lose_to_prompts_whose_verdicts_follow_from_the_rollouts():
    def odd_ones_are_noise(index, rng):
        verdicts = rng.permutation([1.0, 0] * 4)
        return verdicts, rng.normal(size=8) if index % 2 else verdicts + 0.3 * rng.normal(size=8)

    scores = fed(sampler_of(), odd_ones_are_noise, steps=30).scores()
    assert np.median(scores[0::2]) > 3 * np.median(scores[1::2])


def test_an_answer_that_is_judged_both_ways_takes_the_prompt_out_of_favour():
    sampler = sampler_of(num_prompts=2)
    for step in range(4):
        sampler.due(step)
        sampler.observe(
            [
                group(0, [1, 0, 1, 0], step=step, answers=["5", "5", "5", "5"]),
                group(1, [1, 0, 1, 0], step=step, answers=["5", "6", "5", "7"]),
            ]
        )
    assert sampler.scores()[0] < 0.25 * sampler.scores()[1]
    assert sampler.given_up().tolist() == [0]


def test_a_majority_that_is_refused_again_and_again_is_named():
    sampler = sampler_of(num_prompts=3)
    for step in range(3):
        sampler.due(step)
        sampler.observe([group(1, [0, 0, 0, 1], step=step, answers=["5", "5", "5", "6"])])
    assert sampler.given_up().tolist() == [1]


def test_long_rollouts_cost_value():
    sampler = sampler_of(num_prompts=2)
    sampler.observe([group(0, [1, 0], step=0, tokens=10), group(1, [1, 0], step=0, tokens=40)])
    # Relative lengths 0.4 and 1.6, to the power one half: a ratio of 2.
    assert sampler.scores()[0] / sampler.scores()[1] == pytest.approx(2.0)


def first_share(sampler):
    """Share of 1000 draws of one prompt that are the first of two."""
    return np.mean([sampler.draw(1).indices[0] == 0 for _ in range(1000)])


def test_cost_and_trust_are_not_raised_to_the_sharpness():
    # Raised to a sharpness of 16 the odds would be 65536 and 1 to 300.
    made = {"num_prompts": 2, "explore": 0.0, "cooldown": 0, "sharpness": 16.0}
    sampler = sampler_of(**made)
    sampler.observe([group(0, [1, 0], step=0, tokens=10), group(1, [1, 0], step=0, tokens=40)])
    assert first_share(sampler) == pytest.approx(2 / 3, abs=0.09)
    sampler = sampler_of(**made, coherence=False)
    sure = [-1, -1, -1, -2]
    refused, known = (["5", "5", "5", "6"], ["5", "7", "8", "6"])
    sampler.observe(
        [
            group(0, [0, 0, 0, 1], step=0, answers=refused, sure=sure),
            group(1, [0, 0, 0, 1], step=0, answers=known, sure=sure),
        ]
    )
    assert first_share(sampler) == pytest.approx(0.7 / 1.7, abs=0.09)


def test_a_prompt_rests_after_it_was_seen():
    sampler = sampler_of(cooldown=3, explore=0.0)
    sampler.due(0)
    first = sampler.draw(20).indices
    sampler.observe([group(int(i), [1, 0, 1, 0], step=0) for i in first])
    sampler.due(2)
    assert not set(first) & set(sampler.draw(40).indices)
    assert len(set(sampler.draw(POOL).indices)) == POOL


@pytest.mark.parametrize("first", [None, 100])
def test_seen_prompts_come_back_in_a_loop_that_never_asks_what_is_due(first):
    sampler = sampler_of(num_prompts=200, cooldown=2, explore=0.0)
    batches = []
    for turn in range(12):
        batches.append(set(sampler.draw(10).indices.tolist()))
        step = None if first is None else first + turn
        sampler.observe([group(i, [1, 0, 1, 0], step=step) for i in batches[-1]])
        assert sampler.metrics()["sampler/batches_since_seen"] == pytest.approx(
            turn - last_turns(batches)
        )
    # Solved half the time is worth more than never seen: after one batch of rest they return,
    # before all 200 were met.
    assert all(not one & other for one, other in itertools.pairwise(batches))
    assert len(set().union(*batches)) < 100


def last_turns(batches):
    """Mean number of the last batch that each prompt met so far was in."""
    return np.mean(list({i: turn for turn, batch in enumerate(batches) for i in batch}.values()))


def test_groups_of_earlier_steps_are_seen_at_their_own_step():
    sampler = sampler_of(num_prompts=3, explore=0.5, cooldown=0)
    sampler.due(9)
    sampler.observe(
        [group(0, [1, 1], step=8), group(1, [1, 1], step=4), group(2, [1, 1], step=None)]
    )
    # Seen at 8, 4 and, without a step, at the last asking: 9.
    assert sampler.metrics()["sampler/batches_since_seen"] == pytest.approx((1 + 5 + 0) / 3)
    sampler.observe([group(0, [1, 1], step=2)])
    assert sampler.metrics()["sampler/batches_since_seen"] == pytest.approx((1 + 5 + 0) / 3)


def test_the_share_of_exploration_goes_to_the_prompts_not_seen_for_longest():
    sampler = sampler_of(num_prompts=4, explore=0.5, cooldown=0)
    for step, place in enumerate((2, 0, 3, 1)):
        sampler.observe([group(place, [1, 1, 1, 1], step=step)])
    sampler.due(4)
    draw = sampler.draw(2)
    assert draw.roles == ("promoted", "revisit")
    assert draw.indices[1] == (2 if draw.indices[0] != 2 else 0)


def test_groups_without_a_verdict_teach_nothing_but_that_they_were_seen():
    sampler = sampler_of()
    before = sampler.scores()
    sampler.observe([group(4, [np.nan] * 8, step=0)])
    assert sampler.scores() == pytest.approx(before)


@pytest.mark.parametrize("part", ["shared", "coherence", "agreement", "inert_guard"])
def test_every_part_can_be_switched_off(part):
    known = PoolFeatures(categories=np.arange(POOL) % 3, category_names=("a", "b", "c"))

    def noisy(index, rng):
        return rng.permutation(8) < 2 + 2 * (index % 3), rng.normal(size=8)

    def scores(**settings):
        sampler = fed(sampler_of(features=known, **settings), noisy, steps=12, answers=["5"] * 8)
        return sampler.scores()

    others = dict.fromkeys({"coherence", "agreement", "inert_guard"} - {part}, False)
    assert scores(**others) != pytest.approx(scores(**others | {part: False}))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"explore": 1.5}, "explore must be at least 0 and at most 1, got 1.5"),
        ({"prior_variance": 0}, "prior_variance must be above 0, got 0"),
        ({"optimism": float("nan")}, "optimism must be a finite number"),
        ({"cooldown": 1.5}, "cooldown must be a whole number of at least 0, got 1.5"),
        ({"coherence": "yes"}, "coherence must be true or false"),
    ],
)
def test_impossible_settings_are_refused(wrong, message):
    with pytest.raises(ConfigError, match=message):
        sampler_of(**wrong)


def test_a_state_of_a_pool_with_other_features_is_refused():
    state = sampler_of(features=PoolFeatures(values=np.zeros((POOL, 2)))).state_dict()
    with pytest.raises(StateError, match="saved with 2 columns of features"):
        sampler_of().load_state_dict(state)


def test_a_state_of_0_1_goes_on():
    # It had a fixed variance for unseen prompts, and neither the fit of it nor the constant.
    sampler = fed(sampler_of(), by_third, steps=1)
    state = sampler.state_dict()
    old = dict(state["state"])
    for name in ("log_loss_constant", "constant"):
        del old[name]
    old["belief"] = {name: old["belief"][name] for name in ("theta", "spread")} | {"delta": 0.2}
    old["variance"] = np.where(old["seen_at"] < 0, 6.0, old["variance"])
    resumed = sampler_of()
    resumed.load_state_dict(state | {"state": old})
    assert len(set(resumed.draw(POOL).indices.tolist())) == POOL
    later = {
        name: fed(own, by_third, steps=4).metrics()
        for name, own in (("new", sampler), ("old", resumed))
    }
    assert later["old"]["sampler/spread"] == pytest.approx(later["new"]["sampler/spread"], rel=0.5)

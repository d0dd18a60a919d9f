"""What holds for every sampler, pool, history and point of resumption."""

import json
import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vasari.core.errors import ConfigError
from vasari.records import GroupOutcome
from vasari.sample import PoolFeatures, check_prompt_sampler, make_gate, make_sampler
from vasari.sample.weighted import WeightedPool

KINDS = {
    "uniform": {"name": "uniform"},
    "full": {"name": "vas", "refresh": "full", "refresh_every": 3, "num_refresh_rollouts": 4},
    "stale": {
        "name": "vas",
        "refresh": "stale",
        "refresh_every": 3,
        "stale_share": 0.3,
        "num_refresh_rollouts": 4,
    },
    "online": {"name": "vas", "refresh": "online"},
    "greedy": {"name": "vas", "refresh": "online", "mix_ratio": 1.0, "diversity": "edit_distance"},
    "progress": {"name": "progress"},
    "sec": {"name": "bins"},
    "dump": {"name": "bins", "preset": "dump", "window": 7},
    "thompson": {"name": "bins", "preset": "thompson"},
    "adarft": {"name": "target"},
    "dots": {"name": "target", "preset": "dots"},
    "oracle": {"name": "oracle"},
    "skip": {
        "name": "skip",
        "inner": "vas",
        "inner_settings": {"refresh": "stale", "refresh_every": 3},
    },
    "retain": {"name": "retain", "share": 0.4, "repair_window": 1},
    "mopps": {"name": "beta", "candidate_factor": 2},
    "time": {
        "name": "beta",
        "candidate_factor": 0,
        "decay_on": "time",
        "score": "group_value",
        "value": "knap",
    },
    "information": {"name": "beta", "draw": "mean", "score": "information", "decay": 1.0},
    "arcus": {"name": "arcus"},
    "chosen_at_once": {"name": "arcus", "first_pass": False, "random_walk": 0.0},
    "hmm": {"name": "hmm", "candidate_factor": 2},
    "remembering": {"name": "hmm", "candidate_factor": 0, "decay": 1.0, "entropy_weight": 0.1},
    "replay": {"name": "replay", "cooldown": 1},
    "prioritised": {"name": "prioritised", "retest_every": 2},
    "paper": {"name": "vas", "preset": "paper", "refresh_every": 3, "num_refresh_rollouts": 4},
    "mmr1": {
        "name": "mmr1",
        "refresh_every": 3,
        "num_refresh_rollouts": 4,
        "beta": 0.2,
        "momentum": 0.5,
    },
}
kinds = st.sampled_from(sorted(KINDS))
REPEATING = {"paper", "mmr1"}
"""Kinds that may draw a prompt several times in a batch."""
unique_kinds = st.sampled_from(sorted(set(KINDS) - REPEATING))
seeds = st.integers(0, 2**32)
FEATURED = {"bins", "target", "oracle"}
READING_REWARDS = {"sec", "dump", "skip"}
"""Kinds that read advantages or zero variance: both are of the rewards, as the learner sees
them."""


def features_of(num_prompts):
    places = np.arange(num_prompts)
    return PoolFeatures(
        categories=places % 3,
        category_names=("a", "b", "c"),
        difficulty=places % 4 / 3,
        pass_rates=places % 5 / 4,
    )


def sampler_of(kind, num_prompts, seed, **changes):
    features = features_of(num_prompts) if KINDS[kind]["name"] in FEATURED else None
    return make_sampler(
        num_prompts=num_prompts, seed=seed, features=features, **(KINDS[kind] | changes)
    )


def group(index, verdicts, *, purpose="refresh", step=None, tokens=None):
    verdicts = np.array(verdicts, dtype=np.float64)
    tokens = tokens if tokens is not None else [[1, 2, 3]] * len(verdicts)
    return GroupOutcome(
        index=index,
        rewards=verdicts,
        verdicts=verdicts,
        token_ids=tokens,
        purpose=purpose,
        batch=step,
    )


def random_groups(indices, step, purpose):
    groups = []
    for index in dict.fromkeys(np.asarray(indices).tolist()):
        rng = np.random.default_rng([index, step])
        verdicts = rng.choice([0.0, 1.0, math.nan], size=4, p=[0.45, 0.45, 0.1])
        tokens = [rng.integers(0, 6, size=rng.integers(0, 9)) for _ in range(4)]
        groups.append(group(index, verdicts, purpose=purpose, step=step, tokens=tokens))
    return groups


def train(sampler, batch, steps):
    drawn = []
    for step in steps:
        sampler.observe(random_groups(sampler.due(step), step, "refresh"))
        draw = sampler.draw(batch)
        drawn.append((draw.indices.tolist(), draw.roles))
        sampler.observe(random_groups(draw.indices, step, "train"))
    return drawn


def within_binomial_bound(counts, probabilities, num_draws):
    """Each count within six standard deviations (and one) of its mean: false alarms are below one
    in 10^8."""
    mean = num_draws * np.asarray(probabilities)
    spread = np.sqrt(mean * (1 - np.asarray(probabilities)))
    return bool((np.abs(counts - mean) <= 6 * spread + 1).all())


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_passes_the_checker(kind):
    check_prompt_sampler(partial(sampler_of, kind), unique=kind not in REPEATING)


@settings(max_examples=35, deadline=None)
@given(unique_kinds, st.integers(1, 60), st.data())
def test_batches_have_the_asked_size_and_no_duplicates(kind, pool, data):
    sampler = sampler_of(kind, pool, data.draw(seeds))
    for step, size in enumerate(data.draw(st.lists(st.integers(1, pool), min_size=1, max_size=8))):
        sampler.observe(random_groups(sampler.due(step), step, "refresh"))
        indices = sampler.draw(size).indices
        assert indices.dtype == np.int64
        assert len(indices) == len(set(indices.tolist())) == size
        assert set(indices.tolist()) <= set(range(pool))
        sampler.observe(random_groups(indices, step, "train"))


@given(unique_kinds, st.integers(1, 50), st.integers(1, 10))
def test_more_prompts_than_the_pool_holds_are_refused_with_both_numbers(kind, pool, extra):
    with pytest.raises(
        ConfigError, match=f"batch of {pool + extra} prompts cannot be drawn from {pool} "
    ):
        sampler_of(kind, pool, 0).draw(pool + extra)


@settings(max_examples=25, deadline=None)
@given(kinds, st.integers(2, 40), st.integers(0, 8), seeds, st.data())
def test_resume_continues_the_same_stream_at_any_point(kind, pool, stop, seed, data):
    batch = data.draw(st.integers(1, pool))
    one, other = sampler_of(kind, pool, seed), sampler_of(kind, pool, seed + 1)
    train(one, batch, range(stop))
    saved = json.dumps(one.state_dict(), default=lambda array: array.tolist())
    expected = train(one, batch, range(stop, stop + 6))
    other.load_state_dict(json.loads(saved))
    assert train(other, batch, range(stop, stop + 6)) == expected


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), seeds, st.data())
def test_uniform_draws_every_prompt_once_per_pass(pool, seed, data):
    sampler = sampler_of("uniform", pool, seed)
    drawn = []
    while len(drawn) < 4 * pool:
        drawn += sampler.draw(data.draw(st.integers(1, pool))).indices.tolist()
    for start in range(0, 4 * pool, pool):
        assert sorted(drawn[start : start + pool]) == list(range(pool))


@settings(max_examples=30, deadline=None)
@given(st.integers(8, 40), st.integers(2, 8), seeds)
def test_the_uniform_part_visits_every_prompt_that_is_not_promoted_once_per_pass(pool, batch, seed):
    sampler = sampler_of("online", pool, seed)
    visits = np.zeros(pool, dtype=int)
    sampler.observe(
        [group(index, [1, 0]) for index in range(pool // 2)]
        + [group(i, [0, 0]) for i in range(pool // 2, pool)]
    )
    num_steps = 20 * pool // batch
    for _ in range(num_steps):
        draw = sampler.draw(batch)
        np.add.at(visits, draw.indices[np.array(draw.roles) == "uniform"], 1)
    assert visits.sum() == num_steps * (batch - batch // 2)
    num_passes = int(sampler.metrics()["sampler/passes"])
    assert visits.max() <= num_passes + 1
    assert visits[pool // 2 :].min() >= num_passes


@settings(max_examples=8, deadline=None)
@given(
    st.sampled_from(["uniform", "full", "online", "paper"]),
    st.sampled_from([0.0, 1.0, math.nan, None]),
    seeds,
)
def test_equal_zero_or_unknown_scores_draw_uniformly(kind, verdict, seed):
    pool, batch, num_draws = 12, 4, 500
    sampler = sampler_of(kind, pool, seed)
    if verdict is not None:
        sampler.observe([group(index, [verdict] * 3) for index in range(pool)])
    counts = np.zeros(pool)
    for _ in range(num_draws):
        np.add.at(counts, sampler.draw(batch).indices, 1)
    assert within_binomial_bound(counts, np.full(pool, 1 / pool), num_draws * batch)


@settings(max_examples=5, deadline=None)
@given(st.sampled_from(["default", "paper"]), st.permutations(range(5)), seeds)
def test_first_picks_are_proportional_to_the_scores_wherever_they_stand(preset, places, seed):
    rates = [[0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1], [1, 1, 1, 0]]
    variances = np.array([0.0, 3, 4, 0, 3]) / 16
    sampler = make_sampler("vas", preset=preset, mix_ratio=1.0, num_prompts=5, seed=seed)
    sampler.observe([group(place, verdicts) for place, verdicts in zip(places, rates, strict=True)])
    scores = np.zeros(5)
    scores[list(places)] = 0.8 * variances
    np.testing.assert_allclose(sampler.scores(), scores, atol=1e-12)
    first = np.bincount([sampler.draw(3).indices[0] for _ in range(1500)], minlength=5)
    assert within_binomial_bound(first, scores / scores.sum(), 1500)


@settings(max_examples=4, deadline=None)
@given(st.booleans(), seeds)
def test_second_picks_are_proportional_among_those_left(race, seed):
    weights = np.array([4.0, 2.0, 1.0, 0.0, 1.0])
    pool, rng = WeightedPool(weights), np.random.default_rng(seed)
    draw = pool._race if race else pool.draw_unique
    pairs = np.zeros((5, 5))
    for _ in range(2000):
        first, second = draw(rng, 2)
        pairs[first, second] += 1
    expected = (
        weights[:, None] * weights[None, :] / weights.sum() / (weights.sum() - weights[:, None])
    )
    np.fill_diagonal(expected, 0.0)
    assert within_binomial_bound(pairs, expected, 2000)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.sampled_from([0.0, 1e-300, 1e-9, 1.0, 1e9]), min_size=1, max_size=3000),
    seeds,
    st.data(),
)
def test_skewed_weights_come_before_zero_weights(weights, seed, data):
    weights = np.array(weights)
    pool, num = WeightedPool(weights), data.draw(st.integers(1, len(weights)))
    picks = pool.draw_unique(np.random.default_rng(seed), num)
    assert len(np.unique(picks)) == num
    num_positive = int((weights > 0).sum())
    assert (weights[picks[:num_positive]] > 0).all()
    np.testing.assert_array_equal(pool.weights, weights)


@settings(max_examples=40, deadline=None)
@given(kinds, st.integers(2, 20), seeds, st.sampled_from([0.0, 1.0, math.nan]))
def test_unanimous_and_unverifiable_groups_leave_a_sampler_able_to_draw(kind, pool, seed, verdict):
    sampler = sampler_of(kind, pool, seed)
    for purpose in ("refresh", "train"):
        sampler.observe(
            [group(index, [verdict] * 2, purpose=purpose, step=0) for index in range(pool)]
        )
    assert len(sampler.draw(pool)) == pool


@given(
    st.sampled_from(["full", "stale", "online"]),
    st.lists(st.sampled_from([0.0, 1.0]), min_size=2, max_size=8),
)
def test_unverifiable_groups_leave_a_known_score(kind, verdicts):
    sampler = sampler_of(kind, 4, 0)
    sampler.observe([group(2, verdicts)])
    before = sampler.scores()
    sampler.observe(
        [group(2, [math.nan] * len(verdicts), tokens=[[index] for index in range(len(verdicts))])]
    )
    np.testing.assert_array_equal(sampler.scores(), before)


@settings(deadline=None)
@given(
    st.sampled_from(sorted(set(KINDS) - READING_REWARDS)),
    st.lists(
        st.tuples(st.integers(0, 5), st.sampled_from([0.0, 1.0]), st.floats(-1, 2)),
        min_size=1,
        max_size=10,
    ),
)
def test_graded_rewards_change_no_score(kind, observations):
    plain, graded = sampler_of(kind, 6, 0), sampler_of(kind, 6, 0)
    for index, verdict, reward in observations:
        tokens, verdicts = [[1, 2], [1, 3]], np.array([verdict, 1.0])
        for sampler, rewards in ((plain, verdicts), (graded, np.array([reward, 0.5]))):
            made = GroupOutcome(
                index=index, rewards=rewards, verdicts=verdicts, token_ids=tokens, purpose="refresh"
            )
            sampler.observe([made])
    assert plain.draw(6).indices.tolist() == graded.draw(6).indices.tolist()


@given(
    st.lists(
        st.lists(st.one_of(st.floats(-2, 2), st.just(math.nan)), min_size=1, max_size=6), max_size=8
    )
)
def test_the_mixed_gate_redraws_what_it_refuses_and_admits_only_groups_that_can_train(table):
    outcomes = [
        GroupOutcome(index=0, rewards=np.array(rewards), verdicts=np.zeros(len(rewards)))
        for rewards in table
    ]
    admission = make_gate("mixed").admit(outcomes)
    assert admission.redraw + admission.admitted.sum() == len(table)
    everything = make_gate("all").admit(outcomes)
    assert (everything.admitted | ~admission.admitted).all()

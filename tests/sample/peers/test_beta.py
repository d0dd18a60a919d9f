"""The sampler "beta": beliefs and choices worked by hand, settings, saved state."""

import copy
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vasari.core.errors import ConfigError, StateError
from vasari.records import GroupOutcome
from vasari.sample.peers.beta import BETA_PRESETS, BetaSampler, BetaSettings
from vasari.score.value import beta_information, expected_group_value

IDS = ["a", "b", "c", "d", "e", "f"]


def beta(num_prompts=6, seed=0, prompt_ids=None, **settings):
    return BetaSampler(
        BetaSettings(**settings), num_prompts=num_prompts, seed=seed, prompt_ids=prompt_ids
    )


def outcome(index, num_correct, num_rollouts=8, num_unverifiable=0):
    verdicts = np.array(
        [1.0] * num_correct + [0.0] * (num_rollouts - num_correct) + [math.nan] * num_unverifiable
    )
    return GroupOutcome(index=index, rewards=verdicts, verdicts=verdicts)


def test_beliefs_follow_the_rule_of_mopps():
    sampler = BetaSampler(BETA_PRESETS["mopps"], num_prompts=2, seed=0)
    sampler.observe([outcome(1, 6)])
    # a = 0.5 * 1 + 0.5 * 1 + 6 = 7, b = 0.5 + 0.5 + 2 = 3.
    assert (sampler.alphas().tolist(), sampler.betas().tolist()) == ([1, 7], [1, 3])
    sampler.observe([outcome(1, 1)])
    # a = 0.5 * 7 + 0.5 * 1 + 1 = 5, b = 0.5 * 3 + 0.5 * 1 + 7 = 9.
    assert (sampler.alphas().tolist(), sampler.betas().tolist()) == ([1, 5], [1, 9])


def test_the_preset_of_math_forgets_nothing():
    sampler = BetaSampler(BETA_PRESETS["mopps-math"], num_prompts=1, seed=0)
    sampler.observe([outcome(0, 6)])
    sampler.observe([outcome(0, 1)])
    assert (sampler.alphas()[0], sampler.betas()[0]) == (8, 10)


def test_evidence_decays_on_observation_only_or_with_time():
    by_visit, by_time = beta(decay=0.5), beta(decay=0.5, decay_on="time")
    for sampler in (by_visit, by_time):
        sampler.due(0)
        sampler.observe([outcome(2, 8)])
        sampler.due(3)
    # Unseen for three steps: 1 + 8 stays, or 1 + 8 / 2^3 = 2.
    assert (by_visit.alphas()[2], by_time.alphas()[2]) == (9, 2)
    for sampler in (by_visit, by_time):
        sampler.observe([outcome(2, 4)])
    # 1 + 8/2 + 4 = 9 and b = 1 + 4; 1 + 1 + 4 = 6 and b = 1 + 4.
    assert (by_visit.alphas()[2], by_visit.betas()[2]) == (9, 5)
    assert (by_time.alphas()[2], by_time.betas()[2]) == (6, 5)


def test_without_steps_given_every_draw_is_a_step():
    sampler = beta(decay=0.5, decay_on="time")
    sampler.draw(1)
    sampler.observe([outcome(0, 8)])
    sampler.draw(1)
    sampler.draw(1)
    assert sampler.alphas()[0] == 1 + 8 / 4


def test_unverifiable_rollouts_and_groups_leave_a_belief():
    sampler = beta()
    sampler.observe([outcome(0, 6, num_unverifiable=3), outcome(1, 0, 0, num_unverifiable=4)])
    assert (sampler.alphas()[:2].tolist(), sampler.betas()[:2].tolist()) == ([7, 1], [3, 1])
    sampler.observe([outcome(0, 0, 0, num_unverifiable=4)])
    assert (sampler.alphas()[0], sampler.betas()[0]) == (7, 3)


def test_the_prior_is_what_evidence_decays_to():
    sampler = beta(prior_alpha=2.0, prior_beta=4.0, decay=0.25)
    sampler.observe([outcome(0, 8)])
    sampler.observe([outcome(0, 0)])
    # a = 0.25 * 10 + 0.75 * 2 + 0 = 4, b = 0.25 * 4 + 0.75 * 4 + 8 = 12.
    assert (sampler.alphas()[0], sampler.betas()[0]) == (4, 12)


def test_means_nearest_to_the_target_are_taken_nearest_first():
    sampler = beta(5, draw="mean", candidate_factor=0, target=0.25)
    sampler.observe([outcome(index, correct) for index, correct in enumerate([0, 1, 2, 5, 8])])
    # Means (1 + k) / 10: 0.1, 0.2, 0.3, 0.6, 0.9; distances 0.15, 0.05, 0.05, 0.35, 0.65.
    picked = sampler.draw(4).indices.tolist()
    assert set(picked[:2]) == {1, 2}
    assert picked[2:] == [0, 3]


def test_a_drawn_rate_lets_the_uncertain_come_first_now_and_then():
    # Prompt 0 surely at 1/2 (spread 0.02); prompt 1 unknown, uniform. |u - 1/2| < |p0 - 1/2| with E
    # ~ 2 * 0.8 * 0.025.
    sampler = beta(2, candidate_factor=0)
    sampler.observe([outcome(0, 200, 400)])
    first = [int(sampler.draw(1).indices[0]) for _ in range(2000)]
    # |p0 - 1/2| has mean 0.025 * sqrt(2 / pi) = 0.0199, so prompt 1 comes first with probability
    # 0.0399: 80, deviation 9.
    assert abs(sum(first) - 80) < 6 * 9


@pytest.mark.parametrize(
    ("settings", "score"),
    [
        ({"score": "information"}, beta_information),
        (
            {"score": "group_value", "value": "knap", "num_rollouts": 4},
            lambda a, b: expected_group_value(a, b, 4, "knap"),
        ),
    ],
)
def test_a_belief_s_score_is_of_the_whole_belief(settings, score):
    sampler = beta(6, draw="mean", candidate_factor=0, **settings)
    sampler.observe([outcome(index, correct, 8) for index, correct in enumerate([0, 1, 3, 4, 8])])
    order = np.argsort(-score(sampler.alphas(), sampler.betas()))
    assert sampler.draw(4).indices.tolist() == order[:4].tolist()


def test_information_seeks_what_is_unknown_rather_than_what_is_half_right():
    sampler = beta(3, draw="mean", score="information", candidate_factor=0)
    sampler.observe([outcome(0, 4), outcome(1, 8)])
    assert sampler.draw(1).indices.tolist() == [2]


def test_a_drawn_rate_is_worth_most_to_knapsack_at_a_third():
    sampler = beta(4, score="group_value", value="knap", num_rollouts=64, candidate_factor=0)
    sampler.observe(
        [outcome(index, correct, 6000) for index, correct in enumerate([600, 2000, 3500, 5400])]
    )
    assert sampler.draw(1).indices.tolist() == [1]


def test_a_batch_is_the_best_of_its_candidates():
    sampler = beta(100, draw="mean", candidate_factor=5, seed=3)
    sampler.observe([outcome(index, 4 if index < 50 else 8) for index in range(100)])
    batches = [sampler.draw(2).indices for _ in range(10)]
    # Ten candidates a batch, each prompt a candidate once in ten batches: a half-right one is among
    # nearly every ten.
    assert len(np.unique(np.concatenate(batches))) == 20
    assert (np.concatenate(batches) < 50).mean() > 0.9


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(6)), st.integers(0, 3))
def test_means_are_chosen_wherever_their_prompts_stand(places, seed):
    sampler = beta(6, seed, draw="mean", candidate_factor=0)
    # Means 0.1, 0.2, 0.3, 0.5, 0.6, 0.9: distances to 1/2 all differ.
    sampler.observe(
        [outcome(place, k) for place, k in zip(places, [0, 1, 2, 4, 5, 8], strict=True)]
    )
    assert sampler.draw(4).indices.tolist() == [places[3], places[4], places[2], places[1]]


def test_metrics_are_of_the_prompts_that_were_seen():
    sampler = beta(4)
    assert math.isnan(sampler.metrics()["sampler/pass_rate_mean"])
    sampler.observe([outcome(1, 6)])
    assert sampler.metrics() == {
        "sampler/seen_share": 0.25,
        "sampler/pass_rate_mean": pytest.approx(0.7),
        "sampler/evidence_mean": 8.0,
    }
    assert sampler.due(0).tolist() == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prior_alpha": 0}, r"prior_alpha must be above 0, got 0"),
        ({"prior_beta": math.nan}, r"prior_beta must be a finite number"),
        ({"decay": 1.5}, r"decay must be at least 0 and at most 1, got 1.5"),
        ({"target": -0.1}, r"target must be at least 0"),
        ({"num_rollouts": 1}, r"num_rollouts must be a whole number of at least 2"),
        ({"candidate_factor": -1}, r"candidate_factor must be a whole number of at least 0"),
        ({"decay_on": "visit"}, r"decay_on must be one of observe, time, got 'visit'"),
        ({"draw": "ucb"}, r"draw must be one of thompson, mean"),
        ({"score": "entropy"}, r"score must be one of nearest, group_value, information"),
        ({"value": "asym"}, r"value must be one of std, var, mix, knap"),
        ({"score": "information"}, r"set draw='mean'"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        BetaSettings(**settings)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("right"), r"'right' is missing"),
        (lambda state: state.update(wrong=np.zeros(2)), r"'wrong' has 2 entries for 6 prompts"),
        (
            lambda state: state.update(right=np.full(6, -1.0)),
            r"'right' holds a count that is negative",
        ),
        (lambda state: state.update(wrong=np.full(6, np.nan)), r"'wrong' holds a count"),
        (lambda state: state.pop("clock"), r"damaged: KeyError: 'clock'"),
        (lambda state: state["candidates"].update(cursor=99), r"cursor 99 lies outside"),
    ],
)
def test_damaged_state_is_refused_and_changes_nothing(change, message):
    sampler, twin = beta(candidate_factor=2), beta(candidate_factor=2)
    for one in (sampler, twin):
        one.observe([outcome(1, 3), outcome(4, 8)])
        one.draw(2)
    state = copy.deepcopy(sampler.state_dict())
    change(state["state"])
    with pytest.raises(StateError, match=message):
        sampler.load_state_dict(state)
    assert sampler.alphas().tolist() == twin.alphas().tolist()
    assert [sampler.draw(2).indices.tolist() for _ in range(4)] == [
        twin.draw(2).indices.tolist() for _ in range(4)
    ]


def test_beliefs_are_carried_to_a_changed_pool_by_id():
    sampler = beta(prompt_ids=IDS)
    sampler.observe([outcome(1, 6), outcome(5, 2)])
    other = beta(4, prompt_ids=["new", "f", "a", "b"])
    other.load_state_dict(sampler.state_dict(), remap=True)
    assert other.alphas().tolist() == [1, 3, 1, 7]
    assert other.betas().tolist() == [1, 7, 1, 3]
    assert len(other.draw(4)) == 4


def test_state_of_the_whole_pool_is_taken_over_by_a_sampler_of_candidates():
    whole, some = beta(candidate_factor=0), beta(candidate_factor=2)
    whole.observe([outcome(1, 6)])
    some.load_state_dict(whole.state_dict())
    assert some.alphas()[1] == 7
    assert len(some.draw(2)) == 2


def test_a_batch_of_a_large_pool_is_drawn_from_beliefs_of_all():
    num = 1_600_000
    sampler = beta(num, candidate_factor=0, decay_on="time")
    assert len(np.unique(sampler.draw(512).indices)) == 512

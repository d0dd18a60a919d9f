"""The sampler "arcus": the filter by hand, its scores by sampling, the drift, the draw."""

import math

import numpy as np
import pytest

from vasari.core.errors import StateError
from vasari.records import GroupOutcome
from vasari.sample import check_prompt_sampler
from vasari.sample.peers.arcus import ArcusSampler, ArcusSettings


def arcus(num_prompts=4, seed=0, **settings):
    return ArcusSampler(ArcusSettings(**settings), num_prompts=num_prompts, seed=seed)


def outcome(index, num_correct, num_rollouts=8):
    verdicts = np.array([1.0] * num_correct + [0.0] * (num_rollouts - num_correct))
    return GroupOutcome(index=index, rewards=verdicts, verdicts=verdicts)


def test_it_keeps_the_contract():
    check_prompt_sampler(ArcusSampler)


@pytest.mark.parametrize("num_correct", [0, 3, 8])
def test_a_group_moves_the_angle_by_the_kalman_gain(num_correct):
    sampler = arcus()
    sampler.observe([outcome(1, num_correct)])
    measured = math.asin(math.sqrt((num_correct + 3 / 8) / (8 + 3 / 4)))
    noise = 1 / 16 if num_correct in (0, 8) else 1 / 34
    prior = math.pi**2 / 48
    gain = prior / (prior + noise)
    mean, variance = math.pi / 4 + gain * (measured - math.pi / 4), (1 - gain) * prior
    assert sampler.pass_rates()[1] == pytest.approx(
        (1 - math.exp(-2 * variance) * math.cos(2 * mean)) / 2
    )
    assert sampler.pass_rates()[0] == pytest.approx(0.5)


def test_scores_are_the_expected_variance_of_verdicts():
    """E 4 p (1 - p) over a normal angle, by drawing it."""
    sampler = arcus()
    sampler._angle[:] = [0.2, 0.7, 1.1, 1.5]
    sampler._variance[:] = [0.01, 0.1, 0.03, 0.002]
    drawn = np.random.default_rng(0).normal(
        sampler._angle, np.sqrt(sampler._variance), size=(400_000, 4)
    )
    rates = np.sin(drawn) ** 2
    np.testing.assert_allclose(sampler.scores(), (4 * rates * (1 - rates)).mean(axis=0), atol=2e-3)
    np.testing.assert_allclose(sampler.pass_rates(), rates.mean(axis=0), atol=2e-3)


def test_the_first_pass_shows_every_prompt_once():
    sampler = arcus(num_prompts=10)
    drawn = [sampler.draw(4).indices for _ in range(3)]
    assert sorted(np.concatenate([*drawn[:2], drawn[2][:2]]).tolist()) == list(range(10))
    assert len(set(drawn[2].tolist())) == 4


def test_weights_of_the_draw_are_exponential_in_the_score():
    counts = np.zeros(3)
    sampler = arcus(num_prompts=3, first_pass=False, temperature=0.5)
    sampler._angle[:] = [0.1, 0.5, 0.8]
    sampler._variance[:] = 1e-9
    for _ in range(20_000):
        counts[sampler.draw(1).indices] += 1
    # 4 p (1 - p) = sin(2 psi)^2
    weights = np.exp(np.sin(2 * np.array([0.1, 0.5, 0.8])) ** 2 / 0.5)
    np.testing.assert_allclose(counts / 20_000, weights / weights.sum(), atol=0.012)


def rising(num_batches, rates, *, logit_step, seed=0):
    """Groups of prompts whose logits rise by a step a batch."""
    rng = np.random.default_rng(seed)
    logits = np.log(rates / (1 - rates))
    for batch in range(num_batches):
        now = 1 / (1 + np.exp(-(logits + logit_step * batch)))
        yield [outcome(at, int(rng.binomial(8, rate))) for at, rate in enumerate(now)]


@pytest.mark.parametrize("logit_step", [0.0, 0.1])
def test_the_common_drift_is_found(logit_step):
    """psi' = v sin(2 psi) is p' = 4 v p (1 - p): logits rise by 4 v a batch."""
    sampler = arcus(num_prompts=400)
    rates = np.random.default_rng(1).uniform(0.1, 0.6, size=400)
    for batch, groups in enumerate(rising(12, rates, logit_step=logit_step)):
        sampler.due(batch)
        sampler.observe(groups)
    assert sampler.drift == pytest.approx(logit_step / 4, abs=0.01)


def test_angles_follow_the_flow_of_a_rising_pass_rate():
    sampler = arcus(num_prompts=3, random_walk=0.0)
    sampler.observe([outcome(0, 2), outcome(1, 6)])
    before = sampler.scores()
    angles = sampler._angle.copy()
    sampler._drift_sums = type(sampler._drift_sums)(moved=0.05, could=1.0)
    sampler.due(4)
    fine = angles.copy()
    for _ in range(40_000):
        fine += 0.05 * 4 / 40_000 * np.sin(2 * fine)
    found, _ = sampler._now(np.arange(3))
    np.testing.assert_allclose(found[:2], fine[:2], atol=1e-5)
    # A prompt never seen stays as it was, and the others do not.
    assert found[2] == angles[2]
    assert not np.allclose(sampler.scores()[:2], before[:2])


def test_an_unseen_batch_widens_what_is_known():
    sampler = arcus(random_walk=0.001)
    sampler.observe([outcome(0, 8)])
    before = sampler.scores()[0]
    sampler.due(30)
    assert sampler.scores()[0] > before


@pytest.mark.parametrize(
    ("key", "value"), [("angle", -0.1), ("variance", -1.0), ("variance", math.nan)]
)
def test_damaged_states_are_refused(key, value):
    state = arcus().state_dict()
    state["state"][key][0] = value
    with pytest.raises(StateError, match=key):
        arcus().load_state_dict(state)

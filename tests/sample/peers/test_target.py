import json
import math

import numpy as np
import pytest

from vasari.core.errors import ConfigError, DataError, StateError
from vasari.records import GroupOutcome
from vasari.sample import PoolFeatures, make_sampler

NAN = math.nan


def group(index, verdicts, *, purpose="train", rewards=None):
    verdicts = np.array(verdicts, dtype=np.float64)
    return GroupOutcome(
        index=index,
        rewards=verdicts if rewards is None else np.array(rewards),
        verdicts=verdicts,
        purpose=purpose,
    )


def sampler_of(difficulty, preset="adarft", *, seed=0, prompt_ids=None, **changes):
    features = PoolFeatures(difficulty=np.array(difficulty, dtype=np.float64))
    return make_sampler(
        "target",
        preset=preset,
        num_prompts=len(difficulty),
        seed=seed,
        prompt_ids=prompt_ids,
        features=features,
        **changes,
    )


def test_adarft_moves_the_target_by_the_distance_of_the_pass_rate_from_beta():
    sampler = sampler_of([0.1, 0.5, 0.9])
    # R = 3/4: 0 + 0.5 tanh(2 (0.75 - 0.5)) = 0.5 * 0.4621172.
    sampler.observe([group(0, [1, 1]), group(1, [1, 0, NAN]), group(2, [NAN, NAN])])
    assert sampler.target == pytest.approx(0.2310586, abs=1e-7)
    # R = 1: + 0.5 tanh(1) = 0.3807971.
    sampler.observe([group(0, [1])])
    assert sampler.target == pytest.approx(0.6118557, abs=1e-7)


def test_adarft_keeps_the_target_within_the_difficulties():
    sampler = sampler_of([0.1, 0.5])
    sampler.observe([group(0, [0, 0])])
    assert sampler.target == 0.0
    for _ in range(5):
        sampler.observe([group(0, [1, 1])])
    assert sampler.target == 1.0


def test_adarft_reads_no_refresh_no_format_reward_and_no_unverifiable_group():
    sampler = sampler_of([0.1, 0.5])
    sampler.observe([group(0, [1, 1], purpose="refresh"), group(1, [NAN, NAN])])
    assert sampler.target == 0.0
    sampler.observe([group(0, [1, 0], rewards=[2.0, 1.0])])
    assert sampler.target == 0.0


def test_adarft_draws_the_prompts_nearest_to_the_target():
    sampler = sampler_of([0.0, 0.25, 0.5, 0.75, 1.0], start=0.7)
    # Distances 0.7, 0.45, 0.2, 0.05, 0.3.
    assert sorted(sampler.draw(3).indices.tolist()) == [2, 3, 4]


def test_prompts_at_equal_distance_are_drawn_evenly():
    # 0.4 and 0.6 are equally far from 0.5, although their floating-point distances differ.
    sampler = sampler_of([0.4, 0.6, 0.4, 0.6, 0.9, 0.6], start=0.5)
    counts = np.zeros(6, dtype=int)
    for _ in range(10):
        np.add.at(counts, sampler.draw(2).indices, 1)
    assert counts.tolist() == [4, 4, 4, 4, 0, 4]


def test_an_unknown_difficulty_is_taken_for_the_median():
    sampler = sampler_of([0.0, NAN, 0.5, 1.0], start=0.5)
    assert sorted(sampler.draw(2).indices.tolist()) == [1, 2]


def test_dots_predicts_from_difficulty_own_rollouts_and_a_common_shift():
    sampler = sampler_of([0.2, 0.5], "dots", prior_weight=4.0, decay=0.5, shift_rate=0.1)
    np.testing.assert_allclose(sampler.predicted_rates(), [0.8, 0.5])
    sampler.observe([group(0, [1, 0, 0, 0])])
    # shift = 0.1 (0.25 - 0.8) = -0.055; (4 * 0.745 + 1) / (4 + 4) and 0.5 - 0.055.
    np.testing.assert_allclose(sampler.predicted_rates(), [0.4975, 0.445])
    sampler.observe([group(0, [1, 1, 1, 1], purpose="refresh"), group(1, [NAN, NAN])])
    # shift = 0.9 * -0.055 + 0.1 (1 - 0.8) = -0.0295; s = 0.5 + 4, n = 2 + 4: (4 * 0.7705 + 4.5) /
    # 10.
    np.testing.assert_allclose(sampler.predicted_rates(), [0.7582, 0.4705])


def test_dots_draws_by_the_exponential_of_the_distance_from_one_half():
    sampler = sampler_of([0.5, 0.3], "dots", temperature=0.1)
    # Weights 1 and exp(-0.2 / 0.1): 1 / (1 + 0.1353353) = 0.8807971.
    share = np.mean([sampler.draw(1).indices[0] == 0 for _ in range(2000)])
    assert abs(share - 0.8807971) < 6 * math.sqrt(0.8807971 * 0.1192029 / 2000)


def test_a_cold_dots_takes_the_nearest_although_all_weights_round_to_0():
    sampler = sampler_of([0.0, 0.1, 0.95, 1.0], "dots", temperature=1e-5)
    assert sampler.draw(3).indices.tolist()[:1] == [1]


def test_dots_needs_no_difficulty():
    sampler = make_sampler("target", preset="dots", num_prompts=3, seed=0)
    assert sampler.predicted_rates().tolist() == [0.5] * 3


def test_adarft_without_difficulty_is_refused():
    with pytest.raises(ConfigError, match="needs the difficulty of each prompt"):
        make_sampler("target", num_prompts=2, seed=0)
    with pytest.raises(DataError, match="the difficulty of all 2 prompts is unknown"):
        sampler_of([NAN, NAN])


@pytest.mark.parametrize("preset", ["adarft", "dots"])
def test_a_changed_pool_keeps_target_and_counts_by_id(preset):
    old = sampler_of([0.2, 0.5, 0.5], preset, prompt_ids="abc", start=0.5)
    old.observe([group(0, [1, 1, 1, 0])])
    old.draw(2)
    new = sampler_of([0.5, 0.2, 0.5], preset, prompt_ids="dac", start=0.5)
    new.load_state_dict(
        json.loads(json.dumps(old.state_dict(), default=lambda array: array.tolist())), remap=True
    )
    assert new.target == old.target
    shift = old.metrics()["sampler/shift"]
    np.testing.assert_allclose(new.predicted_rates()[[1, 2]], old.predicted_rates()[[0, 2]])
    assert new.predicted_rates()[0] == pytest.approx(0.5 + shift)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("target", 1.5),
        ("shift", math.nan),
        ("correct", [5.0, 0.0]),
        ("verified", [math.inf, 0.0]),
        ("num_drawn", [1]),
    ],
)
def test_a_damaged_state_is_refused_and_changes_nothing(key, value):
    one, other = sampler_of([0.2, 0.7]), sampler_of([0.2, 0.7])
    state = one.state_dict()
    state["state"][key] = value
    with pytest.raises(StateError, match="saved"):
        one.load_state_dict(state)
    assert (one.target, one.draw(1).indices.tolist()) == (
        other.target,
        other.draw(1).indices.tolist(),
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rule": "nearest"}, "rule must be one of adarft, dots"),
        ({"start": 2}, "start must be at least 0 and at most 1, got 2"),
        ({"temperature": 0.0}, "temperature must be above 0"),
    ],
)
def test_impossible_settings_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        sampler_of([0.1, 0.2], **changes)

"""Rewards by our verifier, as slime asks for them, and what it trains with."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import numpy as np
import pytest
import slime_training as training

from vasari.core.errors import ConfigError
from vasari.slime import center_rewards, reward
from vasari.slime.groups import scored_group


@pytest.fixture(autouse=True)
def stand_in():
    with training.importable(training.STAND_IN):
        yield


def sample(response="The answer is 12", label="12", **fields):
    from slime.utils.types import Sample

    status = fields.pop("status", "completed")
    known = {"prompt": "What is 5 + 7?", "tokens": [1, 2, 3], "response_length": 2}
    known["metadata"] = {"id": "a", "vasari_prompt_index": 3}
    return Sample(response=response, label=label, status=Sample.Status(status), **(known | fields))


def unreadable():
    return sample(label="?", metadata={"kind": "number", "vasari_prompt_index": 3})


def arguments(**changes):
    known = {
        "advantage_estimator": "grpo",
        "rewards_normalization": True,
        "grpo_std_normalization": True,
        "reward_key": None,
        "rollout_max_response_len": 8,
    }
    return SimpleNamespace(**(known | changes))


def rewarded(*samples, **changes):
    args = arguments(**changes)
    for one in samples:
        one.reward = asyncio.run(reward(args, one))
    return [one.reward for one in samples]


def test_correct_wrong_and_unverifiable():
    right, wrong, unknown = sample(), sample("It is 13"), unreadable()
    assert rewarded(right, wrong, unknown) == [1.0, 0.0, 0.0]
    assert [one.remove_sample for one in (right, wrong, unknown)] == [False, False, True]
    group = scored_group([right, wrong, unknown], arguments())
    np.testing.assert_array_equal(group.outcome(0).verdicts, [1.0, 0.0, np.nan])
    np.testing.assert_array_equal(group.outcome(0).rewards, [1.0, 0.0, np.nan])
    assert group.outcome(0).answers[:2] == ["12", "13"]
    assert group.rollouts[2].verdict.reason


def test_confidence_is_the_least_log_probability_of_a_rollout():
    samples = [sample(rollout_log_probs=[-0.5, -2.0]), sample(rollout_log_probs=None)]
    parts = [sample(rollout_log_probs=[-3.0]), sample(rollout_log_probs=[-1.0])]
    group = scored_group([*samples, parts], arguments())
    assert [rollout.confidence for rollout in group.rollouts] == [-2.0, None, -3.0]


def test_a_group_at_once():
    samples = [sample(), sample("It is 13")]
    assert asyncio.run(reward(arguments(), samples)) == [1.0, 0.0]


def test_a_choice_is_read_by_the_options_of_the_metadata():
    metadata = {"kind": "choice", "choices": ["red", "blue"]}
    assert rewarded(sample("So it is blue.", "B", metadata=metadata)) == [1.0]


def test_terms_weights_and_the_tag_that_the_prompt_opened():
    settings = {
        "rewards": ["accuracy", {"name": "format", "weight": 0.5}],
        "opened": "<think>",
    }
    text = "5 + 7</think><answer>\\boxed{12}</answer>"
    assert rewarded(sample(text), vasari=settings) == [1.5]
    assert rewarded(sample(text), vasari=settings | {"opened": ""}) == [1.0]


def test_the_length_limit_is_slime_s():
    settings = {"rewards": ["soft_overlong"]}
    # 8 tokens at most, a fifth of them is 1: free up to 7, -1 from 8 on (DAPO, eq. 13).
    assert rewarded(sample(tokens=[1] * 9, response_length=8), vasari=settings) == [-1.0]


def of_short_texts(text):
    """Says nothing of what is longer."""
    return 1.0 if len(text) < 10 else None


def test_a_rollout_of_which_a_reward_says_nothing_leaves_the_baseline():
    silent, one, other = sample(), sample("12"), sample("13")
    settings = {"rewards": ["accuracy", {"name": f"{__name__}:of_short_texts"}]}
    assert rewarded(silent, one, other, vasari=settings) == [0.0, 2.0, 1.0]
    assert [part.remove_sample for part in (silent, one, other)] == [True, False, False]
    for part in (silent, one, other):
        part.group_index = 0
    without_deviation = arguments(grpo_std_normalization=False)
    assert center_rewards(without_deviation, [silent, one, other])[1] == [0.0, 0.5, -0.5]
    outcome = scored_group([silent, one, other], arguments()).outcome(0)
    np.testing.assert_array_equal(outcome.rewards, [np.nan, 2.0, 1.0])


def test_a_reward_that_is_not_known_is_refused():
    with pytest.raises(ConfigError, match="acuracy"):
        rewarded(sample(), vasari={"rewards": ["acuracy"]})


def test_means_leave_out_what_cannot_be_verified():
    right, wrong, unknown, other = sample(), sample("13"), unreadable(), sample("14")
    rewarded(right, wrong, unknown, other)
    for place, one in enumerate((right, wrong, unknown, other)):
        one.group_index = place // 3
    raw, trained = center_rewards(
        arguments(grpo_std_normalization=False), [right, wrong, unknown, other]
    )
    assert raw == [1.0, 0.0, 0.0, 0.0]
    assert trained == [0.5, -0.5, 0.0, 0.0]


@pytest.mark.parametrize("estimator", ["grpo", "reinforce_plus_plus_baseline", "ppo"])
@pytest.mark.parametrize("scaled", [True, False])
def test_verifiable_rewards_are_centered_as_slime_does(estimator, scaled):
    torch = pytest.importorskip("torch")
    rows = torch.tensor([[1.0, 0.0, 0.0, 1.0], [1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.5, 1.0]])
    samples = [
        sample(reward=value, group_index=group)
        for group, row in enumerate(rows.tolist())
        for value in row
    ]
    expected = rows
    if estimator != "ppo":
        expected = rows - rows.mean(dim=-1, keepdim=True)
    if estimator == "grpo" and scaled:
        expected = expected / (rows.std(dim=-1, keepdim=True) + 1e-6)
    args = arguments(advantage_estimator=estimator, grpo_std_normalization=scaled)
    np.testing.assert_allclose(
        center_rewards(args, samples)[1], expected.flatten().tolist(), rtol=1e-6, atol=1e-6
    )


class TestRewardsOfSomebodyElse:
    def test_half_or_more_is_correct_and_none_is_neither(self):
        samples = [sample(reward=value) for value in (1.0, 0.5, -1.0, None)]
        verdicts = scored_group(samples, arguments()).outcome(0).verdicts
        np.testing.assert_array_equal(verdicts, [1.0, 1.0, 0.0, np.nan])

    def test_one_of_several_by_its_key(self):
        samples = [sample(reward={"score": 1.0, "length": 0.0}), sample(reward={"length": 1.0})]
        verdicts = scored_group(samples, arguments(reward_key="score")).outcome(0).verdicts
        np.testing.assert_array_equal(verdicts, [1.0, np.nan])

    def test_an_execution_that_was_cut_into_samples_is_one_rollout(self):
        parts = [sample("first ", reward=0.5), sample("second", reward=0.5, tokens=[7, 8, 9])]
        group = scored_group([parts, [sample(reward=0.0)]], arguments())
        assert group.rollouts[0].text == "first second"
        assert group.rollouts[0].token_ids.tolist() == [2, 3, 8, 9]
        np.testing.assert_array_equal(group.outcome(0).rewards, [1.0, 0.0])

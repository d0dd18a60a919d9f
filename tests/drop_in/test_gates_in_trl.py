"""What a gate decides is what TRL trains on, and what is logged: advantages, rewards and counts
beside a hand calculation."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset

from vasari.core.errors import ConfigError, VasariError
from vasari.records import Admission
from vasari.sample import Gate
from vasari.trl import LoopOptions, VarianceAwareGRPOTrainer

TWO_STAGE = {"name": "two_stage", "num_screening": 2, "num_rollouts": 4}


@pytest.fixture
def make(text_folder, small, tmp_path):
    """A trainer of ours on text prompts, without KL."""

    def made(rewards: Any = None, kind: Any = VarianceAwareGRPOTrainer, **options: Any) -> Any:
        config = small.config(tmp_path / "run", **({"beta": 0.0} | options.pop("config", {})))
        pool = Dataset.from_list(small.text_rows(24))
        options = {"sampler": "uniform"} | options
        return kind(str(text_folder), rewards or small.even_sum, config, pool, **options)

    return made


class Refusing(Gate):
    """Refuses every group, and asks for others."""

    def admit(self, outcomes: Any) -> Admission:
        return Admission(np.zeros(len(outcomes), dtype=bool), redraw=len(outcomes))


class RefusingWhole(Gate):
    """Lets every screening go on, and refuses every whole group."""

    num_screening = 2
    num_rollouts = 4

    def admit(self, outcomes: Any) -> Admission:
        more = np.array([4 - group.num_rollouts for group in outcomes])
        return Admission(np.zeros(len(outcomes), dtype=bool), more=more)


@pytest.mark.parametrize("scale", ["group", "batch", "none"])
@pytest.mark.parametrize("gate", [Refusing, RefusingWhole])
def test_groups_that_a_gate_refuses_move_no_weight(make, small, gate, scale):
    trainer = make(gate=gate(), config={"scale_rewards": scale})
    before = small.weights_of(trainer)
    trainer.train()
    assert [row["grad_norm"] for row in small.logged(trainer) if "loss" in row] == [0.0] * 3
    assert all(
        torch.equal(before[name], value) for name, value in small.weights_of(trainer).items()
    )
    spent = trainer.loop.run.ledger.rollouts
    assert spent["train"] == 0
    assert spent["discarded"] > 0


def test_of_a_batch_only_the_admitted_groups_train(make):
    class First(Gate):
        def admit(self, outcomes: Any) -> Admission:
            return Admission(np.arange(len(outcomes)) == 0)

    trainer = make(gate=First())
    trainer.model.train()
    advantages = trainer._generate_and_score_completions([{}] * 12)["advantages"].view(3, 4)
    assert advantages[0].abs().max() > 0
    assert advantages[1:].abs().max() == 0


def test_advantages_over_a_batch_are_of_the_groups_that_train_and_not_of_what_fills_it(make, small):
    kept: list[Any] = []
    options = LoopOptions(max_generations=1, record=lambda groups, _: kept.extend(groups))
    trainer = make(gate=TWO_STAGE, config={"scale_rewards": "batch"}, options=options)
    trainer.model.train()
    filled = 0
    for _ in range(6):
        kept.clear()
        advantages = (
            trainer._generate_and_score_completions([{}] * 12)["advantages"].view(3, 4).numpy()
        )
        rewards = np.array(
            [[r.reward.total for r in group.rollouts] for group in kept if group.purpose == "train"]
        )
        if not len(rewards):
            assert not advantages.any()
            continue
        filled += 3 - len(rewards)
        expected = (rewards - rewards.mean(axis=1, keepdims=True)) / (rewards.std(ddof=1) + 1e-4)
        np.testing.assert_allclose(advantages[: len(rewards)], expected, rtol=1e-5)
        assert not advantages[len(rewards) :].any()
        assert trainer._metrics["train"]["reward"][-1] == pytest.approx(rewards.mean())
    assert filled > 0


def test_a_rollout_is_rewarded_once_also_where_a_screening_goes_on(make):
    """A reward may be bought, or be noisy: what it said in the screening is what trains."""
    rng, said = np.random.default_rng(0), []

    def noisy(completions: Any, log_extra: Any, **_: Any) -> list[float]:
        values = rng.integers(0, 2, size=len(completions)).astype(float).tolist()
        log_extra("said", values)
        said.extend(values)
        return values

    kept: list[Any] = []
    options = LoopOptions(record=lambda groups, _: kept.extend(groups))
    trainer = make(noisy, gate=TWO_STAGE, options=options, config={"log_completions": True})
    trainer.train()
    rollouts = [rollout for group in kept for rollout in group.rollouts]
    assert len(said) == len(rollouts) == sum(trainer.loop.run.ledger.rollouts.values())
    assert sorted(said) == sorted(rollout.reward.total for rollout in rollouts)
    assert all(rollout.verdict.value == rollout.reward.total for rollout in rollouts)
    for group in kept:
        screened = [rollout.reward.total for rollout in group.rollouts[:2]]
        assert (set(screened) == {0.0, 1.0}) == (
            len(group.rollouts) == 4
        ) or group.purpose == "screen"


def test_a_rollout_function_may_say_more_of_each_rollout(make):
    def rollout(prompts: Any, trainer: Any) -> dict[str, Any]:
        ids = [trainer.processing_class(prompt[0]["content"])["input_ids"] for prompt in prompts]
        said = [torch.randint(5, 50, (6,)).tolist() for _ in prompts]
        bonus = [float(sum(own) % 2) for own in said]
        return {
            "prompt_ids": ids,
            "completion_ids": said,
            "logprobs": [[-1.0] * 6 for _ in said],
            "bonus": bonus,
        }

    def needs(completion_ids: Any, bonus: list[float], **_: Any) -> list[float]:
        assert bonus == [float(sum(own) % 2) for own in completion_ids]
        return bonus

    for gate in ("all", "mixed", TWO_STAGE):
        trainer = make(needs, gate=gate, rollout_func=rollout)
        trainer.train()
        assert trainer.loop.run.ledger.rollouts["train"] > 0


def odd(completion_ids: Any, **_: Any) -> list[float]:
    return [float(sum(ids) % 2) for ids in completion_ids]


def twice_even(completion_ids: Any, **_: Any) -> list[float]:
    return [2.0 - 2.0 * (sum(ids) % 2) for ids in completion_ids]


def test_rewards_that_trl_normalises_before_it_adds_them_are_what_a_gate_sees(make, small):
    """Their plain sum is the same for all rollouts, so that no group would ever have variance."""
    config = {"multi_objective_aggregation": "normalize_then_sum", "reward_weights": [1.0, 0.5]}
    kept: list[Any] = []
    options = LoopOptions(max_generations=20, record=lambda groups, _: kept.extend(groups))
    trainer = make([odd, twice_even], gate="mixed", config=config, options=options)
    trainer.model.train()
    advantages = trainer._generate_and_score_completions([{}] * 12)["advantages"].numpy()
    groups = [group for group in kept if group.purpose == "train"]
    assert len(groups) == 3
    assert trainer._metrics["train"]["zero_variance_share"][-1] < 1
    for group in groups:
        raw = np.array(odd([r.token_ids for r in group.rollouts]))
        normalised = (raw - raw.mean()) / (raw.std(ddof=1) + 1e-4) - 0.5 * (
            2 * raw - 2 * raw.mean()
        ) / (2 * raw.std(ddof=1) + 1e-4)
        np.testing.assert_allclose([r.reward.total for r in group.rollouts], normalised, atol=1e-9)
        assert [
            r.verdict.value for r in group.rollouts
        ] == raw.tolist()  # read from what the function said
    assert np.abs(advantages).min() > 0


def test_two_reward_functions_of_one_name_are_two_terms_and_the_first_says_what_is_correct(make):
    def reward(sign: float) -> Any:
        def r(completion_ids: Any, **_: Any) -> list[float]:
            return [sign * (1.0 + sum(ids) % 2) for ids in completion_ids]

        return r

    kept: list[Any] = []
    make(
        [reward(1.0), reward(-3.0)],
        options=LoopOptions(record=lambda groups, _: kept.extend(groups)),
    ).train()
    for rollout in (rollout for group in kept for rollout in group.rollouts):
        own = 1.0 + sum(rollout.token_ids) % 2
        assert rollout.reward.breakdown == {"r": own, "r-2": -3.0 * own}
        assert (rollout.reward.total, rollout.verdict.value) == (-2.0 * own, 1.0)
    with pytest.raises(ConfigError, match="'r', the name of several reward functions"):
        make([reward(1.0), reward(-3.0)], verdict_from="r")


@pytest.mark.parametrize(("low", "high", "word"), [(0.0, 0.2, "incorrect"), (0.6, 0.9, "correct")])
def test_rewards_that_all_read_alike_are_warned_about_once(make, caplog, low, high, word):
    def shaped(completion_ids: Any, **_: Any) -> list[float]:
        return [high if sum(ids) % 2 else low for ids in completion_ids]

    with caplog.at_level(logging.WARNING, logger="vasari"):
        make(shaped).train()
    said = [record.getMessage() for record in caplog.records if "shaped" in record.getMessage()]
    assert len(said) == 1
    assert (
        f"all 12 of them read as {word}, since 0.5 or more is correct and less is not; pass"
        " verdict_from" in said[0]
    )


def test_a_line_of_the_log_has_the_latest_counts_and_the_mean_of_shares(make, small):
    trainers = []
    for every in (1, 3):  # TRL seeds torch when a trainer is made
        trainers.append(
            make(sampler="vas", gate="mixed", config={"logging_steps": every, "max_steps": 6})
        )
        trainers[-1].train()
    each, together = trainers
    single, windows = ([row for row in small.logged(t) if "loss" in row] for t in (each, together))
    assert [len(single), len(windows)] == [6, 2]
    for place, row in enumerate(windows):
        own = single[3 * place : 3 * place + 3]
        for name in row:
            if name.startswith(("ledger/", "sampler/")) or name == "batch":
                assert row[name] == own[-1][name] or np.isnan(row[name])
        for name in ("zero_variance_share", "trained_share", "generations"):
            assert row[name] == pytest.approx(np.mean([one[name] for one in own]))
    assert windows[-1]["ledger/rollouts/train"] == together.loop.run.ledger.rollouts["train"]


def test_dropping_rollouts_is_refused_where_others_tokens_are_ranked_with_theirs(make):
    config = {"top_entropy_quantile": 0.2}
    assert make(config=config) is not None
    with pytest.raises(ConfigError, match="top_entropy_quantile"):
        make(config=config, options=LoopOptions(drop_zero_advantage=True))


def test_a_sampler_s_seed_may_be_its_own(make):
    one, other = (
        make(sampler={"name": "uniform", "seed": seed}).prompt_sampler.draw(8).indices.tolist()
        for seed in (1, 2)
    )
    assert one != other
    with pytest.raises(VasariError, match="24 prompt ids for 3 prompts"):
        make(sampler={"name": "uniform", "num_prompts": 3})


def test_a_reward_function_that_is_essential_takes_its_rollouts_out_of_trl_s_baseline_too(make):
    def sometimes(completion_ids: Any, **_: Any) -> list[float | None]:
        return [None if sum(ids) % 3 == 0 else float(sum(ids) % 2) for ids in completion_ids]

    kept: list[Any] = []
    options = LoopOptions(essential=("sometimes",), record=lambda groups, _: kept.extend(groups))
    trainer = make([sometimes, odd], options=options, config={"scale_rewards": "none"})
    trainer.model.train()
    advantages = trainer._generate_and_score_completions([{}] * 12)["advantages"].view(3, 4).numpy()
    rewards = np.array([[r.reward.total for r in group.rollouts] for group in kept])
    assert np.isnan(rewards).any()
    np.testing.assert_allclose(
        advantages, np.nan_to_num(rewards - np.nanmean(rewards, axis=1, keepdims=True)), atol=1e-6
    )


def test_what_a_subclass_makes_of_rewards_is_what_is_learnt(make):
    class Halved(VarianceAwareGRPOTrainer):
        def _calculate_rewards(self, *inputs: Any) -> torch.Tensor:
            return super()._calculate_rewards(*inputs) / 2

    advantages = []
    for kind in (VarianceAwareGRPOTrainer, Halved):
        trainer = make(kind=kind, config={"scale_rewards": "none"})
        trainer.model.train()
        advantages.append(trainer._generate_and_score_completions([{}] * 12)["advantages"])
    assert advantages[0].abs().max() > 0
    assert torch.equal(advantages[1], advantages[0] / 2)

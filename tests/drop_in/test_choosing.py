"""What the drop-in trainer adds to TRL's: who is drawn, what is observed, and how verdicts are
found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset

from vasari.records import Draw, GroupOutcome, Outcome, Verdict
from vasari.sample import PromptSampler
from vasari.train.group_file import read_groups
from vasari.trl import GroupLog, LoopOptions, VarianceAwareGRPOTrainer


class InOrder(PromptSampler):
    """Draws the pool in order; remembers what it observes; wants some prompts scored before some
    batches."""

    def __init__(self, num_prompts: int, due: Mapping[int, Sequence[int]] | None = None) -> None:
        super().__init__(num_prompts=num_prompts, seed=0)
        self.seen: list[GroupOutcome] = []
        self._wanted = due or {}
        self._next = 0

    @property
    def num_rollouts_due(self) -> int:
        return 3

    def due(self, batch: int) -> Any:
        return np.array(self._wanted.get(batch, ()), dtype=np.int64)

    def metrics(self) -> dict[str, float]:
        return {"sampler/next": float(self._next)}

    def _draw(self, num_prompts: int) -> Draw:
        indices = (self._next + np.arange(num_prompts)) % self.num_prompts
        self._next += num_prompts
        return Draw(indices, ("uniform",) * num_prompts)

    def _observe(self, groups: Sequence[GroupOutcome]) -> None:
        self.seen += groups

    def _state(self) -> dict[str, Any]:
        return {"next": self._next}

    def _restore(self, state: Mapping[str, Any], origin: Any) -> None:
        self._next = int(state["next"])


@pytest.fixture
def trained(text_folder, small, tmp_path):
    """A finished training of ours on text prompts."""

    def train(name: str = "run", rewards: Any = None, rows: Any = None, **options: Any) -> Any:
        config = small.config(tmp_path / name, **options.pop("config", {}))
        pool = Dataset.from_list(rows or small.text_rows())
        trainer = VarianceAwareGRPOTrainer(
            str(text_folder), rewards or small.even_sum, config, pool, **options
        )
        trainer.train()
        return trainer

    return train


def test_every_group_is_observed_in_the_order_of_the_draw_with_trl_s_rewards(trained, small):
    sampler = InOrder(12)
    config = {"reward_weights": [1.0, 0.5], "per_device_train_batch_size": 24}
    trainer = trained(rewards=[small.even_sum, small.first_token], sampler=sampler, config=config)
    assert [group.index for group in sampler.seen] == [n % 12 for n in range(18)]
    assert {(group.batch, group.purpose) for group in sampler.seen} == {
        (0, "train"),
        (1, "train"),
        (2, "train"),
    }
    for group in sampler.seen:
        even = small.even_sum(None, group.token_ids)
        first = [0.5 * (value or 0.0) for value in small.first_token(group.token_ids)]
        np.testing.assert_allclose(group.rewards, np.add(even, first), atol=1e-6)
        assert group.verdicts.tolist() == even
    assert trainer.loop.run.ledger.rollouts == {
        "train": 72,
        "refresh": 0,
        "screen": 0,
        "discarded": 0,
    }
    assert [row["sampler/next"] for row in small.logged(trainer) if "loss" in row] == [
        6.0,
        12.0,
        18.0,
    ]


def test_the_verdict_is_that_of_the_function_that_is_named(trained, small):
    sampler = InOrder(12)
    trained(rewards=[small.first_token, small.even_sum], sampler=sampler, verdict_from="even_sum")
    assert {group.index: group.verdicts.tolist() for group in sampler.seen[:3]} == {
        group.index: small.even_sum(None, group.token_ids) for group in sampler.seen[:3]
    }


def test_a_reward_of_none_is_no_verdict(trained, small):
    sampler = InOrder(12)
    trained(rewards=[small.first_token, small.even_sum], sampler=sampler)
    for group in sampler.seen:
        first = [
            np.nan if value is None else float(value >= 0.5)
            for value in small.first_token(group.token_ids)
        ]
        np.testing.assert_array_equal(group.verdicts, first)
        assert not np.isnan(group.rewards).any()


def test_verdicts_may_be_made_of_all_rewards(trained, small):
    sampler = InOrder(12)
    both = lambda rewards: (rewards["even_sum"] > 0) & (rewards["first_token"] > 0.3)  # noqa: E731
    trained(rewards=[small.even_sum, small.first_token], sampler=sampler, verdict_from=both)
    for group in sampler.seen:
        first = np.array([value or 0.0 for value in small.first_token(group.token_ids)])
        assert group.verdicts.tolist() == [
            float(even and value > 0.3)
            for even, value in zip(small.even_sum(None, group.token_ids), first, strict=True)
        ]


def test_a_verifier_speaks_before_the_rewards_and_what_it_cannot_tell_leaves_the_baseline(
    trained, small
):
    sampler = InOrder(12)

    def verify(row: Mapping[str, Any], text: str) -> Verdict:
        kinds = (Outcome.CORRECT, Outcome.INCORRECT, Outcome.UNVERIFIABLE)
        return Verdict(kinds[sum(map(ord, text)) % 3], extraction=row["answer"])

    def paid(verdict: list[Verdict], **_: Any) -> list[float]:
        return [2.0 if own.outcome is Outcome.CORRECT else -1.0 for own in verdict]

    trainer = trained(
        rewards=[paid, small.even_sum],
        sampler=sampler,
        verify=verify,
        config={"scale_rewards": "none"},
    )
    kinds = np.concatenate([group.verdicts for group in sampler.seen])
    assert {0.0, 1.0} <= set(kinds[~np.isnan(kinds)])
    assert np.isnan(kinds).any()
    for group in sampler.seen:
        paid_for = np.where(group.verdicts == 1, 2.0, -1.0) + small.even_sum(None, group.token_ids)
        np.testing.assert_allclose(
            group.rewards, np.where(np.isnan(group.verdicts), np.nan, paid_for)
        )
        assert list(group.answers) == [str(group.index + 2)] * 4
    assert trainer.state.log_history[0]["unverifiable_share"] == pytest.approx(
        np.isnan(kinds[:12]).mean()
    )


def test_an_unverifiable_rollout_has_no_advantage_and_moves_no_other(text_folder, small, tmp_path):
    def verify(row: Mapping[str, Any], text: str) -> Verdict:
        return Verdict(
            (Outcome.CORRECT, Outcome.INCORRECT, Outcome.UNVERIFIABLE)[sum(map(ord, text)) % 3]
        )

    def always(completions: Any, **_: Any) -> list[float]:
        return [float(place) for place, _ in enumerate(completions)]

    config = small.config(tmp_path, scale_rewards="none")
    pool = Dataset.from_list(small.text_rows())
    sampler = InOrder(12)
    trainer = VarianceAwareGRPOTrainer(
        str(text_folder), always, config, pool, sampler=sampler, verify=verify
    )
    trainer.model.train()
    batch = trainer._generate_and_score_completions([{}] * 12)
    rewards = np.array([group.rewards for group in sampler.seen])
    expected = np.nan_to_num(rewards - np.nanmean(rewards, axis=1, keepdims=True))
    np.testing.assert_allclose(batch["advantages"].view(3, 4), expected, atol=1e-6)
    assert np.isnan(rewards).any()


def test_a_refresh_is_charged_observed_and_leaves_training_as_it_was(trained, small):
    alone, scored = InOrder(12), InOrder(12, due={0: range(12), 2: [5, 1]})
    plain, refreshed = trained("plain", sampler=alone), trained("refreshed", sampler=scored)
    assert [
        (group.index, group.batch, group.num_rollouts)
        for group in scored.seen
        if group.purpose == "refresh"
    ] == [
        *((index, 0, 3) for index in range(12)),
        (5, 2, 3),
        (1, 2, 3),
    ]
    assert refreshed.loop.run.ledger.rollouts == {
        "train": 36,
        "refresh": 42,
        "screen": 0,
        "discarded": 0,
    }
    changed = ("ledger/rollouts/refresh", "ledger/tokens/refresh")
    numbers = [
        [
            {name: value for name, value in row.items() if name not in changed}
            for row in small.logged(trainer)
        ]
        for trainer in (plain, refreshed)
    ]
    assert numbers[0] == numbers[1]
    assert all(
        torch.equal(one, other)
        for one, other in zip(
            *(small.weights_of(t).values() for t in (plain, refreshed)), strict=True
        )
    )


def test_refreshed_rollouts_are_scored_by_the_user_s_rewards(trained, small):
    sampler = InOrder(12, due={0: [3, 7, 1]})
    trained(rewards=[small.even_sum, small.first_token], sampler=sampler)
    for group in (group for group in sampler.seen if group.purpose == "refresh"):
        first = [value or 0.0 for value in small.first_token(group.token_ids)]
        np.testing.assert_allclose(
            group.rewards, np.add(small.even_sum(None, group.token_ids), first), atol=1e-6
        )


def test_vas_scores_the_pool_at_the_start_and_draws_by_it(trained):
    trainer = trained(
        sampler={"name": "vas", "refresh_every": 10, "num_refresh_rollouts": 4, "mix_ratio": 1.0}
    )
    assert trainer.loop.run.ledger.rollouts["refresh"] == 48
    assert trainer.prompt_sampler.observed_groups == 12


def test_a_gate_fills_the_batch_with_groups_that_have_variance(trained, small):
    def rarely(completion_ids: Any, **_: Any) -> list[float]:
        return [float(sum(ids) % 8 == 0) for ids in completion_ids]

    sampler = InOrder(12)
    trainer = trained(
        rewards=rarely, sampler=sampler, gate="mixed", options=LoopOptions(max_generations=20)
    )
    spent = trainer.loop.run.ledger.rollouts
    assert spent["train"] == 36
    assert spent["discarded"] == 4 * sum(len(set(group.rewards)) == 1 for group in sampler.seen) > 0


def test_groups_can_be_kept_on_disk(trained, small, tmp_path):
    rows = small.text_rows()
    log = GroupLog(tmp_path / "groups", [row["id"] for row in rows])
    trained(
        rewards=[small.even_sum, small.first_token],
        sampler=InOrder(12),
        options=LoopOptions(record=log),
    )
    kept = read_groups(tmp_path / "groups").to_pylist()
    assert [row["prompt_id"] for row in kept] == [f"t{n}" for n in range(9)]
    assert {name for name, _ in kept[0]["reward_terms"]} == {"even_sum", "first_token"}


@pytest.mark.parametrize("loss_type", ["grpo", "dr_grpo", "dapo"])
def test_dropping_rollouts_without_advantage_changes_no_weight(trained, small, loss_type):
    def rarely(completion_ids: Any, **_: Any) -> list[float]:
        return [float(sum(ids) % 16 == 0) for ids in completion_ids]

    config = {
        "loss_type": loss_type,
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 3,
    }
    whole, dropped = (
        trained(
            str(drop),
            rewards=rarely,
            sampler=InOrder(12),
            config=config,
            options=LoopOptions(drop_zero_advantage=drop),
        )
        for drop in (False, True)
    )
    shares = [row["zero_variance_share"] for row in small.logged(whole) if "loss" in row]
    assert max(shares) > 0
    assert min(shares) < 1
    for one, other in zip(
        small.weights_of(whole).values(), small.weights_of(dropped).values(), strict=True
    ):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)

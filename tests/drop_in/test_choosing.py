"""What the drop-in trainer adds to TRL's: who is drawn, what is observed, and how verdicts are
found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset, IterableDataset
from trl import GRPOConfig

from vasari.core.errors import ConfigError
from vasari.records import Draw, GroupOutcome, Outcome, Verdict
from vasari.sample import MixedGate, PromptSampler, UniformSampler, VarianceAwareSettings
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


@pytest.fixture
def made(text_folder, small, tmp_path):
    """A trainer of ours that is not trained."""

    def make(pool: Any = None, **options: Any) -> Any:
        config = small.config(tmp_path / "made", **options.pop("config", {}))
        pool = Dataset.from_list(small.text_rows()) if pool is None else pool
        return VarianceAwareGRPOTrainer(str(text_folder), small.even_sum, config, pool, **options)

    return make


@pytest.mark.parametrize(
    ("sampler", "kind"),
    [
        ("progress", "progress"),
        ({"name": "vas", "refresh": "online"}, "vas"),
        (VarianceAwareSettings(refresh="online", mix_ratio=0.25), "vas"),
        (UniformSampler(num_prompts=12, seed=4), "uniform"),
    ],
    ids=["name", "mapping", "settings", "object"],
)
def test_a_sampler_is_a_name_settings_or_an_object(made, sampler, kind):
    trainer = made(sampler=sampler)
    assert trainer.prompt_sampler.name == kind
    if kind == "vas":
        assert trainer.prompt_sampler.settings.refresh == "online"


def test_a_gate_is_a_name_settings_or_an_object(made):
    assert [
        made(gate=gate).loop.run.gate.name
        for gate in ("mixed", {"name": "two_stage", "num_rollouts": 4, "num_screening": 2})
    ] == [
        "mixed",
        "two_stage",
    ]
    gate = MixedGate()
    assert made(gate=gate).loop.run.gate is gate


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampler": "best"}, "sampler must be one of uniform, vas, .*; got 'best'"),
        (
            {"sampler": UniformSampler(num_prompts=5, seed=0)},
            "the sampler is over 5 prompts, and the pool has 12",
        ),
        ({"sampler": {"name": "vas", "mix": 1}}, "sampler 'vas' has no setting 'mix'"),
        (
            {"sampler": 3},
            "sampler must be a name, a mapping with 'name' and settings, or an object, got 3",
        ),
        ({"gate": "dapo"}, "gate must be one of all, mixed, two_stage.*got 'dapo'"),
        (
            {"gate": {"name": "two_stage", "num_rollouts": 8}},
            "groups of 8 rollouts and this training's have 4",
        ),
        (
            {"verdict_from": "accuracy"},
            (
                "verdict_from must be one of the reward functions even_sum, or a function; got"
                " 'accuracy'"
            ),
        ),
        ({"verdict_from": "even_sum", "verify": lambda row, text: None}, "not both"),
        (
            {"pool": Dataset.from_list([{"prompt": "a"}] * 2)},
            "the pool has 2 prompts and a batch draws 3",
        ),
        (
            {"pool": Dataset.from_list([])},
            "train_dataset must be a datasets.Dataset with at least one row",
        ),
        (
            {"pool": IterableDataset.from_generator(lambda: iter([{"prompt": "a"}]))},
            "train_dataset is a stream",
        ),
        ({"prompt_ids": ["a"] * 12}, "prompt ids must be unique, 'a' stands twice"),
        (
            {"environment_factory": object, "sampler": "vas"},
            "no prompt can be rolled out outside a batch",
        ),
        (
            {"options": LoopOptions(drop_zero_advantage=True), "config": {"loss_type": "bnpo"}},
            "loss_type is 'bnpo'",
        ),
        (
            {"options": LoopOptions(drop_zero_advantage=True), "config": {"entropy_coef": 0.1}},
            "an entropy bonus",
        ),
    ],
    ids=lambda value: str(next(iter(value))) if isinstance(value, dict) else "",
)
def test_what_does_not_fit_is_one_line(made, options, message):
    with pytest.raises(ValueError, match=message):
        made(**options)


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


def test_the_pool_is_known_by_its_ids_or_by_its_prompts(made, small):
    rows = small.text_rows()
    for renamed in (
        rows,
        [{"prompt": row["prompt"]} for row in rows],
        [{**row, "id": "same"} for row in rows],
    ):
        one, other = (
            made(pool=Dataset.from_list(list(renamed)), sampler="uniform") for _ in range(2)
        )
        assert (
            one.prompt_sampler.state_dict()["pool"]["fingerprint"]
            == other.prompt_sampler.state_dict()["pool"]["fingerprint"]
        )
        shorter = made(pool=Dataset.from_list(list(renamed[1:])), sampler="uniform")
        with pytest.raises(Exception, match="another pool"):
            shorter.prompt_sampler.load_state_dict(one.prompt_sampler.state_dict())


def test_equal_prompts_have_ids_of_their_own(made):
    trainer = made(pool=Dataset.from_list([{"prompt": "same"}] * 6), sampler="uniform")
    assert trainer.prompt_sampler.num_prompts == 6


def test_the_defaults_of_grpo_config_serve_when_none_is_given(
    text_folder, small, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="the pool has 1 prompts"):
        VarianceAwareGRPOTrainer(
            str(text_folder),
            small.even_sum,
            GRPOConfig(
                "here", use_cpu=True, bf16=False, report_to=[], per_device_train_batch_size=16
            ),
            Dataset.from_list(small.text_rows(1)),
        )

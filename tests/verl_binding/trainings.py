"""What a training in verl is told, and what it leaves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import scenario

HERE = Path(__file__).parent


@dataclass
class Run:
    """A training that ended, or was killed."""

    folder: Path
    output: str

    @property
    def problem(self) -> str:
        """The error that ended it; empty where none did."""
        found = self.folder / "problem.txt"
        return found.read_text() if found.exists() else f"killed\n{self.output[-4000:]}"

    @property
    def log(self) -> list[dict[str, float]]:
        """The numbers of each step, as verl's file logger wrote them."""
        lines = (self.folder / "log.jsonl").read_text().splitlines()
        return [{"step": row["step"], **row["data"]} for row in map(json.loads, lines)]

    @property
    def rolled_out(self) -> list[dict[str, int]]:
        """Every group that was rolled out: its step, place and number of rollouts."""
        lines = (self.folder / "rolled_out.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def groups(self) -> list[dict[str, Any]]:
        """Every observed group, in the order in which it was shown, as `vasari.groups` stores it."""
        from vasari.train.group_file import read_groups

        found: list[dict[str, Any]] = read_groups(self.folder / "groups").to_pylist()
        return found

    def drawn(self) -> list[list[int]]:
        """The prompts of each batch, as places in the pool."""
        batches: dict[int, list[int]] = {}
        for group in self.groups():
            if group["purpose"] != "refresh":
                batches.setdefault(group["batch"], []).append(group["prompt_index"])
        return [batches[batch] for batch in sorted(batches)]

    @property
    def advantages(self) -> list[dict[str, list[float]]]:
        """For each update the advantage of every token, by verl's key of the rollout."""
        found: list[dict[str, list[float]]] = json.loads(
            (self.folder / "advantages.json").read_text()
        )
        return found

    @property
    def fields(self) -> list[list[str]]:
        """For each update the names of what there was of every rollout."""
        found: list[list[str]] = json.loads((self.folder / "fields.json").read_text())
        return found


@dataclass
class Order:
    """A training to run: overrides of verl's configuration, and what the script must know."""

    overrides: Sequence[str]
    folder: Path | None = None
    visits: Mapping[int, int] = field(default_factory=dict)
    """Groups of each prompt before it begins."""
    dies_in_update: int = 0
    fails: Mapping[int, int] = field(default_factory=dict)
    """How many rollouts of a prompt's groups fail."""
    refresh_every: int = 0
    num_refresh_rollouts: int = 0


FILTERED = "algorithm.filter_groups.enable=True"
ENDLESS = "+vasari.max_generations=0"


def settings(name: str) -> list[str]:
    """Overrides that name a sampler and its settings of the scenario."""
    given = {"name": name, **scenario.SAMPLERS[name]}
    return [f"+vasari.sampler.{key}={value}" for key, value in given.items()]


def of_scenario(name: str, *overrides: str, **more: Any) -> Order:
    """A training of the scenario with the sampler of this name."""
    known = scenario.SAMPLERS[name]
    return Order(
        [*settings(name), *overrides],
        refresh_every=known.get("refresh_every", 0),
        num_refresh_rollouts=known.get("num_refresh_rollouts", 0),
        **more,
    )


def basic_overrides(model: Path, data: Path, loops: Path, out: Path) -> list[str]:
    """What is not of a launch script: a small model, one worker of each kind, no GPU."""
    return [
        "trainer.v1.trainer_mode=vasari",
        f"data.train_files={data}",
        f"data.val_files={data}",
        f"data.train_batch_size={scenario.PROMPTS_A_BATCH}",
        f"data.seed={scenario.SEED}",
        "data.dataloader_num_workers=0",
        "data.max_prompt_length=256",
        "data.max_response_length=16",
        f"reward.custom_reward_function.path={HERE / 'rewards.py'}",
        "reward.custom_reward_function.name=ours_and_more",
        "reward.num_workers=1",
        f"actor_rollout_ref.model.path={model}",
        "actor_rollout_ref.rollout.name=vllm",
        f"actor_rollout_ref.rollout.n={scenario.ROLLOUTS_A_PROMPT}",
        "actor_rollout_ref.rollout.calculate_log_probs=True",
        "actor_rollout_ref.rollout.agent.num_workers=1",
        "actor_rollout_ref.rollout.agent.default_agent_loop=scripted",
        f"actor_rollout_ref.rollout.agent.agent_loop_config_path={loops}",
        "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=1",
        f"actor_rollout_ref.actor.ppo_mini_batch_size={scenario.PROMPTS_A_BATCH}",
        "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=1",
        "algorithm.adv_estimator=grpo",
        "critic.enable=False",
        "trainer.logger=[file]",
        "trainer.device=cpu",
        "trainer.n_gpus_per_node=1",
        "trainer.nnodes=1",
        "trainer.val_before_train=False",
        "trainer.total_epochs=1000",
        f"trainer.total_training_steps={scenario.NUM_BATCHES}",
        f"trainer.default_local_dir={out / 'checkpoints'}",
        f"+vasari.groups={out / 'groups'}",
        "transfer_queue.backend.SimpleStorage.num_data_storage_units=1",
    ]

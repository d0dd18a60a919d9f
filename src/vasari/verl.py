"""Variance-aware sampling in verl 0.9: the trainer `vasari`, in the place of verl's `sync`.

verl loads this file where `VERL_USE_EXTERNAL_MODULES=vasari.verl` is set, and runs the trainer
where `trainer.v1.trainer_mode=vasari` (docs/verl.md). verl's private methods are wrapped and never
copied. Which prompts are drawn and what is observed stands in `train/verl_prompts.py` and
`train/verl_groups.py`; this file joins them to verl's data loader, replay buffer and checkpoints.
"""

from __future__ import annotations

import copy
import importlib.metadata
import logging
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from vasari.core.errors import ConfigError, MissingExtraError, StateError
from vasari.sample import PromptSampler
from vasari.train import verl_reward
from vasari.train.group_file import drop_groups_from
from vasari.train.trainer_arguments import described
from vasari.train.verl_groups import BatchGroups, VerlRollout, check_group_folder, group_log
from vasari.train.verl_prompts import (
    ChosenPrompts,
    VerlSettings,
    check_pool,
    make_prompt_sampler,
    prompt_ids_of_rows,
    read_settings,
    rows_of,
    saved_state,
)

try:
    import torch
    import transfer_queue as tq
    from omegaconf import OmegaConf, open_dict
    from transfer_queue import KVBatchMeta
    from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer
    from verl.trainer.ppo.v1.trainer_base import register_trainer
    from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
    from verl.utils import tensordict_utils
    from verl.utils.dataset.rl_dataset import collate_fn
    from verl.utils.debug import marked_timer
except ModuleNotFoundError as error:
    raise MissingExtraError(
        f"vasari.verl needs verl 0.9 with its core packages, and there is no {error.name}: pip"
        " install 'vasari[verl]' in an environment of its own"
    ) from error

logger = logging.getLogger(__name__)

TRAINER_MODE = "vasari"
_VERSION = "0.9."
_FIELDS = ("responses", "response_mask", "rm_scores", "rollout_log_probs", "extra_fields")


class ObservedReplayBuffer(ReplayBuffer):  # type: ignore[misc]
    """verl's replay buffer, which shows every finished group to the sampler before it is evicted.

    It is verl's own object with this class (`VarianceAwareTrainer._build_replay_buffer`).
    """

    groups: BatchGroups
    waits: bool
    """Whether groups are evicted and replaced only when no rollout is in flight."""
    max_generations: int

    def watch(self, groups: BatchGroups, *, waits: bool, max_generations: int) -> None:
        """Show groups to `groups` from now on."""
        self.groups, self.waits, self.max_generations = groups, waits, max_generations

    def settle(self) -> None:
        """Wait until no prompt of a training batch is in flight."""
        super()._sync_metadata_from_transfer_queue()
        since = time.time()
        while self.pending_keys["train"] or self.running_keys["train"]:
            since = self._wait_for_next_poll("train", since)
            super()._sync_metadata_from_transfer_queue()

    def take(self, names: Collection[str]) -> None:
        """Remove prompts and their rollouts, which must not train."""
        self._clear_groups("train", set(names))

    def final_keys(self, names: Collection[str]) -> dict[str, list[str]]:
        """Return the keys of each prompt's rollouts: of a session's outputs the last one."""
        last: dict[tuple[str, int], tuple[int, str]] = {}
        for key in self.partitions["train"]:
            name, session, output = key.rsplit("_", 2)
            if name in names:
                at = (name, int(session))
                last[at] = max(last.get(at, (-1, "")), (int(output), key))
        found: dict[str, list[str]] = defaultdict(list)
        for (name, _), (_, key) in sorted(last.items()):
            found[name].append(key)
        return found

    def _sync_metadata_from_transfer_queue(self) -> None:
        if self.waits:
            self.settle()
        else:
            super()._sync_metadata_from_transfer_queue()

    def _terminal_eviction_reasons(self, global_steps: int, partition_id: str) -> Any:
        if partition_id != "train":
            return super()._terminal_eviction_reasons(global_steps, partition_id)
        self.groups.observe(self.finished_keys["train"] | self.failure_keys["train"])
        stale, silent, failed, values = super()._terminal_eviction_reasons(
            global_steps, partition_id
        )
        if self.max_generations and self.groups.num_draws >= self.max_generations:
            silent, values = set(), Counter()
        return stale, silent, failed, values

    def _select_prompt_uids(
        self, partition_id: str, sampleable_keys: set[str], batch_size: int
    ) -> Any:
        if partition_id != "train":
            return super()._select_prompt_uids(partition_id, sampleable_keys, batch_size)
        found, *rest = super()._select_prompt_uids(
            partition_id, sampleable_keys, len(sampleable_keys)
        )
        # Among prompts of one step verl takes any; the first that were drawn are the same again.
        return sorted(found, key=self.groups.place_of)[:batch_size], *rest


@register_trainer(TRAINER_MODE)
class VarianceAwareTrainer(PPOTrainerSync):  # type: ignore[misc]
    """verl's synchronous trainer that trains on the prompts a sampler chooses.

    Each batch of prompts is drawn just before it is rolled out, and every group is shown to the
    sampler, those too that dynamic filtering evicts. verl's checkpoints hold the sampler's state,
    and a resumed training goes on with the same prompts. verl's log has the sampler's metrics
    (`sampler/...`), what rollouts were spent on (`ledger/...`), and `vasari/zero_variance_share`.

    Raises:
        ConfigError: A setting is unknown, or one of verl's does not go with choosing prompts.
        DataError: Rows of the data cannot be told apart.
    """

    def __init__(self, config: Any) -> None:
        given = OmegaConf.select(config, "vasari")
        self.settings = read_settings(
            OmegaConf.to_container(given, resolve=True) if OmegaConf.is_config(given) else given
        )
        _check(config, self.settings)
        # verl asks for this name in many places and takes any other one to be asynchronous.
        with open_dict(config):
            config.trainer.v1.trainer_mode = "sync"
        super().__init__(config)

    @property
    def prompt_sampler(self) -> PromptSampler:
        """The sampler that chooses which prompts are rolled out."""
        return self.chosen.run.sampler

    def _build_replay_buffer(self) -> Any:
        buffer = super()._build_replay_buffer()
        # verl makes its own buffer with all that it needs; only its class is ours.
        buffer.__class__ = ObservedReplayBuffer
        return buffer

    def _init_dataloader(self) -> None:
        super()._init_dataloader()
        rows, data = rows_of(self.train_dataset), self.config.data
        check_pool(len(rows), data.train_batch_size)
        self.chosen = ChosenPrompts(
            make_prompt_sampler(
                self.settings.sampler, rows, seed=data.get("seed"), prompt_key=data.prompt_key
            )
        )
        self.train_dataloader.batch_sampler.sampler = self.chosen
        self.groups = BatchGroups(
            self.chosen.run,
            self._read,
            verdict_from=self.settings.verdict_from,
            record=group_log(self.settings.groups, prompt_ids_of_rows(rows)),
        )
        self.replay_buffer.watch(
            self.groups,
            waits=self.settings.refill == "whole",
            max_generations=self.settings.max_generations,
        )
        logger.warning("prompts are chosen by %s", described(self.prompt_sampler))
        rollout = self.config.actor_rollout_ref.rollout
        if self.prompt_sampler.uses_logprobs and not rollout.calculate_log_probs:
            logger.warning(
                "the sampler also learns from log-probabilities, and rollouts come without; set"
                " actor_rollout_ref.rollout.calculate_log_probs=True, or +vasari.sampler.coherence="
                "false"
            )

    # A batch: refresh, draw, roll out; then what came back.

    def prepare_step(self) -> dict[str, float]:
        """Refresh the sampler's scores where that is due, and submit the next batch of prompts."""
        with marked_timer("refresh", self.timing_raw):
            self._refresh()
        super().prepare_step()
        return {}

    def _next_train_batch(self, num_prompts: int | None = None) -> Any:
        draw = self.chosen.draw(num_prompts or self.config.data.train_batch_size)
        batch = super()._next_train_batch(num_prompts)
        self.groups.submit(list(batch["uid"]), draw)
        return batch

    def _refresh(self) -> None:
        """Roll out the prompts that the sampler wants scored; they do not train."""
        run = self.chosen.run
        due, num_rollouts = run.sampler.due(run.batch), run.sampler.num_rollouts_due
        at_once = self.config.data.train_batch_size
        stored = []
        for start in range(0, len(due), at_once):
            part = due[start : start + at_once].tolist()
            names = {str(uuid.uuid4()): index for index in part}
            fields = collate_fn([self.train_dataset[index] for index in part])
            fields["uid"] = np.array(list(names), dtype=object)
            fields["__rollout_n__"] = np.array([num_rollouts] * len(part), dtype=object)
            batch = tensordict_utils.get_tensordict(fields)
            tensordict_utils.assign_non_tensor_data(batch, "global_steps", self.global_steps)
            self._submit_batch_to_rollout(batch)
            self.replay_buffer.settle()
            groups = self.groups.observe_refresh(names)
            stored += groups if self.settings.groups else []
            self.replay_buffer.take(names)
        self.groups.record(stored)

    def _step_once(self, metrics: dict[str, Any], timing_raw: Any, sample_batch_size: int) -> Any:
        batch = super()._step_once(metrics, timing_raw, sample_batch_size)
        metrics.update(self.groups.finish({key.rsplit("_", 2)[0] for key in batch.keys}))
        return batch

    def _read(self, names: Collection[str]) -> dict[str, list[VerlRollout]]:
        """What came back of these prompts."""
        keys = self.replay_buffer.final_keys(set(names))
        flat = [key for own in keys.values() for key in own]
        if not flat:
            return {}
        rollouts = iter(self._rollouts(flat))
        return {name: [next(rollouts) for _ in own] for name, own in keys.items()}

    def _rollouts(self, keys: list[str]) -> list[VerlRollout]:
        data = tq.kv_batch_get(keys=keys, partition_id="train", select_fields=list(_FIELDS))
        there = set(data.keys())
        columns = {name: list(data[name]) for name in _FIELDS if name in there}
        longest = self.config.data.max_response_length
        found = []
        for place in range(len(keys)):
            row = {name: values[place] for name, values in columns.items()}
            mask = row["response_mask"].bool()
            ids = row["responses"][mask].tolist()
            known = getattr(row["extra_fields"], "data", row["extra_fields"])
            probs = row.get("rollout_log_probs")
            found.append(
                VerlRollout(
                    token_ids=ids,
                    score=float(row["rm_scores"].sum()),
                    facts=known.get("reward_extra_info") or {},
                    log_probs=[] if probs is None else probs[mask].tolist(),
                    text=self._text(ids),
                    truncated=len(row["responses"]) >= longest,
                    session=int(keys[place].rsplit("_", 2)[1]),
                )
            )
        return found

    def _text(self, ids: list[int]) -> str:
        """The text of a rollout, where groups are stored."""
        if not self.settings.groups:
            return ""
        text: str = self.tokenizer.decode(ids, skip_special_tokens=True)
        return text

    # Unverifiable rollouts have no advantage, and leave the baseline of their group.

    def _compute_advantage(self, batch: Any, metrics: dict[str, Any]) -> Any:
        out = self.groups.without_baseline(batch.keys)
        if not out:
            return super()._compute_advantage(batch, metrics)
        # Of all first: beside advantages verl writes what no rollout may lack in an update.
        control = copy.copy(getattr(self, "kl_ctrl_in_reward", None))
        super()._compute_advantage(batch, metrics)
        rest = [place for place, key in enumerate(batch.keys) if key not in out]
        if rest:
            kept = KVBatchMeta(
                partition_id=batch.partition_id,
                keys=[batch.keys[place] for place in rest],
                tags=[batch.tags[place] for place in rest],
            )
            # With the same KL coefficient, which verl adapts once a batch.
            control, self.kl_ctrl_in_reward = getattr(self, "kl_ctrl_in_reward", None), control
            super()._compute_advantage(kept, {})
            self.kl_ctrl_in_reward = control
        data = tq.kv_batch_get(
            keys=out, partition_id=batch.partition_id, select_fields=["response_mask"]
        )
        nothing = torch.nested.as_nested_tensor(
            [torch.zeros(len(mask)) for mask in data["response_mask"]], layout=torch.jagged
        )
        fields = tensordict_utils.get_tensordict({"advantages": nothing, "returns": nothing})
        tq.kv_batch_put(keys=out, partition_id=batch.partition_id, fields=fields)
        return batch

    # State in verl's checkpoints.

    def _load_checkpoint(self) -> None:
        super()._load_checkpoint()
        if not self.global_steps:
            check_group_folder(self.settings.groups)
            return
        loaded = self.train_dataloader.next_iter_state or {}
        saved_state((loaded.get("_sampler_iter_state") or {}).get("sampler_state"))
        # The state is put in place now: prompts may be due before the first one is fetched.
        self.train_dataloader_it = iter(self.train_dataloader)
        if self.chosen.run.batch != self.global_steps:
            raise StateError(
                f"the checkpoint is of step {self.global_steps}, and its data.pt of batch"
                f" {self.chosen.run.batch}; resume from another one"
            )
        if self.settings.groups:
            drop_groups_from(Path(self.settings.groups), self.chosen.run.batch)


def _check(config: Any, settings: VerlSettings) -> None:
    """Raise ConfigError for settings of verl's that do not go with choosing prompts."""
    found = importlib.metadata.version("verl")
    sampler = config.trainer.v1.sampler.get("custom_sampler") or {}
    model = config.reward.reward_model
    filters = bool(config.algorithm.filter_groups.enable)
    refills = bool(config.trainer.v1.sampler.get("sync_refill_failed_groups"))
    problems = (
        (
            not found.startswith(_VERSION),
            f"vasari.verl wraps the trainer of verl {_VERSION}x, and verl {found} is installed",
        ),
        (
            config.data.dataloader_num_workers != 0,
            f"data.dataloader_num_workers is {config.data.dataloader_num_workers}: workers fetch"
            " prompts before anything is known of the last ones; set it to 0",
        ),
        (
            bool(sampler.get("path")),
            "trainer.v1.sampler.custom_sampler replaces the replay buffer in which groups are"
            " observed; leave it out",
        ),
        (
            bool(model.enable and not model.enable_resource_pool),
            "reward.reward_model shares the GPUs of training, so that rewards come after groups are"
            " chosen; set reward.reward_model.enable_resource_pool=True",
        ),
        (
            settings.max_generations != VerlSettings().max_generations and not filters,
            "vasari.max_generations is for dynamic filtering: set"
            " algorithm.filter_groups.enable=True, or leave it out",
        ),
        (
            settings.refill != VerlSettings().refill and not (filters or refills),
            "vasari.refill is for groups that are replaced: set"
            " algorithm.filter_groups.enable=True, or leave it out",
        ),
        (
            bool(config.skip.rollout_tq.enable),
            "skip.rollout_tq replays rollouts of other prompts than those drawn; leave it out",
        ),
    )
    for holds, message in problems:
        if holds:
            raise ConfigError(message)
    reward = config.reward.custom_reward_function
    if str(reward.path).removesuffix(".py").replace("/", ".").endswith(verl_reward.MODULE):
        verl_reward.terms_of(reward.get("reward_kwargs") or {})

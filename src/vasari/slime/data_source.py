"""slime's data source: a sampler chooses prompts, and every group that was rolled out comes back.

Written against slime/rollout/data_source.py of commit 624b824a898ab0ec1fcb4d373004c7f3852bf515.
slime reads the prompts (`--prompt-data`), with its own templates, images and limits of length.
"""

from __future__ import annotations

import copy
import logging
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vasari.core.errors import ConfigError, StateError
from vasari.core.records import Draw, GroupOutcome, PromptIndices
from vasari.sample import AllGate, PromptSampler, load_state, prompt_features, save_state
from vasari.slime.groups import INDEX, ROLE, index_of, number_of, prompts_of, scored_group
from vasari.slime.saved import restored_group, saved_group
from vasari.slime.settings import (
    SLIMES_OWN_ROLLOUT,
    check_flags,
    function_named,
    settings_of,
    slime_module,
)
from vasari.train.gated_batch import draw_for_gate
from vasari.train.groups import ScoredGroup
from vasari.train.loop import batch_metrics
from vasari.train.run_state import RunState
from vasari.train.trainer_arguments import described, sampler_from
from vasari.train.verdicts import Doubt

logger = logging.getLogger(__name__)

SCHEMA = 1
"""Version of the saved state."""


class VarianceAwareDataSource:
    """Data source of slime (`--data-source-path`) whose prompts a sampler chooses.

    Groups that slime gives back unfinished come first; the rest is drawn. The sampler observes all
    groups of a rollout at its end (`generate_rollout` sees to it), also those that a filter
    dropped.
    """

    def __init__(self, args: Any) -> None:
        """Read slime's prompts, and make a sampler over them.

        Raises:
            ConfigError: A flag of slime or a setting under `vasari` does not fit.
            MissingExtraError: slime is not installed.
            DataError: The prompts have no unique ids.
        """
        check_flags(args)
        self.args = args
        self.settings = settings_of(args)
        stock = slime_module("slime.rollout.data_source").RolloutDataSourceWithBuffer(args)
        self._stock = stock
        self._pool: Sequence[Any] = stock.dataset.origin_samples
        if not len(self._pool):
            raise ConfigError(
                f"--prompt-data {args.prompt_data}: holds no prompt that is short enough"
            )
        if self.settings.rollout_function != SLIMES_OWN_ROLLOUT:
            function_named(self.settings.rollout_function)
        self.run = RunState(sampler=self._sampler(), gate=AllGate())
        """Sampler, ledger and counts."""
        logger.info("prompts are chosen by %s", described(self.run.sampler))
        self._lock = threading.RLock()
        self._next_group = 0
        self._next_sample = 0
        self._doubt = Doubt("give the reward of --custom-rm-path a scale on which that holds")
        self._groups: list[ScoredGroup] = []
        """Observed groups of the present rollout."""
        self._numbers: list[int] = []
        self._out: dict[int, tuple[int, int]] = {}
        """Prompt and rollout of the groups that slime works on, by their number."""
        self._due: PromptIndices = np.zeros(0, dtype=np.int64)
        """Prompts to roll out for the sampler before others are drawn."""
        self._is_open = False
        """Whether prompts of the present rollout were handed out."""
        self._before: dict[str, Any] | None = None
        """State before the present rollout, for a checkpoint that is saved only now."""

    def __len__(self) -> int:
        """Number of prompts in the pool, by which slime counts passes."""
        return len(self._pool)

    def _sampler(self) -> PromptSampler:
        choice, args = self.settings.sampler, self.args
        prompts = prompts_of(self._pool)
        sampler = sampler_from(
            {**choice.settings, "name": choice.name},
            prompts,
            seed=args.rollout_seed if self.settings.seed is None else self.settings.seed,
            prompt_ids=[prompt.id for prompt in prompts],
            features=prompt_features,
        )
        num_due = sampler.num_rollouts_due if sampler.refresh_every else 0
        if (
            getattr(args, "sglang_enable_deterministic_inference", False)
            and num_due > args.n_samples_per_prompt
        ):
            raise ConfigError(
                f"a refresh takes {num_due} rollouts of a prompt, and with"
                " --sglang-enable-deterministic-inference slime has random numbers for"
                f" {args.n_samples_per_prompt}; choose a sampler without refreshes, or leave it out"
            )
        return sampler

    # What slime calls.

    def get_samples(self, num_samples: int) -> list[list[Any]]:
        """Return `num_samples` groups to roll out: first those given back, then newly drawn ones.

        Raises:
            ConfigError: More are drawn at once than the pool has, without replacement.
        """
        with self._lock:
            self._open()
            stock = self._stock
            groups: list[list[Any]] = []
            if num_samples and stock.buffer:
                groups = stock.buffer_filter(self.args, None, stock.buffer, num_samples)
            for group in groups:
                self._out[number_of(group)] = (index_of(group), self.run.batch)
            return [*groups, *self._drawn(num_samples - len(groups))]

    def add_samples(self, samples: list[list[Any]]) -> None:
        """Take groups back that were begun and not finished; they are the first of the next ones.

        Raises:
            DataError: A group did not come from this data source.
        """
        with self._lock:
            for group in samples:
                index_of(group)
                self._out.pop(number_of(group), None)
            # slime collects them in a set, whose order differs from run to run.
            self._stock.add_samples(sorted(samples, key=number_of))

    def save(self, rollout_id: int) -> None:
        """Write the state after rollout `rollout_id` beside slime's checkpoint of it.

        Also where slime has rolled out the next one meanwhile, as `train_async.py` does.

        Raises:
            StateError: The sampler's state holds what cannot be saved.
            StorageError: The disk refused.
        """
        if self.args.save is None:
            return
        with self._lock:
            wanted = rollout_id + 1
            state = self._before if self._is_open or self.run.batch > wanted else None
            state = self._state() if state is None else state
            if state["run"]["batch"] != wanted:
                logger.warning(
                    "the state after rollout %d is gone; what is saved is of rollout %d",
                    rollout_id,
                    state["run"]["batch"] - 1,
                )
            save_state(_path(self.args.save, rollout_id), state)

    def load(self, rollout_id: int | None = None) -> None:
        """Continue after rollout `rollout_id`, whose checkpoint is in slime's `--load`.

        Raises:
            StateError: There is no state, or one of another sampler or pool, or a damaged one.
        """
        if rollout_id is None or rollout_id < 0:
            return
        with self._lock:
            self.run.batch = rollout_id + 1
            if self.args.load is None:
                return
            path = _path(self.args.load, rollout_id)
            if not path.exists() and self.settings.begin_anew:
                logger.warning("%s: not here; the sampler begins anew", path)
                return
            if not path.exists():
                raise StateError(
                    f"{path}: the checkpoint has no state of a sampler; add `vasari: {{begin_anew:"
                    " true}}` to --custom-config-path to begin with a new one"
                )
            try:
                self._load(load_state(path), path)
            except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
                raise StateError(f"{path}: damaged: {type(error).__name__}: {error}") from error

    # What `generate_rollout` calls.

    def due(self) -> PromptIndices:
        """Return the prompts that the sampler wants rolled out before the next are drawn."""
        with self._lock:
            self._open()
            return self._due

    def refreshing(self, index: int) -> list[Any]:
        """Return samples to roll out for the sampler alone, as many as it wants of a prompt."""
        return self._samples(index, "refresh", self.run.sampler.num_rollouts_due)

    def refreshed(self, groups: Sequence[ScoredGroup]) -> None:
        """Show the sampler the groups that were rolled out for it alone, and charge them."""
        with self._lock:
            self._observe(groups)
            self.run.charge(groups)
            self._due = np.zeros(0, dtype=np.int64)

    def observe(self, groups: Sequence[list[Any]]) -> None:
        """Show the sampler finished groups, in the order in which they were drawn.

        All of a rollout's, before any filter.

        Raises:
            DataError: A group did not come from this data source.
        """
        with self._lock:
            ordered = sorted(groups, key=number_of)
            scored = [scored_group(group, self.args) for group in ordered]
            self._doubt.look_at("the reward function", _read_as_verdicts(scored))
            self.run.drawn.count(self._observe(scored))
            self._groups += scored
            self._numbers += [number_of(group) for group in ordered]
            for number in self._numbers:
                self._out.pop(number, None)

    @property
    def num_observed(self) -> int:
        """Number of groups of the present rollout that the sampler has observed."""
        return len(self._groups)

    def finish(self, trained: Sequence[list[Any]]) -> dict[str, float]:
        """End a rollout of which the groups `trained` train, and return its metrics.

        The others are charged as discarded. `rollout/groups_aborted` counts groups that slime gave
        up while they were rolled out: their tokens are in no count.
        """
        with self._lock:
            kept = {number_of(group) for group in trained}
            groups = [
                group if number in kept else replace(group, purpose="discarded")
                for number, group in zip(self._numbers, self._groups, strict=True)
            ]
            self.run.charge(groups)
            # slime's own function ends all that it began; another may go on with it later.
            age = 0 if self.settings.rollout_function == SLIMES_OWN_ROLLOUT else 1
            over = [n for n, (_, at) in self._out.items() if self.run.batch - at >= age]
            for number in over:
                del self._out[number]
            numbers = batch_metrics(self.run, groups, num_generations=1) if groups else {}
            self._groups, self._numbers = [], []
            self.run.batch += 1
            self._is_open = False
            return {f"rollout/{k}": v for k, v in numbers.items() if k != "generations"} | {
                "rollout/groups_aborted": float(len(over))
            }

    # How prompts are drawn.

    def _open(self) -> None:
        """Begin a rollout with its first prompts."""
        if self._is_open:
            return
        self._before = self._state()
        self._is_open = True
        self._due = self.run.sampler.due(self.run.batch)

    def _drawn(self, num: int) -> list[list[Any]]:
        if num < 1:
            return []
        if len(self._due):
            raise ConfigError(
                f"{len(self._due)} prompts must be rolled out for the sampler before others are"
                f" drawn; name your function as `vasari: {{rollout_function: ...}}`"
            )
        sampler, batch = self.run.sampler, self.run.batch
        excluded = {index for index, _ in self._out.values()}
        draw = draw_for_gate(sampler, self.run.gate, num, batch=batch, excluded=excluded)
        groups = [
            self._group(int(i), role) for i, role in zip(draw.indices, draw.roles, strict=True)
        ]
        if lacking := num - len(groups):
            # All prompts are being rolled out: slime waits for groups until it has enough.
            more: Draw = sampler.draw(lacking)
            groups += [
                self._group(int(i), r) for i, r in zip(more.indices, more.roles, strict=True)
            ]
        return groups

    def _group(self, index: int, role: str) -> list[Any]:
        group = self._samples(index, role, self.args.n_samples_per_prompt)
        for sample in group:
            sample.group_index, sample.index = self._next_group, self._next_sample
            self._next_sample += 1
        self._out[self._next_group] = (index, self.run.batch)
        self._next_group += 1
        return group

    def _samples(self, index: int, role: str, num: int) -> list[Any]:
        origin = self._pool[index]
        samples = []
        for _ in range(num):
            # Images are shared: a copy for each rollout fills a machine's memory.
            shared = {id(origin.multimodal_inputs): origin.multimodal_inputs}
            sample = copy.deepcopy(origin, shared)
            sample.metadata = {**(sample.metadata or {}), INDEX: index, ROLE: role}
            samples.append(sample)
        return samples

    def _observe(self, groups: Sequence[ScoredGroup]) -> list[GroupOutcome]:
        outcomes = [group.outcome(self.run.batch) for group in groups]
        self.run.sampler.observe(outcomes)
        return outcomes

    # State.

    def _state(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "run": self.run.state_dict(),
            "next_group": self._next_group,
            "next_sample": self._next_sample,
            "buffer": [saved_group(group, index_of(group)) for group in self._stock.buffer],
        }

    def _load(self, state: dict[str, Any], path: Path) -> None:
        if state.get("schema") != SCHEMA:
            raise StateError(f"saved state has schema {state.get('schema')!r}, expected {SCHEMA}")
        self.run.load_state_dict(state["run"], where=str(path))
        self._next_group, self._next_sample = int(state["next_group"]), int(state["next_sample"])
        self._stock.buffer[:] = [self._restored(saved) for saved in state["buffer"]]
        self._is_open, self._out = False, {}

    def _restored(self, saved: dict[str, Any]) -> list[Any]:
        """A saved group; a new one of its prompt where slime would refuse its size."""
        index, num = int(saved["prompt"]), len(saved["samples"])
        if num == self.args.n_samples_per_prompt:
            return restored_group(saved, self._samples(index, "", num))
        logger.warning(
            "a group of %d rollouts was begun, and --n-samples-per-prompt is %d: it begins anew",
            num,
            self.args.n_samples_per_prompt,
        )
        return self._group(index, str(saved["samples"][0]["metadata"][ROLE]))


def _path(folder: str, rollout_id: int) -> Path:
    return Path(folder) / "rollout" / f"vasari_{rollout_id}.npz"


def _read_as_verdicts(groups: Sequence[ScoredGroup]) -> NDArray[np.float64]:
    """Rewards of the rollouts whose verdicts nothing but the reward says."""
    rollouts = (rollout for group in groups for rollout in group.rollouts)
    return np.array([one.reward.total for one in rollouts if one.verdict.decided_by == "reward"])

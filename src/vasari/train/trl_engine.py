"""Rolling out through TRL: the loop's `Engine` over a `GRPOTrainer`, its screenings and refreshes
included.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from accelerate.utils import broadcast_object_list, gather_object
from trl import prepare_multimodal_messages

from vasari.core.errors import StateError
from vasari.core.records import PromptIndices
from vasari.train.groups import ScoredRollout
from vasari.train.join import join_rollouts
from vasari.train.options import Refresh
from vasari.train.screened_batch import Slot
from vasari.train.trl_rewards import Pilot, TrlRewards
from vasari.train.verdicts import Judge

if TYPE_CHECKING:
    from vasari.train.trl_trainer import VarianceAwareGRPOTrainer

T = TypeVar("T")

SEEN_BY_THE_MODEL = (
    "pixel_values",
    "image_grid_thw",
    "num_images",
    "pixel_attention_mask",
    "spatial_shapes",
    "num_tiles",
    "image_sizes",
    "token_type_ids",
    "mm_token_type_ids",
    "image_position_ids",
)
"""What TRL's batch holds of images, and hands to the model beside the tokens."""


class TrlEngine:
    """Rolls out through a trainer's own methods, so that rewards, advantages and log-probabilities
    are TRL's.
    """

    def __init__(
        self, trainer: VarianceAwareGRPOTrainer, judge: Judge, *, refresh: Refresh | None
    ) -> None:
        self._trainer = trainer
        self._refresh = refresh
        self._outputs: list[dict[str, Any]] = []
        self.rewards = TrlRewards(trainer, judge)
        self._screenings: list[list[Pilot]] = []
        self.batch: dict[str, Any] = {}
        """TRL's batch of this process, once the loop has made one."""

    @property
    def num_processes(self) -> int:
        """Processes that train together."""
        return int(self._trainer.accelerator.num_processes)

    def on_main(self, decide: Callable[[], T]) -> T:
        """What the main process decides, in every process; its error too, so that none waits for it
        in vain.
        """
        if self.num_processes == 1:
            return decide()
        box: list[Any] = [None]
        problem: Exception | None = None
        if self._trainer.accelerator.is_main_process:
            try:
                box = [(decide(), None)]
            except Exception as error:  # noqa: BLE001  (raised again below)
                problem, box = error, [(None, f"{type(error).__name__}: {error}")]
        broadcast_object_list(box, from_process=0)
        if problem is not None:
            raise problem
        decided, failed = box[0]
        if failed is not None:
            raise StateError(f"the main process stopped: {failed}")
        return decided  # type: ignore[no-any-return]

    # Whole groups: one generation of TRL each.

    def roll_out(self, indices: PromptIndices, num_screening: int) -> list[list[ScoredRollout]]:
        """Whole scored groups of these prompts through TRL's batch; screenings of so many rollouts
        where that is not 0.
        """
        if num_screening:
            return self._screen(indices, num_screening)
        size = self._trainer.num_generations
        output = self._trainer.stock_batch(self._own_rows(indices, size))
        self._outputs.append(output)
        return _in_groups(self._everyones_rollouts(output), size)

    def keep(self, places: Sequence[Sequence[int]]) -> None:
        """Make the batch of the groups that this process rolled out and has places for."""
        outputs, self._outputs = self._outputs, []
        if len(outputs) == 1:
            self.batch = outputs[0]
            return
        size = self._trainer.num_generations
        own = places[self._trainer.accelerator.process_index]
        rows = [row for group in own for row in range(group * size, (group + 1) * size)]
        joined = join_rollouts(outputs, rows, pad_token_id=self._trainer.pad_token_id)
        joined["num_items_in_batch"] = self._trainer.accelerator.gather(
            joined["completion_mask"].sum()
        ).sum()
        self.batch = joined

    def silence(self, places: Sequence[Sequence[int]]) -> None:
        """Take the advantages of these groups of the batch away."""
        size = self._trainer.num_generations
        for place in places[self._trainer.accelerator.process_index]:
            self.batch["advantages"][place * size : (place + 1) * size] = 0.0

    def _own_rows(self, indices: PromptIndices, num_rollouts: int) -> list[dict[str, Any]]:
        """This process's share of the rows of so many rollouts of each prompt."""
        places = np.repeat(indices, num_rollouts)
        share = len(places) // self.num_processes
        return self._rows(
            places[share * self._trainer.accelerator.process_index :][:share].tolist()
        )

    def _rows(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        """A row for each of these prompts; each prompt is read, and its images opened, once."""
        pool = self._trainer.pool
        read = {index: pool[index] for index in dict.fromkeys(indices)}
        self.rewards.indices = list(indices)
        # TRL may write into a row what is of one rollout.
        return [dict(read[index]) for index in indices]

    def _everyones_rollouts(self, output: dict[str, Any]) -> list[ScoredRollout]:
        """The scored rollouts of all processes, one process after the other, with what TRL's batch
        says of them.
        """
        scored, _ = self.rewards.take()
        local = [
            replace(r, confidence=c)
            for r, c in zip(scored, self._confidence(output, len(scored)), strict=True)
        ]
        everyone: list[ScoredRollout] = gather_object(local)
        return everyone

    def _confidence(self, output: dict[str, Any], num_rollouts: int) -> list[float]:
        """Least token log-probability of each local rollout; nan when neither TRL nor the sampler
        needs it.
        """
        logps = output.get("old_per_token_logps")
        if logps is None and self._trainer.loop.run.sampler.uses_logprobs:
            logps = self._log_probabilities(output)
        if logps is None:
            return [float("nan")] * num_rollouts
        mask = output["completion_mask"] * output.get("tool_mask", 1)
        return logps.masked_fill(mask == 0, 0.0).min(dim=1).values.tolist()  # type: ignore[no-any-return]

    def _log_probabilities(self, output: dict[str, Any]) -> torch.Tensor:
        """[rollouts, tokens] of the completions under the policy that wrote them, which TRL skips
        for one update a batch.
        """
        trainer = self._trainer
        with torch.no_grad():
            found: torch.Tensor = trainer._get_per_token_logps_and_entropies(
                trainer.model,
                torch.cat([output["prompt_ids"], output["completion_ids"]], dim=1),
                torch.cat([output["prompt_mask"], output["completion_mask"]], dim=1),
                output["completion_ids"].size(1),
                batch_size=trainer.args.per_device_train_batch_size,
                **{name: output[name] for name in SEEN_BY_THE_MODEL if name in output},
            )[0]
        return found

    # Screenings: a few rollouts as numbers and text, and TRL's batch of whole groups that repeats
    # them beside new ones.

    def _screen(self, indices: PromptIndices, size: int) -> list[list[ScoredRollout]]:
        rows = self._own_rows(indices, size)
        own = self._generated(rows, size)
        everyone: list[Pilot] = gather_object(own)
        screened = _in_groups(everyone, size)
        self._screenings += screened
        return [[pilot.rollout for pilot in pilots] for pilots in screened]

    def complete(self, slots: Sequence[Sequence[Slot]]) -> list[list[ScoredRollout]]:
        """TRL's batch of whole groups; screenings that do not go on fill it by repetition, without
        reward or advantage.
        """
        trainer, size = self._trainer, self._trainer.num_generations
        screenings, self._screenings = self._screenings, []
        own = [
            (screenings[slot.group], slot.commits)
            for slot in slots[trainer.accelerator.process_index]
        ]
        known: list[Pilot | None] = []
        for pilots, commits in own:
            repeated = [pilots[place % len(pilots)] for place in range(size)]
            known += [*pilots, *[None] * (size - len(pilots))] if commits else repeated
        rows = self._rows([pilots[0].rollout.index for pilots, _ in own for _ in range(size)])
        with self.rewards.beside(known, np.repeat([not commits for _, commits in own], size)):
            output = trainer.stock_batch(rows)
        self.batch = output
        groups = _in_groups(self._everyones_rollouts(output), size)
        commits = [slot.commits for process in slots for slot in process]
        return [group for group, goes_on in zip(groups, commits, strict=True) if goes_on]

    def generate(self, prompts: list[Any]) -> Any:
        """As TRL's `_generate`, but rollouts of a screening are not generated again."""
        trainer, known = self._trainer, self.rewards.known
        if known is None:
            return trainer.stock_generate(prompts)
        size = trainer.num_generations
        new = [row for row, pilot in enumerate(known) if pilot is None]
        # All processes have something to generate or none has: TRL gathers what it counts.
        generated: tuple[Any, ...] = ([], [], None, [], None, {})
        if new:
            with self._group_size(size - trainer.loop.run.gate.num_screening):
                generated = trainer.stock_generate([prompts[row] for row in new])
        _, new_ids, _, new_completions, new_logprobs, *more = generated
        # Prompts are read once more, each once: TRL gave those of the new rollouts only.
        ids, images, _ = trainer._tokenize_prompts(prompts[::size])
        place = {row: position for position, row in enumerate(new)}
        has_logprobs = new_logprobs is not None or any(
            pilot is not None and pilot.logprobs is not None for pilot in known
        )
        return (
            [own for own in ids for _ in range(size)],
            [
                new_ids[place[row]] if pilot is None else list(pilot.rollout.token_ids)
                for row, pilot in enumerate(known)
            ],
            None,
            [
                new_completions[place[row]] if pilot is None else pilot.completion
                for row, pilot in enumerate(known)
            ],
            [
                new_logprobs[place[row]] if pilot is None else pilot.logprobs
                for row, pilot in enumerate(known)
            ]
            if has_logprobs
            else None,
            {name: self._beside(known, place, values) for name, values in more[0].items()},
            images if images is None else [own for own in images for _ in range(size)],
            [],
        )

    @staticmethod
    def _beside(known: Sequence[Pilot | None], place: Mapping[int, int], values: Any) -> Any:
        """What a rollout function says of new rollouts, and None of known ones, whose rewards are
        known too.
        """
        if not isinstance(values, list):
            return values
        return [values[place[row]] if pilot is None else None for row, pilot in enumerate(known)]

    def _generated(self, rows: list[dict[str, Any]], size: int) -> list[Pilot]:
        """Rollouts of these rows, generated and scored by TRL's own methods, without a batch to
        train on.
        """
        prompts = with_images(rows)
        with self._group_size(size):
            _, ids, _, completions, logprobs, fields, *_ = self._trainer.stock_generate(prompts)
            # What a rollout function says of each rollout is for the reward functions, as in TRL's
            # own batch.
            for name, values in fields.items():
                for row, value in zip(
                    rows, values if isinstance(values, list) else [values] * len(rows), strict=False
                ):
                    row[name] = value
            self._trainer.calculate_rewards(rows, prompts, completions, ids)
        # Of no batch, and so of no row in TRL's table of completions.
        self._trainer._pending_extra_logs.clear()
        scored, rewards = self.rewards.take()
        return [
            Pilot(
                rollout,
                completion,
                None if logprobs is None else logprobs[row],
                rewards[row].tolist(),
            )
            for row, (rollout, completion) in enumerate(zip(scored, completions, strict=True))
        ]

    @contextmanager
    def _group_size(self, num_rollouts: int) -> Iterator[None]:
        """Let TRL's generation know how many rollouts of a prompt follow each other: vLLM takes
        such a prompt once.
        """
        whole = self._trainer.num_generations
        self._trainer.num_generations = num_rollouts
        try:
            yield
        finally:
            self._trainer.num_generations = whole

    # Refreshes: rollouts that only the sampler learns from.

    def refresh(
        self, indices: PromptIndices, num_rollouts: int, *, batch: int
    ) -> list[list[ScoredRollout]]:
        """So many scored rollouts of each of these prompts, in their order; each process rolls out
        its share.
        """
        trainer = self._trainer
        rank, world = trainer.accelerator.process_index, self.num_processes
        if self._refresh is not None:
            model = trainer.accelerator.unwrap_model(trainer.model)
            share = indices[rank::world]
            own = self._refresh(
                model, trainer.processing_class, share, num_rollouts, batch=batch, process=rank
            )
            groups: list[list[ScoredRollout]] = gather_object(own)
            order = {int(index): place for place, index in enumerate(indices)}
            return sorted(groups, key=lambda group: order[group[0].index])
        with self._apart(trainer.args.seed + 1_000_003 * (batch + 1) + rank):
            return self._refreshed(indices, num_rollouts)

    def _refreshed(self, indices: PromptIndices, num_rollouts: int) -> list[list[ScoredRollout]]:
        """Through TRL's generation, in parts of the size of a training batch."""
        args, world = self._trainer.args, self.num_processes
        rows_at_once = args.per_device_train_batch_size * args.steps_per_generation
        at_once = world * max(1, rows_at_once // num_rollouts)
        groups: list[list[ScoredRollout]] = []
        for start in range(0, len(indices), at_once):
            part = indices[start : start + at_once]
            # Every process generates equally many rows; what only fills is charged and dropped.
            filled = np.resize(part, -(-len(part) // world) * world)
            own = [
                pilot.rollout
                for pilot in self._generated(self._own_rows(filled, num_rollouts), num_rollouts)
            ]
            everyone = _in_groups(gather_object(own), num_rollouts)
            groups += everyone[: len(part)]
            for group in everyone[len(part) :]:
                tokens = sum(len(rollout.token_ids) for rollout in group)
                self._trainer.loop.run.ledger.charge(
                    "discarded", rollouts=len(group), tokens=tokens
                )
        return groups

    @contextmanager
    def _apart(self, seed: int) -> Iterator[None]:
        """Random numbers of its own and no trace in TRL's log: training goes on as if nothing had
        been rolled out.
        """
        trainer = self._trainer
        metrics, seen = copy.deepcopy(trainer._metrics), trainer.state.num_input_tokens_seen
        devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
        try:
            with torch.random.fork_rng(devices=devices):
                torch.manual_seed(seed)
                yield
        finally:
            trainer._metrics, trainer.state.num_input_tokens_seen = metrics, seen


def with_images(rows: Sequence[Mapping[str, Any]]) -> list[Any]:
    """The prompts of these rows with their images in the messages, as TRL makes them before it
    generates.
    """
    images = [
        row.get("images")
        if "images" in row
        else [row["image"]]
        if row.get("image") is not None
        else []
        for row in rows
    ]
    if not any(images):
        return [row["prompt"] for row in rows]
    return [
        prepare_multimodal_messages(row["prompt"], images=own or [])
        for row, own in zip(rows, images, strict=True)
    ]


def _in_groups(entries: Sequence[T], size: int) -> list[list[T]]:
    return [list(entries[start : start + size]) for start in range(0, len(entries), size)]

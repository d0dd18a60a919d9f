"""Trainer interface (`Engine`) of the training loop for TRL: generates with a `GRPOTrainer`."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import torch
from accelerate.utils import broadcast_object_list, gather_object
from trl import GRPOTrainer

from vasari.core.errors import StateError
from vasari.core.records import PromptIndices
from vasari.model.encoded_prompts import TOKEN_TYPES
from vasari.train.groups import ScoredRollout
from vasari.train.loop import LoopOptions
from vasari.train.run_state import RunState
from vasari.train.screened_batch import Slot
from vasari.train.trl_batch import join_rollouts, with_images_by_rollout
from vasari.train.trl_forward import ImagesByRollout
from vasari.train.trl_images import IMAGE_COLUMNS, IMAGES, images_of, with_images
from vasari.train.trl_rewards import ScreenedRollout, TrlRewards
from vasari.train.trl_vllm import even_share
from vasari.train.verdicts import Judge

T = TypeVar("T")


class TrlEngine:
    """Trainer interface (`Engine`) of the training loop, implemented with TRL's own methods.

    The trainer overrides some of these methods to ask this engine; `GRPOTrainer.method(trainer)`
    is TRL's own.
    """

    def __init__(
        self, trainer: ImagesByRollout, run: RunState, judge: Judge, options: LoopOptions
    ) -> None:
        self._trainer = trainer
        self._run = run
        self._refresh = options.refresh
        self._outputs: list[dict[str, Any]] = []
        self.rewards = TrlRewards(trainer, judge, opened=options.opened)
        self._screenings: list[list[ScreenedRollout]] = []
        self.batch: dict[str, Any] = {}
        """TRL's batch of this process, once the loop has made one."""

    @property
    def num_processes(self) -> int:
        """Number of processes that train together."""
        return int(self._trainer.accelerator.num_processes)

    def on_main(self, decide: Callable[[], T]) -> T:
        """Call `decide` in the main process alone and return its result in every process.

        Raises:
            StateError: It failed in the main process, which raises the error itself.
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
        """Roll out and score each prompt: a full group, or `num_screening` rollouts if not 0."""
        if num_screening:
            return self._screen(indices, num_screening)
        size = self._trainer.num_generations
        output = self.stock_batch(self._own_rows(indices, size))
        self._outputs.append(output)
        return _in_groups(self._scored_rollouts(output), size)

    def keep(self, places: Sequence[Sequence[int]]) -> None:
        """Make this process's training batch from its groups at the positions in `places`."""
        outputs, self._outputs = self._outputs, []
        if len(outputs) == 1:
            self.batch = outputs[0]
            return
        size = self._trainer.num_generations
        own = places[self._trainer.accelerator.process_index]
        rows = [row for group in own for row in range(group * size, (group + 1) * size)]
        joined = join_rollouts(outputs, rows, pad_token_id=self._trainer._tokenizer.pad_token_id)
        joined["num_items_in_batch"] = self._trainer.accelerator.gather(
            joined["completion_mask"].sum()
        ).sum()
        self.batch = joined

    def silence(self, places: Sequence[Sequence[int]]) -> None:
        """Set advantages to zero for the groups at the given batch positions: they do not train."""
        size = self._trainer.num_generations
        for place in places[self._trainer.accelerator.process_index]:
            self.batch["advantages"][place * size : (place + 1) * size] = 0.0

    def _own_rows(self, indices: PromptIndices, num_rollouts: int) -> list[dict[str, Any]]:
        """This process's share of the rows, `num_rollouts` for each prompt."""
        places = np.repeat(indices, num_rollouts)
        share = len(places) // self.num_processes
        return self._rows(
            places[share * self._trainer.accelerator.process_index :][:share].tolist()
        )

    def _rows(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        """A row for each index; each prompt is read, and its images opened, once."""
        pool = self._trainer.train_dataset
        if self._trainer.args.remove_unused_columns:
            pool = self._trainer._remove_unused_columns(pool, description="training")
        read = {index: pool[index] for index in dict.fromkeys(indices)}
        self.rewards.indices = list(indices)
        # TRL may write into a row what is of one rollout.
        return [dict(read[index]) for index in indices]

    def stock_batch(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """TRL's batch of these rows, in whole groups, with images by rollout."""
        trainer = self._trainer
        if not self._trainer.encodes:
            output = GRPOTrainer._generate_and_score_completions(trainer, rows)
            return with_images_by_rollout(output)
        columns = [{name: row[name] for name in IMAGE_COLUMNS if name in row} for row in rows]
        # TRL is shown no images beside the prompts: it would encode them for each rollout anew.
        plain = [
            {name: value for name, value in row.items() if name not in IMAGE_COLUMNS}
            | {"prompt": prompt}
            for row, prompt in zip(rows, with_images(rows), strict=True)
        ]
        try:
            with self.rewards.beside_columns(columns):
                batch = dict(GRPOTrainer._generate_and_score_completions(trainer, plain))
            if self._trainer.shown is not None:
                batch[IMAGES] = self._trainer.shown
        finally:
            trainer.shown = trainer.kept = None
        if trainer.log_multimodal:
            self._log_images(rows)
        return batch

    def _log_images(self, rows: Sequence[Mapping[str, Any]]) -> None:
        images = gather_object([images_of(row) for row in rows])
        if any(images):
            self._trainer._logs["images"].extend(images)

    def _stock_generate(self, prompts: list[Any]) -> Any:
        """TRL's completions of these prompts."""
        found = GRPOTrainer._generate(self._trainer, prompts)
        if not self._trainer.encodes:
            return found
        if self._trainer.rollout_func is not None:
            self._trainer._tokenize_prompts(prompts)
        return *found[:6], None, found[7]

    def _scored_rollouts(self, output: dict[str, Any]) -> list[ScoredRollout]:
        """The scored rollouts of all processes, in their order, with their confidence."""
        scored, _ = self.rewards.take()
        local = [
            replace(r, confidence=c)
            for r, c in zip(scored, self._confidence(output, len(scored)), strict=True)
        ]
        everyone: list[ScoredRollout] = gather_object(local)
        return everyone

    def _confidence(self, output: dict[str, Any], num_rollouts: int) -> Sequence[float | None]:
        """Least token log-probability of each rollout of this process.

        Of those that TRL has computed, or that the rollout was drawn with; None where there are
        none and the sampler does not use them.
        """
        drawn_with = None
        if self._trainer.rollout_func is None and not self._trainer.use_vllm:
            # Ours, and not for TRL, whose off-policy mask would take them for an engine's.
            drawn_with = output.pop("sampling_per_token_logps", None)
        logps = output.get("old_per_token_logps", drawn_with)
        if logps is None and self._run.sampler.uses_logprobs:
            logps = self._log_probabilities(output)
        if logps is None:
            return [None] * num_rollouts
        mask = output["completion_mask"] * output.get("tool_mask", 1)
        return logps.masked_fill(mask == 0, 0.0).min(dim=1).values.tolist()  # type: ignore[no-any-return]

    def _log_probabilities(self, output: dict[str, Any]) -> torch.Tensor:
        """Log-probabilities of a batch under its own policy, [rollouts, tokens].

        TRL does not compute them where a batch has one update.
        """
        trainer = self._trainer
        with torch.no_grad():
            found: torch.Tensor = trainer._get_per_token_logps_and_entropies(
                trainer.model,
                torch.cat([output["prompt_ids"], output["completion_ids"]], dim=1),
                torch.cat([output["prompt_mask"], output["completion_mask"]], dim=1),
                output["completion_ids"].size(1),
                batch_size=trainer.args.per_device_train_batch_size,
                pixel_values=output.get(IMAGES),
                **{name: output[name] for name in TOKEN_TYPES if name in output},
            )[0]
        return found

    # Screenings: a few rollouts as numbers and text; then TRL's batch of whole groups, in which
    # they stand beside new rollouts.

    def _screen(self, indices: PromptIndices, size: int) -> list[list[ScoredRollout]]:
        rows = self._own_rows(indices, size)
        own = self._generated(rows, size)
        everyone: list[ScreenedRollout] = gather_object(own)
        screened = _in_groups(everyone, size)
        self._screenings += screened
        return [[known.rollout for known in group] for group in screened]

    def complete(self, slots: Sequence[Sequence[Slot]]) -> list[list[ScoredRollout]]:
        """Roll out promising groups in full, make TRL's batch, and return the full groups.

        Screenings that do not go on fill it by repetition, without reward or advantage.
        """
        trainer, size = self._trainer, self._trainer.num_generations
        screenings, self._screenings = self._screenings, []
        own = [
            (screenings[slot.group], slot.commits)
            for slot in slots[trainer.accelerator.process_index]
        ]
        screened: list[ScreenedRollout | None] = []
        for group, commits in own:
            repeated = [group[place % len(group)] for place in range(size)]
            screened += [*group, *[None] * (size - len(group))] if commits else repeated
        rows = self._rows([group[0].rollout.index for group, _ in own for _ in range(size)])
        only_fills = np.repeat([not commits for _, commits in own], size)
        with self.rewards.beside_screened(screened, only_fills):
            self.batch = self.stock_batch(rows)
        groups = _in_groups(self._scored_rollouts(self.batch), size)
        commits = [slot.commits for process in slots for slot in process]
        return [group for group, goes_on in zip(groups, commits, strict=True) if goes_on]

    def generate(self, prompts: list[Any]) -> Any:
        """Generate completions like TRL's `_generate`, but reuse rollouts made while screening."""
        trainer, screened = self._trainer, self.rewards.screened
        if screened is None:
            return self._stock_generate(prompts)
        size = trainer.num_generations
        new = [row for row, known in enumerate(screened) if known is None]
        # All processes have something to generate or none has: TRL gathers what it counts.
        generated: tuple[Any, ...] = ([], [], None, [], None, {})
        if new:
            with self._group_size(size - self._run.gate.num_screening):
                generated = self._stock_generate([prompts[row] for row in new])
        _, new_ids, _, new_completions, new_logprobs, new_fields, *_ = generated
        # Prompts are read once more, each once: TRL gave those of the new rollouts only.
        ids, images, _ = trainer._tokenize_prompts(prompts[::size])
        place = {row: position for position, row in enumerate(new)}
        if self._trainer.encodes:
            images = None
            if self._trainer.shown is not None:
                self._trainer.shown = [own for own in self._trainer.shown for _ in range(size)]

        def merge(of_new: Sequence[Any] | None, of_known: Callable[[ScreenedRollout], Any]) -> Any:
            """For each row its new value, or that of its screened rollout."""
            return [
                of_known(known) if known is not None else of_new and of_new[place[row]]
                for row, known in enumerate(screened)
            ]

        logprobs = merge(new_logprobs, lambda known: known.logprobs)
        fields = {
            # The rewards of screened rollouts are known, so nothing asks for their fields.
            name: merge(values, lambda _: None) if isinstance(values, list) else values
            for name, values in new_fields.items()
        }
        return (
            [own for own in ids for _ in range(size)],
            merge(new_ids, lambda known: known.rollout.token_ids.tolist()),
            None,
            merge(new_completions, lambda known: known.completion),
            logprobs if any(own is not None for own in logprobs) else None,
            fields,
            images if images is None else [own for own in images for _ in range(size)],
            [],
        )

    def _generated(self, rows: list[dict[str, Any]], size: int) -> list[ScreenedRollout]:
        """Rollouts of these rows, generated and scored by TRL, without a batch to train on."""
        prompts = with_images(rows)
        with self._group_size(size):
            _, ids, _, completions, logprobs, fields, *_ = self._stock_generate(prompts)
            # What a rollout function says of each rollout is for the reward functions, as in TRL's
            # own batch.
            for name, values in fields.items():
                for row, value in zip(
                    rows, values if isinstance(values, list) else [values] * len(rows), strict=False
                ):
                    row[name] = value
            self._trainer._calculate_rewards(rows, prompts, completions, ids)
        self._trainer.shown = None
        # Of no batch, and so of no row in TRL's table of completions.
        self._trainer._pending_extra_logs.clear()
        scored, rewards = self.rewards.take()
        return [
            ScreenedRollout(
                rollout,
                completion,
                None if logprobs is None else logprobs[row],
                rewards[row].tolist(),
            )
            for row, (rollout, completion) in enumerate(zip(scored, completions, strict=True))
        ]

    @contextmanager
    def _group_size(self, num_rollouts: int) -> Iterator[None]:
        """Let TRL generate groups of this size: vLLM takes each prompt of a group once."""
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
        """Roll out and score each prompt `num_rollouts` times for the sampler, not to train."""
        trainer = self._trainer
        rank = trainer.accelerator.process_index
        if self._refresh is not None:
            share = indices[even_share(trainer, len(indices))]
            own = self._refresh(trainer, share, num_rollouts, batch=batch, process=rank)
            found: dict[int, list[ScoredRollout]] = {}
            for group in gather_object(own):
                if found.setdefault(group[0].index, group) is not group:
                    self._discard(group)
            return [found[int(index)] for index in indices]
        with self._own_random_numbers(trainer.args.seed + 1_000_003 * (batch + 1) + rank):
            return self._refreshed(indices, num_rollouts)

    def _refreshed(self, indices: PromptIndices, num_rollouts: int) -> list[list[ScoredRollout]]:
        """Scored rollouts by TRL's generation, in parts of the size of a training batch."""
        args, world = self._trainer.args, self.num_processes
        rows_at_once = args.per_device_train_batch_size * args.steps_per_generation
        at_once = world * max(1, rows_at_once // num_rollouts)
        groups: list[list[ScoredRollout]] = []
        for start in range(0, len(indices), at_once):
            part = indices[start : start + at_once]
            # Every process generates equally many rows; what only fills is charged and dropped.
            filled = np.resize(part, -(-len(part) // world) * world)
            own = [
                known.rollout
                for known in self._generated(self._own_rows(filled, num_rollouts), num_rollouts)
            ]
            everyone = _in_groups(gather_object(own), num_rollouts)
            groups += everyone[: len(part)]
            for group in everyone[len(part) :]:
                self._discard(group)
        return groups

    def _discard(self, group: Sequence[ScoredRollout]) -> None:
        tokens = sum(len(rollout.token_ids) for rollout in group)
        self._run.ledger.charge("discarded", rollouts=len(group), tokens=tokens)

    @contextmanager
    def _own_random_numbers(self, seed: int) -> Iterator[None]:
        """Within this context, what is rolled out changes neither the training nor TRL's log."""
        trainer = self._trainer
        metrics, seen = copy.deepcopy(trainer._metrics), trainer.state.num_input_tokens_seen
        devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
        try:
            with torch.random.fork_rng(devices=devices):
                torch.manual_seed(seed)
                yield
        finally:
            trainer._metrics, trainer.state.num_input_tokens_seen = metrics, seen


def _in_groups(entries: Sequence[T], size: int) -> list[list[T]]:
    return [list(entries[start : start + size]) for start in range(0, len(entries), size)]

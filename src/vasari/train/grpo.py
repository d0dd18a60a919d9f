"""GRPO on TRL's trainer, with prompts chosen late: drawn, rolled out and observed inside one generation.

TRL's methods are wrapped and never copied (docs/decisions/trl-late-binding.md). The loop is draw, roll out, observe, admit:
the sampler decides on the main process just before the rollouts, because a data loader would have committed the next
batches before this batch's rewards exist; a gate decides there after them (docs/decisions/gates-in-training.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import broadcast_object_list, gather_object
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from vasari.policy.image_reuse import reuse_image_features, without_adapters
from vasari.records import Draw, Prompt
from vasari.sample import Gate, PromptSampler
from vasari.train.books import RolloutBooks, ScoredRollout, outcome
from vasari.train.checkpoints import guard_saving, mark_complete, restore_weights
from vasari.train.gated_batch import GatedBatch, ScoredGroup, check_gate
from vasari.train.join import join_rollouts
from vasari.train.prompt_rows import prompt_row
from vasari.train.refresh import Refresher
from vasari.train.resume import load_run_state, save_run_state
from vasari.train.zero_variance import drop_silent_rollouts

_SEEN_BY_THE_MODEL = (
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


class VarianceAwareTrainer(GRPOTrainer):  # type: ignore[misc]
    """TRL's GRPOTrainer that asks a `PromptSampler` what to roll out next, and tells it what came of it."""

    def __init__(
        self,
        *,
        prompts: Sequence[Prompt],
        sampler: PromptSampler,
        books: RolloutBooks,
        refresher: Refresher,
        gate: Gate,
        max_generations: int,
        system: str,
        **trl: Any,
    ) -> None:
        self.prompt_sampler = sampler
        self.books = books
        self.refresher = refresher
        self.batch = 0
        self.gate = gate
        self._max_generations = max_generations
        self._prompts = prompts
        self._system = system
        self._scored: list[ScoredRollout] = []
        config: GRPOConfig = trl["args"]
        check_gate(
            gate,
            num_prompts=config.generation_batch_size // config.num_generations,
            num_rollouts=config.num_generations,
            num_processes=config.world_size,
        )
        # The loader only counts: rows are bound to prompts when they are needed, so no image is opened for nothing. One
        # pass over it is the whole run: a resumed run that had reached its last step must not begin another pass.
        updates = config.steps_per_generation // config.gradient_accumulation_steps
        rows = -(-config.max_steps // updates) * config.generation_batch_size // config.num_generations
        placeholder = [[{"role": "user", "content": "to be drawn"}]]
        super().__init__(
            train_dataset=Dataset.from_dict({"prompt": placeholder * rows}),
            reward_funcs=[self._accuracy_reward, self._format_reward],
            **trl,
        )
        if self.model.config.model_type == "qwen2_5_vl":
            for encoder in filter(None, (self.model, self.ref_model)):
                reuse_image_features(self.accelerator.unwrap_model(encoder))

    # Draw, roll out, observe, admit.

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        if not self.model.training:
            return super()._generate_and_score_completions(inputs)  # type: ignore[no-any-return]
        self.refresher.run(self, batch=self.batch)
        output = self._rolled_out_batch(len(inputs))
        self.batch += 1
        return output

    def _rolled_out_batch(self, num_rows: int) -> dict[str, Any]:
        """A batch of so many rollouts on this process: drawn, rolled out, observed, admitted and booked."""
        world = self.accelerator.num_processes
        wanted = num_rows * world // self.num_generations
        batch = GatedBatch(self.gate, num_prompts=wanted, num_processes=world, max_generations=self._max_generations)
        outputs: list[dict[str, Any]] = []
        filled: list[list[int]] = []
        while wanted:
            draw = self._draw_prompts(wanted)
            outputs.append(self._roll_out(draw))
            wanted, filled = self._observe(outputs[-1], draw, batch)
        if self.accelerator.is_main_process:
            self._book(batch.groups, discarded=batch.discarded(), num_generations=batch.num_generations)
        return self._joined(outputs, filled[self.accelerator.process_index]) if len(outputs) > 1 else outputs[0]

    def _roll_out(self, draw: Draw) -> dict[str, Any]:
        """TRL's batch of this process's share of the drawn prompts, generated and scored."""
        return self._trl_batch(self._own_rows(draw, self.num_generations))

    def _trl_batch(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """TRL's batch of these rows, in whole groups."""
        return super()._generate_and_score_completions(rows)  # type: ignore[no-any-return]

    def _own_rows(self, draw: Draw, num_rollouts: int) -> list[dict[str, Any]]:
        """This process's share of the rows of so many rollouts of each drawn prompt."""
        places = np.repeat(draw.indices, num_rollouts)
        share = len(places) // self.accelerator.num_processes
        return self._rows(places[share * self.accelerator.process_index :][:share].tolist())

    def _rows(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        """A row for each of these prompts, images opened once a prompt."""
        bound = {index: prompt_row(self._prompts, index, system=self._system) for index in set(indices)}
        return [bound[index] for index in indices]

    def _joined(self, outputs: list[dict[str, Any]], groups: list[int]) -> dict[str, Any]:
        """The batch that the gate left: these of the groups that this process rolled out."""
        size = self.num_generations
        rows = [row for group in groups for row in range(group * size, (group + 1) * size)]
        joined = join_rollouts(outputs, rows, pad_token_id=self._tokenizer.pad_token_id)
        joined["num_items_in_batch"] = self.accelerator.gather(joined["completion_mask"].sum()).sum()
        return joined

    def _draw_prompts(self, num_prompts: int) -> Draw:
        drawn: Draw = self._from_main(lambda: self.prompt_sampler.draw(num_prompts))
        return drawn

    def _from_main(self, decide: Callable[[], Any]) -> Any:
        """What the main process decides, in every process."""
        box: list[Any] = [decide() if self.accelerator.is_main_process else None]
        broadcast_object_list(box, from_process=0)
        return box[0]

    def _tokenize_prompts(self, prompts: Any) -> Any:
        # TRL says None for a prompt without images beside others that have some, which no processor takes.
        ids, images, fields = super()._tokenize_prompts(prompts)
        return ids, None if images is None else [own or [] for own in images], fields

    def _generate_single_turn(self, *args: Any, **kwargs: Any) -> Any:
        # Left over from a batch with images, they would shift the positions of a batch without.
        inner = without_adapters(self.accelerator.unwrap_model(self.model))
        if hasattr(inner, "model") and hasattr(inner.model, "rope_deltas"):
            inner.model.rope_deltas = None
        return super()._generate_single_turn(*args, **kwargs)

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any) -> torch.Tensor:
        self._scored = self._score_rows(inputs, completions, completion_ids_list)
        return super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)  # type: ignore[no-any-return]

    def _score_rows(self, rows: Any, completions: Any, completion_ids: Any) -> list[ScoredRollout]:
        """The rollouts of these rows, verified."""
        ends = {*self.eos_token_ids, self._tokenizer.pad_token_id}
        return [
            self.books.score(row["prompt_index"], completion[0]["content"], ids, truncated=ids[-1] not in ends)
            for row, completion, ids in zip(rows, completions, completion_ids, strict=True)
        ]

    def _accuracy_reward(self, **_: Any) -> list[float | None]:
        return [self._part(rollout, "accuracy") for rollout in self._scored]

    def _format_reward(self, **_: Any) -> list[float | None]:
        return [self._part(rollout, "format") for rollout in self._scored]

    @staticmethod
    def _part(rollout: ScoredRollout, name: str) -> float | None:
        # None in both parts is TRL's word for a rollout that must leave its group's baseline.
        return None if np.isnan(rollout.reward.total) else rollout.reward.breakdown[name]

    def _observe(self, output: dict[str, Any], draw: Draw, batch: GatedBatch) -> tuple[int, list[list[int]]]:
        """Hand every group to the sampler, zero-variance groups too, and then to the gate.

        Returns:
            How many prompts to roll out next, and the groups of each process that make up the batch so far.
        """
        everyone = self._everyones_rollouts(output)

        def decide() -> tuple[int, list[list[int]]]:
            size = self.num_generations
            scores = prompt_scores(self.prompt_sampler, draw.indices)
            groups = [
                ScoredGroup(everyone[place * size : (place + 1) * size], role, score)
                for place, (role, score) in enumerate(zip(draw.roles, scores, strict=True))
            ]
            outcomes = [outcome(group.rollouts, purpose="train", batch=self.batch) for group in groups]
            self.prompt_sampler.observe(outcomes)
            return batch.offer(groups, outcomes), batch.filled()

        decided: tuple[int, list[list[int]]] = self._from_main(decide)
        return decided

    def _everyones_rollouts(self, output: dict[str, Any]) -> list[ScoredRollout]:
        """The scored rollouts of all processes, one process after the other, with what TRL's batch says of them."""
        local = [replace(r, confidence=c) for r, c in zip(self._scored, self._confidence(output), strict=True)]
        self._scored = []
        everyone: list[ScoredRollout] = gather_object(local)
        return everyone

    def _book(
        self,
        groups: Sequence[ScoredGroup],
        *,
        discarded: Sequence[int],
        num_generations: int,
        screened_only: Sequence[int] = (),
    ) -> None:
        """Charge and keep all groups of a batch, each with its one purpose, and log the batch in numbers."""
        self.books.record(
            [group.rollouts for group in groups],
            batch=self.batch,
            step=self.state.global_step,
            purpose="train",
            roles=[group.role for group in groups],
            scores=[group.score for group in groups],
            discarded=discarded,
            screened_only=screened_only,
        )
        rewards = [np.array([rollout.reward.total for rollout in group.rollouts]) for group in groups]
        # Our own count: TRL's looks at the whole batch under some reward scalings.
        silent = [np.nanmax(own, initial=-np.inf) - np.nanmin(own, initial=np.inf) <= 1e-9 for own in rewards]
        facts = {
            "batch": float(self.batch),
            "zero_variance_share": float(np.mean(silent)),
            "unverifiable_share": float(np.isnan(np.concatenate(rewards)).mean()),
            "generations": float(num_generations),
            "trained_share": 1 - (len(discarded) + len(screened_only)) / len(groups),
            **{name: float(value) for name, value in self.books.ledger.metrics().items()},
            **{name: float(value) for name, value in self.prompt_sampler.metrics().items()},
        }
        for name, value in facts.items():
            self._metrics["train"][name].append(value)

    def _confidence(self, output: dict[str, Any]) -> list[float]:
        """Least token log-probability of each local rollout; nan when neither TRL nor the sampler needs it."""
        logps = output.get("old_per_token_logps")
        if logps is None and self.prompt_sampler.uses_logprobs:
            logps = self._log_probabilities(output)
        if logps is None:
            return [float("nan")] * len(self._scored)
        return logps.masked_fill(output["completion_mask"] == 0, 0.0).min(dim=1).values.tolist()  # type: ignore[no-any-return]

    def _log_probabilities(self, output: dict[str, Any]) -> torch.Tensor:
        """[rollouts, tokens] of the completions under the policy that wrote them, which TRL skips for one update a batch."""
        with torch.no_grad():
            found: torch.Tensor = self._get_per_token_logps_and_entropies(
                self.model,
                torch.cat([output["prompt_ids"], output["completion_ids"]], dim=1),
                torch.cat([output["prompt_mask"], output["completion_mask"]], dim=1),
                output["completion_ids"].size(1),
                batch_size=self.args.per_device_train_batch_size,
                **{name: output[name] for name in _SEEN_BY_THE_MODEL if name in output},
            )[0]
        return found

    # Cost: a group whose advantages are all zero cannot move the weights when there is no KL term.

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        kept, share = drop_silent_rollouts(inputs, at_least=self._most_heard(inputs)) if self.beta == 0.0 else (inputs, 1.0)
        loss = super()._compute_loss(model, kept)
        # These losses divide by the rollouts that they see; the dropped ones, whose terms are zero, belong to the count.
        by_rollout = self.loss_type in ("grpo", "dr_grpo")
        return loss * share if by_rollout else loss  # type: ignore[no-any-return]

    def _most_heard(self, inputs: dict[str, Any]) -> int:
        """Rollouts with an advantage in the process that has most: TRL gathers metrics and needs one size everywhere."""
        heard = torch.count_nonzero(inputs["advantages"]).reshape(1)
        return int(self.accelerator.gather(heard).max())

    # State beside the checkpoint, complete or ignored.

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        with guard_saving(self.args.output_dir):
            super()._save_checkpoint(model, trial)
            # Every process writes its own random state: complete means all of them are there.
            self.accelerator.wait_for_everyone()
            if self.accelerator.is_main_process:
                save_run_state(self._checkpoint_folder(), self)
                mark_complete(self.args.output_dir, self.state.global_step)
        self.accelerator.wait_for_everyone()

    def _checkpoint_folder(self) -> Path:
        return Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        restore_weights(self.accelerator.unwrap_model(self.model), resume_from_checkpoint)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            load_run_state(Path(checkpoint), self)


def prompt_scores(sampler: PromptSampler, indices: Any) -> list[float]:
    """The sampler's scores of these prompts; nan where it keeps none."""
    scores = getattr(sampler, "scores", None)
    if scores is None:
        return [float("nan")] * len(indices)
    return [float(value) for value in np.asarray(scores())[np.asarray(indices)]]

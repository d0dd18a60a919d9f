"""GRPO on TRL's trainer, with prompts chosen late: drawn, rolled out and observed inside one generation.

TRL's methods are wrapped and never copied (docs/decisions/trl-late-binding.md). The loop is draw, roll out, observe:
the sampler decides on the main process just before the rollouts, because a data loader would have committed the next
batches before this batch's rewards exist.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import broadcast_object_list, gather_object
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from vasari.policy.image_reuse import reuse_image_features, without_adapters
from vasari.records import Draw, Prompt
from vasari.sample import PromptSampler
from vasari.train.books import RolloutBooks, ScoredRollout
from vasari.train.checkpoints import guard_saving, mark_complete, restore_weights
from vasari.train.prompt_rows import prompt_row
from vasari.train.refresh import Refresher
from vasari.train.resume import load_run_state, save_run_state
from vasari.train.zero_variance import drop_silent_rollouts


class VarianceAwareTrainer(GRPOTrainer):  # type: ignore[misc]
    """TRL's GRPOTrainer that asks a `PromptSampler` what to roll out next, and tells it what came of it."""

    def __init__(
        self,
        *,
        prompts: Sequence[Prompt],
        sampler: PromptSampler,
        books: RolloutBooks,
        refresher: Refresher,
        system: str,
        **trl: Any,
    ) -> None:
        self.prompt_sampler = sampler
        self.books = books
        self.refresher = refresher
        self.batch = 0
        self._prompts = prompts
        self._system = system
        self._draw: Draw | None = None
        self._scored: list[ScoredRollout] = []
        config: GRPOConfig = trl["args"]
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

    # Draw, roll out, observe.

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        if not self.model.training:
            return super()._generate_and_score_completions(inputs)  # type: ignore[no-any-return]
        self.refresher.run(self, batch=self.batch)
        draw = self._draw_prompts(len(inputs) * self.accelerator.num_processes // self.num_generations)
        rows = np.repeat(draw.indices, self.num_generations)
        start = len(inputs) * self.accelerator.process_index
        self._draw = draw
        bound = {int(i): prompt_row(self._prompts, int(i), system=self._system) for i in set(rows[start : start + len(inputs)])}
        output = super()._generate_and_score_completions([bound[int(i)] for i in rows[start : start + len(inputs)]])
        self._observe(output)
        self.batch += 1
        return output  # type: ignore[no-any-return]

    def _draw_prompts(self, num_prompts: int) -> Draw:
        box: list[Any] = [self.prompt_sampler.draw(num_prompts) if self.accelerator.is_main_process else None]
        broadcast_object_list(box, from_process=0)
        drawn: Draw = box[0]
        return drawn

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
        ends = {*self.eos_token_ids, self._tokenizer.pad_token_id}
        self._scored = [
            self.books.score(row["prompt_index"], completion[0]["content"], ids, truncated=ids[-1] not in ends)
            for row, completion, ids in zip(inputs, completions, completion_ids_list, strict=True)
        ]
        return super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)  # type: ignore[no-any-return]

    def _accuracy_reward(self, **_: Any) -> list[float | None]:
        return [self._part(rollout, "accuracy") for rollout in self._scored]

    def _format_reward(self, **_: Any) -> list[float | None]:
        return [self._part(rollout, "format") for rollout in self._scored]

    @staticmethod
    def _part(rollout: ScoredRollout, name: str) -> float | None:
        # None in both parts is TRL's word for a rollout that must leave its group's baseline.
        return None if np.isnan(rollout.reward.total) else rollout.reward.breakdown[name]

    def _observe(self, output: dict[str, Any]) -> None:
        """Hand every group to books and sampler, before any filter, zero-variance groups too."""
        confidence = self._confidence(output)
        local = [
            ScoredRollout(
                index=r.index,
                text=r.text,
                token_ids=r.token_ids,
                verdict=r.verdict,
                reward=r.reward,
                truncated=r.truncated,
                confidence=c,
            )
            for r, c in zip(self._scored, confidence, strict=True)
        ]
        everyone: list[ScoredRollout] = gather_object(local)
        if self.accelerator.is_main_process and self._draw is not None:
            size = self.num_generations
            groups = [everyone[i : i + size] for i in range(0, len(everyone), size)]
            scores = prompt_scores(self.prompt_sampler, self._draw.indices)
            outcomes = self.books.record(
                groups, batch=self.batch, step=self.state.global_step, purpose="train", roles=self._draw.roles, scores=scores
            )
            self.prompt_sampler.observe(outcomes)
            rewards = np.array([group.rewards for group in outcomes])
            # Our own count: TRL's looks at the whole batch under some reward scalings.
            silent = np.nanmax(rewards, axis=1, initial=-np.inf) - np.nanmin(rewards, axis=1, initial=np.inf) <= 1e-9
            facts = {
                "batch": float(self.batch),
                "zero_variance_share": float(silent.mean()),
                "unverifiable_share": float(np.isnan(rewards).mean()),
                **{name: float(value) for name, value in self.books.ledger.metrics().items()},
                **{name: float(value) for name, value in self.prompt_sampler.metrics().items()},
            }
            for name, value in facts.items():
                self._metrics["train"][name].append(value)
        self._scored = []

    def _confidence(self, output: dict[str, Any]) -> list[float]:
        """Least token log-probability of each local rollout; nan when TRL did not need the log-probabilities."""
        logps = output.get("old_per_token_logps")
        if logps is None:
            return [float("nan")] * len(self._scored)
        return logps.masked_fill(output["completion_mask"] == 0, 0.0).min(dim=1).values.tolist()  # type: ignore[no-any-return]

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

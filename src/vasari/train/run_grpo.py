"""One GRPO training run, from a starting model to the weights `best` and `last`; resumable."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from transformers import GenerationConfig, PrinterCallback, TrainerCallback
from trl import GRPOTrainer

from vasari.core.errors import ConfigError, StateError
from vasari.core.progress import Tell, silent
from vasari.core.records import Prompt, PromptIndices
from vasari.model.processor import load_processor
from vasari.model.sampling import sampling, sampling_facts
from vasari.model.template import opened_tag
from vasari.sample import PromptSampler
from vasari.score.reward import as_batched
from vasari.train.callbacks import (
    MetricLog,
    ScoreSnapshots,
    StopAtBudget,
    TellProgress,
    Validator,
)
from vasari.train.checkpoints import complete_checkpoints
from vasari.train.group_file import GroupLog, drop_groups_from
from vasari.train.groups import ScoredRollout, VerifyPrompt, score_group, verify_prompt
from vasari.train.loop import LoopOptions
from vasari.train.prompt_data import PromptDataset
from vasari.train.run_state import RunState, read_run_file
from vasari.train.settings import GrpoSettings
from vasari.train.trl_batch import why_not_droppable
from vasari.train.trl_config import grpo_config, trl_refusals
from vasari.train.trl_trainer import VarianceAwareGRPOTrainer
from vasari.train.trl_vllm import even_share, rollout_policy
from vasari.train.vllm_prompts import require_processed_log_probs, server_refusals
from vasari.train.weights import load_weights
from vasari.train.whole_model import join_deepspeed, prepare_spreading


@dataclass(frozen=True, kw_only=True)
class GrpoTraining:
    """One GRPO training run: its starting model, prompts, sampler, settings and output folder."""

    model_path: str
    """Folder or hub name of the model to start from."""
    prompts: Sequence[Prompt]
    """The pool of training prompts."""
    sampler: PromptSampler
    """Chooses prompts of the pool."""
    settings: GrpoSettings
    """The recipe's GRPO settings."""
    system: str
    """The system prompt."""
    out: Path
    """Folder for checkpoints, `metrics.jsonl`, `validation.jsonl`, `groups/`, `best` (by validation
    accuracy) and `last`."""
    seed: int
    max_pixels: int | None = None
    """Larger images are scaled down to this many pixels."""
    thinking: bool | None = None
    """Whether the chat template asks for a reasoning; None: its default."""
    attn_implementation: str | None = None
    """How attention is computed, in transformers' words; None: its default."""
    verify: VerifyPrompt = verify_prompt
    """Says which rollouts are correct."""
    tell: Tell = silent
    """Called with the progress."""

    def train(
        self,
        validation: Sequence[Prompt],
        *,
        resume: bool = False,
        callbacks: Sequence[TrainerCallback] = (),
        on_start: Callable[[RunState], None] | None = None,
    ) -> dict[str, Any]:
        """Train on the prompts that the sampler chooses, and return a summary of the training.

        Args:
            validation: Prompts that choose the best weights; without any, the last are the best.
            resume: Continue from the last complete checkpoint in `out`.
            callbacks: Called after our own.
            on_start: Called before the first batch with the run's state, which then changes.

        Returns:
            `steps`, `batches`, `rollouts` and `tokens` by purpose, `best_step`, `best_validation`,
            `repeated_rollouts` (generated twice because of a crash), `seconds`, `sampling` (the
            distribution of the rollouts).

        Raises:
            ConfigError: The pool is smaller than a batch, or rollouts do not divide over the
                processes.
            StateError: `out` already holds a run and `resume` is not set, or its checkpoint fits
                another pool or sampler.
        """
        if len(self.prompts) < self.settings.prompts_per_batch:
            raise ConfigError(
                f"the pool has {len(self.prompts)} prompts and a batch draws"
                f" {self.settings.prompts_per_batch}; lower grpo.prompts_per_batch"
            )
        checkpoint = _checkpoint(self.out, resume=resume)
        settings = within_budget(self.settings, checkpoint)
        self.out.mkdir(parents=True, exist_ok=True)
        progress = TellProgress(self.tell)
        trainer = replace(self, settings=settings, tell=progress.scoring).make_trainer()
        run = trainer.loop.run
        if on_start is not None:
            on_start(run)
        validator = self._validator(validation, trainer)
        for callback in (
            StopAtBudget(run.ledger, settings),
            validator,
            progress,
            MetricLog(self.out / "metrics.jsonl"),
            self._snapshots(),
            *callbacks,
        ):
            trainer.add_callback(callback)
        drawn = sampling(trainer.model, trainer.processing_class, settings.decoding(1))
        facts = self._run(trainer, checkpoint)
        measured = math.isfinite(validator.best)
        if not measured:
            trainer.save_whole(self.out / "best")
        return facts | {
            "sampling": {"vllm": settings.vllm} | sampling_facts(drawn),
            "best_step": validator.best_step if measured else facts["steps"],
            "best_validation": validator.best if measured else None,
        }

    def _validator(self, prompts: Sequence[Prompt], trainer: VarianceAwareGRPOTrainer) -> Validator:
        return Validator(
            prompts,
            self.settings.decoding(self.settings.validation_rollouts),
            run=trainer.loop.run,
            every=self.settings.validate_every,
            seed=self.seed,
            folder=self.out,
            share=partial(even_share, trainer),
            policy=partial(rollout_policy, trainer, system=self.system),
            save=trainer.save_whole,
        )

    def _snapshots(self) -> ScoreSnapshots:
        updates = self.settings.updates_per_batch
        return ScoreSnapshots(self.sampler, self.out / "scores.npz", updates_per_batch=updates)

    def _run(self, trainer: VarianceAwareGRPOTrainer, checkpoint: Path | None) -> dict[str, Any]:
        """Let the trainer train to its end and save its last weights."""
        is_main = trainer.accelerator.is_main_process
        repeated = _drop_groups_after(checkpoint, self.out) if is_main else 0
        trainer.accelerator.wait_for_everyone()
        started = time.monotonic()
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        trainer.save_whole(self.out / "last")
        run = trainer.loop.run
        return {
            "steps": trainer.state.global_step,
            "batches": run.batch,
            "rollouts": dict(run.ledger.rollouts),
            "tokens": dict(run.ledger.tokens),
            "repeated_rollouts": repeated,
            "seconds": time.monotonic() - started,
        }

    def make_trainer(self) -> VarianceAwareGRPOTrainer:
        """Build this run's GRPO trainer, which reports progress through `tell`.

        Raises:
            ConfigError: Rollouts do not divide over the processes.
        """
        settings = self.settings
        terms = settings.make_rewards()
        config = grpo_config(settings, self.out, self.seed)
        join_deepspeed(config)
        ids = [prompt.id for prompt in self.prompts]
        groups = self.out / "groups"
        processor = load_processor(
            self.model_path, max_pixels=self.max_pixels, thinking=self.thinking
        )
        # The reference is loaded as the policy is: otherwise TRL asks for the attention of its text
        # in all of its parts, which those of Gemma 4 refuse.
        config.model_init_kwargs = {"attn_implementation": self.attn_implementation}
        logging.getLogger(GRPOTrainer.__module__).addFilter(_is_not_about_the_reference)
        with trl_refusals("grpo"), server_refusals():
            trainer = VarianceAwareGRPOTrainer(
                model=load_weights(
                    self.model_path,
                    settings,
                    seed=self.seed,
                    attn_implementation=self.attn_implementation,
                ),
                reward_funcs=[as_batched(term) for term in terms],
                args=config,
                train_dataset=PromptDataset(
                    self.prompts,
                    system=self.system,
                    reads_images=hasattr(processor, "image_processor"),
                ),
                processing_class=processor,
                sampler=self.sampler,
                gate=settings.make_gate(),
                verify=lambda row, text: self.verify(row["vasari_prompt"], text),
                prompt_ids=ids,
                options=LoopOptions(
                    max_generations=settings.max_generations,
                    candidates=settings.screening.candidates,
                    essential=tuple(term.name for term in terms if not term.is_batched),
                    record=GroupLog(groups, ids, updates_per_batch=settings.updates_per_batch),
                    refresh=self.refresh,
                    drop_zero_advantage=why_not_droppable(config) is None,
                    sort_by_length=why_not_droppable(config) is None,
                    reuse_log_probs=True,
                    opened=opened_tag(processor),
                    encode_images_once=True,
                ),
            )
        require_processed_log_probs(trainer)
        prepare_spreading(trainer)
        trainer.remove_callback(PrinterCallback)
        trainer.saves_whole_models = trainer.draws_without_dropout = True
        _sample_like(sampling(trainer.model, processor, settings.decoding(1)), trainer)
        return trainer

    def refresh(
        self,
        trainer: Any,
        indices: PromptIndices,
        num_rollouts: int,
        *,
        batch: int,
        process: int,
    ) -> list[list[ScoredRollout]]:
        """Roll out and score prompts for the sampler, not to train (Algorithm 1, line 3).

        With transformers they are generated with random numbers of their own, so that training
        continues the same stream whether prompts were scored or not.
        """
        with rollout_policy(trainer, system=self.system) as policy:
            groups = policy.generate(
                [self.prompts[index] for index in indices],
                self.settings.decoding(num_rollouts),
                seed=self.seed + 1_000_003 * (batch + 1) + process,
                tell=self.tell,
            )
        score = partial(score_group, terms=self.settings.make_rewards(), verify=self.verify)
        return [
            score(group, index=int(index), prompt=self.prompts[index])
            for index, group in zip(indices, groups, strict=True)
        ]


def _is_not_about_the_reference(record: logging.LogRecord) -> bool:
    """False for TRL's warning that what the reference is loaded with is not for the policy."""
    return "`model_init_kwargs` will be ignored" not in record.getMessage()


def _sample_like(drawn: GenerationConfig, trainer: VarianceAwareGRPOTrainer) -> None:
    """Let the trainer leave out and end at the tokens at which all other rollouts of the run do."""
    trainer.eos_token_ids = drawn.eos_token_id
    if not trainer.use_vllm:
        trainer.generation_config.suppress_tokens = drawn.suppress_tokens
        trainer.generation_config.eos_token_id = drawn.eos_token_id
        return
    options = trainer.vllm_generation.generation_kwargs
    options["stop_token_ids"] = drawn.eos_token_id
    # The least that vLLM takes. A server gets the ids as text, and reads them as numbers.
    options["logit_bias"] = dict.fromkeys(drawn.suppress_tokens or (), -100.0)


def within_budget(settings: GrpoSettings, checkpoint: Path | None) -> GrpoSettings:
    """Return GRPO settings, with no steps left if the checkpoint used up the rollout budget."""
    if settings.max_rollouts is None or checkpoint is None:
        return settings
    if sum(read_run_file(checkpoint)["ledger"]["rollouts"].values()) < settings.max_rollouts:
        return settings
    return settings.model_copy(update={"steps": int(checkpoint.name.removeprefix("checkpoint-"))})


def _checkpoint(out: Path, *, resume: bool) -> Path | None:
    """Return the last complete checkpoint, from which a resumed run continues; None if none."""
    done = complete_checkpoints(out) if out.exists() else []
    if done and not resume:
        raise StateError(
            f"{out}: already holds a run up to {done[-1].name}; pass --resume to continue it, or"
            " choose another --out"
        )
    return done[-1] if done else None


def _drop_groups_after(checkpoint: Path | None, out: Path) -> int:
    """Delete the stored groups after the checkpoint, and return how many rollouts they had."""
    batch = int(read_run_file(checkpoint)["batch"]) if checkpoint else 0
    return drop_groups_from(out / "groups", batch) if (out / "groups").exists() else 0

"""One reinforcement training, from a cold start to `best` and `last`, resumable at any moment."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from transformers import PrinterCallback, TrainerCallback

from vasari.core.errors import ConfigError, StateError
from vasari.core.progress import Tell, silent
from vasari.core.records import Prompt
from vasari.model.base import Decoding
from vasari.model.processor import load_processor
from vasari.model.transformers_policy import load_model
from vasari.sample import PromptSampler
from vasari.score.reward import as_batched
from vasari.train.budget import StopAtBudget, within_budget
from vasari.train.checkpoints import complete_checkpoints, save_model
from vasari.train.group_file import drop_groups_from
from vasari.train.group_log import GroupLog
from vasari.train.options import LoopOptions
from vasari.train.prompt_rows import PromptDataset
from vasari.train.refresh import Refresher
from vasari.train.run_state import RunState, read_run_file
from vasari.train.score_snapshots import ScoreSnapshots
from vasari.train.scorer import RolloutScorer, VerifyPrompt, verify_prompt
from vasari.train.settings import GrpoSettings
from vasari.train.trl_config import grpo_config, prepare_weights
from vasari.train.trl_trainer import VarianceAwareGRPOTrainer
from vasari.train.validation import Validator
from vasari.train.watch import MetricLog, TellProgress
from vasari.train.zero_variance import why_not_droppable


def train_grpo(
    model_path: str,
    *,
    prompts: Sequence[Prompt],
    validation: Sequence[Prompt],
    sampler: PromptSampler,
    settings: GrpoSettings,
    system: str,
    out: Path,
    seed: int,
    max_pixels: int | None = None,
    resume: bool = False,
    tell: Tell = silent,
    verify: VerifyPrompt = verify_prompt,
    callbacks: Sequence[TrainerCallback] = (),
    on_start: Callable[[RunState], None] = lambda run: None,  # noqa: ARG005
) -> dict[str, Any]:
    """Train the model at `model_path` on the prompts that `sampler` chooses.

    Leaves in `out`: checkpoints, `metrics.jsonl`, `validation.jsonl`, `groups/`, `best` (by
    validation accuracy), `last`. `verify` says which rollouts are correct; `callbacks` are called
    after our own; `on_start` is shown the run's state, which changes as it goes on, before the
    first batch.

    Returns:
        `steps`, `batches`, `rollouts` and `tokens` by purpose, `best_step`, `best_validation`,
        `repeated_rollouts` (generated twice because of a crash), `seconds`.

    Raises:
        ConfigError: The pool is smaller than a batch, or rollouts do not divide over the processes.
        StateError: `out` already holds a run and `resume` is not set, or its checkpoint fits
            another pool or sampler.
    """
    _check_pool(prompts, settings)
    checkpoint = _checkpoint(out, resume=resume)
    settings = within_budget(settings, checkpoint)
    out.mkdir(parents=True, exist_ok=True)
    notes = TellProgress(tell)
    trainer = make_trainer(
        model_path,
        prompts=prompts,
        sampler=sampler,
        settings=settings,
        system=system,
        out=out,
        seed=seed,
        max_pixels=max_pixels,
        tell=notes.scoring,
        verify=verify,
    )
    run = trainer.loop.run
    on_start(run)
    validator = Validator(
        validation,
        validation_decoding(settings),
        run=run,
        system=system,
        every=settings.validate_every,
        seed=seed,
        folder=out,
    )
    snapshots = ScoreSnapshots(
        sampler, out / "scores.npz", updates_per_batch=settings.updates_per_batch
    )
    watching = [
        StopAtBudget(run.ledger, settings),
        validator,
        notes,
        MetricLog(out / "metrics.jsonl"),
        snapshots,
    ]
    for callback in (*watching, *callbacks):
        trainer.add_callback(callback)
    facts = _train(trainer, checkpoint=checkpoint, out=out)
    return _outcome(trainer, validator) | facts


def make_trainer(
    model_path: str,
    *,
    prompts: Sequence[Prompt],
    sampler: PromptSampler,
    settings: GrpoSettings,
    system: str,
    out: Path,
    seed: int,
    max_pixels: int | None = None,
    tell: Tell = silent,
    verify: VerifyPrompt = verify_prompt,
) -> VarianceAwareGRPOTrainer:
    """The trainer of these settings; arguments as in `train_grpo`, `tell` hears how far a scoring
    of prompts is.
    """
    terms = settings.make_rewards()
    config = grpo_config(settings, out, seed)
    trainer = VarianceAwareGRPOTrainer(
        model=prepare_weights(
            load_model(model_path, dtype="bfloat16" if settings.trl.bf16 else "float32"), settings
        ),
        reward_funcs=[as_batched(term) for term in terms],
        args=config,
        train_dataset=PromptDataset(prompts, system=system),
        processing_class=load_processor(model_path, max_pixels=max_pixels),
        sampler=sampler,
        gate=settings.make_gate(),
        verify=lambda row, text: verify(row["vasari_prompt"], text),
        prompt_ids=[prompt.id for prompt in prompts],
        options=LoopOptions(
            max_generations=settings.max_generations,
            candidates=settings.screening.candidates,
            essential=tuple(term.name for term in terms if not term.is_batched),
            record=GroupLog(
                out / "groups",
                [prompt.id for prompt in prompts],
                updates_per_batch=settings.updates_per_batch,
            ),
            refresh=Refresher(
                RolloutScorer(prompts, terms, verify=verify),
                refresh_decoding(settings),
                system=system,
                seed=seed,
                tell=tell,
            ),
            drop_zero_advantage=why_not_droppable(config) is None,
            encode_images_once=True,
        ),
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _train(
    trainer: VarianceAwareGRPOTrainer, *, checkpoint: Path | None, out: Path
) -> dict[str, Any]:
    repeated = _forget_after(checkpoint, out) if trainer.accelerator.is_main_process else 0
    trainer.accelerator.wait_for_everyone()
    started = time.monotonic()
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if trainer.accelerator.is_main_process:
        save_model(
            trainer.accelerator.unwrap_model(trainer.model), trainer.processing_class, out / "last"
        )
    return {"repeated_rollouts": repeated, "seconds": time.monotonic() - started}


def _check_pool(prompts: Sequence[Prompt], settings: GrpoSettings) -> None:
    if len(prompts) < settings.prompts_per_batch:
        raise ConfigError(
            f"the pool has {len(prompts)} prompts and a batch draws {settings.prompts_per_batch};"
            " lower grpo.prompts_per_batch"
        )


def _outcome(trainer: VarianceAwareGRPOTrainer, validator: Validator) -> dict[str, Any]:
    return {
        "steps": trainer.state.global_step,
        "batches": trainer.loop.run.batch,
        "rollouts": dict(trainer.loop.run.ledger.rollouts),
        "tokens": dict(trainer.loop.run.ledger.tokens),
        "best_step": validator.best_step,
        "best_validation": validator.best if math.isfinite(validator.best) else None,
    }


def validation_decoding(settings: GrpoSettings) -> Decoding:
    """How validation rollouts are drawn: as in training."""
    return Decoding(
        num_rollouts=settings.validation_rollouts,
        temperature=settings.trl.temperature,
        top_p=settings.trl.top_p,
        max_tokens=settings.trl.max_completion_length,
        batch_rollouts=settings.refresh_batch,
    )


def refresh_decoding(settings: GrpoSettings) -> Decoding:
    """How prompts are scored: as in training; the sampler says how many rollouts."""
    return validation_decoding(settings).model_copy(
        update={"num_rollouts": settings.rollouts_per_prompt}
    )


def _checkpoint(out: Path, *, resume: bool) -> Path | None:
    done = complete_checkpoints(out) if out.exists() else []
    if done and not resume:
        raise StateError(
            f"{out}: already holds a run up to {done[-1].name}; pass --resume to continue it, or"
            " choose another --out"
        )
    return done[-1] if done else None


def _forget_after(checkpoint: Path | None, out: Path) -> int:
    """Drop the groups that the resumed run draws again; returns how many rollouts are paid for
    twice.
    """
    batch = int(read_run_file(checkpoint)["batch"]) if checkpoint else 0
    return drop_groups_from(out / "groups", batch) if (out / "groups").exists() else 0

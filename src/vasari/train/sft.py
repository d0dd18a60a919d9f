"""Supervised training through TRL's SFTTrainer: the cold start, and the base model before it."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import EarlyStoppingCallback, PrinterCallback
from trl import SFTTrainer

from vasari.core.errors import ConfigError
from vasari.core.progress import Tell, silent
from vasari.core.records import Prompt
from vasari.model.image_reuse import reuse_image_features
from vasari.train.callbacks import MetricLog, StopAtMinutes, TellProgress
from vasari.train.checkpoints import (
    CompleteCheckpoints,
    complete_checkpoints,
    restore_weights,
    save_model,
)
from vasari.train.prompt_data import ChatCollator
from vasari.train.settings import SftSettings
from vasari.train.trl_config import prepare_weights, sft_config


class ColdStartTrainer(CompleteCheckpoints, SFTTrainer):  # type: ignore[misc]
    """TRL's `SFTTrainer` with crash-safe checkpoints, whose weights are restored in full."""

    def _load_best_model(self) -> None:
        super()._load_best_model()
        restore_weights(self.accelerator.unwrap_model(self.model), self.state.best_model_checkpoint)


def train_supervised(
    model: Any,
    processor: Any,
    *,
    train: Sequence[Prompt],
    validation: Sequence[Prompt],
    settings: SftSettings,
    system: str,
    out: Path,
    seed: int,
    resume: bool = False,
    tell: Tell = silent,
) -> dict[str, float]:
    """Train `model` by SFT and save the weights with the best validation loss in `out/model`.

    Returns:
        `steps`, `validation_loss` (the best), `train_loss`, `seconds`.

    Raises:
        ConfigError: There are no prompts to learn from, or none to validate on.
    """
    if not train or not validation:
        raise ConfigError(
            f"supervised training needs prompts to learn from ({len(train)}) and to validate on"
            f" ({len(validation)})"
        )
    out.mkdir(parents=True, exist_ok=True)
    if model.config.model_type == "qwen2_5_vl":
        reuse_image_features(model)
    prompts = [*train, *validation]
    held_out = range(len(train), len(prompts))
    rows = Dataset.from_dict(_rows(len(train), settings))
    trainer = ColdStartTrainer(
        model=prepare_weights(model, settings),
        args=sft_config(settings, out, seed, num_prompts=len(train), num_rows=len(rows)),
        train_dataset=rows,
        eval_dataset=Dataset.from_dict({"index": list(held_out), "visit": [0] * len(held_out)}),
        processing_class=processor,
        data_collator=ChatCollator(prompts, processor, settings, system=system, seed=seed),
        callbacks=[
            EarlyStoppingCallback(settings.patience),
            TellProgress(tell),
            MetricLog(out / "metrics.jsonl"),
            StopAtMinutes(settings.max_minutes),
        ],
    )
    trainer.remove_callback(PrinterCallback)
    done = complete_checkpoints(out) if resume else []
    started = time.monotonic()
    result = trainer.train(resume_from_checkpoint=str(done[-1]) if done else None)
    if trainer.accelerator.is_main_process:
        save_model(trainer.accelerator.unwrap_model(trainer.model), processor, out / "model")
    best = trainer.state.best_metric
    return {
        "steps": float(trainer.state.global_step),
        "validation_loss": float(best) if best is not None else math.nan,
        "train_loss": float(result.training_loss),
        "seconds": time.monotonic() - started,
    }


def _rows(num_train: int, settings: SftSettings) -> dict[str, list[int]]:
    """Rows of the training set: one a prompt, or one for each pass where passes ask other facts."""
    passes = math.ceil(settings.epochs) if settings.target == "facts" else 1
    return {
        "index": list(range(num_train)) * passes,
        "visit": [v for v in range(passes) for _ in range(num_train)],
    }

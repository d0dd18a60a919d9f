"""Supervised training through TRL's SFTTrainer: the cold start, and the base model before it."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from accelerate import PartialState
from datasets import Dataset
from jinja2 import TemplateError
from transformers import PrinterCallback, TrainerCallback
from transformers.integrations import is_deepspeed_zero3_enabled
from trl import SFTConfig

from vasari.core.errors import ConfigError, DataError, VasariError
from vasari.core.progress import Tell, silent
from vasari.core.records import Prompt
from vasari.model.chat import target_text
from vasari.model.image_reuse import reuse_image_features
from vasari.model.sampling import end_ids
from vasari.train.batches import sft_passes
from vasari.train.callbacks import MetricLog, StopAtMinutes, TellProgress
from vasari.train.checkpoints import complete_checkpoints
from vasari.train.cold_start_trainer import ColdStartTrainer, Patience
from vasari.train.even_batches import FILLER
from vasari.train.prompt_data import ChatCollator
from vasari.train.settings import SftSettings
from vasari.train.trl_config import sft_config, trl_refusals
from vasari.train.weights import prepare_weights
from vasari.train.whole_model import prepare_spreading


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
    config: SFTConfig | None = None,
    tell: Tell = silent,
) -> dict[str, float]:
    """Train `model` by SFT and save the weights with the best validation loss in `out/model`.

    Args:
        model: With the weights to train (`load_weights`), or as it was loaded.
        processor: Its processor, or the tokenizer of a text-only model.
        train: Prompts to learn from.
        validation: Prompts that choose the best weights.
        settings: Of the recipe.
        system: The system prompt.
        out: Folder for checkpoints, `metrics.jsonl` and `model`.
        seed: Of the order of prompts, of new adapters and of the facts asked.
        resume: Continue from the last complete checkpoint in `out`.
        config: From `sft_config`, made before the model was loaded, as DeepSpeed's stage 3 needs
            it; None: made here.
        tell: Called with the progress.

    Returns:
        `steps`, `validation_loss` (the best), `train_loss`, `seconds`.

    Raises:
        ConfigError: There are no prompts to learn from, or none to validate on.
        DataError: A prompt has nothing to learn from, is longer with its answer than the model
            reads, or has an image that cannot be read; names it.
    """
    if not train or not validation:
        raise ConfigError(
            f"supervised training needs prompts to learn from ({len(train)}) and to validate on"
            f" ({len(validation)})"
        )
    out.mkdir(parents=True, exist_ok=True)
    reuse_image_features(model)
    prompts = [*train, *validation]
    collator = _collator(model, processor, prompts, settings, system=system, seed=seed)
    _check_prompts(prompts, collator, settings)
    with trl_refusals("sft"):
        trainer = ColdStartTrainer(
            model=prepare_weights(model, settings, seed=seed),
            args=config or sft_config(settings, out, seed, num_prompts=len(train)),
            train_dataset=_rows(range(len(train)), passes=sft_passes(settings)),
            eval_dataset=_rows(range(len(train), len(prompts))),
            processing_class=processor,
            data_collator=collator,
            callbacks=_callbacks(settings, out, tell),
        )
    trainer.remove_callback(PrinterCallback)
    return _train(trainer, complete_checkpoints(out)[-1:] if resume else [], out)


def _train(trainer: ColdStartTrainer, resumed: Sequence[Path], out: Path) -> dict[str, float]:
    """Train to the end, from a checkpoint if there is one, and save the best weights."""
    prepare_spreading(trainer)
    started = time.monotonic()
    with _in_one_line():
        result = trainer.train(resume_from_checkpoint=str(resumed[0]) if resumed else None)
    trainer.save_whole(out / "model")
    best = trainer.state.best_metric
    return {
        "steps": float(trainer.state.global_step),
        "validation_loss": float(best) if best is not None else math.nan,
        "train_loss": float(result.training_loss),
        "seconds": time.monotonic() - started,
    }


def _collator(
    model: Any,
    processor: Any,
    prompts: Sequence[Prompt],
    settings: SftSettings,
    *,
    system: str,
    seed: int,
) -> ChatCollator:
    return ChatCollator(
        prompts,
        processor,
        settings,
        system=system,
        seed=seed,
        stops=end_ids(model, processor),
        context=getattr(model.config.get_text_config(), "max_position_embeddings", None),
        always_shows=_must_show(settings, prompts),
    )


def _must_show(settings: SftSettings, prompts: Sequence[Prompt]) -> bool:
    """Whether every batch needs an image: weights are spread, and some prompts have one."""
    spread = settings.trl.fsdp or is_deepspeed_zero3_enabled()
    return bool(spread) and any(prompt.images for prompt in prompts)


def _callbacks(settings: SftSettings, out: Path, tell: Tell) -> list[TrainerCallback]:
    return [
        Patience(settings.patience),
        TellProgress(tell),
        MetricLog(out / "metrics.jsonl"),
        StopAtMinutes(settings.max_minutes),
    ]


def _rows(indices: Sequence[int], *, passes: int = 1) -> Dataset:
    """Rows of a data set: one a prompt and pass; on several processes, a filler is the last one."""
    visits = [visit for visit in range(passes) for _ in indices]
    filler = PartialState().num_processes > 1
    return Dataset.from_dict(
        {
            "index": [*indices] * passes + [indices[0]] * filler,
            "visit": visits + [FILLER] * filler,
        }
    )


def _check_prompts(
    prompts: Sequence[Prompt], collator: ChatCollator, settings: SftSettings
) -> None:
    """Raise for a prompt without a solution, and for what is wrong with the first and the longest.

    Otherwise a worker of the data loader would, after the model was made ready for training.
    """
    if settings.target == "reasoning":
        for prompt in prompts:
            target_text(prompt)
    lengths = [len(prompt.question) + len(prompt.solution or "") for prompt in prompts]
    for index in dict.fromkeys((0, lengths.index(max(lengths)), len(prompts) - 1)):
        try:
            collator([{"index": index}])
        except VasariError:
            raise
        except (ValueError, KeyError, TypeError, IndexError, TemplateError) as error:
            reason = " ".join(str(error).split())
            raise DataError(
                f"prompt {prompts[index].id!r} cannot be encoded for this model: {reason}"
            ) from error


@contextlib.contextmanager
def _in_one_line() -> Iterator[None]:
    """Context manager that cuts an error of a data loader's worker down to its message."""
    try:
        yield
    except VasariError as error:
        # A worker sends its traceback as the message.
        kind, last = type(error), str(error).strip().splitlines()[-1]
        raise kind(last.removeprefix(f"{kind.__module__}.{kind.__qualname__}: ")) from error

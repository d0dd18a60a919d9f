"""Supervised training through TRL's SFTTrainer: the cold start, and the base model before it."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from datasets import Dataset
from jinja2 import TemplateError
from transformers import EarlyStoppingCallback, PrinterCallback, TrainerCallback
from trl import SFTConfig, SFTTrainer

from vasari.core.errors import ConfigError, DataError, VasariError
from vasari.core.progress import Tell, silent
from vasari.core.records import Prompt
from vasari.model.chat import target_text
from vasari.model.image_reuse import reuse_image_features
from vasari.model.sampling import end_ids
from vasari.train.answer_tokens import IGNORED
from vasari.train.batches import sft_passes
from vasari.train.callbacks import MetricLog, StopAtMinutes, TellProgress
from vasari.train.checkpoints import (
    CompleteCheckpoints,
    complete_checkpoints,
)
from vasari.train.even_batches import FILLER, make_even
from vasari.train.prompt_data import ChatCollator
from vasari.train.settings import SftSettings
from vasari.train.trl_config import sft_config
from vasari.train.weights import prepare_weights


class ColdStartTrainer(CompleteCheckpoints, SFTTrainer):  # type: ignore[misc]
    """TRL's `SFTTrainer` with crash-safe checkpoints, and the same batches on any processes.

    On several processes, the last row of the data sets is a filler (`even_batches.py`). Losses are
    means over learned tokens, however these are divided into micro-batches.
    """

    saves_whole_models = True
    _evaluated: torch.Tensor

    def __init__(self, **rest: Any) -> None:
        super().__init__(**rest)
        # The mean over all tokens of an update, in all processes: TRL's loss can do it for every
        # model, and without this some families take the mean of the means of micro-batches.
        self.model_accepts_loss_kwargs = True

    def _load_best_model(self) -> None:
        if not self._restore(self.state.best_model_checkpoint):
            super()._load_best_model()

    def _run_epoch(self, **rest: Any) -> None:
        # A training that is resumed at its end would otherwise take one more step.
        if not self.control.should_training_stop:
            super()._run_epoch(**rest)

    def get_train_dataloader(self) -> Any:
        """Return TRL's data loader, which gives each row once."""
        return self._even(super().get_train_dataloader())

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
        """Return TRL's data loader, which gives each row once."""
        return self._even(super().get_eval_dataloader(eval_dataset))

    def _even(self, loader: Any) -> Any:
        num_processes = self.accelerator.num_processes
        return make_even(loader, num_processes=num_processes) if num_processes > 1 else loader

    def evaluation_loop(self, *args: Any, metric_key_prefix: str = "eval", **rest: Any) -> Any:
        """Evaluate as TRL does, but weigh every learned token alike."""
        self._evaluated = torch.zeros(2, dtype=torch.float64)
        output = super().evaluation_loop(*args, metric_key_prefix=metric_key_prefix, **rest)
        totals = self.accelerator.reduce(self._evaluated.to(self.args.device), reduction="sum")
        output.metrics[f"{metric_key_prefix}_loss"] = (totals[0] / totals[1]).item()
        return output

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **rest: Any) -> Any:
        """Return TRL's loss; of a batch to validate on, also count the tokens."""
        loss = super().compute_loss(model, inputs, *args, **rest)
        if not self.model.training:
            num_tokens = (inputs["labels"][:, 1:] != IGNORED).sum().double()
            self._evaluated += torch.stack([loss.double() * num_tokens, num_tokens]).cpu()
        return loss


class Patience(EarlyStoppingCallback):  # type: ignore[misc]
    """Trainer callback that stops training where validation does not improve, also when resumed."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        """Go on counting where the resumed checkpoint was; find its best one in a moved folder."""
        super().on_train_begin(args, state, control, **rest)
        saved = state.stateful_callbacks.get(type(self).__name__)
        if state.global_step and isinstance(saved, dict):
            self.early_stopping_patience_counter = saved["attributes"][
                "early_stopping_patience_counter"
            ]
            control.should_training_stop = (
                self.early_stopping_patience_counter >= self.early_stopping_patience
            )
        best = Path(args.output_dir) / f"checkpoint-{state.best_global_step}"
        if best.is_dir():
            state.best_model_checkpoint = str(best)


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
    done = complete_checkpoints(out) if resume else []
    started = time.monotonic()
    with _in_one_line():
        result = trainer.train(resume_from_checkpoint=str(done[-1]) if done else None)
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
    )


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

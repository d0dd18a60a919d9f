"""Conversion of a recipe's settings to TRL's configs."""

from __future__ import annotations

import contextlib
import math
import os
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from transformers import Trainer, get_scheduler
from trl import GRPOConfig, SFTConfig

from vasari.core.errors import ConfigError, VasariError
from vasari.model.config import one_line
from vasari.train.batches import grpo_batches, sft_batches, sft_passes, sft_steps
from vasari.train.settings import GrpoSettings, SftSettings
from vasari.train.trl_settings import TrlSettings


def grpo_config(settings: GrpoSettings, out: Path, seed: int) -> GRPOConfig:
    """Convert GRPO settings to TRL's `GRPOConfig`.

    Raises:
        ConfigError: A batch does not divide over processes, micro-batches and updates, or TRL
            refuses a setting.
    """
    batches = grpo_batches(settings, num_processes=_num_processes())
    return _config(
        GRPOConfig,
        settings.trl,
        out=out,
        seed=seed,
        num_steps=settings.steps,
        max_steps=settings.steps,
        per_device_train_batch_size=batches.micro,
        gradient_accumulation_steps=batches.accumulation,
        steps_per_generation=batches.forward_passes,
        num_generations=settings.rollouts_per_prompt,
        reward_weights=[term.weight for term in settings.rewards],
        top_k=0,
        # True gathers images only on processes whose share has some, and the others run on to the
        # next exchange.
        log_multimodal=False,
        use_vllm=settings.vllm != "off",
        **({"vllm_mode": settings.vllm} if settings.vllm != "off" else {}),
        save_steps=settings.save_every,
        save_total_limit=settings.keep_checkpoints,
        logging_steps=1,
        # True restores the random state at another place: other weights after a resume
        ignore_data_skip=False,
    )


def sft_config(settings: SftSettings, out: Path, seed: int, *, num_prompts: int) -> SFTConfig:
    """Convert SFT settings to TRL's `SFTConfig`, for a training set of the given size.

    Args:
        settings: Of supervised training.
        out: Folder of the checkpoints.
        seed: Of the order of prompts.
        num_prompts: Prompts to learn from.

    Raises:
        ConfigError: A batch does not divide over the processes, or TRL refuses a setting.
    """
    batches = sft_batches(settings, num_processes=_num_processes())
    steps = sft_steps(settings, num_prompts=num_prompts)
    every = min(settings.validate_every, steps)
    return _config(
        SFTConfig,
        settings.trl,
        out=out,
        seed=seed,
        num_steps=steps,
        num_train_epochs=settings.epochs / sft_passes(settings),
        per_device_train_batch_size=batches.micro,
        per_device_eval_batch_size=batches.micro,
        gradient_accumulation_steps=batches.accumulation,
        eval_strategy="steps",
        eval_steps=every,
        save_steps=every,
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        logging_steps=max(1, every // 10),
        dataset_kwargs={"skip_prepare_dataset": True},
        max_length=None,
    )


def _config(
    kind: Any, trl: TrlSettings, *, out: Path, seed: int, num_steps: int, **sizes: Any
) -> Any:
    """Build a TRL config of class `kind` from the recipe's settings and those that Vasari sets."""
    warmup = trl.warmup_steps
    given = trl.model_dump() | {
        # As TRL reads it, but a share of the steps that the recipe plans.
        "warmup_steps": int(warmup) if warmup >= 1 else math.ceil(warmup * num_steps),
        "output_dir": str(out),
        "seed": seed,
        "save_strategy": "steps",
        "remove_unused_columns": False,
        "disable_tqdm": True,
        "log_level": "error",
        # accelerate would leave DeepSpeed and FSDP out on a CPU, without a word.
        "use_cpu": not torch.cuda.is_available() and not (trl.deepspeed or trl.fsdp),
    }
    try:
        config = kind(**given, **sizes)
    except ValueError as error:
        raise ConfigError(f"TRL refuses the settings under `trl`: {one_line(error)}") from error
    _check_optimizer(config)
    if _num_processes() > 1 and config.world_size == 1:
        raise ConfigError(
            f"accelerate joins none of the {_num_processes()} processes: DeepSpeed and FSDP need"
            " accelerators; take `deepspeed` and `fsdp` out of `trl`, or start one process"
        )
    _require_gathering(config)
    # A process has one GPU: transformers would spread a batch over all that it sees, by threads
    # (nn.DataParallel), and multiply the batch.
    config._n_gpu = min(config.n_gpu, 1)
    return config


def _check_optimizer(config: Any) -> None:
    """Raise for what transformers would refuse when the model is loaded and training begins."""
    optimizer = getattr(config.optim, "value", config.optim)
    try:
        Trainer.get_optimizer_cls_and_kwargs(config)
    except ImportError:
        pass  # `require_packages` has named what is missing
    except (ValueError, TypeError, AttributeError) as error:
        reason = one_line(error)
        # Low-rank optimizers ask for a model when all else is right.
        if not any(words in reason for words in ("pass a", "lease install", "failed to import")):
            raise ConfigError(
                f"trl.optim: {optimizer}: transformers cannot make this optimizer: {reason}"
            ) from error
    name = getattr(config.lr_scheduler_type, "value", config.lr_scheduler_type)
    try:
        get_scheduler(
            name,
            torch.optim.SGD([torch.zeros(1)], lr=1.0),
            num_warmup_steps=1,
            num_training_steps=10,
            scheduler_specific_kwargs=config.lr_scheduler_kwargs or {},
        )
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"trl.lr_scheduler_type: {name} with trl.lr_scheduler_kwargs"
            f" {config.lr_scheduler_kwargs}: {one_line(error)}"
        ) from error


@contextlib.contextmanager
def trl_refusals(section: str) -> Iterator[None]:
    """Context manager that names the recipe's section where TRL refuses a setting with the model.

    An error from elsewhere passes as it is.

    Raises:
        ConfigError: TRL or transformers has refused.
    """
    try:
        yield
    except VasariError:
        raise
    except (ValueError, TypeError, NotImplementedError, ImportError) as error:
        *_, last = traceback.extract_tb(error.__traceback__)
        if not {"trl", "transformers"} & set(Path(last.filename).parts):
            raise
        raise ConfigError(
            f"{section}.trl: TRL refuses the settings with this model: {one_line(error)}"
        ) from error


def _require_gathering(config: Any) -> None:
    """Raise for a DeepSpeed configuration under which no weights could be saved at the end."""
    key = "stage3_gather_16bit_weights_on_model_save"
    deepspeed = getattr(config, "hf_deepspeed_config", None)
    if deepspeed and deepspeed.is_zero3() and not deepspeed.get_value(f"zero_optimization.{key}"):
        raise ConfigError(
            f"trl.deepspeed: stage 3 without `{key}` saves no weights; set it to true"
        )


def _num_processes() -> int:
    if torch.distributed.is_initialized():
        return int(torch.distributed.get_world_size())
    return int(os.environ.get("WORLD_SIZE", "1"))

"""Division of a recipe's batches over processes, micro-batches and updates, without torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vasari.core.errors import ConfigError
from vasari.train.settings import GrpoSettings, SftSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpoBatches:
    """How the rollouts of a GRPO batch are divided over processes, updates and micro-batches."""

    rollouts: int
    """Rollouts of one batch, over all processes."""
    per_update: int
    """Rollouts of one optimizer update, over all processes."""
    micro: int
    """Rollouts of one forward pass of one process."""
    accumulation: int
    """Forward passes of one process in one update."""

    @property
    def forward_passes(self) -> int:
        """Forward passes of one process over one batch."""
        return self.accumulation * (self.rollouts // self.per_update)


def grpo_batches(settings: GrpoSettings, *, num_processes: int) -> GrpoBatches:
    """Divide the rollouts of a GRPO batch over processes, updates and micro-batches.

    Raises:
        ConfigError: They do not divide.
    """
    rollouts = settings.prompts_per_batch * settings.rollouts_per_prompt
    per_update = rollouts // settings.updates_per_batch
    if per_update < num_processes:
        raise ConfigError(
            f"an update has {per_update} rollouts, which {num_processes} processes cannot take; use"
            " fewer processes"
        )
    own, rest = divmod(per_update, num_processes)
    update = (
        f"grpo: {rollouts} rollouts a batch in {settings.updates_per_batch} updates are"
        f" {per_update} an update"
    )
    if rest:
        fits = next(num for num in range(num_processes, 0, -1) if per_update % num == 0)
        raise ConfigError(
            f"{update}, which do not divide over {num_processes} processes; use {fits}, or choose"
            " prompts_per_batch x rollouts_per_prompt as a multiple of processes x"
            " updates_per_batch"
        )
    micro = min(settings.micro_batch, own)
    if own % micro:
        fits = next(size for size in range(micro, 0, -1) if own % size == 0)
        raise ConfigError(
            f"{update}, {own} of each of {num_processes} processes, which do not divide into"
            f" micro-batches of {micro}; set micro_batch to {fits}, or another divisor of {own}"
        )
    return GrpoBatches(
        rollouts=rollouts,
        per_update=per_update,
        micro=micro,
        accumulation=per_update // (micro * num_processes),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SftBatches:
    """How the prompts of a batch of supervised training are divided over processes."""

    micro: int
    """Prompts of one forward pass of one process."""
    accumulation: int
    """Forward passes of one process in one update."""


def sft_batches(settings: SftSettings, *, num_processes: int) -> SftBatches:
    """Divide a batch of supervised training over processes and micro-batches.

    Raises:
        ConfigError: It does not divide.
    """
    own, rest = divmod(settings.batch_prompts, num_processes)
    micro = min(settings.micro_batch, own)
    if rest or not own or own % micro:
        raise ConfigError(
            f"sft.batch_prompts {settings.batch_prompts} cannot be divided over {num_processes}"
            f" processes in micro-batches of {micro or settings.micro_batch}; choose batch_prompts"
            " as a multiple of processes x micro_batch"
        )
    return SftBatches(micro=micro, accumulation=own // micro)


def sft_steps(settings: SftSettings, *, num_prompts: int) -> int:
    """Return the optimizer steps of supervised training over so many prompts."""
    return max(1, math.ceil(num_prompts * settings.epochs / settings.batch_prompts))


def sft_passes(settings: SftSettings) -> int:
    """Return how many rows of the training set a prompt has: one for each pass with other facts."""
    return math.ceil(settings.epochs) if settings.target == "facts" else 1

"""Checks of a recipe and its prompts before weights are loaded or rollouts are paid for.

`vasari plan` lists all problems; `vasari sft` and `vasari train` stop at the first.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from vasari.core.errors import ConfigError, DataError, VasariError
from vasari.core.records import Prompt
from vasari.run.recipe import Recipe
from vasari.train.batches import grpo_batches, sft_batches
from vasari.train.settings import SftSettings

_SHOWN = 3
"""Prompts that a problem names."""


def require_trainable(
    recipe: Recipe, prompts: Mapping[str, Sequence[Prompt]], stage: Literal["sft", "grpo"]
) -> None:
    """Raise the first problem of a training stage on the processes that torchrun started.

    Raises:
        VasariError: Something would end the training; says what, where, and what to do.
    """
    num_processes = int(os.environ.get("WORLD_SIZE", "1"))
    if stage == "sft":
        problems = sft_problems(recipe, prompts, num_processes=num_processes)
    else:
        sizes = {split: len(found) for split, found in prompts.items()}
        problems = grpo_problems(recipe, sizes, num_processes=num_processes)
    for problem in problems:
        raise problem


def sft_problems(
    recipe: Recipe, prompts: Mapping[str, Sequence[Prompt]], *, num_processes: int
) -> Iterator[VasariError]:
    """Yield what would end a recipe's supervised training, one error each.

    Args:
        recipe: With an `sft` section.
        prompts: By split, those at hand.
        num_processes: Processes that train together.
    """
    settings = recipe.sft
    assert settings is not None  # noqa: S101  (the caller's)
    try:
        sft_batches(settings, num_processes=num_processes)
    except ConfigError as error:
        yield error
    learnt_from = "cold_start" if prompts.get("cold_start") else "train"
    for split in (learnt_from, "validation"):
        if split in prompts:
            yield from _without_target(settings, split, prompts[split])


def grpo_problems(
    recipe: Recipe, sizes: Mapping[str, int], *, num_processes: int
) -> Iterator[VasariError]:
    """Yield what would end a recipe's GRPO training, one error each.

    Args:
        recipe: With a `grpo` section.
        sizes: Prompts of each split, where known.
        num_processes: Processes that train together.
    """
    settings = recipe.grpo
    assert settings is not None  # noqa: S101  (the caller's)
    try:
        grpo_batches(settings, num_processes=num_processes)
        gate = settings.make_gate()
        if gate.redraws and settings.prompts_per_batch % num_processes:
            yield ConfigError(
                f"grpo.prompts_per_batch {settings.prompts_per_batch} does not divide over"
                f" {num_processes} processes, as the gate {settings.gate.name} needs"
            )
    except ConfigError as error:
        yield error
    if "train" in sizes and sizes["train"] < settings.prompts_per_batch:
        yield ConfigError(
            f"the pool has {sizes['train']} prompts and a batch draws {settings.prompts_per_batch};"
            " lower grpo.prompts_per_batch"
        )


def _without_target(
    settings: SftSettings, split: str, prompts: Sequence[Prompt]
) -> Iterator[VasariError]:
    """Yield an error if prompts of a split lack what supervised training teaches."""
    if settings.target == "short":
        return
    what = "solution" if settings.target == "reasoning" else "facts"
    lacking = [
        prompt.id
        for prompt in prompts
        if not (prompt.solution if what == "solution" else prompt.metadata.get("facts"))
    ]
    if lacking:
        yield DataError(
            f"{split}: {len(lacking):,} of {len(prompts):,} prompts have no '{what}', which"
            f" sft.target {settings.target} learns from: {named(lacking)}; add it, or leave them"
            " out"
        )


def named(ids: Sequence[str]) -> str:
    """Return the first few prompt ids as text, for an error message."""
    more = f" and {len(ids) - _SHOWN:,} more" if len(ids) > _SHOWN else ""
    return ", ".join(map(repr, ids[:_SHOWN])) + more

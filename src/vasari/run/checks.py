"""Checks of a recipe and its prompts before weights are loaded or rollouts are paid for.

`vasari plan` lists all problems; `vasari sft` and `vasari train` stop at the first.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from vasari.core.errors import ConfigError, DataError, VasariError
from vasari.core.records import Prompt
from vasari.model.chat import target_text
from vasari.run.pool_checks import Target, named, pool_problems
from vasari.run.recipe import Recipe
from vasari.train.batches import grpo_batches, sft_batches
from vasari.train.settings import SftSettings

if TYPE_CHECKING:
    from vasari.model.prompt_tokens import TokenCounter


def require_trainable(
    recipe: Recipe,
    prompts: Mapping[str, Sequence[Prompt]],
    stage: Literal["sft", "grpo"],
    *,
    model: str | None,
) -> None:
    """Raise the first problem of a training stage on the processes that torchrun started.

    Args:
        recipe: With a section for the stage.
        prompts: All, by split.
        stage: Which training.
        model: Folder or hub name of the model to start from; None for a new one, whose tokenizer is
            made from the prompts.

    Raises:
        VasariError: Something would end the training; says what, where, and what to do.
    """
    num_processes = int(os.environ.get("WORLD_SIZE", "1"))
    counter = None if model is None else token_counter(model, recipe)
    sizes = {split: len(found) for split, found in prompts.items()}
    if stage == "sft":
        problems = sft_problems(recipe, prompts, counter, num_processes=num_processes)
    else:
        problems = grpo_problems(recipe, prompts, sizes, counter, num_processes=num_processes)
    for problem in problems:
        raise problem


def token_counter(model: str, recipe: Recipe) -> TokenCounter:
    """Return a counter of the tokens of a recipe's prompts, with the processor of its model.

    Raises:
        VasariError: The model has no processor that can be loaded, or not with these settings.
    """
    from vasari.model.config import load_config  # noqa: PLC0415  (torch takes seconds to import)
    from vasari.model.processor import load_processor  # noqa: PLC0415
    from vasari.model.prompt_tokens import TokenCounter  # noqa: PLC0415

    processor = load_processor(
        model, max_pixels=recipe.model.max_pixels, thinking=recipe.model.thinking
    )
    return TokenCounter(processor, load_config(model), system=recipe.model.system)


def sft_problems(
    recipe: Recipe,
    prompts: Mapping[str, Sequence[Prompt]],
    counter: TokenCounter | None = None,
    *,
    num_processes: int,
) -> Iterator[VasariError]:
    """Yield what would end a recipe's supervised training, one error each.

    Args:
        recipe: With an `sft` section.
        prompts: By split, those at hand.
        counter: Of the model's tokens; None leaves out what needs its processor.
        num_processes: Processes that train together.
    """
    settings = recipe.sft
    assert settings is not None  # noqa: S101  (the caller's)
    try:
        sft_batches(settings, num_processes=num_processes)
    except ConfigError as error:
        yield error
    targets: Mapping[str, Target | None] = {
        "reasoning": lambda prompt: target_text(prompt) if prompt.solution else "",
        "short": lambda prompt: target_text(prompt, short=True),
        "facts": lambda _prompt: "",
    }
    learnt_from = "cold_start" if prompts.get("cold_start") else "train"
    for split in (learnt_from, "validation"):
        if split in prompts:
            yield from _without_target(settings, split, prompts[split])
            if counter is not None:
                yield from pool_problems(
                    counter,
                    split,
                    prompts[split],
                    max_tokens=0,
                    context=counter.context,
                    target=targets[settings.target],
                )


def grpo_problems(
    recipe: Recipe,
    prompts: Mapping[str, Sequence[Prompt]],
    sizes: Mapping[str, int],
    counter: TokenCounter | None = None,
    *,
    num_processes: int,
) -> Iterator[VasariError]:
    """Yield what would end a recipe's GRPO training, one error each.

    Args:
        recipe: With a `grpo` section.
        prompts: By split, those at hand.
        sizes: Prompts of each split, where known.
        counter: Of the model's tokens; None leaves out what needs its processor.
        num_processes: Processes that train together.
    """
    settings = recipe.grpo
    assert settings is not None  # noqa: S101  (the caller's)
    if "train" in sizes and sizes["train"] < settings.prompts_per_batch:
        yield ConfigError(
            f"the pool has {sizes['train']} prompts and a batch draws {settings.prompts_per_batch};"
            " lower grpo.prompts_per_batch"
        )
    try:
        grpo_batches(settings, num_processes=num_processes)
        if settings.make_gate().redraws and settings.prompts_per_batch % num_processes:
            yield ConfigError(
                f"grpo.prompts_per_batch {settings.prompts_per_batch} does not divide over"
                f" {num_processes} processes, as the gate {settings.gate.name} needs"
            )
    except ConfigError as error:
        yield error
    if counter is None:
        return
    max_tokens = settings.trl.max_completion_length
    limits = [counter.context]
    if settings.vllm == "colocate":
        limits.append(getattr(settings.trl, "vllm_max_model_length", None))
    context = min((limit for limit in limits if limit is not None), default=None)
    for split in ("train", "validation"):
        if split in prompts:
            yield from pool_problems(
                counter, split, prompts[split], max_tokens=max_tokens, context=context
            )


def _without_target(
    settings: SftSettings, split: str, prompts: Sequence[Prompt]
) -> Iterator[VasariError]:
    """Yield an error if prompts of a split lack what supervised training teaches."""
    if settings.target == "short":
        return
    what = "solution" if settings.target == "reasoning" else "facts"
    lacking = [
        repr(prompt.id)
        for prompt in prompts
        if not (prompt.solution if what == "solution" else prompt.metadata.get("facts"))
    ]
    if lacking:
        yield DataError(
            f"{split}: {len(lacking):,} of {len(prompts):,} prompts have no '{what}', which"
            f" sft.target {settings.target} learns from: {named(lacking)}; add it, or leave them"
            " out"
        )

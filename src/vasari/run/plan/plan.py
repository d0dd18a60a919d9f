"""A recipe's plan: what its run takes, and what would fail, before anything is paid for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vasari.core.errors import StateError, VasariError
from vasari.core.plugins import names_from_a_file
from vasari.model import resolve_model
from vasari.model.path import require_training
from vasari.run.checks import grpo_problems, sft_problems, token_counter
from vasari.run.plan.prompts import PlannedPrompts, planned_prompts
from vasari.run.plan.rollouts import (
    Count,
    TrainingRollouts,
    evaluation_rollouts,
    training_rollouts,
)
from vasari.run.plan.tokens import TokenSummary, summarise_tokens
from vasari.run.recipe import Recipe
from vasari.run.requirements import missing_packages
from vasari.sample import make_sampler, prompt_features
from vasari.train.batches import sft_steps

if TYPE_CHECKING:
    from vasari.model.prompt_tokens import TokenCounter

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions:
    """What a plan is made for, besides the recipe."""

    num_gpus: int = 1
    """GPUs, each with one process."""
    num_prompts: int | None = None
    """Size of the training pool where its file is not there."""
    sample: int = 500
    """Prompts of a split whose tokens are measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPlan:
    """A model's parameters by part, and how many of them each stage trains."""

    name: str
    """Class of transformers."""
    by_part: Mapping[str, int]
    """Parameters by part."""
    total: int
    trained: Mapping[str, int]
    """Parameters with a gradient, by stage; adapters are among them and not in `by_part`."""
    context: int | None
    """Tokens that the model was made for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpoPlan:
    """Steps and rollouts of the GRPO run and of the evaluation."""

    training: TrainingRollouts
    epochs: float | None
    """Prompts drawn, as a multiple of the pool."""
    evaluation: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a recipe's run takes, each part None where it is not known."""

    recipe: str
    num_gpus: int
    prompts: Mapping[str, int]
    """Prompts by split."""
    tokens: Mapping[str, TokenSummary]
    """Tokens a prompt by split, of the prompts at hand."""
    model: ModelPlan | None
    sft_steps: int | None
    grpo: GrpoPlan | None
    problems: tuple[str, ...]
    """What would end the run with an error."""
    notes: tuple[str, ...]
    """What the plan does not know, and how it made its numbers."""

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        return {"schema": SCHEMA_VERSION, **asdict(self)}


def make_plan(recipe: Recipe, *, folder: Path, options: PlanOptions) -> Plan:
    """Plan a recipe's run, without loading weights or writing a file.

    Args:
        recipe: The recipe.
        folder: What its paths are relative to.
        options: GPUs, and what is assumed.

    Raises:
        MissingExtraError: A package of `vasari[train]` is missing.
        DataError: A prompt file is there and cannot be read.
    """
    require_training()
    prompts = planned_prompts(recipe, folder=folder, assumed=options.num_prompts)
    problems: list[VasariError] = [*missing_packages(recipe, "sft", "grpo")]
    notes = list(prompts.notes)
    model = None
    counter = None
    try:
        model = _model_plan(recipe, folder)
        counter = _counter(recipe, folder, notes)
    except VasariError as error:
        problems.append(error)
    if recipe.sft is not None:
        problems += sft_problems(recipe, prompts.prompts, counter, num_processes=options.num_gpus)
    if recipe.grpo is not None:
        problems += grpo_problems(
            recipe, prompts.prompts, prompts.sizes, counter, num_processes=options.num_gpus
        )
    return Plan(
        recipe=recipe.name,
        num_gpus=options.num_gpus,
        prompts=dict(prompts.sizes),
        tokens=_tokens(counter, prompts, sample=options.sample, seed=recipe.seed),
        model=model,
        sft_steps=_sft_steps(recipe, prompts.sizes),
        grpo=_grpo_plan(recipe, prompts, notes),
        problems=tuple(str(problem) for problem in problems),
        notes=tuple(notes),
    )


def _counter(recipe: Recipe, folder: Path, notes: list[str]) -> TokenCounter | None:
    """A counter of tokens with the model's processor; None where the processor is not known."""
    if recipe.model.path is None:
        notes.append("a new model's tokenizer is made from the prompts: tokens are not counted")
        return None
    path = resolve_model(recipe.model.path, folder)
    try:
        return token_counter(path, recipe)
    except StateError as error:
        if Path(path).is_dir():
            raise
        notes.append(f"tokens are not counted, since the processor is not on this machine: {error}")
        return None


def _tokens(
    counter: TokenCounter | None, prompts: PlannedPrompts, *, sample: int, seed: int
) -> dict[str, TokenSummary]:
    found: dict[str, TokenSummary] = {}
    if counter is None:
        return found
    for split, known in prompts.prompts.items():
        summary = summarise_tokens(
            counter, known, size=prompts.sizes[split], sample=sample, seed=seed
        )
        if summary is not None:
            found[split] = summary
    return found


def _model_plan(recipe: Recipe, folder: Path) -> ModelPlan:
    from vasari.model.counting import (  # noqa: PLC0415  (torch takes seconds to import)
        count_parameters,
        model_without_weights,
        open_config,
    )
    from vasari.model.small_vlm import small_config  # noqa: PLC0415
    from vasari.train.weights import prepare_weights  # noqa: PLC0415

    if recipe.model.path is not None:
        config = open_config(resolve_model(recipe.model.path, folder))
    else:
        assert recipe.model.new is not None  # noqa: S101  (the recipe's check)
        config = small_config(recipe.model.new, vocabulary=recipe.model.new.vocabulary)
    model = model_without_weights(config)
    parts = count_parameters(model)
    stages = {"sft": recipe.sft, "grpo": recipe.grpo}
    return ModelPlan(
        name=type(model).__name__,
        by_part=parts.by_part,
        total=parts.total,
        trained={
            stage: count_parameters(
                model_without_weights(config), partial(prepare_weights, settings=settings)
            ).trained
            for stage, settings in stages.items()
            if settings is not None
        },
        context=getattr(config.get_text_config(), "max_position_embeddings", None),
    )


def _sft_steps(recipe: Recipe, sizes: Mapping[str, int]) -> int | None:
    if recipe.sft is None:
        return None
    files = recipe.prompts.files
    has_own = bool(files.cold_start) if files is not None else "cold_start" in sizes
    num = sizes.get("cold_start" if has_own else "train")
    return None if num is None else sft_steps(recipe.sft, num_prompts=num)


def _grpo_plan(recipe: Recipe, prompts: PlannedPrompts, notes: list[str]) -> GrpoPlan | None:
    settings, sizes = recipe.grpo, prompts.sizes
    if settings is None:
        return None
    pool = sizes.get("train")
    if pool is None:
        notes.append(
            "the size of the pool is not known: refreshes and epochs are left out; give --prompts"
        )
    # A pool of 1: what is due of it is not used.
    at_hand = prompts.prompts.get("train", [])
    features = prompt_features(at_hand) if pool is not None and len(at_hand) == pool else None
    with names_from_a_file():
        sampler = make_sampler(
            recipe.sampler.name,
            num_prompts=pool or 1,
            seed=recipe.seed,
            features=features,
            **recipe.sampler.of(recipe.sampler.name),
        )
    training = training_rollouts(settings, sampler, num_validation=sizes.get("validation", 0))
    sets = {
        name: (sizes[name], round(sizes[name] * prompts.share_with_images(name)))
        for name in ("test", "test_held_out_style")
        if name in sizes
    }
    num_models = 1 + (recipe.model.path is not None) + (recipe.sft is not None)
    return GrpoPlan(
        training=training,
        epochs=None if pool is None else training.prompts_drawn / pool,
        evaluation=evaluation_rollouts(recipe.evaluate, sets, num_models=num_models),
    )

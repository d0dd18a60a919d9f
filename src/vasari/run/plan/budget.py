"""Steps and rollouts of a recipe's stages, over the prompts that it has."""

from __future__ import annotations

from dataclasses import dataclass

from vasari.core.plugins import names_from_a_file
from vasari.run.plan.prompts import PlannedPrompts
from vasari.run.plan.rollouts import (
    Count,
    TrainingRollouts,
    evaluation_rollouts,
    training_rollouts,
)
from vasari.run.recipe import Recipe
from vasari.sample import make_sampler, prompt_features
from vasari.train.batches import sft_steps


@dataclass(frozen=True, slots=True, kw_only=True)
class SftPlan:
    """Steps of supervised training."""

    num_prompts: int
    """Prompts to learn from."""
    steps: int
    """Optimizer steps, unless the validation loss ends them."""
    epochs: float
    """Passes over the prompts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpoPlan:
    """Steps and rollouts of the GRPO run and of the evaluation."""

    training: TrainingRollouts
    epochs: float | None
    """Prompts drawn, as a multiple of the pool; None where its size is not known."""
    evaluation: Count | None
    """Rollouts of all models on the test sets; None where their size is not known."""

    @property
    def by_purpose(self) -> dict[str, Count | None]:
        """Rollouts by purpose; None where they are not known."""
        return {
            "train": self.training.train,
            "refresh": self.training.refresh,
            "validation": self.training.validation,
            "evaluation": self.evaluation,
        }

    @property
    def rollouts(self) -> dict[str, Count]:
        """Rollouts of the purposes of which they are known."""
        return {name: count for name, count in self.by_purpose.items() if count is not None}


def plan_sft(recipe: Recipe, prompts: PlannedPrompts) -> SftPlan | None:
    """Return the steps of supervised training; None without it, or where prompts are missing."""
    if recipe.sft is None:
        return None
    num = prompts.sizes.get(prompts.learnt_from(recipe))
    if num is None:
        return None
    steps = sft_steps(recipe.sft, num_prompts=num)
    return SftPlan(num_prompts=num, steps=steps, epochs=recipe.sft.epochs)


def plan_grpo(recipe: Recipe, prompts: PlannedPrompts, notes: list[str]) -> GrpoPlan | None:
    """Return the steps and rollouts of GRPO; None for a recipe without.

    Args:
        recipe: The recipe.
        prompts: Its prompts.
        notes: Gets a line on what is not known.
    """
    settings, sizes = recipe.grpo, prompts.sizes
    if settings is None:
        return None
    pool = sizes.get("train")
    if pool is None:
        notes.append(
            "the size of the pool is not known, nor what refreshes and passes take; give --prompts"
        )
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
    training = training_rollouts(
        settings,
        sampler,
        num_validation=None if "validation" in prompts.unknown else sizes.get("validation", 0),
        knows_pool=pool is not None,
    )
    sets = {
        name: (sizes[name], round(sizes[name] * prompts.share_with_images(name)))
        for name in ("test", "test_held_out_style")
        if name in sizes
    }
    num_models = 1 + (recipe.model.path is not None) + (recipe.sft is not None)
    return GrpoPlan(
        training=training,
        epochs=None if pool is None else training.prompts_drawn / pool,
        evaluation=None
        if "test" in prompts.unknown
        else evaluation_rollouts(recipe.evaluate, sets, num_models=num_models),
    )

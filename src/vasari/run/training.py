"""Training stages of a run: the cold start by SFT, and GRPO from its weights."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vasari.core.errors import ConfigError, StateError
from vasari.core.progress import stage
from vasari.core.records import Prompt
from vasari.model import resolve_model
from vasari.model.chat import target_text
from vasari.model.processor import load_processor
from vasari.model.small_vlm import small_processor, small_vlm, train_tokenizer
from vasari.model.transformers_policy import load_model
from vasari.run.checks import require_trainable
from vasari.run.folder import measured
from vasari.run.layout import RunDir
from vasari.run.recipe import ModelSettings, Recipe
from vasari.sample import make_sampler, prompt_features
from vasari.train.run_grpo import GrpoTraining
from vasari.train.sft import train_supervised


def run_sft(
    recipe: Recipe,
    run: RunDir,
    prompts: dict[str, list[Prompt]],
    *,
    recipe_folder: Path,
    resume: bool,
) -> Path:
    """Train the recipe's model by SFT (cold start), and return the folder of its weights."""
    if recipe.sft is None:
        raise ConfigError(
            f"recipe {recipe.name!r} has no `sft` section: there is nothing to train with"
            " supervision"
        )
    model_folder = run.cold_start / "model"
    if _is_done(run, "sft", model_folder, resume=resume):
        return model_folder
    require_trainable(recipe, prompts, "sft")
    if not resume and run.cold_start.exists():
        shutil.rmtree(run.cold_start)
    examples = prompts.get("cold_start") or prompts["train"]
    with measured(run, "sft") as facts, stage("cold start") as tell:
        model, processor = open_model(
            recipe.model,
            [*examples, *prompts["validation"]],
            folder=recipe_folder,
            seed=recipe.seed,
        )
        facts["continued"] = resume
        facts["num_parameters"] = sum(weight.numel() for weight in model.parameters())
        result = train_supervised(
            model,
            processor,
            train=examples,
            validation=prompts["validation"],
            settings=recipe.sft,
            system=recipe.model.system,
            out=run.cold_start,
            seed=recipe.seed,
            resume=resume,
            tell=tell,
        )
        facts.update(result)
    return model_folder


def run_grpo(
    recipe: Recipe,
    run: RunDir,
    prompts: dict[str, list[Prompt]],
    *,
    arm: str,
    start: Path | str,
    resume: bool,
) -> Path:
    """Train by GRPO with the sampler named `arm`, and return the folder of the best weights."""
    if recipe.grpo is None:
        raise ConfigError(
            f"recipe {recipe.name!r} has no `grpo` section: there is nothing to train with rewards"
        )
    best = run.rl(arm) / "best"
    if _is_done(run, f"rl-{arm}", best, resume=resume):
        return best
    require_trainable(recipe, prompts, "grpo")
    pool = prompts["train"]
    sampler = make_sampler(
        arm,
        num_prompts=len(pool),
        seed=recipe.seed,
        prompt_ids=[prompt.id for prompt in pool],
        features=prompt_features(pool),
        **recipe.sampler.of(arm),
    )
    with measured(run, f"rl-{arm}") as facts, stage(f"GRPO with {arm}") as tell:
        facts["continued"] = resume
        training = GrpoTraining(
            model_path=str(start),
            prompts=pool,
            sampler=sampler,
            settings=recipe.grpo,
            system=recipe.model.system,
            out=run.rl(arm),
            seed=recipe.seed,
            max_pixels=recipe.model.max_pixels,
            attn_implementation=recipe.model.attn_implementation,
            tell=tell,
        )
        facts.update(training.train(prompts["validation"], resume=resume))
    return best


def _is_done(run: RunDir, stage_name: str, weights: Path, *, resume: bool) -> bool:
    """Whether a stage has left its weights; a command that does not resume refuses them."""
    done = (run.stages / f"{stage_name}.json").exists() and weights.exists()
    if done and not resume:
        raise StateError(f"{weights}: exists; pass --resume to keep it, or choose another --out")
    return done


def open_model(
    settings: ModelSettings, prompts: Sequence[Prompt], *, folder: Path, seed: int
) -> tuple[Any, Any]:
    """Return the model and processor to start from; a new tokenizer is trained on the prompts.

    A relative path of a model starts from `folder`.
    """
    if settings.path is not None:
        path = resolve_model(settings.path, folder)
        model = load_model(path, dtype="float32", attn_implementation=settings.attn_implementation)
        return model, load_processor(path, max_pixels=settings.max_pixels)
    assert settings.new is not None  # noqa: S101  (the recipe's check)
    sizes = settings.new
    tokenizer = train_tokenizer(_texts(prompts, settings.system), vocabulary=sizes.vocabulary)
    return small_vlm(tokenizer, sizes, seed=seed), small_processor(tokenizer, sizes)


def _texts(prompts: Sequence[Prompt], system: str) -> list[str]:
    texts = ["user\nassistant\nsystem\n" + system] * max(1, len(prompts) // 4)
    for prompt in prompts:
        texts += [prompt.question, *(prompt.choices or ())]
        texts += [part for fact in prompt.metadata.get("facts") or [] for part in map(str, fact)]
        if prompt.solution:
            texts.append(target_text(prompt))
    return texts

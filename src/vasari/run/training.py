"""Training stages of a run: the cold start by SFT, and GRPO from its weights."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from vasari.core.errors import ConfigError, StateError
from vasari.core.progress import stage
from vasari.core.records import Prompt
from vasari.model import resolve_model
from vasari.model.chat import target_text
from vasari.model.counting import count_parameters
from vasari.model.processor import load_processor
from vasari.model.small_vlm import small_processor, small_vlm, train_tokenizer
from vasari.run.checks import require_trainable
from vasari.run.layout import RunDir
from vasari.run.measured import measured
from vasari.run.recipe import Recipe
from vasari.sample import make_sampler, prompt_features
from vasari.train.processes import computing_with, current_processes
from vasari.train.run_grpo import GrpoTraining
from vasari.train.sft import train_supervised
from vasari.train.trl_config import sft_config
from vasari.train.weights import load_weights
from vasari.train.whole_model import join_deepspeed


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
    path = recipe.model.path
    model_path = None if path is None else resolve_model(path, recipe_folder)
    require_trainable(recipe, prompts, "sft", model=model_path)
    if not resume:
        clear = partial(shutil.rmtree, run.cold_start, ignore_errors=True)
        current_processes().main_first(clear)
    examples = prompts.get("cold_start") or prompts["train"]
    with (
        measured(run, "sft", continued=resume) as facts,
        stage("cold start") as tell,
        computing_with(recipe.threads),
    ):
        # Before the weights are loaded, which DeepSpeed spreads over the processes meanwhile.
        config = sft_config(recipe.sft, run.cold_start, recipe.seed, num_prompts=len(examples))
        join_deepspeed(config)
        model, processor = _open_model(
            recipe, [*examples, *prompts["validation"]], folder=recipe_folder
        )
        facts.update(_parameters(model))
        result = train_supervised(
            model,
            processor,
            train=examples,
            validation=_of_the_same_kinds(prompts["validation"], examples),
            settings=recipe.sft,
            system=recipe.model.system,
            out=run.cold_start,
            seed=recipe.seed,
            resume=resume,
            config=config,
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
    sampler: str | None = None,
) -> Path:
    """Train by GRPO, and return the folder of the best weights.

    Args:
        recipe: Has the settings.
        run: Gets logs and weights.
        prompts: By split.
        arm: Name of the sampler, and of its folder in the run.
        start: Folder or hub name of the weights to start from.
        resume: Whether to keep what is finished and go on from the last checkpoint.
        sampler: Name of the sampler where it is not the arm's: several of its settings in one run.
    """
    if recipe.grpo is None:
        raise ConfigError(
            f"recipe {recipe.name!r} has no `grpo` section: there is nothing to train with rewards"
        )
    best = run.rl(arm) / "best"
    if _is_done(run, f"rl-{arm}", best, resume=resume):
        return best
    require_trainable(recipe, prompts, "grpo", model=str(start))
    pool = prompts["train"]
    chosen = make_sampler(
        sampler or arm,
        num_prompts=len(pool),
        seed=recipe.seed,
        prompt_ids=[prompt.id for prompt in pool],
        features=prompt_features(pool),
        **recipe.sampler.of(sampler or arm),
    )
    with (
        measured(run, f"rl-{arm}", continued=resume) as facts,
        stage(f"GRPO with {arm}") as tell,
        computing_with(recipe.threads),
    ):
        training = GrpoTraining(
            model_path=str(start),
            prompts=pool,
            sampler=chosen,
            settings=recipe.grpo,
            system=recipe.model.system,
            out=run.rl(arm),
            seed=recipe.seed,
            max_pixels=recipe.model.max_pixels,
            thinking=recipe.model.thinking,
            attn_implementation=recipe.model.attn_implementation,
            tell=tell,
        )
        facts.update(training.train(prompts["validation"], resume=resume))
    return best


def _of_the_same_kinds(prompts: Sequence[Prompt], examples: Sequence[Prompt]) -> list[Prompt]:
    """The prompts of a category and difficulty that the examples have; all of them if none is.

    The loss on what is not taught says nothing about when to stop.
    """
    taught = {(example.category, example.difficulty) for example in examples}
    same = [prompt for prompt in prompts if (prompt.category, prompt.difficulty) in taught]
    return same or list(prompts)


def _parameters(model: Any) -> dict[str, int]:
    """Numbers of the model's own parameters, of its adapters' if it has any, and of the trained."""
    count = count_parameters(model)
    adapters = count.by_part.get("adapters", 0)
    return {
        "num_parameters": count.total - adapters,
        **({"num_adapter_parameters": adapters} if adapters else {}),
        "num_trained_parameters": count.trained,
    }


def _is_done(run: RunDir, stage_name: str, weights: Path, *, resume: bool) -> bool:
    """Whether a stage has left its weights; a command that does not resume refuses them."""
    done = (run.stages / f"{stage_name}.json").exists() and weights.exists()
    if done and not resume:
        raise StateError(f"{weights}: exists; pass --resume to keep it, or choose another --out")
    return done


def _open_model(recipe: Recipe, prompts: Sequence[Prompt], *, folder: Path) -> tuple[Any, Any]:
    """The model and processor that SFT starts from; a new tokenizer is trained on the prompts.

    A relative path of a model starts from `folder`.
    """
    settings = recipe.model
    assert recipe.sft is not None  # noqa: S101  (`run_sft` has looked)
    if settings.path is not None:
        path = resolve_model(settings.path, folder)
        attention = settings.attn_implementation
        model = load_weights(path, recipe.sft, seed=recipe.seed, attn_implementation=attention)
        return model, load_processor(
            path, max_pixels=settings.max_pixels, thinking=settings.thinking
        )
    assert settings.new is not None  # noqa: S101  (the recipe's check)
    sizes = settings.new
    tokenizer = train_tokenizer(_texts(prompts, settings.system), vocabulary=sizes.vocabulary)
    return small_vlm(tokenizer, sizes, seed=recipe.seed), small_processor(tokenizer, sizes)


def _texts(prompts: Sequence[Prompt], system: str) -> list[str]:
    texts = ["user\nassistant\nsystem\n" + system] * max(1, len(prompts) // 4)
    for prompt in prompts:
        texts += [prompt.question, *(prompt.choices or ())]
        texts += [part for fact in prompt.metadata.get("facts") or [] for part in map(str, fact)]
        if prompt.solution:
            texts.append(target_text(prompt))
    return texts

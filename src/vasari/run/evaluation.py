"""Evaluation of a run's models: base, cold start (SFT), and the best weights of each GRPO run."""

from __future__ import annotations

import functools
import gc
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from vasari.core.errors import StateError
from vasari.core.files import filling_folder
from vasari.core.progress import Tell, silent, stage
from vasari.core.records import Prompt, Rollout
from vasari.evaluate.run import evaluate_policy
from vasari.model.base import Decoding, Policy
from vasari.model.path import fingerprint, resolve_model
from vasari.model.transformers_policy import TransformersPolicy
from vasari.model.vllm_policy import load_vllm_policy
from vasari.run.layout import RunDir
from vasari.run.measured import measured
from vasari.run.recipe import Recipe
from vasari.train.adapters import has_adapter
from vasari.train.export import export_weights
from vasari.train.processes import computing_with

TEST_SETS = ("test", "test_held_out_style")
Which = Literal["best", "last"]
_UNNAMED = re.compile(r"[^\w.+@=-]+")


def models_of(
    recipe: Recipe, run: RunDir, *, recipe_folder: Path, which: Which = "best"
) -> dict[str, str]:
    """Return paths of a run's existing models by name: base, cold start (SFT), then GRPO runs.

    Of each GRPO run its best weights by validation, or its last; `uniform` first.
    """
    found: dict[str, str] = {}
    if recipe.model.path is not None:
        found["base"] = resolve_model(recipe.model.path, recipe_folder)
    if (run.cold_start / "model").exists():
        found["cold_start"] = str(run.cold_start / "model")
    arms = sorted(
        (run.root / "rl").glob(f"*/{which}"),
        key=lambda path: (path.parent.name != "uniform", path.parent.name),
    )
    return found | {path.parent.name: str(path) for path in arms}


def run_evaluation(
    recipe: Recipe,
    run: RunDir,
    prompts: dict[str, list[Prompt]],
    *,
    recipe_folder: Path,
    only: Sequence[str] | None = None,
    which: Which = "best",
) -> dict[str, dict[str, Any]]:
    """Evaluate the models of a run on the test sets; results of finished models are reused.

    Args:
        recipe: Says how to evaluate.
        run: Has the models and gets the results.
        prompts: By split.
        recipe_folder: What the recipe's paths are relative to.
        only: Names of models, of which those that the run has are evaluated; None: all.
        which: Of each GRPO run its best weights by validation, or its last.

    Raises:
        StateError: The run holds no model yet.
    """
    models = models_of(recipe, run, recipe_folder=recipe_folder, which=which)
    models = {name: path for name, path in models.items() if only is None or name in only}
    if not models:
        raise StateError(
            f"{run.root}: holds no model to evaluate; run `vasari sft` or `vasari train` first"
        )
    sets = {name: prompts[name] for name in TEST_SETS if prompts.get(name)}
    results: dict[str, dict[str, Any]] = {}
    with measured(run, "evaluate", continued=True) as facts, computing_with(recipe.threads):
        for name, path in models.items():
            with stage(f"evaluate {name.replace('_', ' ')}") as tell:
                results[name] = evaluate_policy(
                    _WhenAsked(path, recipe),
                    sets,
                    recipe.evaluate,
                    name=name,
                    out=run.evaluation_of(which),
                    fingerprint=_fingerprint(path, recipe),
                    reference=prompts["train"],
                    tell=tell,
                )
                gc.collect()  # its weights leave the accelerator before the next model's come
        facts["models"] = list(models)
    return results


def evaluate_checkpoint(
    recipe: Recipe, run: RunDir, prompts: dict[str, list[Prompt]], path: str
) -> dict[str, Any]:
    """Evaluate the checkpoint in a folder on a recipe's test sets, beside the run's own models.

    The result is written to `evaluation/others`, under the last two parts of the path.

    Args:
        recipe: Says how to evaluate.
        run: Gets the results.
        prompts: By split.
        path: Folder of a model, of an adapter with or without its base model, or a hub name.

    Raises:
        StateError: Nothing there can be loaded as a model.
    """
    name = _UNNAMED.sub("-", "-".join(Path(path).resolve().parts[-2:]))
    sets = {name: prompts[name] for name in TEST_SETS if prompts.get(name)}
    with (
        stage(f"evaluate {name}") as tell,
        tempfile.TemporaryDirectory() as whole,
        computing_with(recipe.threads),
    ):
        source = path
        if (Path(path) / "adapter_config.json").exists() and not (
            Path(path) / "config.json"
        ).exists():
            with filling_folder(Path(whole), shown=Path(whole)):
                export_weights(path, Path(whole), dtype="float32")
            source = whole
        return evaluate_policy(
            _load(source, recipe),
            sets,
            recipe.evaluate,
            name=name,
            out=run.evaluation / "others",
            fingerprint=_fingerprint(path, recipe),
            reference=prompts["train"],
            tell=tell,
        )


class _WhenAsked:
    """Policy that loads its model for the first prompt: a result that is there needs none."""

    def __init__(self, path: str, recipe: Recipe) -> None:
        self._load = functools.cache(functools.partial(_load, path, recipe))

    def generate(
        self, prompts: Sequence[Prompt], decoding: Decoding, *, seed: int, tell: Tell = silent
    ) -> list[list[Rollout]]:
        """Return a group of rollouts for each prompt, in the order of the prompts."""
        return self._load().generate(prompts, decoding, seed=seed, tell=tell)


def _load(path: str, recipe: Recipe) -> Policy:
    """A policy with the weights of a folder, by transformers or by vLLM."""
    settings, model = recipe.evaluate, recipe.model
    how: dict[str, Any] = {
        "system": model.system,
        "max_pixels": model.max_pixels,
        "thinking": model.thinking,
        "dtype": model.dtype,
    }
    if settings.vllm == "off":
        return TransformersPolicy.load(path, attn_implementation=model.attn_implementation, **how)
    with tempfile.TemporaryDirectory() as whole:
        source = path
        if has_adapter(path):
            export_weights(path, Path(whole), dtype="float32")
            source = whole
        return load_vllm_policy(
            source,
            gpu_memory_utilization=settings.vllm_gpu_memory_utilization,
            max_model_length=settings.vllm_max_model_length,
            **how,
        )


def _fingerprint(path: str, recipe: Recipe) -> str:
    """What tells a model's results from others': its weights, and who generates."""
    found = fingerprint(Path(path))
    return found if recipe.evaluate.vllm == "off" else f"{found} vllm"

"""Code behind the commands `vasari sft`, `train`, `evaluate` and `quickstart`."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from vasari.core.errors import ConfigError, StateError
from vasari.core.plugins import names_from_a_file, require_allowed
from vasari.data.tasks.families import FAMILIES
from vasari.data.tasks.gallery import write_gallery
from vasari.model.path import resolve_model
from vasari.run.folder import open_run
from vasari.run.layout import RunDir
from vasari.run.prompts import prepare_prompts
from vasari.run.recipe import Recipe, load_recipe
from vasari.run.requirements import require_packages
from vasari.run.together import open_together, require_same_model
from vasari.sample import make_sampler
from vasari.sample.registry import SAMPLERS
from vasari.train.processes import start_processes

ALL = "all"
"""Sampler name for which the quickstart compares the recipe's sampler with uniform and VAS."""

FROM_SCRATCH = ("model.path=null", "model.new={}", "sft.trl.learning_rate=0.002", "sft.epochs=12")
"""Overrides for a quickstart without the base model, which takes far longer to learn."""


def sft(
    recipe_path: Path, out: Path | None, overrides: Sequence[str], *, resume: bool
) -> Path | None:
    """Make a recipe's prompts and train its model by SFT.

    Returns:
        The folder of the weights; None on all processes but the main one.
    """

    def read() -> Recipe:
        recipe = load_recipe(recipe_path, overrides)
        require_packages(recipe, "sft")
        _require_model(recipe, recipe_path.parent)
        return recipe

    with start_processes() as processes:
        recipe = processes.everywhere(read)
        from vasari.run.training import run_sft  # noqa: PLC0415  (torch takes seconds to import)

        options = {"--resume": resume}
        run, prompts = open_together(
            processes, recipe, out, recipe_folder=recipe_path.parent, options=options
        )
        if recipe.model.path is not None:
            require_same_model(processes, resolve_model(recipe.model.path, recipe_path.parent))
        model = run_sft(recipe, run, prompts, recipe_folder=recipe_path.parent, resume=resume)
        return model if processes.is_main else None


def train(
    recipe_path: Path,
    out: Path | None,
    overrides: Sequence[str],
    *,
    sampler: str | None,
    resume: bool,
) -> Path | None:
    """Train a recipe by GRPO, from its SFT weights or its model; make its prompts if missing.

    Returns:
        The folder of the best weights; None on all processes but the main one.
    """

    def read() -> tuple[Recipe, str]:
        recipe = load_recipe(recipe_path, overrides)
        arm = require_allowed(sampler or recipe.sampler.name, SAMPLERS, kind="sampler")
        require_packages(recipe, "grpo")
        if recipe.sft is None:
            _require_model(recipe, recipe_path.parent)
        return recipe, arm

    with start_processes() as processes:
        recipe, arm = processes.everywhere(read)
        from vasari.run.training import run_grpo  # noqa: PLC0415  (torch takes seconds to import)

        options = {"--sampler": sampler, "--resume": resume}
        run, prompts = open_together(
            processes, recipe, out, recipe_folder=recipe_path.parent, options=options
        )
        start = processes.everywhere(
            lambda: starting_point(recipe, run, recipe_folder=recipe_path.parent)
        )
        require_same_model(processes, start)
        best = run_grpo(recipe, run, prompts, arm=arm, start=start, resume=resume)
        return best if processes.is_main else None


def starting_point(recipe: Recipe, run: RunDir, *, recipe_folder: Path) -> str:
    """Return the folder or hub name of the weights that GRPO starts from.

    Raises:
        StateError: The recipe has a cold start that was not trained yet.
    """
    if recipe.sft is None:
        if recipe.model.path is None:
            raise StateError(
                "a new model needs supervised training first: give the recipe an `sft` section"
            )
        return resolve_model(recipe.model.path, recipe_folder)
    model = run.cold_start / "model"
    if not model.exists():
        raise StateError(
            f"{model}: no cold start yet; run `vasari sft` with the same recipe and --out first"
        )
    return str(model)


def evaluate(recipe_path: Path, out: Path | None, overrides: Sequence[str]) -> RunDir:
    """Evaluate every model of a run on its test prompts, and return the run's folder."""
    recipe = load_recipe(recipe_path, overrides)
    require_packages(recipe, "evaluate")
    _require_model(recipe, recipe_path.parent)
    from vasari.run.evaluation import run_evaluation  # noqa: PLC0415

    run = open_run(recipe, out)
    prompts = prepare_prompts(recipe, run, recipe_folder=recipe_path.parent)
    run_evaluation(recipe, run, prompts, recipe_folder=recipe_path.parent)
    return run


def evaluate_path(
    recipe_path: Path, out: Path | None, overrides: Sequence[str], *, model: str
) -> dict[str, Any]:
    """Evaluate the checkpoint at a path on a recipe's test prompts, and return its results.

    Args:
        recipe_path: The recipe.
        out: Folder of the run.
        overrides: `key.sub=value` settings.
        model: A folder, relative to the working folder, or a hub name.
    """
    recipe = load_recipe(recipe_path, overrides)
    require_packages(recipe, "evaluate")
    from vasari.run.evaluation import evaluate_checkpoint  # noqa: PLC0415

    path = resolve_model(model, setting="--model")
    _require_weights(path)
    run = open_run(recipe, out)
    prompts = prepare_prompts(recipe, run, recipe_folder=recipe_path.parent)
    return evaluate_checkpoint(recipe, run, prompts, path)


def _require_model(recipe: Recipe, recipe_folder: Path) -> None:
    """Raise if the recipe's model is a name on the hub that this machine can neither find nor get.

    Before prompts are made, and before transformers tries for minutes.
    """
    if recipe.model.path is not None:
        _require_weights(resolve_model(recipe.model.path, recipe_folder))


def _require_weights(path: str) -> None:
    from vasari.model.hub import require_weights  # noqa: PLC0415  (not in the core)

    require_weights(path)


def quickstart(
    out: Path,
    *,
    sampler: str | None,
    compare: bool,
    tiny: bool,
    from_scratch: bool,
    overrides: Sequence[str],
    resume: bool,
) -> RunDir:
    """Run the quickstart in one folder: prompts, gallery, SFT, GRPO per sampler, evaluation.

    Args:
        out: The folder.
        sampler: Another sampler than the recipe's, or `ALL`.
        compare: Train with uniform prompts too, from the same cold start.
        tiny: Run the recipe of a minute.
        from_scratch: Do without the base model.
        overrides: `key.sub=value` settings.
        resume: Go on with what the folder holds.

    Raises:
        ConfigError: There is no such sampler, or uniform is to be compared with itself.
    """
    name = "quickstart_tiny.yaml" if tiny else "quickstart.yaml"
    path = Path(str(resources.files("vasari") / "assets" / "recipes" / name))
    recipe = load_recipe(path, [*(FROM_SCRATCH if from_scratch else ()), *overrides])
    require_packages(recipe, "sft", "grpo", "evaluate")
    from vasari.run.evaluation import run_evaluation  # noqa: PLC0415
    from vasari.run.training import run_grpo, run_sft  # noqa: PLC0415

    own = recipe.sampler.name
    arms = list(dict.fromkeys(["uniform", "vas", own])) if sampler == ALL else [sampler or own]
    if compare and arms == ["uniform"]:
        raise ConfigError(
            "--compare trains uniform beside another sampler, got uniform; name one with --sampler"
        )
    if compare:
        arms = list(dict.fromkeys(["uniform", *arms]))
    with names_from_a_file():
        for arm in arms:  # a wrong name is refused before the cold start is paid for
            make_sampler(arm, num_prompts=1, seed=0, **recipe.sampler.of(arm))
    run = open_run(recipe, out)
    prompts = prepare_prompts(recipe, run, recipe_folder=path.parent)
    write_gallery(run.root / "gallery.html", FAMILIES, per_level=1, seed=recipe.seed)
    run_sft(recipe, run, prompts, recipe_folder=path.parent, resume=resume)
    start = starting_point(recipe, run, recipe_folder=path.parent)
    for arm in arms:
        run_grpo(recipe, run, prompts, arm=arm, start=start, resume=resume)
    run_evaluation(recipe, run, prompts, recipe_folder=path.parent)
    return run

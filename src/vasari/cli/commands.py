"""What each command does: open the run, do its stages, say what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from vasari.core.errors import ConfigError, StateError
from vasari.core.plugins import names_from_a_file, require_allowed
from vasari.core.progress import stage
from vasari.core.settings import read_content
from vasari.model.path import require_training, resolve_model
from vasari.run.folder import open_existing, open_run
from vasari.run.layout import RunDir
from vasari.run.prompts import prepare_prompts
from vasari.run.recipe import Recipe, load_recipe
from vasari.sample.registry import SAMPLERS


def sft_command(
    recipe_path: Path, out: Path | None, overrides: Sequence[str], *, resume: bool
) -> None:
    """Prompts and supervised training."""
    recipe = load_recipe(recipe_path, overrides)
    require_training()
    from vasari.run.training import run_sft  # noqa: PLC0415  (torch takes seconds to import)

    run = open_run(recipe, out)
    prompts = prepare_prompts(recipe, run, recipe_folder=recipe_path.parent)
    typer.echo(f"cold start: {run_sft(recipe, run, prompts, resume=resume)}")


def train_command(
    recipe_path: Path,
    out: Path | None,
    overrides: Sequence[str],
    *,
    sampler: str | None,
    resume: bool,
) -> None:
    """Prompts if there are none yet, and reinforcement training from the cold start (or the
    recipe's model).
    """
    recipe = load_recipe(recipe_path, overrides)
    require_allowed(sampler or recipe.sampler.name, SAMPLERS, door="sampler")
    require_training()
    from vasari.run.training import run_grpo  # noqa: PLC0415
    from vasari.train.processes import start_processes  # noqa: PLC0415

    with start_processes() as processes:
        run = processes.main_first(lambda: open_run(recipe, out))
        prompts = processes.main_first(
            lambda: prepare_prompts(recipe, run, recipe_folder=recipe_path.parent)
        )
        best = run_grpo(
            recipe,
            run,
            prompts,
            arm=sampler or recipe.sampler.name,
            start=starting_point(recipe, run),
            resume=resume,
        )
        if processes.is_main:
            typer.echo(f"best weights: {best}")


def starting_point(recipe: Recipe, run: RunDir) -> str:
    """The weights that reinforcement training starts from.

    Raises:
        StateError: The recipe has a cold start that was not trained yet.
    """
    if recipe.sft is None:
        if recipe.model.path is None:
            raise StateError(
                "a new model needs supervised training first: give the recipe an `sft` section"
            )
        return resolve_model(recipe.model.path)
    model = run.cold_start / "model"
    if not model.exists():
        raise StateError(
            f"{model}: no cold start yet; run `vasari sft` with the same recipe and --out first"
        )
    return str(model)


def evaluate_command(
    recipe_path: Path,
    out: Path | None,
    overrides: Sequence[str],
    *,
    resume: bool = False,
    dry_run: bool = False,
) -> None:
    """Results of every model of a run, then summary and report; or of one model on the benchmarks
    that a recipe names.
    """
    from vasari.cli.benchmark_recipe import is_benchmark_recipe  # noqa: PLC0415

    if is_benchmark_recipe(read_content(recipe_path, overrides)):
        from vasari.cli.benchmark_job import run_benchmarks  # noqa: PLC0415

        run_benchmarks(recipe_path, out, overrides, resume=resume, dry_run=dry_run)
        return
    if dry_run:
        raise ConfigError(
            f"recipe {recipe_path}: --dry-run forecasts evaluations on `benchmarks`, and it names"
            " none"
        )
    recipe = load_recipe(recipe_path, overrides)
    require_training()
    from vasari.run.evaluation import run_evaluation  # noqa: PLC0415

    run = open_run(recipe, out)
    run_evaluation(recipe, run, prepare_prompts(recipe, run, recipe_folder=recipe_path.parent))
    report_command(run.root)


def report_command(root: Path) -> None:
    """Summary and report of a run, and a few lines on the terminal."""
    from vasari.cli.summary_table import print_summary  # noqa: PLC0415

    # Matplotlib takes a second.
    from vasari.report import write_report, write_summary  # noqa: PLC0415

    run = open_existing(root)
    with stage("report") as tell:
        summary = write_summary(run.root)
        tell(1, 2)
        page = write_report(run.root)
        tell(2, 2)
    print_summary(summary, page)


def gallery_command(
    out: Path, *, per_level: int, seed: int, families: Sequence[str] | None = None
) -> None:
    """The gallery page of these families, of ours where none is named."""
    from vasari.data.tasks.families import FAMILIES, find_family  # noqa: PLC0415
    from vasari.data.tasks.gallery import write_gallery  # noqa: PLC0415

    with names_from_a_file():
        shown = {name: find_family(name) for name in families or FAMILIES}
    write_gallery(out, shown, per_level=per_level, seed=seed)
    typer.echo(f"gallery: {out}")

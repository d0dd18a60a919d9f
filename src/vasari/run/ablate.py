"""Code behind `vasari ablate`: the cells of the paper's table 4, trained for each seed."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from vasari.core.errors import ConfigError, StateError
from vasari.core.files import read_json, read_object, write_json
from vasari.core.folders import refuse_foreign
from vasari.run.ablation_grid import BASE, UNIFORM, Grid, ablation_grid, cell_recipe
from vasari.run.commands import starting_point
from vasari.run.folder import open_run
from vasari.run.layout import RunDir
from vasari.run.prompts import prepare_prompts
from vasari.run.recipe import Recipe, load_recipe
from vasari.run.requirements import require_packages

GRID_FILE = "grid.json"
"""File of an ablation's folder with its rows and the settings of its cells."""


def seed_run(out: Path, seed: int) -> RunDir:
    """Return the run folder of one seed of an ablation, whose cells are its arms."""
    return RunDir(out / f"seed-{seed}")


def ablate(
    recipe_path: Path,
    out: Path,
    overrides: Sequence[str],
    *,
    seeds: Sequence[int],
    only: Sequence[str],
    which: Literal["best", "last"],
    resume: bool,
    on_cell: Callable[[], object],
) -> None:
    """Train and evaluate every cell of table 4 for each seed, from one cold start a seed.

    Finished cells are kept, also when a later command asks for more rows or seeds; a cell that was
    killed goes on from its last checkpoint.

    Args:
        recipe_path: The recipe; its own settings of the sampler "vas" are the base.
        out: Folder of the ablation, with a run folder for each seed.
        overrides: `key.sub=value` settings.
        seeds: Seeds of prompts, weights, training and samplers.
        only: Rows, as `Grid.chosen` takes them; none: all.
        which: Weights of each training that are evaluated: its best by validation, or its last.
        resume: Go on with what is in the folder.
        on_cell: Called after each cell is evaluated.

    Raises:
        ConfigError: The recipe cannot be compared with itself, or there is no such row.
        StateError: The folder holds an ablation and `resume` is not set, or one of other settings.
    """
    recipe, grid = read_ablation_recipe(recipe_path, overrides, only)
    stages = ("grpo", "evaluate") if recipe.sft is None else ("sft", "grpo", "evaluate")
    require_packages(recipe, *stages)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError("an ablation runs in one process: start it without torchrun")
    _write_grid(out, recipe, grid, seeds, which=which, resume=resume)
    for seed in seeds:
        run = open_run(recipe.model_copy(update={"seed": seed}), seed_run(out, seed).root)
        _run_seed(
            recipe, grid, run, seed=seed, folder=recipe_path.parent, which=which, on_cell=on_cell
        )


def _run_seed(
    recipe: Recipe,
    grid: Grid,
    run: RunDir,
    *,
    seed: int,
    folder: Path,
    which: Literal["best", "last"],
    on_cell: Callable[[], object],
) -> None:
    """Train and evaluate the cells of one seed that are not finished."""
    from vasari.run.evaluation import run_evaluation  # noqa: PLC0415  (torch takes seconds)
    from vasari.run.training import run_grpo, run_sft  # noqa: PLC0415

    own = recipe.model_copy(update={"seed": seed})
    prompts = prepare_prompts(own, run, recipe_folder=folder)
    if own.sft is not None:
        run_sft(own, run, prompts, recipe_folder=folder, resume=True)
    start = starting_point(own, run, recipe_folder=folder)
    models = ["base", "cold_start"]  # evaluated with the first cell
    for name, settings in grid.cells.items():
        cell = cell_recipe(recipe, settings, seed=seed)
        run_grpo(cell, run, prompts, arm=name, sampler=cell.sampler.name, start=start, resume=True)
        models.append(name)
        run_evaluation(own, run, prompts, recipe_folder=folder, only=models, which=which)
        models = []
        on_cell()


def read_ablation_recipe(
    path: Path, overrides: Sequence[str], only: Sequence[str]
) -> tuple[Recipe, Grid]:
    """Return a recipe that can be ablated, and its grid.

    Raises:
        ConfigError: It has no `grpo` section, a time limit would stop its cells at different steps,
            or there is no such row.
    """
    recipe = load_recipe(path, overrides)
    grid = ablation_grid(recipe).chosen(only)
    if recipe.grpo is not None and recipe.grpo.max_minutes is not None:
        raise ConfigError(
            f"recipe {path}: grpo.max_minutes would stop cells at different steps; add --set"
            " grpo.max_minutes=null"
        )
    return recipe, grid


def _write_grid(
    out: Path, recipe: Recipe, grid: Grid, seeds: Sequence[int], *, which: str, resume: bool
) -> None:
    """Write the grid into the folder, joined with the one that is there."""
    path = out / GRID_FILE
    refuse_foreign(out, is_ours=lambda _: "cells" in read_object(path), command="an ablation")
    rows = [dataclasses.asdict(row) for row in grid.rows]
    cells: dict[str, Any] = {name: _plain(settings) for name, settings in grid.cells.items()}
    base, every_seed = dataclasses.asdict(grid.base), list(seeds)
    if path.exists():
        if not resume:
            raise StateError(f"{out}: holds an ablation; pass --resume, or choose another --out")
        old = read_json(path)
        for name, settings in {**old["cells"], BASE: old["base"]}.items():
            now = base if name == BASE else cells.get(name, settings)
            if settings != now:
                raise StateError(
                    f"{path}: cell {name} was made with {settings}, and would now be {now}; choose"
                    " another --out"
                )
        wanted = {_key(row) for row in [*old["rows"], *rows]}
        every = [dataclasses.asdict(row) for row in ablation_grid(recipe).rows]
        rows = [row for row in every if _key(row) in wanted]
        cells = {UNIFORM: None} | old["cells"] | cells
        every_seed = list(dict.fromkeys([*old["seeds"], *seeds]))
    write_json(
        path,
        {
            "schema": 1,
            "recipe": recipe.name,
            "model": recipe.model.path or "a new small model",
            "base": base,
            "seeds": every_seed,
            "which": which,
            "cells": cells,
            "rows": rows,
        },
    )


def _plain(settings: Any) -> dict[str, Any] | None:
    return None if settings is None else dataclasses.asdict(settings)


def _key(row: dict[str, Any]) -> tuple[str, str]:
    return row["parameter"], row["paper_value"]

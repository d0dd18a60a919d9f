"""The plan of a study: which cell (training run) belongs to which pool, arm and run."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sample_efficiency.arms import ARMS, EXPLORATORY, Arm
from sample_efficiency.cold_start import train_cold_start
from sample_efficiency.curves import Run
from sample_efficiency.design import BASE, EXPLORATORY_RUNS, NULL, NULL_POOL, OURS, check_fresh
from sample_efficiency.graded import make_stock
from sample_efficiency.pools import POOLS
from sample_efficiency.skills import Skills
from sample_efficiency.study import Cell, Task, cell_folder
from vasari.core.errors import ConfigError
from vasari.core.files import read_json
from vasari.model.path import fingerprint, resolve_model
from vasari.run.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Planned:
    """One comparison's training run: several may share a cell."""

    pool: str
    arm: str
    run: Run
    cell: Cell


def trained_in(pool: str, arm: Arm) -> str:
    """Return the pool in which an arm is trained for its results on `pool`.

    An arm that takes no features does the same with and without them: one cell serves for both.
    """
    kind = POOLS[pool]
    if kind.features or arm.knows_features:
        return pool
    alike = dataclasses.replace(kind, features=True)
    return next((name for name, other in POOLS.items() if other == alike), pool)


def plan(
    chosen: argparse.Namespace, recipe: Recipe, arms: Mapping[str, Arm], *, train: bool
) -> list[Planned]:
    """Return all comparisons' cells; cold starts and graded prompts are made where missing.

    Raises:
        ConfigError: A final seed was used before, or `train` is False and a cold start is missing.
    """
    pilot = chosen.command == "pilot"
    if not pilot and not chosen.small:
        check_fresh(chosen.runs)
    fixed: dict[str, Any] = {
        "pilot": pilot,
        "budget": chosen.budget,
        "num_marks": chosen.marks,
        "num_measured": chosen.held_out,
        "num_sampled": chosen.sampled,
        "num_stock": chosen.stock,
        "oracle_every": chosen.oracle_every,
        "oracle_rollouts": chosen.oracle_rollouts,
        "recipe": recipe.model_dump(mode="json"),
    }
    starts: dict[tuple[Skills, int], dict[str, str]] = {}
    found = []
    for run in chosen.runs:
        for pool in chosen.pools:
            at = (POOLS[pool].skills, run.cold_start)
            if at not in starts:
                starts[at] = _start(chosen, recipe, *at, train=train)
            for arm, definition in arms.items():
                if arm == NULL and pool != NULL_POOL and not pilot:
                    continue
                task = Task(
                    pool=trained_in(pool, definition),
                    arm=arm,
                    definition=definition,
                    cold_start=run.cold_start,
                    seed=run.seed,
                    **fixed,
                    **starts[at],
                )
                found.append(Planned(pool, arm, run, Cell(task, cell_folder(chosen.out, task))))
    return found


def explored_beside(chosen: argparse.Namespace, recipe: Recipe) -> list[Planned]:
    """Return the finished cells of exploratory arms that a write-up of the study has room for.

    None unless the command is `analyse`; they are of the cold starts that it analyses.
    """
    if chosen.command != "analyse":
        return []
    starts = {run.cold_start for run in chosen.runs}
    runs = [run for run in EXPLORATORY_RUNS if run.cold_start in starts]
    wanted = argparse.Namespace(**{**vars(chosen), "runs": runs})
    arms = {name: ARMS[name] for name in (BASE, OURS, *EXPLORATORY)}
    return [one for one in plan(wanted, recipe, arms, train=False) if one.cell.done()]


def distinct_cells(planned: Sequence[Planned]) -> list[Cell]:
    """Return the cells of a plan, each once, in its order."""
    return list({one.cell.folder: one.cell for one in planned}.values())


def _start(
    chosen: argparse.Namespace, recipe: Recipe, skills: Skills, number: int, *, train: bool
) -> dict[str, str]:
    """Return a cold start's model, its fingerprint and the folder of the prompts it graded."""
    name = f"{skills}-{number}"
    folder: Path = chosen.out / "cold_starts" / name
    if chosen.model:
        model = resolve_model(chosen.model)
    elif train or (folder / "stages" / "sft.json").exists():
        model = str(train_cold_start(recipe, folder, skills=skills, number=number))
    else:
        return _unpacked(chosen.out, skills, number)
    stock = chosen.out / "stock" / f"{'pilot' if chosen.command == 'pilot' else 'final'}-{name}"
    if train:
        make_stock(
            stock,
            model,
            recipe,
            skills=skills,
            number=number,
            num_train=chosen.stock,
            num_held_out=2 * chosen.held_out,
            pilot=chosen.command == "pilot",
        )
    return {
        "model": model,
        "fingerprint": fingerprint(Path(model)),
        "stock": str(stock.resolve()),
    }


def _unpacked(out: Path, skills: Skills, number: int) -> dict[str, str]:
    """Return what cells unpacked from an archive say of a cold start whose weights are not there.

    Raises:
        ConfigError: No cell is of this cold start.
    """
    for path in sorted((out / "cells").glob("*/*/*/task.json")):
        task = read_json(path)
        if POOLS[task["pool"]].skills == skills and task["cold_start"] == number:
            return {"model": "", "fingerprint": task["fingerprint"], "stock": ""}
    raise ConfigError(
        f"{out}: there is neither cold start {skills}-{number} nor a cell of it; use the command"
        " `run` or `import` first"
    )

"""Rollouts and hours of an ablation's cells, before any is trained."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vasari.core.files import read_json
from vasari.evaluate.settings import EvaluateSettings
from vasari.run.ablate import seed_run
from vasari.run.ablation_grid import Grid, cell_recipe
from vasari.run.plan.budget import plan_grpo
from vasari.run.plan.costs import Throughput, generated_tokens, hours
from vasari.run.plan.make import make_plan
from vasari.run.plan.plan import PlanOptions
from vasari.run.plan.prompts import PlannedPrompts, planned_prompts
from vasari.run.plan.rollouts import Count, evaluation_rollouts
from vasari.run.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class CellCost:
    """What one cell takes for one seed."""

    name: str
    rollouts: Mapping[str, int]
    """Rollouts by purpose (`train`, `refresh`, `validation`, `evaluation`), at most."""
    num_refreshes: int
    hours: float | None
    """None where the pace of this machine is not known."""
    num_done: int
    """Seeds that have it trained."""


def cell_costs(
    recipe: Recipe,
    grid: Grid,
    *,
    folder: Path,
    out: Path,
    seeds: Sequence[int],
    calibrates: bool,
) -> tuple[list[CellCost], str]:
    """Return the cost of each cell, and a line on where its hours come from.

    Args:
        recipe: The recipe.
        grid: Its cells.
        folder: The recipe's folder.
        out: Folder of the ablation, whose finished cells give the pace.
        seeds: Its seeds.
        calibrates: Whether a few real steps are trained, to measure the pace where none is known.
    """
    prompts = planned_prompts(recipe, folder=folder, assumed=None)
    done = {
        name: [seed for seed in seeds if _stage(out, seed, name) is not None] for name in grid.cells
    }
    pace = _measured_pace(out, done)
    throughput, updates = Throughput(), 0.0
    source = "hours are not known: finish a cell first, or add --calibrate"
    if pace is not None:
        source = (
            f"hours from finished cells: {pace * 1000:.3g} ms a rollout, evaluation not counted"
        )
    elif calibrates:
        plan = make_plan(
            cell_recipe(recipe, None),
            folder=folder,
            options=PlanOptions(calibrates=True, compares=False, out=out),
        )
        throughput, updates = plan.throughput, plan.hours.get("updates", 0.0)
        source = "hours from a calibration: a few real steps on this machine, before any training"
    found = []
    for name, settings in grid.cells.items():
        rollouts, num_refreshes = _rollouts(cell_recipe(recipe, settings), prompts)
        estimate = None
        if pace is not None:
            estimate = pace * (rollouts["train"] + rollouts["refresh"]) / 3600
        elif throughput.generated is not None:
            estimate = updates + _generation_hours(recipe, rollouts, throughput)
        found.append(
            CellCost(
                name=name,
                rollouts=rollouts,
                num_refreshes=num_refreshes,
                hours=estimate,
                num_done=len(done[name]),
            )
        )
    return found, source


def _rollouts(recipe: Recipe, prompts: PlannedPrompts) -> tuple[dict[str, int], int]:
    """Rollouts of a cell by purpose, at most, and how many refreshes it makes."""
    plan = plan_grpo(recipe, prompts, [])
    assert plan is not None  # noqa: S101  (the grid has looked)
    training = plan.training
    counts = {
        "train": training.train,
        "refresh": training.refresh,
        "validation": training.validation,
        "evaluation": _evaluation(recipe.evaluate, prompts),
    }
    rollouts = {name: 0 if count is None else count.most for name, count in counts.items()}
    return rollouts, len(training.refreshes)


def _evaluation(settings: EvaluateSettings, prompts: PlannedPrompts) -> Count:
    sizes = prompts.sizes
    sets = {
        name: (sizes[name], round(sizes[name] * prompts.share_with_images(name)))
        for name in ("test", "test_held_out_style")
        if name in sizes
    }
    return evaluation_rollouts(settings, sets, num_models=1)


def _generation_hours(recipe: Recipe, rollouts: Mapping[str, int], throughput: Throughput) -> float:
    assert recipe.grpo is not None  # noqa: S101  (the grid has looked)
    longest = dict.fromkeys(rollouts, recipe.grpo.trl.max_completion_length)
    longest["evaluation"] = recipe.evaluate.max_tokens
    counts = {name: Count(least=number, most=number) for name, number in rollouts.items()}
    tokens = generated_tokens(counts, longest, throughput)
    return sum(hours(tokens, {}, throughput, num_gpus=1).values())


def _measured_pace(out: Path, done: Mapping[str, Sequence[int]]) -> float | None:
    """Seconds of training a rollout over all finished cells; None without any."""
    seconds = rollouts = 0.0
    for name, seeds in done.items():
        for seed in seeds:
            stage = _stage(out, seed, name) or {}
            with contextlib.suppress(KeyError, TypeError):
                rollouts += sum(stage["rollouts"].values())
                seconds += stage["seconds"]
    return seconds / rollouts if rollouts else None


def _stage(out: Path, seed: int, name: str) -> dict[str, Any] | None:
    """What a finished cell's training has left; None for one that is not finished."""
    with contextlib.suppress(OSError, ValueError):
        return dict(read_json(seed_run(out, seed).stages / f"rl-{name}.json"))
    return None

"""The training runs (cells) of one study: their settings, folders, and which are done."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sample_efficiency.arms import Arm
from vasari.core.errors import ConfigError, StateError
from vasari.core.files import read_json, write_json
from vasari.core.settings import Settings
from vasari.run.recipe import Recipe, TaskPrompts
from vasari.train.settings import GrpoSettings

CURVE_FILE = "curve.json"
"""A cell that has one is done."""

TUNED_FILE = "tuned.json"

MAY_DIFFER = {"cold_start", "stock"}
"""Where the cold start and the prompts that it graded lie; its fingerprint says which they are."""


class Task(Settings):
    """Settings that determine a cell's (training run's) result, stored as `task.json`."""

    pool: str
    arm: str
    definition: Arm
    seed: int
    learning_rate: float
    tuning: bool
    """Whether accuracy is measured on validation prompts instead of test prompts."""
    budget: int
    """Rollouts, whatever they are spent on."""
    num_marks: int
    """Measurements of accuracy over the budget, beside the one of the cold start."""
    num_prompts_measured: int
    """Held-out prompts that measure accuracy."""
    num_rollouts_measured: int
    """Rollouts of each held-out prompt."""
    oracle_every: int
    """Batches between measurements of the oracle's pass rates."""
    oracle_rollouts: int
    """Rollouts of each prompt in such a measurement."""
    cold_start: str
    fingerprint: str
    """Fingerprint of the cold start's weights."""
    stock: str
    """Folder of the graded prompts."""
    recipe: dict[str, Any]
    """The resolved recipe: prompts, model and grpo are used."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One training run of the study and its folder."""

    task: Task
    folder: Path

    @property
    def name(self) -> str:
        """Name of the training run for messages: pool, arm and seed."""
        rate = f", lr {self.task.learning_rate:g}" if self.task.tuning else ""
        return f"{self.task.pool} / {self.task.arm} / seed {self.task.seed}{rate}"

    @property
    def curve_path(self) -> Path:
        """Path of the result file, which is written when the training run is done."""
        return self.folder / CURVE_FILE

    def done(self) -> bool:
        """Whether the folder holds a finished result with the same settings.

        Raises:
            StateError: The folder holds a cell of other settings; the first difference is named.
        """
        path = self.folder / "task.json"
        if not path.exists():
            return False
        old, new = read_json(path), json.loads(self.task.model_dump_json())
        differing = _difference(old, new)
        if differing is not None:
            raise StateError(
                f"{self.folder}: holds a cell of other settings ({differing}); choose another --out"
                " or remove it"
            )
        return self.curve_path.exists()

    def prepare(self) -> None:
        """Write `task.json` for the process that runs the training."""
        write_json(self.folder / "task.json", json.loads(self.task.model_dump_json()))


def _difference(old: Any, new: Any, where: str = "") -> str | None:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new} - (MAY_DIFFER if not where else set())):
            found = _difference(old.get(key), new.get(key), f"{where}.{key}".lstrip("."))
            if found is not None:
                return found
        return None
    return None if old == new else f"{where} was {old!r}, is {new!r}"


def required(recipe: Recipe) -> tuple[TaskPrompts, GrpoSettings]:
    """Return the recipe's generated prompts and GRPO settings, both of which it must have.

    Raises:
        ConfigError: The recipe lacks one of the two.
    """
    if recipe.prompts.tasks is None or recipe.grpo is None:
        raise ConfigError(
            f"recipe {recipe.name!r} must have `prompts.tasks` and `grpo`: the benchmark makes its"
            " own pools"
        )
    return recipe.prompts.tasks, recipe.grpo


def cell_folder(out: Path, task: Task) -> Path:
    """Return the folder of a training run."""
    if task.tuning:
        return (
            out / "tuning" / task.pool / task.arm / f"lr{task.learning_rate:g}" / f"seed{task.seed}"
        )
    return out / "cells" / task.pool / task.arm / f"seed{task.seed}"


def learning_rate(
    arm: str,
    definition: Arm,
    *,
    pool: str,
    given: Mapping[str, float],
    tuned: Mapping[str, Any],
    fallback: float,
) -> tuple[float, str]:
    """Return an arm's learning rate and its source: given, tuned, or from the recipe.

    What holds for an arm's parent holds for the arm, unless there is something of its own.
    """
    by_pool = tuned.get("chosen", {})
    pools = [pool, *(name for name in by_pool if name != pool)]
    names = [(arm, "")] + (
        [(definition.parent, f" for {definition.parent}")] if definition.parent else []
    )
    for name, whose in names:
        if name in given:
            return given[name], f"given{whose}"
        for found in pools:
            if name in by_pool.get(found, {}):
                where = "" if found == pool else f" on pool {found}"
                return float(by_pool[found][name]), f"tuned{whose}{where}"
    return fallback, "recipe, not tuned"


def read_tuned(path: Path | None) -> dict[str, Any]:
    """Read the tuned learning rates; empty if there is no file."""
    return read_json(path) if path is not None and path.exists() else {}


def check_fresh(seeds: Sequence[int], tuned: Mapping[str, Any]) -> None:
    """Raise an error if a final seed was used to tune learning rates.

    Raises:
        ConfigError: A seed was used for tuning.
    """
    used = sorted(set(seeds) & set(tuned.get("seeds", [])))
    if used:
        raise ConfigError(
            f"seeds {used} were used to tune the learning rates; give others with --seeds"
        )

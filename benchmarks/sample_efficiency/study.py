"""The training runs (cells) of one study: their settings, folders, and which are done."""

from __future__ import annotations

import hashlib
import json
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

MAY_DIFFER = {"model", "stock"}
"""Where the cold start and the prompts that it graded lie; its fingerprint says which they are."""


class Task(Settings):
    """Settings that determine a cell's (training run's) result, stored as `task.json`."""

    pool: str
    arm: str
    definition: Arm
    cold_start: int
    """Number of the cold start."""
    seed: int
    pilot: bool
    """Whether prompts are those of the pilot, and accuracy is measured on validation prompts."""
    budget: int
    """Rollouts, whatever they are spent on."""
    num_marks: int
    """Measurements of accuracy over the budget, beside the one of the cold start."""
    num_measured: int
    """Held-out prompts that measure accuracy."""
    num_sampled: int
    """Sampled rollouts of each of them at a measurement, beside a greedy one."""
    num_stock: int
    """Graded prompts that the pool is drawn from."""
    oracle_every: int
    """Batches between measurements of the oracle's pass rates."""
    oracle_rollouts: int
    """Rollouts of each prompt in such a measurement."""
    model: str
    """Folder of the cold start."""
    fingerprint: str
    """Fingerprint of the cold start's weights."""
    stock: str
    """Folder of the graded prompts."""
    recipe: dict[str, Any]
    """The resolved recipe: prompts, model and grpo are used."""

    def key(self) -> str:
        """Return a digest of all settings that determine the result: 16 hex digits."""
        return key_of(json.loads(self.model_dump_json()))


def key_of(task: dict[str, Any]) -> str:
    """Return the digest of a cell's settings as `task.json` holds them: 16 hex digits."""
    text = json.dumps({k: v for k, v in task.items() if k not in MAY_DIFFER}, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class Cell:
    """One training run of the study and its folder."""

    task: Task
    folder: Path

    @property
    def name(self) -> str:
        """Name of the training run for messages: pool, arm, cold start and seed."""
        task = self.task
        return f"{task.pool} / {task.arm} / cold start {task.cold_start} / seed {task.seed}"

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
    part = "pilot" if task.pilot else "cells"
    return out / part / task.pool / task.arm / f"cold{task.cold_start}-seed{task.seed}"

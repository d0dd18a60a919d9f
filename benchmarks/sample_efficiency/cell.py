"""Run one cell (a training run of one arm on one pool and seed) and write its curve."""

from __future__ import annotations

import contextlib
import fcntl
import math
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np

from sample_efficiency.arms import build_sampler
from sample_efficiency.pools import NOISE, POOLS, CoinFlips, held_out_prompts, training_pool
from sample_efficiency.study import CURVE_FILE, Task, required
from sample_efficiency.watch import BatchRecord, Marks, TrueRates
from vasari.core.errors import StateError
from vasari.core.files import read_json, write_json
from vasari.data.prompt_file import read_prompts
from vasari.records import Prompt
from vasari.run.recipe import Recipe, parse_recipe
from vasari.sample import OracleSampler
from vasari.train.callbacks import read_log
from vasari.train.group_file import read_groups
from vasari.train.run_grpo import GrpoTraining
from vasari.train.run_state import RunState
from vasari.train.settings import GrpoSettings

_RUN_FILES = ("groups", "batches.jsonl", "points.jsonl", "pass_rates.jsonl", "metrics.jsonl")
"""What is kept of a finished training beside its curve."""


def run_cell(folder: Path) -> None:
    """Train the cell described in `folder`, from its last checkpoint if any, and write its curve.

    Raises:
        StateError: Another process runs this cell.
    """
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StateError(
                f"{folder}: another process runs this cell; wait for it or end it"
            ) from error
        _train_and_write(folder)


def _train_and_write(folder: Path) -> None:
    task = Task.model_validate(read_json(folder / "task.json"))
    recipe = parse_recipe(task.recipe, where=str(folder))
    tasks, grpo = required(recipe)
    grpo = cell_settings(task, grpo)
    prompts = training_pool(
        read_prompts(Path(task.stock) / "train.parquet"), task.pool, tasks.num_train, seed=task.seed
    )
    run = folder / "run"
    sampler = build_sampler(
        task.definition, prompts, seed=task.seed, num_rollouts=grpo.rollouts_per_prompt
    )
    measured = held_out_prompts(
        read_prompts(Path(task.stock) / "held_out.parquet"), task.num_prompts_measured
    )
    record = BatchRecord(run, sampler=sampler, updates_per_batch=grpo.updates_per_batch)
    marks = Marks(
        run,
        measured,
        grpo.decoding(task.num_rollouts_measured),
        system=recipe.model.system,
        seed=task.seed,
        every_rollouts=task.budget / task.num_marks,
        updates_per_batch=grpo.updates_per_batch,
        free_refresh=task.definition.free_refresh,
    )
    watchers: list[Any] = [record, marks]
    if isinstance(sampler, OracleSampler):
        watchers.append(_true_rates(task, run, prompts, sampler, grpo, recipe))

    coins = CoinFlips(task.seed)

    def share_ledger(state: RunState) -> None:
        record.ledger = marks.ledger = coins.ledger = state.ledger

    started = time.monotonic()
    training = GrpoTraining(
        model_path=task.cold_start,
        prompts=prompts,
        sampler=sampler,
        settings=grpo,
        system=recipe.model.system,
        out=run,
        seed=task.seed,
        max_pixels=recipe.model.max_pixels,
        verify=coins,
    )
    facts = training.train([], resume=True, callbacks=watchers, on_start=share_ledger)
    seconds = time.monotonic() - started
    write_json(
        folder / CURVE_FILE,
        _curve(task, run, prompts) | {"facts": facts, "seconds": seconds, "commit": commit()},
    )
    for path in run.iterdir():
        if path.name not in _RUN_FILES:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def cell_settings(task: Task, grpo: GrpoSettings) -> GrpoSettings:
    """Return the recipe's GRPO settings with the cell's learning rate, gate and budget.

    Every batch costs at least its own rollouts, so that no arm can take more steps than uniform
    does; all warm up over the same number of steps.
    """
    per_batch = grpo.prompts_per_batch * grpo.rollouts_per_prompt
    changes: dict[str, Any] = {
        "trl": grpo.trl.model_dump() | {"learning_rate": task.learning_rate},
        "steps": math.ceil(task.budget / per_batch) * grpo.updates_per_batch,
        "max_rollouts": None if task.definition.free_refresh else task.budget,
    }
    if task.definition.gate != "all":
        changes["gate"] = task.definition.gate
    return GrpoSettings.model_validate(grpo.model_dump() | changes)


def _true_rates(
    task: Task,
    run: Path,
    prompts: list[Prompt],
    sampler: OracleSampler,
    grpo: GrpoSettings,
    recipe: Recipe,
) -> TrueRates:
    return TrueRates(
        run,
        prompts,
        np.array([prompt.metadata.get("imperfection") in NOISE for prompt in prompts]),
        grpo.decoding(task.oracle_rollouts),
        sampler=sampler,
        system=recipe.model.system,
        seed=task.seed,
        every_batches=task.oracle_every,
        updates_per_batch=grpo.updates_per_batch,
    )


def _curve(task: Task, run: Path, prompts: list[Prompt]) -> dict[str, Any]:
    """Return everything that the analysis reads of a cell (training run)."""
    curve: dict[str, Any] = {
        "schema": 1,
        "pool": task.pool,
        "arm": task.arm,
        "seed": task.seed,
        "learning_rate": task.learning_rate,
        "budget": task.budget,
        "free_refresh": task.definition.free_refresh,
        "batches": read_log(run / "batches.jsonl"),
        "points": read_log(run / "points.jsonl"),
        "trained_on": _trained_on(run, prompts),
    }
    rates = read_log(run / "pass_rates.jsonl")
    if rates:
        curve["first_pass_rates"] = [c / rates[0]["num_rollouts"] for c in rates[0]["correct"]]
    return curve


def _trained_on(run: Path, prompts: list[Prompt]) -> dict[str, list[float]]:
    """Return each batch's share of training groups by imperfection, and of equal rewards."""
    table = read_groups(run / "groups", ["batch", "purpose", "prompt_index", "rewards"]).to_pylist()
    rows = [row for row in table if row["purpose"] == "train"]
    batches = sorted({row["batch"] for row in rows})
    kinds = sorted({kind for shares in POOLS.values() for kind in shares})
    shares: dict[str, list[float]] = {kind: [] for kind in [*kinds, "zero_variance"]}
    for batch in batches:
        own = [row for row in rows if row["batch"] == batch]
        found = [prompts[row["prompt_index"]].metadata.get("imperfection") for row in own]
        for kind in kinds:
            shares[kind].append(found.count(kind) / len(own))
        silent = [
            len({reward for reward in row["rewards"] if not math.isnan(reward)}) < 2 for row in own
        ]
        shares["zero_variance"].append(float(np.mean(silent)))
    return shares


def commit() -> str:
    """Return the commit of this code, marked if files differ from it; "unknown" without git."""
    root = Path(__file__).parents[2]
    found = []
    for command in (
        ["rev-parse", "--short=12", "HEAD"],
        ["status", "--porcelain", "--", "src", "benchmarks", "recipes"],
    ):
        with contextlib.suppress(OSError):
            done = subprocess.run(
                ["git", "-C", str(root), *command], capture_output=True, text=True, check=False
            )
            found.append(done.stdout.strip() if done.returncode == 0 else "")
    if len(found) < 2 or not found[0]:
        return "unknown"
    return found[0] + (" with changes" if found[1] else "")

"""Run one cell (a training run of one arm on one pool, cold start and seed); write its curve."""

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
from sample_efficiency.graded import GRADE, NUM_ROLLOUTS, WRONG_LABEL
from sample_efficiency.pools import POOLS, held_out_prompts, pool_size, training_pool
from sample_efficiency.study import CURVE_FILE, Task, required
from sample_efficiency.watch import BatchRecord, Marks, TrueRates
from vasari.core.errors import ConfigError, StateError
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
    prompts, spent_before = _prompts(task, recipe)
    grpo = cell_settings(task, required(recipe)[1], spent_before=spent_before)
    run, kind = folder / "run", POOLS[task.pool]
    sampler = build_sampler(
        task.definition,
        prompts,
        seed=task.seed,
        num_rollouts=grpo.rollouts_per_prompt,
        features=kind.features,
    )
    stock = read_prompts(Path(task.stock) / "held_out.parquet")
    record = BatchRecord(run, sampler=sampler, updates_per_batch=grpo.updates_per_batch)
    marks = Marks(
        run,
        held_out_prompts(stock, kind.skills, task.num_measured),
        grpo.decoding(task.num_sampled),
        system=recipe.model.system,
        seed=task.seed,
        every_rollouts=task.budget / task.num_marks,
        updates_per_batch=grpo.updates_per_batch,
        free_refresh=task.definition.free_refresh,
        spent_before=spent_before,
    )
    watchers: list[Any] = [record, marks]
    if isinstance(sampler, OracleSampler):
        watchers.append(_true_rates(task, run, prompts, sampler, grpo, recipe))

    def share_ledger(state: RunState) -> None:
        record.ledger = marks.ledger = state.ledger

    started, cpu = time.monotonic(), time.process_time()
    training = GrpoTraining(
        model_path=task.model,
        prompts=prompts,
        sampler=sampler,
        settings=grpo,
        system=recipe.model.system,
        out=run,
        seed=task.seed,
        max_pixels=recipe.model.max_pixels,
    )
    training.train([], resume=True, callbacks=watchers, on_start=share_ledger)
    facts = {
        "seconds": round(time.monotonic() - started, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "commit": commit(),
    }
    curve = _curve(task, run, prompts, spent_before=spent_before)
    write_json(folder / CURVE_FILE, curve | facts)
    shutil.rmtree(run)


def _prompts(task: Task, recipe: Recipe) -> tuple[list[Prompt], int]:
    """Return the pool, and the rollouts that were spent on choosing it.

    Raises:
        ConfigError: The static filter leaves no batch, or no budget.
    """
    tasks, grpo = required(recipe)
    kind, per_batch = POOLS[task.pool], grpo.prompts_per_batch * grpo.rollouts_per_prompt
    num_groups = task.budget // grpo.rollouts_per_prompt
    size = pool_size(kind, from_recipe=tasks.num_train, num_groups=num_groups)
    stock = read_prompts(Path(task.stock) / "train.parquet")
    prompts = training_pool(stock, kind, size, seed=task.seed)
    if not task.definition.static_filter:
        return prompts, 0
    spent = NUM_ROLLOUTS * len(prompts)
    kept = [prompt for prompt in prompts if 0 < prompt.metadata[GRADE] < NUM_ROLLOUTS]
    if len(kept) < grpo.prompts_per_batch or task.budget - spent < per_batch:
        raise ConfigError(
            f"the static filter spends {spent} of {task.budget} rollouts and leaves {len(kept)}"
            f" prompts: no batch of {grpo.prompts_per_batch}"
        )
    return kept, spent


def cell_settings(task: Task, grpo: GrpoSettings, *, spent_before: int = 0) -> GrpoSettings:
    """Return the recipe's GRPO settings with the cell's gate and what is left of its budget.

    Every batch costs at least its own rollouts, so that no arm can take more steps than uniform
    does; all warm up over the same number of steps.
    """
    per_batch = grpo.prompts_per_batch * grpo.rollouts_per_prompt
    changes: dict[str, Any] = {
        "steps": math.ceil(task.budget / per_batch) * grpo.updates_per_batch,
        "max_rollouts": None if task.definition.free_refresh else task.budget - spent_before,
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
        np.array([prompt.metadata.get("imperfection") == WRONG_LABEL for prompt in prompts]),
        grpo.decoding(task.oracle_rollouts),
        sampler=sampler,
        system=recipe.model.system,
        seed=task.seed,
        every_batches=task.oracle_every,
        updates_per_batch=grpo.updates_per_batch,
    )


def _curve(task: Task, run: Path, prompts: list[Prompt], *, spent_before: int) -> dict[str, Any]:
    """Return everything that the analysis reads of a cell (training run), in little space."""
    batches = read_log(run / "batches.jsonl")
    free = ("refresh",) if task.definition.free_refresh else ()
    charged = [
        spent_before + sum(n for purpose, n in row["rollouts"].items() if purpose not in free)
        for row in batches
    ]
    return {
        "schema": 2,
        "pool": task.pool,
        "arm": task.arm,
        "cold_start": task.cold_start,
        "seed": task.seed,
        "budget": task.budget,
        "num_sampled": task.num_sampled,
        "spent_before": spent_before,
        "charged": charged,
        "rollouts": {purpose: n for purpose, n in batches[-1]["rollouts"].items() if n},
        "tokens": {purpose: n for purpose, n in batches[-1]["tokens"].items() if n},
        "sampler": batches[-1]["sampler"],
        "points": read_log(run / "points.jsonl"),
        "groups": _groups(run, prompts),
    }


def _groups(run: Path, prompts: list[Prompt]) -> dict[str, list[int]]:
    """Return each batch's number of training groups, silent ones, and wrong labels among them.

    `distinct` is the number of different prompts trained on up to the batch.
    """
    table = read_groups(run / "groups", ["batch", "purpose", "prompt_index", "rewards"]).to_pylist()
    by_batch: dict[int, list[dict[str, Any]]] = {}
    for row in table:
        if row["purpose"] == "train":
            by_batch.setdefault(row["batch"], []).append(row)
    counts: dict[str, list[int]] = {"all": [], "silent": [], "wrong_label": [], "distinct": []}
    seen: set[int] = set()
    for batch in sorted(by_batch):
        rows = by_batch[batch]
        seen |= {row["prompt_index"] for row in rows}
        rewards = [{r for r in row["rewards"] if not math.isnan(r)} for row in rows]
        labels = [prompts[row["prompt_index"]].metadata.get("imperfection") for row in rows]
        counts["all"].append(len(rows))
        counts["silent"].append(sum(len(own) < 2 for own in rewards))
        counts["wrong_label"].append(labels.count(WRONG_LABEL))
        counts["distinct"].append(len(seen))
    return counts


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

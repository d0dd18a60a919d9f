"""How many rollouts does each sampler need to train a small VLM as far as uniform does?

    # learning rates, on seeds of their own
    python benchmarks/sample_efficiency.py --tune --seeds 100 101 [--lrs 5e-5 1e-4 2e-4]
    # the study, and its write-up
    python benchmarks/sample_efficiency.py [--seeds 0 1 ... 7] [--jobs 2]
    # the write-up of finished cells
    python benchmarks/sample_efficiency.py --analyse

GRPO of the small VLM from one cold start, for every pool, arm and seed: a cell. A finished cell is
not repeated and a broken one goes on from its checkpoint; give the same --out. Accuracy on clean
held-out prompts is measured at marks of the budget, which counts rollouts of all purposes. The cold
start is trained once from the recipe unless --cold-start names a model.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import vasari
from result_files import MACHINE, result_file
from sample_efficiency.analysis import PoolResult, analyse, as_json
from sample_efficiency.arms import ARMS, Arm, define, missing_part
from sample_efficiency.cold_start import train_cold_start
from sample_efficiency.curves import Curve
from sample_efficiency.graded import make_stock
from sample_efficiency.options import options
from sample_efficiency.plots import draw_pool
from sample_efficiency.study import (
    MAY_DIFFER,
    TUNED_FILE,
    Cell,
    Task,
    cell_folder,
    check_fresh,
    learning_rate,
    read_tuned,
)
from sample_efficiency.workers import run_cells
from sample_efficiency.write_up import completeness, method, pool_section
from vasari.core.errors import ConfigError, VasariError
from vasari.core.files import read_json, write_json
from vasari.model.path import fingerprint, require_training, resolve_model
from vasari.run.recipe import Recipe, load_recipe

CRITERION = "mean accuracy over the second half of the budget"


def cold_start(chosen: argparse.Namespace, recipe: Recipe) -> str:
    """Return the model that every training run starts from; trained once if none is named."""
    if chosen.cold_start:
        return resolve_model(chosen.cold_start)
    folder = chosen.out / "cold_start"
    if chosen.analyse and not folder.exists():
        raise ConfigError(
            f"{folder}: there is no cold start yet; run the benchmark without --analyse first"
        )
    return str(train_cold_start(recipe, folder))


def arms_to_run(chosen: argparse.Namespace) -> dict[str, Arm]:
    """Return the requested arms (sampler setups) that this version can run; print the rest.

    Raises:
        ConfigError: An arm is unknown.
    """
    known = {**ARMS, **dict(define(text) for text in chosen.define)}
    names = [
        *chosen.arms,
        *(name for name in known if name not in ARMS and name not in chosen.arms),
    ]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ConfigError(f"there is no arm {', '.join(unknown)}; there are {', '.join(known)}")
    found = {}
    for name in names:
        missing = missing_part(known[name])
        if missing is None:
            found[name] = known[name]
        else:
            print(f"arm {name} is left out: {missing}")
    return found


def given_rates(chosen: argparse.Namespace) -> dict[str, float]:
    """Read learning rates from the command line's ARM=VALUE options.

    Raises:
        ConfigError: One is not ARM=VALUE.
    """
    rates = {}
    for text in chosen.rates:
        arm, _, value = text.partition("=")
        try:
            rates[arm] = float(value)
        except ValueError as error:
            raise ConfigError(f"--lr takes ARM=VALUE, got {text!r}") from error
    return rates


def plan(
    chosen: argparse.Namespace, recipe: Recipe, arms: Mapping[str, Arm]
) -> tuple[list[Cell], dict[str, str]]:
    """Return all cells (training runs) in order, and the source of each arm's learning rate."""
    model = cold_start(chosen, recipe)
    name = "tuning" if chosen.tune else "final"
    sizes = {"num_train": chosen.stock, "num_held_out": max(2, chosen.stock // 4)}
    stock = make_stock(chosen.out / "stock" / name, model, recipe, **sizes, tuning=chosen.tune)
    assert recipe.grpo is not None  # noqa: S101  (checked in main)
    fixed: dict[str, Any] = {
        "tuning": chosen.tune,
        "budget": chosen.budget,
        "num_marks": chosen.marks,
        "num_prompts_measured": chosen.held_out,
        "num_rollouts_measured": chosen.held_out_rollouts,
        "oracle_every": chosen.oracle_every,
        "oracle_rollouts": chosen.oracle_rollouts,
        "cold_start": model,
        "fingerprint": fingerprint(Path(model)),
        "stock": str(stock),
        "recipe": recipe.model_dump(mode="json"),
    }
    tuned = {} if chosen.tune else read_tuned(chosen.tuned)
    check_fresh(chosen.seeds, tuned)
    given, cells, sources = given_rates(chosen), [], {}
    for seed in chosen.seeds:
        for pool in chosen.pools:
            for arm, definition in arms.items():
                rate, source = learning_rate(
                    arm,
                    definition,
                    pool=pool,
                    given=given,
                    tuned=tuned,
                    fallback=recipe.grpo.trl.learning_rate,
                )
                sources.setdefault(f"{arm} on {pool}", f"{rate:g}, {source}")
                for value in chosen.lrs if chosen.tune else [rate]:
                    task = Task(
                        pool=pool,
                        arm=arm,
                        definition=definition,
                        seed=seed,
                        learning_rate=value,
                        **fixed,
                    )
                    cells.append(Cell(task, cell_folder(chosen.out, task)))
    return cells, sources


def tune(chosen: argparse.Namespace, cells: Sequence[Cell]) -> None:
    """Choose each arm's learning rate from its finished sweep and write it to tuned.json.

    Arms whose sweep is not finished stay as they were.
    """
    path = chosen.out / TUNED_FILE
    old = read_tuned(path)
    chosen_rates: dict[str, dict[str, float]] = old.get("chosen", {})
    scores: dict[str, dict[str, dict[str, float]]] = old.get("scores", {})
    marks = chosen.budget * np.arange(chosen.marks // 2, chosen.marks + 1) / chosen.marks
    for pool, arm in sorted({(cell.task.pool, cell.task.arm) for cell in cells}):
        own = [cell for cell in cells if (cell.task.pool, cell.task.arm) == (pool, arm)]
        if not all(cell.done() for cell in own):
            print(f"{pool} / {arm}: the sweep is not complete, no learning rate is chosen")
            continue
        found: dict[float, list[float]] = {}
        for cell in own:
            shares = Curve.read(read_json(cell.curve_path)).at("rollouts", marks)
            found.setdefault(cell.task.learning_rate, []).append(float(np.nanmean(shares)))
        means = {rate: float(np.mean(values)) for rate, values in sorted(found.items())}
        best = max(means, key=lambda rate: means[rate])
        edge = (
            ""
            if len(means) < 3 or best not in (min(means), max(means))
            else ", at the edge of the sweep"
        )
        print(
            f"{pool} / {arm}: {', '.join(f'{rate:g}: {mean:.3f}' for rate, mean in means.items())};"
            f" chosen {best:g}{edge}"
        )
        chosen_rates.setdefault(pool, {})[arm] = best
        scores.setdefault(pool, {})[arm] = {f"{rate:g}": mean for rate, mean in means.items()}
    seeds = sorted({*old.get("seeds", []), *chosen.seeds})
    facts = {"schema": 1, "seeds": seeds, "budget": chosen.budget, "criterion": CRITERION}
    write_json(path, facts | {"chosen": chosen_rates, "scores": scores})
    print(f"written to {path}")


def write_up(
    chosen: argparse.Namespace,
    cells: Sequence[Cell],
    arms: Sequence[str],
    sources: Mapping[str, str],
) -> None:
    """Analyse the finished cells (training runs) and write Markdown, JSON and figures."""
    finished = [cell for cell in cells if cell.done()]
    print(completeness(cells))
    if not finished:
        return
    contents = [read_json(cell.curve_path) for cell in finished]
    target = result_file("sample_efficiency", chosen.results)
    sections, numbers = [], {}
    for pool in chosen.pools:
        curves = [Curve.read(content) for content in contents if content["pool"] == pool]
        if not curves:
            sections.append(f"## Pool `{pool}`\n\nNo cell of this pool is done.")
            continue
        result: PoolResult = analyse(pool, curves, budget=chosen.budget, num_marks=chosen.marks)
        figure = f"{target.stem}_{pool}.svg"
        draw_pool(result, chosen.results / figure)
        sections.append(pool_section(result, arms=arms, num_seeds=len(chosen.seeds), figure=figure))
        numbers[pool] = as_json(result)
    rates: dict[str, list[str]] = {}
    for arm, source in sources.items():
        rates.setdefault(source, []).append(arm)
    tuned = read_tuned(chosen.tuned)
    commits = sorted({content["commit"] for content in contents})
    task = json.loads(finished[0].task.model_dump_json(exclude=MAY_DIFFER))
    note = method(
        task, tuned=tuned, rates={s: ", ".join(a) for s, a in rates.items()}, commits=commits
    )
    words = [
        Path(word).name if Path(word).is_absolute() else word for word in sys.argv[1:]
    ]  # no path of this machine
    command = " ".join(["python benchmarks/sample_efficiency.py", *words])
    smoke = "**A smoke test: these numbers mean nothing.**\n\n" if chosen.small else ""
    text = "\n\n".join([completeness(cells), *sections, "## How it was measured", note])
    body = f"# Rollouts to uniform's accuracy, every rollout charged\n\n{smoke}{text}\n\n"
    target.write_text(f"{body}`{command}`, vasari {vasari.__version__}, {MACHINE}.\n")
    facts = {
        "schema": 1,
        "complete": len(finished) == len(cells),
        "cells_done": len(finished),
        "cells": len(cells),
    }
    write_json(
        target.with_suffix(".json"),
        facts | {"task": task, "tuned": tuned, "commits": commits, "pools": numbers},
    )
    print("\n\n".join(sections))
    print(f"\nwritten to {target}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run missing training runs and write up; return 1 if one failed, 2 for impossible settings."""
    chosen = options(arguments, description=__doc__ or "")
    try:
        require_training()
        if chosen.run_cell is not None:
            # Torch takes seconds to import.
            from sample_efficiency.cell import run_cell  # noqa: PLC0415

            run_cell(chosen.run_cell)
            return 0
        recipe = load_recipe(chosen.recipe, chosen.overrides)
        if recipe.grpo is None or recipe.prompts.tasks is None:
            raise ConfigError(
                f"recipe {chosen.recipe} must have `prompts.tasks` and `grpo`: the benchmark makes"
                " its own pools"
            )
        cells, sources = plan(chosen, recipe, arms_to_run(chosen))
        missing = [cell for cell in cells if not cell.done()]
        print(f"{len(cells) - len(missing)} of {len(cells)} cells are done", flush=True)
        failed = [] if chosen.analyse else run_cells(missing, jobs=chosen.jobs)
        if chosen.tune:
            tune(chosen, cells)
        else:
            write_up(chosen, cells, [*dict.fromkeys(cell.task.arm for cell in cells)], sources)
    except VasariError as error:
        print(error, file=sys.stderr)
        return 2
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

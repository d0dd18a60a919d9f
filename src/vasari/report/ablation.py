"""Numbers and page of an ablation: the layout of the paper's table 4, with intervals over seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from vasari.core.errors import StateError
from vasari.core.files import read_json, write_bytes, write_json
from vasari.evaluate.seeds import holm, seed_mean
from vasari.report.ablation_figures import score_figure, training_figure
from vasari.report.figures import distinct_snapshots, score_transitions
from vasari.report.inputs import Run, dig, number, read_arm_groups, read_run, read_snapshots
from vasari.run.ablate import GRID_FILE, seed_run
from vasari.run.ablation_grid import BASE, PAPER_COLD_START, PAPER_GRPO, TABLE_4, UNIFORM
from vasari.sample.vas import VAS_PRESETS

COLD_START = "cold_start"
DECODINGS = ("sampled", "greedy")
LEVEL = 0.05

_WHICH = {"best": "best by validation accuracy", "last": "last"}

_HEAD = (
    "parameter",
    "value (paper's)",
    "sampled, %",
    "greedy, %",
    "sampled minus uniform, points",
    "p, Holm",
    "rollouts charged: train + refresh",
    "paper: Avg, %",
    "paper: minus its GRPO",
)


def write_ablation(out: Path) -> dict[str, Any]:
    """Write `ablation.json`, `ablation.md` and both figures from what is trained, and return it.

    Raises:
        StateError: The folder holds no ablation.
    """
    if not (out / GRID_FILE).exists():
        raise StateError(f"{out}: holds no ablation ({GRID_FILE} is missing)")
    grid = read_json(out / GRID_FILE)
    runs = {
        seed: with_evaluation(read_run(root), grid["which"])
        for seed in grid["seeds"]
        if (root := seed_run(out, seed).root).is_dir()
    }
    found = ablation_numbers(grid, runs)
    figures = {"figure2.svg": training_figure(list(runs.values()))}
    dynamics = _figure_3_cell(grid)
    if runs:
        first = next(iter(runs.values()))
        figures["figure3.svg"] = score_figure(
            distinct_snapshots(read_snapshots(first, dynamics)), read_arm_groups(first, dynamics)
        )
    found["figure_3"] = {
        "cell": dynamics,
        "stayed": {str(seed): _stayed(run, dynamics) for seed, run in runs.items()},
    }
    found["figures"] = [name for name, picture in figures.items() if picture]
    for name, picture in figures.items():
        if picture:
            write_bytes(out / name, picture.encode())
    write_json(out / "ablation.json", found)
    write_bytes(out / "ablation.md", ablation_page(found).encode())
    return found


def with_evaluation(run: Run, which: str) -> Run:
    """Return the run with the evaluation of its `best` weights, or of its `last`."""
    found = {}
    for path in sorted(run.place.evaluation_of(which).glob("*.json")):
        with run.reading(path):
            found[path.stem] = dict(read_json(path))
    return replace(run, evaluation=found)


def ablation_numbers(grid: Mapping[str, Any], runs: Mapping[int, Run]) -> dict[str, Any]:
    """Return an ablation's numbers: of each cell and model, over the seeds that have it.

    Args:
        grid: What `vasari ablate` wrote of rows and cells.
        runs: The run of each seed.
    """
    accuracy: dict[str, dict[str, dict[int, float]]] = {
        name: {
            how: {
                seed: value
                for seed, run in runs.items()
                if (value := _accuracy(run, name, how)) is not None
            }
            for how in DECODINGS
        }
        for name in (COLD_START, *grid["cells"])
    }
    cells: dict[str, Any] = {}
    for name in accuracy:
        differences = {
            how: _paired(accuracy[name][how], accuracy[UNIFORM][how]) for how in DECODINGS
        }
        cells[name] = {
            "accuracy": {
                how: {str(seed): value for seed, value in accuracy[name][how].items()}
                for how in DECODINGS
            },
            "mean": {how: _mean(list(accuracy[name][how].values())) for how in DECODINGS},
            "minus_uniform": {how: _mean(differences[how]) for how in DECODINGS},
            "rollouts": _rollouts(runs.values(), name),
        }
    p_values = {
        name: p
        for name, cell in cells.items()
        if name not in (COLD_START, UNIFORM)
        and (p := dig(cell, "minus_uniform", "sampled", "p")) is not None
    }
    for name, p in holm(p_values).items():
        cells[name]["p_holm"] = p
    return {"schema": 1, **grid, "cells": cells, "settings": grid["cells"]}


def ablation_page(found: Mapping[str, Any]) -> str:
    """Return an ablation's page in Markdown, from the numbers in `ablation.json`."""
    lines = [
        f"# Table 4 of arXiv:2509.21268 on {found['recipe']}",
        "",
        _what_differs(found),
        "",
        verdict(found),
        "",
        _spread(found),
        "",
        _line(_HEAD),
        _line(["---"] * 2 + ["---:"] * (len(_HEAD) - 2)),
        _row(found["cells"][COLD_START], "cold start", "", PAPER_COLD_START),
        _row(found["cells"][UNIFORM], "GRPO, uniform", "", PAPER_GRPO),
    ]
    shown: dict[str, str] = {}
    for row in found["rows"]:
        value = row["value"]
        if row["paper_value"] != value:
            value += f" ({row['paper_value']})"
        first = shown.setdefault(row["cell"], f"{row['parameter']} {row['value']}")
        own = f"{row['parameter']} {row['value']}"
        note = "" if first == own else f", the training of {first}"
        cell = found["cells"][row["cell"]]
        lines.append(_row(cell, row["parameter"], f"{value}{note}", row["paper"]))
    lines += ["", *_figure_lines(found), ""]
    return "\n".join(lines)


def verdict(found: Mapping[str, Any]) -> str:
    """Return a sentence that says which cells differ from uniform prompts after Holm."""
    cells = found["cells"]
    tested = {name: cell["p_holm"] for name, cell in cells.items() if "p_holm" in cell}
    if not tested:
        return (
            "No cell is tested against uniform prompts: a test needs two seeds that have both, and"
            " differences that are not all equal."
        )
    differ = [name for name, p in tested.items() if p < LEVEL]
    num = len(cells) - 2
    over = f"over {len(tested)} of {num} cells, sampled accuracy, Student's test paired by seed"
    if not differ:
        return f"After Holm's correction ({over}) no cell differs from uniform prompts."
    named = ", ".join(
        f"{name} ({100 * cells[name]['minus_uniform']['sampled']['mean']:+.1f} points)"
        for name in differ
    )
    return f"After Holm's correction ({over}) these differ from uniform prompts: {named}."


def _what_differs(found: Mapping[str, Any]) -> str:
    paper = asdict(VAS_PRESETS["paper-ablation"])
    changed = {
        name: value for name, value in found["base"].items() if paper.get(name, value) != value
    }
    base = (
        "base settings the paper's (N = 8, lambda = alpha = beta = 0.5, T = 28)"
        if not changed
        else "base settings the paper's but for "
        + ", ".join(f"{name} {value}" for name, value in changed.items())
    )
    return (
        f"What differs from the paper: the model ({found['model']}), the prompts (the recipe's own"
        f" test set in the place of five benchmarks), {len(found['seeds'])} seed(s) in the place of"
        f" a single run, T in batches; {base}. Every seed has its own prompts where they are"
        " generated, and one start for all its cells. Intervals are Student's, 95%, over seeds."
        f" Each cell's weights are its {_WHICH[found['which']]}."
        " All cells train equally many steps, so they differ in rollouts; refreshes are charged."
        " The paper's numbers are table 4's, and table 3's for cold start and GRPO"
        " (Qwen2.5-VL-3B); it does not name the model of table 4."
    )


def _spread(found: Mapping[str, Any]) -> str:
    """How far the cells lie apart, beside how far chance alone would put them."""
    distinct = _distinct_paper()
    paper = f"The paper's {len(distinct)} distinct cells have sd {statistics.stdev(distinct):.2f}"
    seeds = [str(seed) for seed in found["seeds"]]
    rows = [
        [100 * cell["accuracy"]["sampled"][seed] for seed in seeds]
        for name, cell in found["cells"].items()
        if name not in (COLD_START, UNIFORM) and {*seeds} <= {*cell["accuracy"]["sampled"]}
    ]
    if len(rows) < 2 or len(seeds) < 2:
        return f"{paper} points."
    apart, chance = spread_of_cells(rows)
    return (
        f"The means of the {len(rows)} cells that have all seeds have sd {apart:.2f} points; where"
        f" settings made no difference, chance would give {chance:.2f}. {paper}."
    )


def spread_of_cells(values: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Return the sd of cells' means over seeds, and the sd that chance alone would give them.

    Chance is what is left of each value without its cell's and its seed's mean, as in an analysis
    of variance without repeats; what a seed adds to all cells alike moves none apart.

    Args:
        values: [cells][seeds], two of each or more.
    """
    table = np.array(values)
    means = table.mean(axis=1)
    rest = table - means[:, None] - table.mean(axis=0) + table.mean()
    num_cells, num_seeds = table.shape
    variance = float(np.square(rest).sum()) / ((num_cells - 1) * (num_seeds - 1))
    return float(means.std(ddof=1)), math.sqrt(variance / num_seeds)


def _distinct_paper() -> list[float]:
    """The paper's cells with its base, which stands in each block of table 4, once."""
    base = {"mix_ratio": 0.5, "refresh_every": 28, "num_refresh_rollouts": 8, "weights": (0.5, 0.5)}
    own = [paper for parameter, value, paper in TABLE_4 if base[parameter] != value]
    return [*own, next(paper for parameter, value, paper in TABLE_4 if base[parameter] == value)]


def _figure_lines(found: Mapping[str, Any]) -> list[str]:
    lines = []
    if "figure2.svg" in found.get("figures", ()):
        lines += [
            "![Gradient norm, clip fraction and validation accuracy over steps](figure2.svg)",
            "",
            "Figure 2: means over seeds; the band of validation accuracy is from the lowest seed to"
            " the highest.",
        ]
    if "figure3.svg" in found.get("figures", ()):
        cell = found["figure_3"]["cell"]
        lines += [
            "",
            "![Promotion scores over training and their transitions](figure3.svg)",
            "",
            f"Figure 3: promotion scores of cell {cell}, first seed. The paper says that mass"
            " gathers on the diagonal. Of the prompts that were rolled out in between, so many"
            " stayed in their bin (and would by chance, had a bin nothing to do with the one"
            " before): "
            + "; ".join(
                f"seed {seed}: "
                + ", ".join(
                    f"{move['title']} {move['share']:.0%} ({move['by_chance']:.0%})" for move in of
                )
                for seed, of in found["figure_3"]["stayed"].items()
                if of
            )
            + ".",
        ]
    return lines


def _figure_3_cell(grid: Mapping[str, Any]) -> str:
    """Name of the cell of the paper's figure 3, which refreshes every 14 steps; else the base."""
    for row in grid["rows"]:
        if row["parameter"] == "refresh_every" and row["paper_value"] == "14":
            return str(row["cell"])
    return BASE if BASE in grid["cells"] else next((n for n in grid["cells"] if n != UNIFORM), BASE)


def _stayed(run: Run, cell: str) -> list[dict[str, Any]]:
    groups = read_arm_groups(run, cell)
    if groups is None:
        return []
    return [
        {
            "title": move.title,
            "prompts": move.num_prompts,
            "share": move.stayed,
            "by_chance": move.stayed_by_chance,
        }
        for move in score_transitions(distinct_snapshots(read_snapshots(run, cell)), groups)
    ]


def _accuracy(run: Run, name: str, how: str) -> float | None:
    return number(dig(run.evaluation.get(name, {}), "sets", "test", how, "accuracy", "mean"))


def _paired(values: Mapping[int, float], uniform: Mapping[int, float]) -> list[float]:
    """Differences of the seeds that have both."""
    return [value - uniform[seed] for seed, value in values.items() if seed in uniform]


def _mean(values: Sequence[float]) -> dict[str, Any] | None:
    return asdict(seed_mean(values)) if values else None


def _rollouts(runs: Any, name: str) -> dict[str, float]:
    """Mean rollouts of a cell by purpose, over the seeds that have it."""
    counts = [found for run in runs if (found := dig(run.stages.get(f"rl-{name}", {}), "rollouts"))]
    return {
        purpose: statistics.fmean(count.get(purpose, 0) for count in counts)
        for purpose in (counts[0] if counts else ())
    }


def _row(cell: Mapping[str, Any], parameter: str, value: str, paper: float) -> str:
    rollouts = cell["rollouts"]
    rest = sum(count for purpose, count in rollouts.items() if purpose != "refresh")
    difference = cell["minus_uniform"]["sampled"] if "p_holm" in cell or value else None
    return _line(
        [
            parameter,
            value,
            _spelled(cell["mean"]["sampled"]),
            _spelled(cell["mean"]["greedy"]),
            _spelled(difference, signed=True),
            f"{cell['p_holm']:.2g}" if "p_holm" in cell else "",
            f"{rest:,.0f} + {rollouts.get('refresh', 0):,.0f}" if rollouts else "",
            f"{paper:.1f}",
            "" if paper == PAPER_GRPO and not value else f"{paper - PAPER_GRPO:+.1f}",
        ]
    )


def _spelled(mean: Mapping[str, Any] | None, *, signed: bool = False) -> str:
    if mean is None:
        return ""
    sign = "+" if signed else ""
    text = f"{100 * mean['mean']:{sign}.1f}"
    if mean["low"] is None:
        return text
    return f"{text} ({100 * mean['low']:{sign}.1f} to {100 * mean['high']:{sign}.1f})"


def _line(entries: Sequence[str]) -> str:
    return f"| {' | '.join(entries)} |"

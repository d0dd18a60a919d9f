"""Command line of the benchmark `sample_efficiency.py`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from sample_efficiency.arms import ARMS, CONFIRMATORY, EXPLORATORY
from sample_efficiency.curves import Run
from sample_efficiency.design import (
    BASE,
    EXPLORATORY_RUNS,
    FINAL_RUNS,
    NULL,
    OURS,
    PILOT_RUNS,
    STUDY_POOLS,
)
from sample_efficiency.pools import POOLS
from vasari.core.errors import ConfigError

BENCHMARKS = Path(__file__).parents[1]
CELLS = BENCHMARKS / "sample_efficiency" / "cells"
"""Folder of the finished cells that are committed."""

SMALL_RECIPE = (
    "prompts.tasks.families=[bars, dice]",
    "prompts.tasks.num_train=20",
    "prompts.tasks.image_size=56",
    "grpo.prompts_per_batch=4",
    "grpo.rollouts_per_prompt=4",
    "grpo.micro_batch=8",
    "grpo.trl.max_completion_length=12",
    "grpo.save_every=2",
)
SMALL = {
    "pools": ["heterogeneous", "no_features"],
    "budget": 48,
    "marks": 3,
    "stock": 120,
    "held_out": 6,
    "oracle_rollouts": 2,
    "model": "vasari:tiny-base",
}
"""A run through everything in a minute that shows nothing."""

COMMANDS = ("pilot", "run", "explore", "analyse", "export", "import")


def parser(description: str) -> argparse.ArgumentParser:
    """Return the parser of the benchmark's command line."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add, out = made.add_argument, Path("runs/sample_efficiency")
    add("command", choices=COMMANDS, nargs="?", default="run")
    add("--pools", nargs="+", default=list(STUDY_POOLS), choices=list(POOLS))
    add("--arms", nargs="+", metavar="ARM", help=f"of {', '.join(ARMS)}")
    add("--define", action="append", default=[], metavar="NAME=SAMPLER[,key=value...]")
    add("--runs", nargs="+", metavar="COLD_START:SEED", help="else those of the design")
    add("--budget", type=int, default=4096, help="rollouts of all purposes, for every arm")
    add("--marks", type=int, default=4, help="measurements of accuracy over the budget")
    add("--stock", type=int, default=1600, help="graded prompts that pools are drawn from")
    add("--held-out", type=int, default=400, help="held-out prompts that measure accuracy")
    add("--sampled", type=int, default=4, help="sampled rollouts of each, beside a greedy one")
    add("--oracle-every", type=int, default=8, help="batches between the oracle's measurements")
    add("--oracle-rollouts", type=int, default=8)
    add("--out", type=Path, default=out, help="folder of cold starts, prompts and cells")
    add("--model", help="start of all cells; else cold starts are trained from the recipe")
    add("--recipe", type=Path, default=BENCHMARKS / "sample_efficiency" / "recipe.yaml")
    add("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    add("--results", type=Path, help="of the write-up; else benchmarks/results, or in --out")
    add("--cells", type=Path, default=CELLS, help="folder that cells are exported to")
    add("--jobs", type=int, default=1, help="cells at a time, one thread each")
    add("--small", action="store_true", help="all parts once, too small to show a thing")
    add("--run-cell", type=Path, help=argparse.SUPPRESS)
    return made


def options(arguments: Sequence[str] | None, *, description: str) -> argparse.Namespace:
    """Return the parsed command line, with the defaults of --small and of the command.

    Raises:
        ConfigError: A run is not COLD_START:SEED.
    """
    command_line = parser(description)
    if command_line.parse_args(arguments).small:
        command_line.set_defaults(**SMALL)
    chosen = command_line.parse_args(arguments)
    if chosen.small:
        chosen.overrides = [*SMALL_RECIPE, *chosen.overrides]
    pilot, explore = chosen.command == "pilot", chosen.command == "explore"
    chosen.results = chosen.results or (
        chosen.out / "results" if chosen.small or pilot else BENCHMARKS / "results"
    )
    usual = PILOT_RUNS if pilot else EXPLORATORY_RUNS if explore else FINAL_RUNS
    chosen.runs = ([read_run(text) for text in chosen.runs] if chosen.runs else list(usual))[
        : 2 if chosen.small else None
    ]
    if chosen.arms is None:
        arms = (
            [BASE, NULL] if pilot else [BASE, OURS, *EXPLORATORY] if explore else list(CONFIRMATORY)
        )
        chosen.arms = arms
    return chosen


def read_run(text: str) -> Run:
    """Read a run, COLD_START:SEED.

    Raises:
        ConfigError: It is not two numbers.
    """
    parts = text.split(":")
    if len(parts) != 2 or not all(part.isdecimal() for part in parts):
        raise ConfigError(f"--runs takes COLD_START:SEED, got {text!r}")
    return Run(int(parts[0]), int(parts[1]))

"""Command line of the benchmark `sample_efficiency.py`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from sample_efficiency.arms import ARMS, REQUIRED
from sample_efficiency.pools import POOLS
from sample_efficiency.study import TUNED_FILE

BENCHMARKS = Path(__file__).parents[1]

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
    "arms": ["uniform", "progress"],
    "pools": ["noisy"],
    "budget": 48,
    "marks": 3,
    "stock": 120,
    "held_out": 6,
    "held_out_rollouts": 2,
    "oracle_rollouts": 2,
    "cold_start": "vasari:tiny-base",
}
"""A run through everything in a minute that shows nothing."""


def parser(description: str) -> argparse.ArgumentParser:
    """Return the parser of the benchmark's command line."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    _add_study(made)
    _add_learning_rates(made)
    _add_files(made)
    made.add_argument("--jobs", type=int, default=1, help="cells at a time, one thread each")
    made.add_argument("--analyse", action="store_true", help="train nothing, write up what is done")
    made.add_argument(
        "--small", action="store_true", help="all parts once, too small to show a thing"
    )
    made.add_argument("--run-cell", type=Path, help=argparse.SUPPRESS)
    return made


def _add_study(made: argparse.ArgumentParser) -> None:
    add = made.add_argument
    define = "NAME=SAMPLER[,key=value...]"
    add("--pools", nargs="+", default=["realistic", "noisy"], choices=list(POOLS))
    add("--arms", nargs="+", default=list(REQUIRED), metavar="ARM", help=f"of {', '.join(ARMS)}")
    add("--define", action="append", default=[], metavar=define, help="a further arm, to try it")
    add("--seeds", type=int, nargs="+", default=None, help="0 to 7, or 100 and 101 with --tune")
    add("--budget", type=int, default=6144, help="rollouts of all purposes, for every arm")
    add("--marks", type=int, default=8, help="measurements of accuracy over the budget")
    add("--stock", type=int, default=1600, help="graded prompts that pools are drawn from")
    add("--held-out", type=int, default=160, help="held-out prompts that measure accuracy")
    add("--held-out-rollouts", type=int, default=3, help="rollouts of each")
    add("--oracle-every", type=int, default=8, help="batches between the oracle's measurements")
    add("--oracle-rollouts", type=int, default=8)


def _add_learning_rates(made: argparse.ArgumentParser) -> None:
    add, rates = made.add_argument, [5e-5, 1e-4, 2e-4]
    add("--lr", dest="rates", action="append", default=[], metavar="ARM=VALUE", help="of an arm")
    add("--tuned", type=Path, help="tuned.json; else the one in --out, or the one beside this code")
    add("--tune", action="store_true", help="sweep learning rates and write tuned.json")
    add("--lrs", type=float, nargs="+", default=rates, help="learning rates of the sweep")


def _add_files(made: argparse.ArgumentParser) -> None:
    add, out = made.add_argument, Path("runs/sample_efficiency")
    key, results = "KEY=VALUE", "of the write-up; else benchmarks/results, or --out with --small"
    add("--out", type=Path, default=out, help="folder of cold start and cells")
    add("--cold-start", help="model folder or name; else trained from the recipe into --out")
    add("--recipe", type=Path, default=BENCHMARKS / "sample_efficiency" / "recipe.yaml")
    add("--set", dest="overrides", action="append", default=[], metavar=key, help="of the recipe")
    add("--results", type=Path, help=f"folder {results}")


def options(arguments: Sequence[str] | None, *, description: str) -> argparse.Namespace:
    """Return the parsed command line, with the defaults of --small and --tune."""
    command_line = parser(description)
    if command_line.parse_args(arguments).small:
        command_line.set_defaults(**SMALL)
    chosen = command_line.parse_args(arguments)
    if chosen.small:
        chosen.overrides = [*SMALL_RECIPE, *chosen.overrides]
    chosen.results = chosen.results or (
        chosen.out / "results" if chosen.small else BENCHMARKS / "results"
    )
    own = chosen.out / TUNED_FILE
    chosen.tuned = chosen.tuned or (
        own if own.exists() else BENCHMARKS / "sample_efficiency" / TUNED_FILE
    )
    usual = [100, 101] if chosen.tune else list(range(8))
    chosen.seeds = chosen.seeds or usual[: 1 if chosen.small else None]
    return chosen

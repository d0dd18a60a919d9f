"""The command `vasari ablate`: the paper's table 4 and figures 2 and 3 on a recipe of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from vasari.cli.options import Overrides, Plugins, RecipePath, Resume
from vasari.core.errors import ConfigError

Only = Annotated[
    str | None,
    typer.Option(
        help=(
            "Rows of the table with commas between: parameters, or one of the paper's values"
            " as in mix_ratio=0.2. \\[default: all]"
        ),
        show_default=False,
    ),
]


def ablate(
    recipe: RecipePath,
    out: Annotated[Path, typer.Option("--out", help="Folder of the ablation.")] = Path(
        "runs/ablation"
    ),
    seeds: Annotated[
        str, typer.Option(help="Seeds with commas between; each has a cold start of its own.")
    ] = "0,1,2",
    only: Only = None,
    which: Annotated[
        Literal["best", "last"],
        typer.Option(help="Evaluate each training's last weights, or its best by validation."),
    ] = "last",
    overrides: Overrides = None,
    resume: Resume = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print cells, rollouts and hours, and train nothing.")
    ] = False,
    calibrate: Annotated[
        bool,
        typer.Option("--calibrate", help="For --dry-run: train a few steps to know the hours."),
    ] = False,
    plugin: Plugins = None,
) -> None:
    """Train the cells of the paper's table 4 beside plain GRPO, and write its table and figures.

    Mixture ratio, refresh interval, rollouts of a refresh, and weights of the two scores, each
    varied around the recipe's settings of `vas`, for every seed from one cold start. Finished cells
    are kept.

    Example: vasari ablate recipes/quickstart_tiny.yaml --out runs/ablation --dry-run
    Some rows: vasari ablate my_recipe.yaml --out runs/ablation --only mix_ratio,weights=1/0
    """
    chosen = [name for name in (only or "").split(",") if name]
    if calibrate and not dry_run:
        raise ConfigError("--calibrate measures the pace for --dry-run: give both, or neither")
    if dry_run:
        print_costs(recipe, out, overrides or [], _seeds(seeds), chosen, calibrates=calibrate)
        return
    from vasari.report.ablation import verdict, write_ablation  # noqa: PLC0415
    from vasari.run.ablate import ablate as run_ablation  # noqa: PLC0415

    run_ablation(
        recipe,
        out,
        overrides or [],
        seeds=_seeds(seeds),
        only=chosen,
        which=which,
        resume=resume,
        on_cell=lambda: write_ablation(out),
    )
    typer.echo(verdict(write_ablation(out)))
    typer.echo(f"table: {out / 'ablation.md'}")


def print_costs(
    path: Path,
    out: Path,
    overrides: Sequence[str],
    seeds: Sequence[int],
    only: Sequence[str],
    *,
    calibrates: bool,
) -> None:
    """Print each cell's rollouts and hours for one seed, and those of all that is not trained."""
    from vasari.run.ablate import read_ablation_recipe  # noqa: PLC0415
    from vasari.run.ablation_cost import cell_costs  # noqa: PLC0415

    recipe, grid = read_ablation_recipe(path, overrides, only)
    costs, source = cell_costs(
        recipe, grid, folder=path.parent, out=out, seeds=seeds, calibrates=calibrates
    )
    purposes = ("train", "refresh", "validation", "evaluation")
    table = Table(
        title=f"{len(grid.rows)} rows of table 4 by {len(costs)} cells, rollouts for one seed",
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1),
    )
    table.add_column("cell", no_wrap=True, min_width=max(len(cost.name) for cost in costs))
    for heading in (*purposes, "refreshes", "hours", "seeds done"):
        table.add_column(heading, justify="right", no_wrap=True, min_width=max(6, len(heading)))
    for cost in costs:
        table.add_row(
            cost.name,
            *(f"{cost.rollouts[purpose]:,}" for purpose in purposes),
            str(cost.num_refreshes),
            "-" if cost.hours is None else f"{cost.hours:.2f}",
            f"{cost.num_done} of {len(seeds)}",
        )
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(table)
    left = [(cost, len(seeds) - cost.num_done) for cost in costs]
    rollouts = sum(count * sum(cost.rollouts.values()) for cost, count in left)
    cells = sum(count for _, count in left)
    console.print(f"to do: {cells} trainings, {rollouts:,} rollouts, beside the cold starts")
    if all(cost.hours is not None for cost in costs):
        total = sum(count * (cost.hours or 0.0) for cost, count in left)
        console.print(f"about {total:.1f} hours; {source}")
    else:
        console.print(source)


def _seeds(text: str) -> list[int]:
    try:
        seeds = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise ConfigError(
            f"--seeds must be whole numbers with commas between, e.g. 0,1,2, got {text!r}"
        ) from error
    if min(seeds) < 0 or len({*seeds}) < len(seeds):
        raise ConfigError(f"--seeds must be different numbers from 0 up, got {text!r}")
    return seeds

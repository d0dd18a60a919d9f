"""The command `vasari advise`: what choosing prompts could win, printed."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from vasari.sample.advice import Advice


def advise(
    path: Annotated[
        Path,
        typer.Argument(
            help="A run's folder, or stored rollouts (JSON lines or Parquet).", show_default=False
        ),
    ],
    arm: Annotated[
        str | None,
        typer.Option(help="Which sampler's groups, for a run with several.", show_default=False),
    ] = None,
    rollouts_per_prompt: Annotated[
        int | None,
        typer.Option(help="Of a training group. \\[default: as stored]", show_default=False),
    ] = None,
    pool_size: Annotated[
        int | None,
        typer.Option(help="Prompts of the pool. \\[default: as stored]", show_default=False),
    ] = None,
    groups: Annotated[
        int | None,
        typer.Option(
            help="Groups that training will draw. \\[default: the recipe's, or one pass]",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what choosing prompts could win on a pool, which sampler to take, and when none pays.

    Read from the first groups of a run, or from any stored rollouts of the pool: how many groups
    are silent, how far prompts differ, whether verdicts follow from what the policy does, and how
    often the pool will be passed.

    Example: vasari advise runs/first
    Before training: vasari advise rollouts.jsonl --pool-size 15000 --groups 60000
    """
    from vasari.run.advise import advise_on  # noqa: PLC0415

    found = advise_on(
        path,
        arm=arm,
        group_size=rollouts_per_prompt,
        pool_size=pool_size,
        num_groups=groups,
    )
    if as_json:
        typer.echo(_json(found))
        return
    print_advice(found)


def print_advice(found: Advice) -> None:
    """Print advice as a table, and its reasons below."""
    from rich.console import Console  # noqa: PLC0415

    from vasari.cli.tables import score_table  # noqa: PLC0415

    table = score_table("choosing prompts on this pool", ["what"], ["found"])
    for what, value in (
        ("prompts read", f"{found.num_prompts_seen:,}"),
        ("pass rate; never, always solved", _shares(found.pass_rate, found.never, found.always)),
        ("spread of prompts' pass rates", f"{found.spread:.2f}"),
        (f"silent groups of {found.group_size} under uniform", f"{found.silent_share:.0%}"),
        ("passes planned", f"{found.passes:.2g}"),
        ("coherence of mixed groups", _or_unknown(found.coherence)),
        ("log loss that features save", _or_unknown(found.saved)),
        (
            "if no group were silent, about",
            f"{_or_unknown(found.without_silence)} x uniform's progress",
        ),
        ("with known pass rates, about", f"{found.reachable:.2f} x"),
        ("sampler to take", found.sampler),
    ):
        table.add_row(what, value)
    Console().print(table)
    for reason in found.reasons:
        typer.echo(reason)


def _json(found: Advice) -> str:
    """The advice as JSON, with null for what is not known."""
    plain = {
        key: None if isinstance(value, float) and math.isnan(value) else value
        for key, value in dataclasses.asdict(found).items()
    }
    return json.dumps(plain, indent=1)


def _shares(rate: float, never: float, always: float) -> str:
    return f"{rate:.2f}; {never:.0%}, {always:.0%}"


def _or_unknown(value: float) -> str:
    return "not known" if math.isnan(value) else f"{value:.2f}"

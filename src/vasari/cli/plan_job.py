"""`vasari plan`: print a recipe's plan as a page of tables, or as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from vasari.run.plan.budget import GrpoPlan
from vasari.run.plan.make import make_plan
from vasari.run.plan.memory import GIB, DeviceMemory
from vasari.run.plan.model import ModelPlan
from vasari.run.plan.plan import Plan, PlanOptions
from vasari.run.plan.rollouts import Count
from vasari.run.plan.tokens import TokenSummary
from vasari.run.recipe import load_recipe


def run_plan(path: Path, overrides: Sequence[str], options: PlanOptions, *, as_json: bool) -> None:
    """Print the plan of a recipe; exit with 1 if the run would fail."""
    plan = make_plan(load_recipe(path, overrides), folder=path.parent, options=options)
    if as_json:
        typer.echo(json.dumps(plan.to_json(), indent=1))
    else:
        print_plan(plan)
    if plan.problems:
        raise typer.Exit(1)


def print_plan(plan: Plan) -> None:
    """Print a plan as tables, then what is not known, then what would fail."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    size = f" of {plan.gpu_gib:g} GiB" if plan.gpu_gib else ""
    console.print(f"plan of {plan.recipe} on {plan.num_gpus} GPU(s){size}: computed, not run")
    if plan.model is not None:
        console.print(_model_table(plan.model))
    console.print(_size_table(plan))
    if plan.tokens:
        console.print(_token_table(plan.tokens))
    if plan.memory:
        stages = {f"{name}, {own.division}": own for name, own in plan.memory.items()}
        console.print(_memory_table("memory of one GPU, GiB: computed", stages))
    if plan.other_ways:
        console.print(_memory_table("the same of grpo in other ways", plan.other_ways))
    if plan.grpo is not None:
        console.print(_rollout_table(plan, plan.grpo))
    if plan.disk_bytes is not None:
        console.print(f"disk: up to {plan.disk_bytes / GIB:,.1f} GiB in the run's folder, computed")
    for note in plan.notes:
        console.print(f"note: {note}")
    for problem in plan.problems:
        console.print(f"would fail: {problem}", style="red")


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1))
    table.add_column(headings[0], no_wrap=True)
    for heading in headings[1:]:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _model_table(model: ModelPlan) -> Table:
    table = _table("parameters, counted from the config", model.name, "parameters")
    for part, number in model.by_part.items():
        table.add_row(part, f"{number:,}")
    table.add_row("all", f"{model.total:,}")
    for stage, number in model.trained.items():
        table.add_row(f"trained by {stage}", f"{number:,}")
    return table


def _size_table(plan: Plan) -> Table:
    table = _table("prompts and steps", "", "number")
    for split, number in plan.prompts.items():
        table.add_row(f"prompts: {split}", f"{number:,}")
    if plan.sft is not None:
        table.add_row("steps: sft", f"{plan.sft.steps:,}")
    if plan.grpo is not None:
        training = plan.grpo.training
        table.add_row("steps: grpo", f"{training.steps:,} in {training.batches:,} batches")
        if plan.grpo.epochs is not None:
            table.add_row("passes over the pool: grpo", f"{plan.grpo.epochs:.2f}")
    return table


def _token_table(tokens: Mapping[str, TokenSummary]) -> Table:
    table = _table(
        "tokens a prompt, counted with the model's processor",
        *("split", "encoded", "mean", "of images", "median", "90%", "99%", "longest"),
    )
    for split, own in tokens.items():
        margin = f" +- {own.margin:.1f}" if own.margin else ""
        quantiles = (f"{number:,}" for number in own.quantiles)
        table.add_row(
            split,
            f"{own.num_encoded:,} of {own.num_prompts:,}",
            f"{own.mean:,.1f}{margin}",
            f"{own.image_mean:,.1f}",
            *quantiles,
            f"{own.longest:,}",
        )
    return table


def _memory_table(title: str, memory: Mapping[str, DeviceMemory]) -> Table:
    """Parts by row, stages or ways by column; some are in use at different times."""
    table = _table(title, "part", *memory)
    parts = dict.fromkeys(part for own in memory.values() for part in own.parts)
    for part in parts:
        sizes = [own.parts.get(part, 0.0) / GIB for own in memory.values()]
        if any(sizes):
            table.add_row(part, *map(_number, sizes))
    for name in ("update", "generation"):
        sizes = [getattr(own, name) / GIB for own in memory.values()]
        table.add_row(f"in use: {name}", *map(_number, sizes))
    return table


def _rollout_table(plan: Plan, grpo: GrpoPlan) -> Table:
    training = grpo.training
    table = _table(
        "rollouts by purpose", "purpose", "rollouts", "a trained one", "million tokens", "hours"
    )
    for purpose, count in grpo.by_purpose.items():
        name = purpose
        if count is None:
            table.add_row(name, "not known", "-", "-", "-")
            continue
        if purpose == "refresh" and training.refreshes:
            name = f"refresh ({len(training.refreshes)} of {training.refresh_cycle:,})"
        table.add_row(
            name,
            _range(count),
            f"{count.most / training.train.most:.2f}",
            _number(plan.generated[purpose] / 1e6),
            _hours(plan, purpose),
        )
    for purpose in ("updates", "sft"):
        if purpose in plan.hours:
            table.add_row(purpose, "", "", "", _hours(plan, purpose))
    return table


def _hours(plan: Plan, purpose: str) -> str:
    return _number(plan.hours[purpose]) if purpose in plan.hours else "-"


def _number(number: float) -> str:
    """A number with three digits, or as many as it has before the point."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _range(count: Count) -> str:
    if count.least == count.most:
        return f"{count.most:,}"
    return f"{count.least:,} to {count.most:,}"

"""`vasari plan`: print a recipe's plan as a page of tables, or as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from vasari.run.plan.plan import GrpoPlan, ModelPlan, Plan, PlanOptions, make_plan
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
    console = Console(highlight=False)
    console.print(f"plan of {plan.recipe} on {plan.num_gpus} GPU(s): computed, nothing was run")
    if plan.model is not None:
        console.print(_model_table(plan.model))
    console.print(_size_table(plan))
    if plan.tokens:
        console.print(_token_table(plan.tokens))
    if plan.grpo is not None:
        console.print(_rollout_table(plan.grpo))
    for note in plan.notes:
        console.print(f"note: {note}")
    for problem in plan.problems:
        console.print(f"[red]would fail:[/red] {problem}")


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1))
    table.add_column(headings[0])
    for heading in headings[1:]:
        table.add_column(heading, justify="right")
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
    if plan.sft_steps is not None:
        table.add_row("steps: sft", f"{plan.sft_steps:,}")
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


def _rollout_table(grpo: GrpoPlan) -> Table:
    training = grpo.training
    table = _table("rollouts by purpose", "purpose", "rollouts", "for each that trains")
    rows = {
        "train": training.train,
        f"refresh ({len(training.refreshes)} of {training.refresh_cycle:,})": training.refresh,
        "validation": training.validation,
        "evaluation": grpo.evaluation,
    }
    for purpose, count in rows.items():
        table.add_row(purpose, _range(count), f"{count.most / training.train.most:.2f}")
    return table


def _range(count: Count) -> str:
    if count.least == count.most:
        return f"{count.most:,}"
    return f"{count.least:,} to {count.most:,}"

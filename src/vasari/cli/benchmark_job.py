"""Evaluate a model on benchmarks from the command line, and print the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from vasari.cli.tables import score_table
from vasari.core.errors import StateError
from vasari.core.folders import default_folder
from vasari.evaluate.benchmarks import (
    BenchmarkDir,
    BenchmarkPlan,
    as_markdown,
)
from vasari.evaluate.benchmarks.recipe import (
    collect_recipe,
    forecast_recipe,
    load_benchmark_recipe,
    plan_recipe,
    score_recipe,
)
from vasari.evaluate.compare import compare_folders

if TYPE_CHECKING:
    from vasari.endpoint import RunReport

_COUNTS = {
    "truncated": "cut",
    "needs_judge": "needs judge",
    "unverifiable": "unjudged",
    "unanswered": "unanswered",
}
"""Counts of rollouts and their headings; a count that is 0 everywhere is left out."""


def run_benchmarks(
    recipe_path: Path, out: Path | None, overrides: Sequence[str], *, resume: bool, dry_run: bool
) -> None:
    """Evaluate a recipe's model on its benchmarks; with `dry_run`, only print the expected cost.

    Raises:
        ConfigError: A setting is wrong, or the folder holds another evaluation.
        DataError: A benchmark's files are missing or of another shape.
        StateError: Not all rollouts came; what came is scored and kept.
    """
    recipe, folder = load_benchmark_recipe(recipe_path, overrides), recipe_path.parent
    out = out or default_folder(recipe.name)
    plan = plan_recipe(recipe, folder=folder)
    _print_plan(plan)
    if dry_run:
        for line in forecast_recipe(recipe, plan, out):
            Console(highlight=False, markup=False).print(line, soft_wrap=True)
        return
    collected = collect_recipe(recipe, plan, out, resume=resume)
    _print_cost(collected.reports)
    scores = score_recipe(recipe, plan, collected, out, folder=folder)
    print_scores(scores, BenchmarkDir(out))
    if not scores["is_complete"]:
        missing = sum(one["num_missing"] for one in scores["sets"].values())
        why = f" ({scores['stopped_by']})" if scores["stopped_by"] else ""
        raise StateError(
            f"{missing:,} prompts are not answered to the end{why}; go on with the same command and"
            " --resume"
        )


def run_compare(
    folders: Sequence[Path], *, protocol: str | None = None, out: Path | None = None
) -> None:
    """Compare models on benchmarks: print a table, and each model's difference from the first."""
    found = compare_folders(folders, protocol=protocol, out=out)
    console = Console(highlight=False, markup=False)
    # Markdown as it stands: to be read here, and to be copied.
    console.print(as_markdown(found.table), soft_wrap=True)
    for pair in found.pairs:
        _print_pair(console, pair)
    if out is not None:
        console.print(f"table: {BenchmarkDir(out).table('.md')} (.tex, .html)")


def print_scores(scores: Mapping[str, Any], folder: BenchmarkDir) -> None:
    """Print accuracies by scoring protocol, truncated and undecided rollouts, and file paths."""
    console = Console(highlight=False, markup=False)
    rows = [
        (name, one, protocol, found)
        for name, one in scores["sets"].items()
        for protocol, found in one["protocols"].items()
    ]
    shown = {
        key: heading
        for key, heading in _COUNTS.items()
        if any(found["counts"][key] for *_, found in rows)
    }
    table = score_table(
        f"{scores['model']}: accuracy, 95% interval",
        ["set", "protocol"],
        ["prompts", "accuracy", *shown.values()],
    )
    last = None
    for name, one, protocol, found in rows:
        counts = found["counts"]
        table.add_row(
            name if name != last else "",
            protocol,
            f"{one['num_prompts']:,}" if name != last else "",
            _accuracy(found),
            *(f"{counts[key]:,}" for key in shown),
        )
        last = name
    console.print(table)
    for name, one in scores["sets"].items():
        _print_remarks(console, name, one)
    if scores["num_failures"]:
        console.print(
            f"{scores['num_failures']:,} rollouts got no answer: {folder.failures}", style="yellow"
        )
    console.print(f"scores: {folder.scores}\ntable: {folder.table('.md')} (.tex, .html)")


def _accuracy(found: Mapping[str, Any]) -> str:
    counts = found["counts"]
    undecided = counts["needs_judge"] + counts["unverifiable"] + counts["unanswered"]
    if undecided == found["num_rollouts"]:
        return "undecided"
    value = found["accuracy"]
    return (
        f"{'>= ' if undecided else ''}{value['mean']:.3f} ({value['low']:.3f}-{value['high']:.3f})"
    )


def _print_remarks(console: Console, name: str, one: Mapping[str, Any]) -> None:
    if any(found["counts"]["needs_judge"] for found in one["protocols"].values()):
        console.print(f"{name}: {one['official_note']}")
    size = one["published_size"]
    if size and not one["is_whole"]:
        bad = f", {one['num_bad_rows']:,} rows could not be read" if one["num_bad_rows"] else ""
        console.print(
            f"{name}: {one['num_prompts']:,} of {size:,} prompts{bad}: not the benchmark's score",
            style="yellow",
        )
    blind = one.get("blind")
    if blind and blind["protocols"]:
        protocol, found = next(iter(blind["protocols"].items()))
        console.print(
            f"{name}: blind ({blind['decoding']['images']}) {_accuracy(found)} by {protocol}; "
            f"the most frequent answer to all: {blind['majority']:.3f}"
        )


def _print_pair(console: Console, pair: Mapping[str, Any]) -> None:
    table = score_table(
        f"{pair['model_b']} minus {pair['model_a']}, by {pair['protocol']}, paired by prompt",
        ["set"],
        ["n", "first", "second", "difference (95%)", "P(better)"],
    )
    for name, one in pair["sets"].items():
        gap = one["difference"]
        table.add_row(
            name,
            f"{one['num_prompts']:,}",
            f"{one['a']['mean']:.3f}",
            f"{one['b']['mean']:.3f}",
            f"{gap['mean']:+.3f} ({gap['low']:+.3f} to {gap['high']:+.3f})",
            f"{one['chance']:.3f}",
        )
    console.print(table)


def _print_plan(plan: BenchmarkPlan) -> None:
    console = Console(stderr=True, highlight=False, markup=False)
    for loaded in plan.sets:
        size = loaded.published_size
        whole = f" of {size:,}" if size and size != len(loaded.entries) else ""
        bad = f", {len(loaded.bad_rows):,} rows could not be read" if loaded.bad_rows else ""
        console.print(
            f"{loaded.name}: {len(loaded.entries):,}{whole} prompts of {loaded.split}{bad}"
        )


def _print_cost(reports: Sequence[RunReport]) -> None:
    """Print how many answers were bought from a server, and what they cost."""
    if not reports:
        return
    bought, stored = (
        sum(getattr(report, name) for report in reports) for name in ("answered", "from_store")
    )
    tokens = sum(used.output_tokens for report in reports for used in report.usage.values())
    money = sum(report.money for report in reports)
    cost = f", {money:.4f} by the price table" if money else ""
    console = Console(stderr=True, highlight=False, markup=False)
    console.print(
        f"{bought:,} answers bought, {stored:,} from the store; {tokens:,} output tokens{cost}",
        soft_wrap=True,
    )

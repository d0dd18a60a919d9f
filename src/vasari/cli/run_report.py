"""`vasari report`: write a run's summary and page again, and print the main numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from vasari.core.progress import stage
from vasari.report import write_report, write_summary
from vasari.report.inputs import dig
from vasari.report.summary import few_prompts
from vasari.report.tables import spent_words
from vasari.run.folder import open_existing


def report_run(root: Path) -> None:
    """Write a run's summary and HTML report again, and print the main numbers.

    Raises:
        StateError: The folder holds no run.
    """
    run = open_existing(root)
    with stage("report") as tell:
        summary = write_summary(run.root)
        tell(1, 2)
        page = write_report(run.root)
        tell(2, 2)
    print_summary(summary, page)


def print_summary(summary: Mapping[str, Any], page: Path) -> None:
    """Print accuracies with intervals, rollouts by purpose, time, memory and the report's path."""
    console = Console(highlight=False)
    accuracy = summary["accuracy"]
    models = {"base": accuracy["base"], "cold start": accuracy["cold_start"]}
    models |= {f"+ GRPO, {arm}": value for arm, value in accuracy["by_arm"].items()}
    headings = ("model", "accuracy", "95% interval", "rollouts charged")
    table = Table(*headings, title="accuracy on held-out prompts", title_justify="left")
    for name, value in models.items():
        if value:
            arm = summary["by_arm"].get(name.removeprefix("+ GRPO, "), {})
            interval = f"{value['low']:.3f} to {value['high']:.3f}"
            spent = spent_words(arm.get("rollouts", {}))
            table.add_row(name, f"{value['mean']:.3f}", interval, spent)
    console.print(table)
    if few := few_prompts(summary):
        console.print(
            f"{few} test prompts are few: see the intervals before you believe a difference"
        )
    if dig(summary, "by_arm", summary["final_arm"] or "", "best_step") == 0:
        console.print(
            f"no step of {summary['final_arm']} was better on the validation prompts than its start"
        )
    seconds = {name: value for name, value in summary["wall_seconds"].items() if value is not None}
    if seconds:
        console.print(
            "time: " + ", ".join(f"{name} {value:.0f} s" for name, value in seconds.items())
        )
    if summary["peak_memory_mb"]:
        console.print(f"peak memory: {summary['peak_memory_mb'] / 1024:.1f} GB, children included")
    console.print(f"report: {page}")


def print_results(found: Mapping[str, Any]) -> None:
    """Print one evaluated model's accuracy on each set of prompts, with intervals."""
    console = Console(highlight=False, markup=False)
    headings = ("prompts", "decoding", "number", "accuracy", "95% interval")
    table = Table(*headings, title=f"accuracy of {found['model']}", title_justify="left")
    for name, one in found["sets"].items():
        for decoding in ("sampled", "greedy"):
            value = (one.get(decoding) or {}).get("accuracy")
            if value:
                interval = f"{value['low']:.3f} to {value['high']:.3f}"
                table.add_row(name, decoding, f"{value['n']:,}", f"{value['mean']:.3f}", interval)
    console.print(table)

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
from vasari.report.taught import MEASURES, PARTS
from vasari.run.folder import open_existing

_MEASURE_WORDS = {"accuracy": "sampled", "greedy": "greedy"}


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
    _print_taught(console, summary)
    _print_comparison(console, summary)
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
            "time: "
            + ", ".join(f"{name} {value:.0f} s" for name, value in seconds.items())
            + f"; together {sum(seconds.values()):.0f} s"
        )
    if summary["peak_memory_mb"]:
        console.print(f"peak memory: {summary['peak_memory_mb'] / 1024:.1f} GB, children included")
    console.print(f"report: {page}")


def _print_taught(console: Console, summary: Mapping[str, Any]) -> None:
    """Print scores on taught and on untaught levels, if the run tells them apart."""
    headings = ("levels", "measure", "cold start", "final", "difference, points", "prompts")
    table = Table(
        *headings, title="levels that the cold start was taught, and others", title_justify="left"
    )
    for part in PARTS:
        scores = summary[part] or {}
        for measure in MEASURES:
            before, after = (dig(scores, measure, name) for name in ("cold_start", "final"))
            gain = dig(scores, "difference", "final_minus_cold_start", measure)
            if before and after and gain:
                label = f"pass@{scores['k']}" if measure == "pass_at" else _MEASURE_WORDS[measure]
                means = (f"{value['mean']:.3f}" for value in (before, after))
                table.add_row(part, label, *means, in_points(gain), f"{gain['n']:,}")
    if table.row_count:
        console.print(table)


def _print_comparison(console: Console, summary: Mapping[str, Any]) -> None:
    """Print who did better, the final arm or uniform prompts, if the run trained both."""
    found = {
        "all levels, sampled": dig(summary, "difference", "final_minus_uniform"),
        "untaught levels, greedy": dig(
            summary, "untaught", "difference", "final_minus_uniform", "greedy"
        ),
    }
    for where, difference in found.items():
        if difference:
            console.print(f"{where}: {who_won(summary['final_arm'], difference)}")


def who_won(arm: str, minus_uniform: Mapping[str, float]) -> str:
    """Return in words whether an arm or uniform prompts won.

    Nobody did if the interval of their difference holds 0.

    Args:
        arm: Name of the arm.
        minus_uniform: Paired difference of its accuracy and that of uniform prompts.
    """
    won = (
        f"{arm} won against uniform"
        if minus_uniform["low"] > 0
        else f"uniform won against {arm}"
        if minus_uniform["high"] < 0
        else f"nobody won, {arm} or uniform"
    )
    mean, low, high = (100 * minus_uniform[key] for key in ("mean", "low", "high"))
    return (
        f"{won}: {mean:+.1f} points, {low:+.1f} to {high:+.1f}, over {minus_uniform['n']:,} paired"
        " prompts, one training run each; another seed may say the opposite"
    )


def in_points(difference: Mapping[str, float]) -> str:
    """Return a difference of shares in points with its interval: "+1.5 (-0.2 to +3.1)"."""
    mean, low, high = (100 * difference[key] for key in ("mean", "low", "high"))
    return f"{mean:+.1f} ({low:+.1f} to {high:+.1f})"


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

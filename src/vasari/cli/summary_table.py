"""A run's summary in a few lines on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from vasari.report.tables import spent_words


def print_summary(summary: Mapping[str, Any], page: Path) -> None:
    """Print accuracies with intervals, rollouts by purpose, time and memory, and where the report
    lies.
    """
    console = Console(highlight=False)
    accuracy = summary.get("accuracy") or {}
    by_arm = accuracy.get("by_arm") or {}
    rungs = {
        "base": accuracy.get("base"),
        "cold start": accuracy.get("cold_start"),
        **{f"+ GRPO, {arm}": value for arm, value in by_arm.items()},
    }
    table = Table(title="accuracy on held-out prompts", title_justify="left")
    for heading in ("model", "accuracy", "95% interval", "rollouts charged"):
        table.add_column(heading)
    arms = summary.get("by_arm") or {}
    for name, value in rungs.items():
        if value:
            counts = (arms.get(name.removeprefix("+ GRPO, ")) or {}).get("rollouts") or {}
            table.add_row(
                name,
                f"{value['mean']:.3f}",
                f"{value['low']:.3f} to {value['high']:.3f}",
                spent_words(counts),
            )
    console.print(table)
    seconds = {
        name: value
        for name, value in (summary.get("wall_seconds") or {}).items()
        if value is not None
    }
    if seconds:
        console.print(
            "time: " + ", ".join(f"{name} {value:.0f} s" for name, value in seconds.items())
        )
    if summary.get("peak_memory_mb"):
        console.print(f"peak memory: {summary['peak_memory_mb'] / 1024:.1f} GB, children included")
    console.print(f"report: {page}")

"""`vasari contamination`: search a training set for benchmark prompts, and print a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from vasari.cli.tables import score_table
from vasari.core.progress import stage
from vasari.curate.match.contamination import RULES, ContaminationReport
from vasari.curate.match.contamination_files import report_contamination


def run_contamination(
    training: Sequence[str],
    benchmarks: Sequence[str],
    *,
    out: Path,
    text_only: bool = False,
    overwrite: bool = False,
) -> None:
    """Search training data for benchmark prompts, write a report to `out` and print its table."""
    with stage("contamination") as tell:
        report = report_contamination(
            training, benchmarks, out=out, text_only=text_only, overwrite=overwrite, tell=tell
        )
    _print(report, out)


def _print(report: ContaminationReport, out: Path) -> None:
    console = Console(highlight=False)
    title = f"benchmark prompts among {report.num_training:,} training prompts"
    table = score_table(title, ["benchmark"], ["prompts", "found", "share", *RULES])
    for row in report.benchmarks:
        counts = (f"{row.by_rule[rule]:,}" for rule in RULES)
        table.add_row(
            row.name, f"{row.num_prompts:,}", f"{len(row.found):,}", f"{row.share:.2%}", *counts
        )
    console.print(table)
    unreadable = report.num_training_unreadable + sum(
        row.num_unreadable for row in report.benchmarks
    )
    if unreadable:
        console.print(
            f"{unreadable:,} prompts have an image that cannot be read; their figures were not"
            " compared",
            style="yellow",
        )
    if report.num_bad_rows:
        console.print(
            f"{report.num_bad_rows:,} rows hold no prompt, the first: {report.first_bad_row}",
            style="yellow",
        )
    console.print(f"report: {out / 'contamination.md'}, all of it: {out / 'contamination.json'}")

"""Rescore stored outputs from the command line, and print scores and disagreements."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from vasari.cli.tables import score_table
from vasari.core.progress import stage
from vasari.evaluate.protocols import PROTOCOLS
from vasari.evaluate.rescore import rescore
from vasari.evaluate.rescore_settings import RescoreDir, RescoreSettings, read_judge

_MAX_REASONS = 8
_OWN_PROTOCOL = re.compile(r"[\w.]+:[\w.]+")
_COUNTS = {"num_unverifiable": "unjudged", "num_no_answer": "no answer", "num_truncated": "cut"}
"""Counts of outputs and their headings; a count that is 0 everywhere is left out."""


def run_rescore(
    files: Sequence[Path],
    protocols: Sequence[str],
    *,
    out: Path,
    benchmark: str | None = None,
    workers: int = 1,
    judge: Path | None = None,
    overwrite: bool = False,
) -> Path:
    """Score stored model outputs, print a summary, and return the folder with the results.

    Args:
        files: Stored outputs. A word that names a protocol and no file is one more protocol, so
            that `--protocol official vasari` means both.
        protocols: Names, several joined by commas or given one by one; a scorer of the user's is
            `package.module:attribute`.
        out: Folder of the results.
        benchmark: Benchmark of rows that name none.
        workers: Number of processes.
        judge: YAML file of an LLM that is asked about undecided verdicts.
        overwrite: Replace another rescoring.

    Raises:
        ConfigError: A protocol or a setting of the judge is unknown, code of a package that was not
            allowed is named, or the folder holds another rescoring.
        DataError: A file cannot be read, or no row of any holds an output.
    """
    names = [name for group in protocols for name in group.split(",") if name]
    names += [str(path) for path in files if _is_protocol(path)]
    settings = RescoreSettings(
        files=tuple(path for path in files if not _is_protocol(path)),
        protocols=tuple(names),
        benchmark=benchmark or "",
        workers=workers,
        judge=read_judge(judge),
    )
    with stage("rescore") as tell:
        scores = rescore(settings, out, overwrite=overwrite, tell=tell)
    print_scores(scores, RescoreDir(out))
    return out


def print_scores(scores: Mapping[str, Any], folder: RescoreDir) -> None:
    """Print accuracies with intervals, where scoring protocols disagree and why, and the folder."""
    # Markup off: names of models and benchmarks come from files, and square brackets in them are
    # text.
    console = Console(highlight=False, markup=False)
    by_protocol = scores["protocols"]
    every = [row for rows in by_protocol.values() for row in rows]
    counts = {key: heading for key, heading in _COUNTS.items() if any(row[key] for row in every)}
    table = score_table(
        "accuracy over all outputs, with its 95% interval",
        ["outputs", "protocol"],
        ["n", "accuracy", *counts.values()],
    )
    for rows in zip(*by_protocol.values(), strict=True):
        for place, (name, row) in enumerate(zip(by_protocol, rows, strict=True)):
            accuracy = f"{row['accuracy']:.3f} ({row['low']:.3f}-{row['high']:.3f})"
            title = f"{row['benchmark']} {row['model']}".strip() if place == 0 else ""
            table.add_row(
                title, name, f"{row['n']:,}", accuracy, *(f"{row[key]:,}" for key in counts)
            )
    console.print(table)
    _print_stored(console, by_protocol)
    for pair in scores["disagreements"]:
        _print_disagreements(console, pair)
    if "judge" in scores:
        _print_judge(console, scores["judge"])
    if scores["num_bad_rows"]:
        console.print(
            f"{scores['num_bad_rows']:,} rows hold no output: {folder.bad_rows}", style="yellow"
        )
    console.print(f"verdicts and scores: {folder.root}")


def _print_judge(console: Console, judge: Mapping[str, Any]) -> None:
    for name, row in judge["protocols"].items():
        money = f", at a cost of {row['money']}" if float(row["money"]) else ""
        console.print(
            f"{name}: {judge['model']} judged {row['num_asked']:,} of {row['num_undecided']:,}"
            f" undecided outputs ({row['replies_bought']:,} replies bought{money},"
            f" {row['replies_from_store']:,} from the store); {row['num_without_verdict']:,} are"
            " without a verdict"
        )
        if row["stopped_by"]:
            console.print(
                f"the judge was stopped: {row['stopped_by']}; the same command goes on",
                style="yellow",
            )


def _print_stored(console: Console, by_protocol: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    for name, rows in by_protocol.items():
        stored = [row["stored_official"] for row in rows if "stored_official" in row]
        if stored:
            count, agreeing = (sum(row[key] for row in stored) for key in ("n", "num_agreeing"))
            console.print(
                f"{name}: {agreeing:,} of {count:,} stored official verdicts are the same"
                f" ({agreeing / count:.2%})"
            )


def _print_disagreements(console: Console, pair: Mapping[str, Any]) -> None:
    first, second = pair["protocols"]
    console.print(
        f"{first} and {second} differ on {pair['num_differing']:,} of {pair['num_compared']:,}"
        " outputs"
    )
    if not pair["reasons"]:
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for heading in (first, second, "why", "n"):
        table.add_column(heading, justify="right" if heading == "n" else "left")
    for row in pair["reasons"][:_MAX_REASONS]:
        table.add_row(row[first], row[second], row["reason"], f"{row['n']:,}")
    rest = sum(row["n"] for row in pair["reasons"][_MAX_REASONS:])
    if rest:
        table.add_row("", "", "other", f"{rest:,}")
    console.print(table)


def _is_protocol(path: Path) -> bool:
    name = str(path)
    return (name in PROTOCOLS or _OWN_PROTOCOL.fullmatch(name) is not None) and not path.exists()

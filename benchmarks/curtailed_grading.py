"""How many rollouts does grading save when it stops once the bin, or keep or discard, is decided?

    python benchmarks/curtailed_grading.py [--dynamath DIR] [--prompts 4000]

DIR holds DynaMath's per-variant verdicts, one CSV file a model (github.com/DynaMath/DynaMath at
598c3c3, MIT). Each of ten variants stands for a rollout, in the order of the file. Simulated
prompts have pass rates drawn from a uniform and from a U-shaped distribution, Beta(0.4, 0.4). Every
bin is compared with that of all rollouts. Prints one table and writes it.
"""

from __future__ import annotations

import argparse
import csv
import platform
import re
import time
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import vasari
from result_files import MACHINE, result_file
from vasari.curate.choose.grading import Grader, GradingSettings, Tally

Verdicts = NDArray[np.float64]


def dynamath(path: Path) -> Verdicts:
    """Read one model's verdicts on DynaMath, an array [501 questions, 10 variants]."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = [row for row in csv.DictReader(file) if re.fullmatch(r"Q\d+", row["Question ID"])]
    return np.array(
        [[float(row[f"Variant {n}"].strip() == "correct") for n in range(1, 11)] for row in rows]
    )


def simulated(prompts: int, num: int, shape: float, seed: int = 0) -> Verdicts:
    """Simulate verdicts [prompts, num] of prompts whose pass rates follow Beta(shape, shape)."""
    rng = np.random.default_rng(seed)
    return (rng.random((prompts, num)) < rng.beta(shape, shape, size=(prompts, 1))).astype(
        np.float64
    )


def measure(verdicts: Verdicts, decide: str) -> tuple[float, float, bool]:
    """Return rollouts and waves a prompt, and whether all decisions equal those of all rollouts."""
    num = verdicts.shape[1]
    grader = Grader(GradingSettings(num_rollouts=num), decide=decide)
    drawn, waves, same = 0, 0, True
    for row in verdicts:
        tally = Tally()
        while wave := grader.next_wave(tally):
            waves += 1
            for verdict in row[tally.num_drawn : tally.num_drawn + wave]:
                tally = tally.with_verdict(float(verdict))
        drawn += tally.num_drawn
        grade, full = grader.grade_of(tally), grader.bin_of(int(row.sum()), int(num - row.sum()))
        same &= grade.kept is (full in grader.settings.kept) and (
            decide == "keep" or grade.difficulty is full
        )
    return drawn / len(verdicts), waves / len(verdicts), same


def line(label: str, verdicts: Verdicts) -> str:
    """Return one row of the table."""
    num = verdicts.shape[1]
    full = Grader(GradingSettings(num_rollouts=num))
    bins = Counter(
        full.bin_of(int(right), num - int(right)).value for right in verdicts.sum(axis=1)
    )
    cells = [f"{bins['easy']} / {bins['medium']} / {bins['hard']}"]
    for decide in ("bin", "keep"):
        drawn, waves, same = measure(verdicts, decide)
        cells += [
            f"{drawn:.2f}",
            f"{1 - drawn / num:.0%}",
            f"{waves:.1f}",
            "all" if same else "NOT ALL",
        ]
    return f"| {label} | {num} | {len(verdicts):,} | " + " | ".join(cells) + " |"


def main() -> None:
    """Measure the savings, print the table and write it to a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dynamath", type=Path, help="folder with one CSV file a model")
    parser.add_argument("--prompts", type=int, default=4000, help="simulated prompts a row")
    args = parser.parse_args()
    started = time.process_time()
    rows = [
        line(f"simulated, {name}", simulated(args.prompts, num, shape))
        for name, shape in (("uniform", 1.0), ("U-shaped", 0.4))
        for num in (8, 16, 32)
    ]
    if args.dynamath:
        models = {
            path.stem.removesuffix("-result"): dynamath(path)
            for path in sorted(args.dynamath.glob("*.csv"))
        }
        rows += [line(f"DynaMath, {name}", verdicts) for name, verdicts in models.items()]
        rows.append(line(f"DynaMath, all {len(models)}", np.concatenate(list(models.values()))))
    head = "| verdicts | N | prompts | easy / medium / hard " + "".join(
        f"| {decide}: rollouts | saved | waves | same " for decide in ("bin", "keep")
    )
    text = "\n".join(
        [
            "# Rollouts that curtailed grading saves",
            "",
            (
                "Rollouts drawn a prompt until the bin (easy from 0.8, hard to 0.2) or"
                " keep-or-discard (easy is discarded) is"
            ),
            (
                "certain whatever the rest says. `waves`: rounds of parallel requests a prompt, at"
                " no rollout more. `same`:"
            ),
            "decisions equal to those of all N rollouts.",
            "",
            f"{head}|",
            "|" + " --- |" * 12,
            *rows,
            "",
            (
                f"`python benchmarks/curtailed_grading.py --dynamath DIR --prompts {args.prompts}`,"
                f" seed 0, vasari {vasari.__version__}, NumPy {np.__version__}, Python"
                f" {platform.python_version()}, {MACHINE}, {time.process_time() - started:.0f} s of"
                " processor time."
            ),
            "",
        ]
    )
    print(text)
    result_file("curtailed_grading").write_text(text)


if __name__ == "__main__":
    main()

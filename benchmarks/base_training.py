"""What did the training of the shipped base cost, part by part, and what did its loss do?

    python benchmarks/base_training.py runs/tiny_base runs/tiny_base_2 runs/tiny_base_3
    runs/tiny_base_4

Reads the runs that `scripts/train_base` leaves, prints one table and writes it to
`benchmarks/results/`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import vasari
from result_files import MACHINE, result_file


def row(run: Path) -> str:
    """Return a table row on one training run: name, steps, prompts a step, minutes, losses."""
    settings = json.loads((run / "settings.json").read_text())
    settings = settings.get("recipe", settings)
    lines: list[dict[str, Any]] = [
        json.loads(line) for line in (run / "cold_start" / "metrics.jsonl").read_text().splitlines()
    ]
    losses = {line["step"]: line["eval_loss"] for line in lines if "eval_loss" in line}
    minutes = (
        next(line["train_runtime"] for line in reversed(lines) if "train_runtime" in line) / 60
    )
    course = ", ".join(f"{loss:.3f}" for loss in losses.values())
    return (
        f"| {run.name} | {max(losses)} | {settings['sft']['batch_prompts']} | {minutes:.0f} |"
        f" {course} |"
    )


def main() -> None:
    """Read the runs, print one table and write it to a file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+")
    runs = parser.parse_args().runs
    lines = [
        "| part | steps | pictures a step | minutes | validation loss, look by look |",
        "| --- | --- | --- | --- | --- |",
    ]
    text = "\n".join([*lines, *map(row, runs)])
    print(text)
    result = result_file("base_training")
    result.write_text(
        f"# The training of the shipped base\n\n{text}\n\nEach part has questions of its own, so"
        " losses of two parts do not compare.\n\n`python benchmarks/base_training.py"
        f" {' '.join(f'runs/{run.name}' for run in runs)}`, vasari {vasari.__version__},"
        f" {MACHINE}.\n"
    )
    print(f"\nwritten to {result}")


if __name__ == "__main__":
    main()

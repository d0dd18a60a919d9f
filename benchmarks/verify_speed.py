"""How many verdicts a second does one process give, beside Math-Verify on the same answers?

    python benchmarks/verify_speed.py --data DIR [--rows 1000] [--repeats 3] [--beside CHECKOUT]

DIR holds published outputs, `*.jsonl.gz`, those of MATH-Vision among them. Two rows: its raw
chain-of-thought responses, and the answers that the official scorer had extracted. The processor
time of ours includes its worker's, whose start is not counted. Math-Verify parses gold and response
as its documentation says, in this process and without its signals; it knows no options. With
`--beside`, another checkout of vasari judges the same rows, and 5,000 responses drawn from all
runs, in turns with this one, each time in a new process. Prints the tables and writes them to
`benchmarks/results/`.
"""

from __future__ import annotations

import argparse
import gzip
import json
import logging
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from math_verify import parse, verify

import vasari
from result_files import MACHINE, RESULTS, result_file
from vasari.records import Outcome
from vasari.verify import verify_answer
from vasari.verify.symbolic import shared_worker
from verify_agreement import arguments
from verify_seconds import used

CHAINS = ("ChatGPT3.5-CoT_Text_Image_Caption", "GPT4-CoT_Text_Only")
PUBLISHED = 5_000
"""Responses of all runs on which two checkouts are compared."""
Row = dict[str, Any]


def load(folder: Path, names: tuple[str, ...]) -> list[Row]:
    """Read the stored outputs of the named models."""
    rows = []
    for name in names:
        with gzip.open(folder / f"mathvision__{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            rows += [json.loads(line) for line in lines]
    return rows


def ours(row: Row, text: str) -> bool:
    """Whether `verify_answer` judges the text correct."""
    return (
        verify_answer(text, str(row["answer"]), row["choices"] or None).outcome is Outcome.CORRECT
    )


def theirs(row: Row, text: str) -> bool:
    """Whether Math-Verify judges the text correct, run without its timeout signals."""
    gold = parse(f"${str(row['answer']).strip('$')}$", parsing_timeout=None)
    return bool(verify(gold, parse(text, parsing_timeout=None), timeout_seconds=None))


def seconds(judge: Callable[[Row, str], bool], rows: list[Row], field: str) -> tuple[float, int]:
    """Return the CPU seconds to judge all rows, and how many are judged correct."""
    start = used()
    right = sum(judge(row, str(row[field] or "")) for row in rows)
    return used() - start, right


def measure(rows: list[Row], field: str, label: str, repeats: int) -> str:
    """Return one table row on the speed of both verifiers, run in turns."""
    rates: dict[str, list[float]] = {"ours": [], "theirs": []}
    right = {"ours": 0, "theirs": 0}
    for _ in range(repeats):
        for name, judge in (("ours", ours), ("theirs", theirs)):
            used, right[name] = seconds(judge, rows, field)
            rates[name].append(len(rows) / used)
    shown = {
        name: f"{statistics.median(values):,.0f} ({min(values):,.0f}-{max(values):,.0f})"
        for name, values in rates.items()
    }
    ratio = statistics.median(rates["ours"]) / statistics.median(rates["theirs"])
    official = sum(bool(row["official_correct"]) for row in rows)
    counts = f"{right['ours']} | {right['theirs']} | {official}"
    return (
        f"| {label} | {len(rows)} | {shown['ours']} | {shown['theirs']} | {ratio:.0f}x | {counts} |"
    )


def beside(checkout: Path, data: Path, rows: list[Row], repeats: int) -> list[str]:
    """Return a table of the seconds of this checkout and of another, run in turns."""
    published = []
    for path in sorted(data.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            published += [arguments(json.loads(line)) for line in lines]
    sets: dict[str, list[Any]] = {
        "responses of all runs": random.Random(0).sample(published, PUBLISHED),
        **{
            label: [
                (str(row[field] or ""), str(row["answer"]), row["choices"] or None) for row in rows
            ]
            for label, field in (
                ("chain-of-thought responses", "response"),
                ("extracted answers", "official_extraction"),
            )
        },
    }
    here = Path(__file__).parents[1]
    taken: dict[Path, list[dict[str, float]]] = {here: [], checkout: []}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "sets.json"
        file.write_text(json.dumps(sets), encoding="utf-8")
        for _ in range(repeats):
            for root, runs in taken.items():
                runs.append(_in_process(root, file))
    table = ["| answers | rows | this, s | the other, s | ratio |", "| --- " * 5 + "|"]
    for name, judged in sets.items():
        ours, others = ([one[name] for one in taken[root]] for root in (here, checkout))
        ratio = statistics.median(ours) / statistics.median(others)
        table.append(
            f"| {name} | {len(judged)} | {_spread(ours)} | {_spread(others)} | {ratio:.2f} |"
        )
    return table


def _in_process(checkout: Path, file: Path) -> dict[str, float]:
    script = Path(__file__).with_name("verify_seconds.py")
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src")}
    command = [sys.executable, str(script), str(file)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _commit(checkout: Path) -> str:
    command = ["git", "-C", str(checkout), "rev-parse", "--short=7", "HEAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def main() -> None:
    """Run the benchmark, print its tables and write them to a file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--beside", type=Path, metavar="CHECKOUT", help="another checkout's folder")
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    logging.disable(logging.WARNING)  # Math-Verify says of each parse that it has no time limit.
    rows = random.Random(0).sample(load(args.data, CHAINS), args.rows)
    theirs(rows[0], "$x$")  # Imports and tables are not counted.
    shared_worker().compare("x", "x")
    command = " ".join(sys.argv[1:]).replace(str(args.data), "DIR")
    compared = []
    if args.beside:
        command = command.replace(str(args.beside), "CHECKOUT")
        compared = [
            f"Seconds beside commit {_commit(args.beside)}, in turns, each time a new process:",
            "",
            *beside(args.beside, args.data, rows, args.repeats),
            "",
        ]
    lines = [
        "# Verdicts a second beside Math-Verify",
        "",
        (
            f"{args.rows} rows drawn with seed 0 from two MATH-Vision chain-of-thought runs (MIT),"
            f" median (range) of {args.repeats} repeats, processor time of one process (ours with"
            " its worker)."
        ),
        "",
        (
            "| answers | rows | ours /s | Math-Verify /s | ratio | ours right | Math-Verify right |"
            " official right |"
        ),
        "| --- " * 8 + "|",
        measure(rows, "response", "chain-of-thought responses", args.repeats),
        measure(rows, "official_extraction", "extracted answers", args.repeats),
        "",
        *compared,
        (
            f"`python benchmarks/verify_speed.py {command}`, vasari {vasari.__version__},"
            f" Math-Verify {version('math-verify')}, Python {platform.python_version()}, {MACHINE},"
            f" load {os.getloadavg()[0]:.1f}."
        ),
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    result_file("verify_speed", args.out).write_text(text)


if __name__ == "__main__":
    main()

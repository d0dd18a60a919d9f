"""Checks the supported families column by column, and writes the table of docs/models.md.

Run through scripts/check-models. Each family has a process of its own, `--jobs` at a time.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import datetime
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DOCUMENT = HERE.parent.parent / "docs" / "models.md"
BEGIN, END = "<!-- begin: {} torchvision -->", "<!-- end: {} torchvision -->"
"""Around the table that the script writes, with torchvision or without."""
PACKAGES = ("torch", "transformers", "trl", "peft", "accelerate", "torchvision")
Cells = dict[str, dict[str, Any]]
"""Column -> what came out: `state` ("green", "red" or "not run"), `note`, `seconds`."""


def main() -> int:
    """Check what the command line names; return how many cells are red."""
    asked = _parse()
    if asked.one:
        _check_one(asked.one, asked.columns)
        return 0
    table: dict[str, Cells] = {}
    with concurrent.futures.ThreadPoolExecutor(asked.jobs) as pool:
        running = {
            pool.submit(_in_a_process, family, asked.columns): family for family in asked.families
        }
        for done in concurrent.futures.as_completed(running):
            table[running[done]] = done.result()
    ordered = {family: table[family] for family in asked.families}
    red = [
        f"{family}, {column}: {cell['note']}"
        for family, cells in ordered.items()
        for column, cell in cells.items()
        if cell["state"] == "red"
    ]
    print("\n".join(["", *table_lines(ordered), "", *red]))
    if asked.write:
        write_table(DOCUMENT, ordered)
    return min(len(red), 99)


def _parse() -> argparse.Namespace:
    from checks import COLUMNS
    from stand_ins import STAND_INS

    parser = argparse.ArgumentParser(prog="scripts/check-models", description=__doc__)
    parser.add_argument(
        "families", nargs="*", choices=[*STAND_INS, []], help="all where none is named"
    )
    parser.add_argument("--columns", nargs="+", choices=COLUMNS, default=list(COLUMNS))
    parser.add_argument("--jobs", type=int, default=2, help="families checked at a time")
    parser.add_argument("--write", action="store_true", help="write the table into docs/models.md")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    asked.families = asked.families or list(STAND_INS)
    return asked


def _in_a_process(family: str, columns: Iterable[str]) -> Cells:
    """Check one family in a process of its own, and tell of each cell as it comes."""
    command = [sys.executable, "-W", "ignore", str(Path(__file__)), "--one", family]
    cells: Cells = {}
    with subprocess.Popen(
        [*command, "--columns", *columns],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
    ) as process:
        for line in process.stdout or ():
            if line.startswith('{"column"'):
                cell = json.loads(line)
                cells[cell.pop("column")] = cell
                shown = f"{list(cells)[-1]:16} {cell['state']:8} {cell['seconds']:6.1f} s"
                print(f"{family:16} {shown}  {cell['note']}", flush=True)
    lost = {"state": "red", "note": f"the process ended with {process.returncode}", "seconds": 0.0}
    return {column: cells.get(column, lost) for column in columns}


def _check_one(family: str, columns: Iterable[str]) -> None:
    """Check one family here, and print a line of JSON for each column."""
    for column in columns:
        started = time.monotonic()
        state, note = _state_of(family, column)
        cell = {"column": column, "state": state, "note": note}
        print(json.dumps({**cell, "seconds": round(time.monotonic() - started, 1)}), flush=True)


def _state_of(family: str, column: str) -> tuple[str, str]:
    from checks import Lab, check_of, why_not

    reason = why_not(family, column)
    if reason is not None:
        return "not run", reason
    with tempfile.TemporaryDirectory() as work:
        try:
            check_of(column)(Lab(family, Path(work)))
        except Exception as error:  # noqa: BLE001  (whatever fails, the cell is red)
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(place.filename).name}:{place.lineno}"
            text = " ".join(str(error).replace(work, "").split())[:400]
            return "red", f"{type(error).__name__} at {where}: {text}"
    return "green", ""


def table_lines(table: Mapping[str, Cells]) -> list[str]:
    """Return the table as lines of Markdown, a family a line."""
    from stand_ins import STAND_INS

    columns = list(next(iter(table.values())))
    lines = [f"| stands for | {' | '.join(columns)} |", f"| --- |{' --- |' * len(columns)}"]
    for family, cells in table.items():
        states = [cells[column]["state"] for column in columns]
        lines.append(f"| {STAND_INS[family].title} | {' | '.join(states)} |")
    return lines


def write_table(document: Path, table: Mapping[str, Cells]) -> None:
    """Put the table, its date and its versions between the markers of a document."""
    from stand_ins import STAND_INS

    has_torchvision = importlib.util.find_spec("torchvision") is not None
    begin, end = (mark.format("with" if has_torchvision else "without") for mark in (BEGIN, END))
    head, rest = document.read_text().split(begin)
    tail = rest.split(end)[1]
    reasons: dict[str, list[str]] = {}
    for family, cells in table.items():
        for reason in dict.fromkeys(c["note"] for c in cells.values() if c["state"] == "not run"):
            reasons.setdefault(reason, []).append(STAND_INS[family].title)
    today = datetime.datetime.now(tz=datetime.UTC).date()
    made = f"Made on {today} with {_versions()}."
    notes = [f"Not run: {', '.join(titles)}, which {why}." for why, titles in reasons.items()]
    lines = [begin, made, *notes, "", *table_lines(table), "", end]
    document.write_text(head + "\n".join(lines) + tail)


def _versions() -> str:
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name).split('+')[0]}")
        except PackageNotFoundError:
            found.append(f"no {name}")
    return f"Python {platform.python_version()}, {', '.join(found)}"


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    sys.exit(main())

"""How often is `verify_answer` right where a person read what the response states?

    python benchmarks/verify_gold.py --data DIR

DIR holds published outputs as in `verify_agreement.py`; `tests/golden/gold_rows.jsonl` the labels:
whether the right answer was given, and what was stated. "random" rows were drawn over the
benchmarks, "disagreement" rows from those where ours and the official verdict differ. Prints one
table and the rows where ours is wrong, and writes the table to `benchmarks/results/`.
"""

from __future__ import annotations

import argparse
import gzip
import json
import platform
from collections import defaultdict
from pathlib import Path
from typing import Any

import vasari
from result_files import MACHINE, RESULTS, result_file
from vasari.records import Outcome
from vasari.verify import verify_answer
from verify_agreement import arguments

LABELS = Path(__file__).parents[1] / "tests" / "golden" / "gold_rows.jsonl"
Key = tuple[str, str, str]


def stored(folder: Path, wanted: set[Key]) -> dict[Key, dict[str, Any]]:
    """Read the stored outputs that a person has labelled."""
    found = {}
    for path in sorted(folder.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                key = (row["benchmark"], row["model"], row["id"])
                if key in wanted:
                    found[key] = row
    return found


def main() -> None:
    """Compare verdicts with a person's labels, print one table and write it to a file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    labels = [json.loads(line) for line in LABELS.read_text(encoding="utf-8").splitlines()]
    rows = stored(
        args.data, {(label["benchmark"], label["model"], label["id"]) for label in labels}
    )
    counts: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    wrong = []
    for label in labels:
        row = rows[label["benchmark"], label["model"], label["id"]]
        verdict = verify_answer(*arguments(row))
        ours = (verdict.outcome is Outcome.CORRECT) == label["right"]
        official = bool(row["official_correct"]) == label["right"]
        for group in (label["benchmark"], "all"):
            tally = counts[label["set"], group]
            tally[0] += 1
            tally[1] += ours
            tally[2] += official
        if not ours:
            wrong.append(
                f"{label['set']} {label['benchmark']} {label['model']} {label['id']}:"
                f" {verdict.decided_by}"
            )
    lines = [
        "# Verdicts beside a person's reading",
        "",
        "| rows | benchmark | read | ours right | official right |",
        "| --- " * 5 + "|",
        *(
            f"| {kind} | {group} | {number} | {_share(ours, number)} | {_share(official, number)} |"
            for (kind, group), (number, ours, official) in sorted(counts.items())
        ),
        "",
        (
            f"`python benchmarks/verify_gold.py --data DIR`, vasari {vasari.__version__}, "
            f"Python {platform.python_version()}, {MACHINE}."
        ),
    ]
    text = "\n".join(lines) + "\n"
    print(text, *wrong, sep="\n")
    result_file("verify_gold", args.out).write_text(text)


def _share(part: int, whole: int) -> str:
    return f"{part} ({100 * part / whole:.1f}%)"


if __name__ == "__main__":
    main()

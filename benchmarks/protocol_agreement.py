"""Does the protocol `official` reproduce the verdicts that the benchmarks' own scorers published?

Scores published outputs (a folder of JSON lines, one file a run, rows with `official_correct`) by
the official rules and prints a line a benchmark. Every row that differs must be in
`protocol_agreement_exceptions.jsonl`, with its reason.

    python benchmarks/protocol_agreement.py --data DIR --out benchmarks/results/NAME.md
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import vasari
from vasari.evaluate.protocols import StoredOutput, scoring_protocol
from vasari.evaluate.readers import BadRow, read_outputs

EXCEPTIONS = Path(__file__).with_name("protocol_agreement_exceptions.jsonl")
STARTS = {
    "mathvista": "stored extraction (an LLM's)",
    "logicvista": "stored extraction (an LLM's)",
    "mmmu_pro": "response; stored letter where one was drawn",
}
"""What a rule starts from, where that is not the response alone."""


@dataclass
class Count:
    """Counts of one benchmark's outputs and of verdicts that agree with the published ones."""

    runs: set[str] = field(default_factory=set)
    num_rows: int = 0
    num_same: int = 0
    num_listed: int = 0
    num_drawn: int = 0
    seconds: float = 0.0
    different: list[tuple[str, str, str]] = field(default_factory=list)
    """(model, id, what was found) of rows that differ and are not listed."""


def read_exceptions(path: Path) -> dict[tuple[str, str, str], str]:
    """Read the reasons for known differences: (benchmark, model, id) to reason."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return {(row["benchmark"], row["model"], row["id"]): row["reason"] for row in rows}


def count_agreement(folder: Path, exceptions: dict[tuple[str, str, str], str]) -> dict[str, Count]:
    """Count agreement with published verdicts over all files of a folder, by benchmark."""
    official = scoring_protocol("official")
    counts: dict[str, Count] = {}
    for path in sorted(folder.glob("*.jsonl*")):
        for row in read_outputs(path):
            if isinstance(row, BadRow):
                sys.exit(f"{row.file}:{row.line}: {row.reason}")
            count = counts.setdefault(row.benchmark, Count())
            started = time.process_time()
            verdict = official.verdict(row)
            count.seconds += time.process_time() - started
            add(
                count,
                row,
                verdict.outcome.value,
                verdict.decided_by,
                listed=(row.benchmark, row.model, row.id) in exceptions,
            )
    return counts


def add(count: Count, row: StoredOutput, outcome: str, rule: str, *, listed: bool) -> None:
    """Add one output to the counts of its benchmark."""
    count.runs.add(row.model)
    count.num_rows += 1
    count.num_drawn += rule == "random"
    if outcome == ("correct" if row.official_correct else "incorrect"):
        count.num_same += 1
    elif listed:
        count.num_listed += 1
    else:
        count.different.append(
            (row.model, row.id, f"{outcome} by {rule}, published {row.official_correct}")
        )


def report(counts: dict[str, Count], exceptions: dict[tuple[str, str, str], str]) -> str:
    """Return the agreement by benchmark as Markdown."""
    lines = [
        "# Official protocols against published verdicts",
        "",
        (
            "Every published output, scored by `official` and compared with the verdict that the"
            " benchmark's own scorer gave it."
        ),
        "",
        (
            "| benchmark | runs | outputs | the rule starts from | same verdict | listed as older"
            " or damaged | other |"
        ),
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, count in sorted(counts.items()):
        start = STARTS.get(name, "response")
        lines.append(
            f"| {name} | {len(count.runs)} | {count.num_rows:,} | {start} | {count.num_same:,} |"
            f" {count.num_listed} | {len(count.different)} |"
        )
    total = sum(count.num_rows for count in counts.values())
    same = sum(count.num_same for count in counts.values())
    listed = sum(count.num_listed for count in counts.values())
    lines += [
        "",
        f"{same:,} of {total:,} are the same; {listed} ({listed / total:.2%}) are listed:",
        "",
    ]
    lines += [
        f"* {number} x {reason}" for reason, number in Counter(exceptions.values()).most_common()
    ]
    drawn = sum(count.num_drawn for count in counts.values())
    seconds = sum(count.seconds for name, count in counts.items() if name != "geoqa")
    others = total - counts["geoqa"].num_rows if "geoqa" in counts else total
    lines += [
        "",
        (
            f"In {drawn} MMMU-Pro outputs the official rule draws a letter at random; there the"
            " stored letter was compared."
        ),
        (
            f"One process took {seconds:.1f} s of CPU time for all but GeoQA's (Math-Verify in its"
            f" own process): {others / max(seconds, 1e-9):,.0f} verdicts a second."
        ),
        "",
        (
            f"`python benchmarks/protocol_agreement.py --data DIR`, vasari {vasari.__version__}, "
            f"Python {platform.python_version()}."
        ),
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Return 0 if every difference is listed as known and every listed output still differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        help="folder with one JSON lines file a run, plain or gzip",
    )
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    arguments = parser.parse_args()
    exceptions = read_exceptions(EXCEPTIONS)
    counts = count_agreement(arguments.data, exceptions)
    text = report(counts, exceptions)
    print(text)
    if arguments.out:
        arguments.out.write_text(text)
    for name, count in counts.items():
        for model, identity, what in count.different:
            print(f"not listed: {name} {model} {identity}: {what}")
    stale = len(exceptions) - sum(count.num_listed for count in counts.values())
    if stale:
        print(f"{stale} listed rows do not differ, or are not in this data")
    return 1 if stale or any(count.different for count in counts.values()) else 0


if __name__ == "__main__":
    sys.exit(main())

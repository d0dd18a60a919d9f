"""How are pass rates of real visual-math questions distributed over real models?

Prints the counts that `vasari.data.tasks.difficulty` carries, from DynaMath's per-variant results:
the folder of CSV files ("Variant 1" to "Variant 10": correct or fail, one file a model) of
github.com/DynaMath/DynaMath at 598c3c3, MIT licence.

    python benchmarks/dynamath_pass_rates.py --data DIR
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from pathlib import Path

from vasari.data.tasks.difficulty import DYNAMATH_COUNTS

NUM_VARIANTS = 10


def count_correct(path: Path) -> list[int]:
    """Count one model's questions by the number of variants it got right, 0 to 10."""
    counts = [0] * (NUM_VARIANTS + 1)
    with path.open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            if re.fullmatch(r"Q\d+", row["Question ID"]):
                counts[
                    sum(
                        row[f"Variant {n}"].strip() == "correct" for n in range(1, NUM_VARIANTS + 1)
                    )
                ] += 1
    return counts


def main() -> int:
    """Print the counts of all models; return 0 if they equal those in the package, else 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with one CSV file a model")
    files = sorted(parser.parse_args().data.glob("*.csv"))
    by_model = {file.stem.removesuffix("-result"): count_correct(file) for file in files}
    print("| model | " + " | ".join(f"{k}/10" for k in range(NUM_VARIANTS + 1)) + " | mean |")
    print("| --- |" + " --- |" * (NUM_VARIANTS + 2))
    for model, counts in by_model.items():
        print(f"| {model} | " + " | ".join(map(str, counts)) + f" | {mean(counts):.3f} |")
    total = tuple(map(sum, zip(*by_model.values(), strict=True)))
    print("| all | " + " | ".join(map(str, total)) + f" | {mean(total):.3f} |")
    same = total == DYNAMATH_COUNTS
    print(
        f"\n{len(files)} models; the package's counts are"
        f" {'the same' if same else f'different: {DYNAMATH_COUNTS}'}"
    )
    return 0 if same else 1


def mean(counts: list[int] | tuple[int, ...]) -> float:
    """Return the mean pass rate of questions counted by their number of correct variants."""
    return sum(k * count for k, count in enumerate(counts)) / (NUM_VARIANTS * sum(counts))


if __name__ == "__main__":
    sys.exit(main())

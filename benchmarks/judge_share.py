"""How much do the rules leave to a judge, and which honest outputs seem to address the judge?

    python benchmarks/judge_share.py --data DIR

DIR holds published outputs, one JSON lines file a run (`verify_agreement.py` says which fields).
For each benchmark: outputs that the protocol `vasari` leaves undecided, by the rule that left them;
and of all outputs, those whose end, and those of the undecided whose stated answer, a judge would
not be shown because it seems to speak to the judge. No server is asked. Prints one table and writes
it to `benchmarks/results/`.
"""

from __future__ import annotations

import argparse
import platform
from collections import Counter
from pathlib import Path

import vasari
from result_files import MACHINE, RESULTS, result_file
from vasari.evaluate.judging import judge_item
from vasari.evaluate.protocols import scoring_protocol
from vasari.evaluate.readers import BadRow, read_outputs
from vasari.verify.judge.shown import addresses_judge, visible_end

END_CHARS = 2000
"""`JudgeSettings.max_response_chars`."""


def count(path: Path, into: Counter[str]) -> None:
    """Add the outputs in one file to the counts of their benchmark."""
    rule = scoring_protocol("vasari")
    for output in read_outputs(path):
        if isinstance(output, BadRow):
            continue
        into["outputs"] += 1
        into["end"] += addresses_judge(visible_end(output.response, END_CHARS))
        item = judge_item("vasari", output, rule.verdict(output))
        if item.undecided:
            into["undecided"] += 1
            into[f"by {item.verdict.decided_by}"] += 1
            into["answer"] += item.verdict.extraction is not None and addresses_judge(
                item.verdict.extraction[-END_CHARS:]
            )


def row(name: str, counts: Counter[str]) -> str:
    """Return one row of the table."""
    rules = ", ".join(
        f"{key[3:]} {number:,}" for key, number in counts.most_common() if key.startswith("by ")
    )
    share = f"{counts['undecided'] / counts['outputs']:.2%}"
    cells = (
        name,
        f"{counts['outputs']:,}",
        f"{counts['undecided']:,}",
        share,
        rules,
        counts["answer"],
        counts["end"],
    )
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    """Count the outputs, print one table and write it to a file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    counts: dict[str, Counter[str]] = {}
    for path in sorted(args.data.glob("*.jsonl.gz")):
        group = path.name.partition("__")[0] + (" (programs)" if "_code" in path.name else "")
        count(path, counts.setdefault(group, Counter()))
    columns = (
        "benchmark",
        "outputs",
        "undecided",
        "share",
        "left by",
        "answers kept from the judge",
        "ends kept from the judge",
    )
    lines = [
        "# What the rules leave to a judge",
        "",
        (
            "Published outputs by the protocol `vasari`. The last columns count answers (shown by"
            " the format `vasari`) and ends of"
        ),
        (
            "responses (shown by the formats of judging models) that seem to speak to the judge."
            " None of these outputs was written"
        ),
        (
            "for a judge, so each is a false alarm; it costs the output its judge, not its verdict"
            " by the rules."
        ),
        "",
        f"| {' | '.join(columns)} |",
        "| --- " * len(columns) + "|",
        *(row(name, found) for name, found in counts.items()),
        row("all", sum(counts.values(), Counter())),
        "",
        (
            f"`python benchmarks/judge_share.py --data DIR`, vasari {vasari.__version__}, Python"
            f" {platform.python_version()}, {MACHINE}."
        ),
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    result_file("judge_share", args.out).write_text(text)


if __name__ == "__main__":
    main()

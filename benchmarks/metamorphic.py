"""How often does `verify_answer` pay a wrong answer or refuse an equal one, on generated pairs?

    python benchmarks/metamorphic.py                       # at least 100,000 pairs, 500 a rule
    python benchmarks/metamorphic.py --small               # 20 a rule, writes no result
    python benchmarks/metamorphic.py --only "fraction: as over" --examples failures.jsonl

A grammar makes references, rules rewrite an answer into an equal or a wrong one, wrappers state it
as models do, and an oracle that shares no code with the verifier confirms every label
(`benchmarks/metamorphic/`). Math-Verify grades a random sample of the same pairs, if installed.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import TextIO

import vasari
from metamorphic.drafts import Rule
from metamorphic.graders import grade, grade_with_peer, peer_version
from metamorphic.pairs import Pair, all_pairs
from metamorphic.report import Run, write_up
from metamorphic.rules import RULES
from metamorphic.tally import Graded, Tally
from metamorphic.wrappers import WRAPPERS
from result_files import MACHINE, RESULTS, result_file

MIN_PER_RULE, SMALL_PER_RULE, MAX_EXAMPLES = 500, 20, 3


def main(arguments: Sequence[str] | None = None) -> None:
    """Grade all pairs, print the report, and write it to a file unless the run is partial."""
    args = _options(arguments)
    rules = [rule for rule in RULES if not args.only or args.only in f"{rule.kind}: {rule.name}"]
    if not rules:
        sys.exit(f"no rule has {args.only!r} in its name")
    per_rule = math.ceil(args.pairs / len(rules)) if args.pairs else SMALL_PER_RULE
    full = not args.small and not args.only
    if full:
        per_rule = max(per_rule, MIN_PER_RULE)
    if args.small:
        per_rule = SMALL_PER_RULE
    run = _graded(rules, per_rule, args)
    text = write_up(run)
    print(text)
    if full:
        name = f"metamorphic_{args.label}" if args.label else "metamorphic"
        result_file(name, args.out).write_text(text, encoding="utf-8")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=100_000, help="at least so many in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="rules with this in 'kind: rule'")
    parser.add_argument("--small", action="store_true", help="20 pairs a rule, no result file")
    parser.add_argument("--peer", type=int, default=20_000, help="pairs for Math-Verify; 0: none")
    parser.add_argument("--examples", type=Path, help="write up to 3 failures a rule as JSON lines")
    parser.add_argument("--label", default="", help="in the result's name, e.g. a commit")
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser.parse_args(arguments)


def _graded(rules: Sequence[Rule], per_rule: int, args: argparse.Namespace) -> Run:
    number = per_rule * len(rules)
    version = peer_version()
    sampled = min(args.peer, number) if version else 0
    sample = set(Random(args.seed).sample(range(number), sampled))
    ours, ours_in_sample, peer = Tally(), Tally(), Tally()
    failures = _Examples(args.examples)
    for place, pair in enumerate(all_pairs(rules, per_rule, args.seed)):
        graded = grade(pair)
        ours.add(pair, graded)
        failures.add(pair, graded)
        if place in sample:
            ours_in_sample.add(pair, graded)
            peer.add(pair, grade_with_peer(pair))
        if (place + 1) % max(1, number // 20) == 0:
            print(f"{place + 1:,} of {number:,} pairs", file=sys.stderr, flush=True)
    failures.close()
    label = f" ({args.label})" if args.label else ""
    return Run(
        ours=ours,
        ours_in_sample=ours_in_sample,
        peer=peer,
        per_rule=per_rule,
        num_wrappers=len(WRAPPERS),
        command=f"python benchmarks/metamorphic.py --seed {args.seed} --pairs {args.pairs}"
        f" --peer {args.peer}",
        versions=f"vasari {vasari.__version__}{label}, Math-Verify {version},"
        f" Python {platform.python_version()}, {MACHINE}",
    )


class _Examples:
    """A file of mistakes, a few of each rule; writes nothing without a path."""

    def __init__(self, path: Path | None) -> None:
        self._file: TextIO | None = path.open("w", encoding="utf-8") if path else None
        self._counts: Counter[tuple[str, str, bool]] = Counter()

    def add(self, pair: Pair, graded: Graded) -> None:
        key = pair.kind, pair.rule, pair.right
        mistake = (graded == "correct") != pair.right
        if self._file is None or not mistake or self._counts[key] >= MAX_EXAMPLES:
            return
        self._counts[key] += 1
        row = {
            "kind": pair.kind,
            "rule": pair.rule,
            "variant": pair.variant,
            "wrapper": pair.wrapper,
            "reference": pair.reference,
            "response": pair.response,
            "choices": pair.choices,
            "right": pair.right,
            "verdict": graded,
        }
        self._file.write(json.dumps(row, ensure_ascii=False) + "\n")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


if __name__ == "__main__":
    main()

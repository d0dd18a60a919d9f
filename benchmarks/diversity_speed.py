"""How much faster is trajectory diversity than NLTK's sentence_bleu, on the same groups in one run?

    python benchmarks/diversity_speed.py [--groups 64] [--rollouts 16] [--tokens 1024] [--repeats 3]

Prints one table and writes it to `benchmarks/results/`. The repeats of both sides alternate.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

import nltk
import numpy as np
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

import vasari
from result_files import MACHINE, RESULTS, result_file
from vasari.score import trajectory_diversity

Group = list[list[int]]
VOCABULARY = 50_000


def nltk_diversity(group: Group) -> float:
    """Return one minus the mean self-BLEU over 1-, 2- and 3-grams, computed by NLTK."""
    smooth = SmoothingFunction().method1
    bleu = [
        sentence_bleu(
            group[:place] + group[place + 1 :],
            tokens,
            weights=(1 / 3,) * 3,
            smoothing_function=smooth,
        )
        for place, tokens in enumerate(group)
    ]
    return 1.0 - float(np.mean(bleu))


def make_group(
    rng: np.random.Generator, num_rollouts: int, num_tokens: int, shared: float
) -> Group:
    """Make rollouts of Zipf-distributed tokens that copy one draft with probability `shared`.

    The draft is copied in stretches of 8 tokens.
    """
    draft = rng.zipf(1.2, num_tokens) % VOCABULARY
    group = []
    for _ in range(num_rollouts):
        follows = np.repeat(rng.random(num_tokens // 8 + 1) < shared, 8)[:num_tokens]
        group.append(np.where(follows, draft, rng.zipf(1.2, num_tokens) % VOCABULARY).tolist())
    return group


def seconds(function: Callable[[Group], float], groups: list[Group]) -> tuple[float, list[float]]:
    """Return the CPU seconds for all groups, and each group's diversity."""
    start = time.process_time()
    values = [function(group) for group in groups]
    return time.process_time() - start, values


def measure(args: argparse.Namespace) -> list[str]:
    """Return table rows, one for each kind of group."""
    rows = []
    for label, shared in (("unrelated rollouts", 0.0), ("60% shared stretches", 0.6)):
        rng = np.random.default_rng(0)
        groups = [make_group(rng, args.rollouts, args.tokens, shared) for _ in range(args.groups)]
        ours, theirs, worst = [], [], 0.0
        for _ in range(args.repeats):
            our_time, our_values = seconds(trajectory_diversity, groups)
            their_time, their_values = seconds(nltk_diversity, groups)
            ours.append(our_time)
            theirs.append(their_time)
            worst = max(worst, float(np.abs(np.subtract(our_values, their_values)).max()))
        ratios = np.divide(theirs, ours)
        rows.append(
            f"| {label} | {np.median(theirs):.2f} s ({min(theirs):.2f}-{max(theirs):.2f}) "
            f"| {np.median(ours):.3f} s ({min(ours):.3f}-{max(ours):.3f}) "
            f"| {np.median(ratios):.0f}x ({ratios.min():.0f}-{ratios.max():.0f}) | {worst:.1e} |"
        )
    return rows


def main() -> None:
    """Run the benchmark, print its tables and write them to a file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in (("groups", 64), ("rollouts", 16), ("tokens", 1024), ("repeats", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    command = f"python benchmarks/diversity_speed.py {' '.join(sys.argv[1:])}".strip()
    lines = [
        "# Trajectory diversity beside NLTK",
        "",
        (
            f"{args.groups} groups x {args.rollouts} rollouts x {args.tokens} tokens, "
            f"median (range) of {args.repeats} repeats, CPU time of one thread."
        ),
        "",
        "| groups | NLTK | vasari | ratio | largest difference |",
        "| --- | --- | --- | --- | --- |",
        *measure(args),
        "",
        (
            f"`{command}`, vasari {vasari.__version__}, NumPy {np.__version__}, NLTK"
            f" {nltk.__version__}, Python {platform.python_version()}, {MACHINE}."
        ),
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    result_file("diversity_speed", args.out).write_text(text)


if __name__ == "__main__":
    main()

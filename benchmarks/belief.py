r"""Does the belief about pass rates predict verdicts better than a constant, and is it calibrated?

    vasari quickstart --out runs/first --sampler uniform
    python benchmarks/belief.py runs/first/rl/uniform runs/first/prompts/train.parquet \
        [OTHER_ARM_FOLDER ITS_PROMPTS ...]

Reads the stored groups of finished trainings, batch by batch: each is predicted before the belief
of the sampler "weighted_passes" learns from it. Beside it a constant (the mean pass rate of all
batches before) and the same belief without features. Writes a table and a figure of calibration to
`benchmarks/results/`.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

import vasari
from result_files import MACHINE, RESULTS, result_file
from vasari.data.prompt_file import read_prompts
from vasari.records import GroupOutcome
from vasari.sample import PoolFeatures, make_sampler, prompt_features
from vasari.sample.belief import expected_rate
from vasari.sample.ranked import tally
from vasari.sample.weighted_passes import WeightedPassesSampler
from vasari.train.group_file import read_groups

mpl.use("svg")
from matplotlib import pyplot as plt

SPANS = ((0, 1), (1, 2), (2, 4), (4, 8), (8, 16), (16, 32), (32, 10_000))
"""First and last batch (excluded) of each row of the table."""
NUM_BINS = 10

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Predictions:
    """Expected and measured pass rate of every group, with its batch."""

    batch: NDArray[np.int64]
    expected: Floats
    """[groups] by the belief, before the group was seen."""
    constant: Floats
    """[groups] the mean pass rate of all batches before; 1/2 in the first."""
    measured: Floats


def stored_batches(folder: Path) -> list[list[GroupOutcome]]:
    """Return the training groups of each batch, in order."""
    columns = ["batch", "purpose", "prompt_index", "rewards", "verdicts"]
    batches: dict[int, list[GroupOutcome]] = {}
    for row in read_groups(folder, columns).to_pylist():
        if row["purpose"] == "train":
            group = GroupOutcome(
                index=row["prompt_index"],
                rewards=np.array(row["rewards"], dtype=np.float64),
                verdicts=np.array(row["verdicts"], dtype=np.float64),
                batch=row["batch"],
            )
            batches.setdefault(row["batch"], []).append(group)
    return [batches[batch] for batch in sorted(batches)]


def predict(
    batches: Sequence[Sequence[GroupOutcome]], num_prompts: int, features: PoolFeatures | None
) -> Predictions:
    """Predict each batch from the batches before it."""
    sampler = make_sampler("weighted_passes", num_prompts=num_prompts, seed=0, features=features)
    assert isinstance(sampler, WeightedPassesSampler)  # noqa: S101
    parts = []
    right, total = 0.5, 1.0
    for number, groups in enumerate(batches):
        sampler.due(groups[0].batch or 0)
        seen = tally(groups)
        expected = expected_rate(*sampler.predicted(seen.prompts))
        constant = np.full_like(expected, right / total)
        parts.append((np.full(len(expected), number), expected, constant, seen.pass_rates))
        right, total = right + seen.num_correct.sum(), total + seen.num_verifiable.sum()
        sampler.observe(groups)
    return Predictions(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def log_loss(rate: Floats, share: Floats) -> Floats:
    """Return the log loss in nats a rollout of each group."""
    rate = np.clip(rate, 1e-6, 1 - 1e-6)
    found: Floats = -(share * np.log(rate) + (1 - share) * np.log1p(-rate))
    return found


def table(ours: Predictions, plain: Predictions) -> str:
    """Return the log losses by spans of batches as a Markdown table."""
    lines = [
        "| batches | groups | constant | belief without features | belief | belief - constant |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for first, last in SPANS:
        inside = (ours.batch >= first) & (ours.batch < last)
        if not inside.any():
            continue
        share = ours.measured[inside]
        constant, without, found = (
            log_loss(rate[inside], share) for rate in (ours.constant, plain.expected, ours.expected)
        )
        gap = found - constant
        reach = 1.96 * gap.std(ddof=1) / math.sqrt(gap.size)
        end = min(last, int(ours.batch.max()) + 1)
        lines.append(
            f"| {first} to {end - 1} | {gap.size} | {constant.mean():.3f} | {without.mean():.3f} |"
            f" {found.mean():.3f} | {gap.mean():+.3f} ({gap.mean() - reach:+.3f} to"
            f" {gap.mean() + reach:+.3f}) |"
        )
    return "\n".join(lines)


def calibration(found: Predictions) -> tuple[Floats, Floats, Floats]:
    """Return mean expected and measured pass rate in bins of equal size, and its error."""
    order = np.array_split(np.argsort(found.expected), NUM_BINS)
    expected = np.array([found.expected[own].mean() for own in order])
    measured = np.array([found.measured[own].mean() for own in order])
    error = np.array([found.measured[own].std(ddof=1) / math.sqrt(len(own)) for own in order])
    return expected, measured, 1.96 * error


def draw(runs: Sequence[tuple[str, Predictions]], path: Path) -> None:
    """Draw measured over expected pass rates of each run."""
    figure, axes = plt.subplots(figsize=(4.5, 4.5))
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1)
    for name, found in runs:
        expected, measured, error = calibration(found)
        axes.errorbar(expected, measured, yerr=error, marker="o", capsize=2, label=name)
    axes.set(xlabel="expected pass rate, before the group", ylabel="measured pass rate")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Replay the runs, print and write the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="ARM_FOLDER PROMPTS")
    parser.add_argument("--names", nargs="+", help="of the runs, for the table")
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    pairs = list(zip(chosen.paths[::2], chosen.paths[1::2], strict=True))
    names = chosen.names or [folder.name for folder, _ in pairs]
    sections, drawn = [], []
    for name, (folder, pool) in zip(names, pairs, strict=True):
        prompts, batches = read_prompts(pool), stored_batches(folder / "groups")
        ours = predict(batches, len(prompts), prompt_features(prompts))
        plain = predict(batches, len(prompts), None)
        gap = np.abs(np.subtract(*calibration(ours)[:2])).mean()
        sections.append(
            f"## {name}\n\n{table(ours, plain)}\n\nMean distance of measured from expected pass"
            f" rates over ten bins of equal size: {gap:.3f}."
        )
        drawn.append((name, ours))
    target = result_file("belief", chosen.out)
    draw(drawn, target.with_suffix(".svg"))
    text = "\n\n".join(sections)
    target.write_text(
        f"# Log loss of expected pass rates, in nats a rollout\n\n{text}\n\n![Calibration]"
        f"({target.with_suffix('.svg').name})\n\nEach batch is predicted from those before it."
        " Intervals: 95%, over groups.\n\n`python benchmarks/belief.py ...`, vasari"
        f" {vasari.__version__}, {MACHINE}.\n"
    )
    print(text)
    print(f"\nwritten to {target}")


if __name__ == "__main__":
    main()

"""What does each sampler gain or cost on a simulated learner, when every rollout is charged?

    python benchmarks/simulate.py [--arms uniform,vas,...] [--pools clean,noisy] [--seeds 100-107]
                                  [--budget 102400] [--learning-rates 0.03] [--prompts N]

Runs arms x pools x seeds with the same pool and the same luck for all arms, prints a table for each
pool, and writes them to `benchmarks/results/`. It shows mechanics and scale, and is no evidence
about language models. With several learning rates, each arm uses the one that is best for it on the
seeds 0 and 1, which no table shows.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import vasari
from result_files import MACHINE, RESULTS, result_file
from vasari.core.errors import DataError
from vasari.theory.curves import Curve
from vasari.theory.pools import POOLS, SimulatedPoolSettings, make_simulated_pool, pool_settings
from vasari.theory.simulate import ARMS, SimulationSettings, arm_of, simulate

TUNING_SEEDS = range(2)
BASELINE = "uniform"
NOTES = {
    "vas_free": "its refreshes are not charged: a bound, not a strategy",
    "oracle": "knows the true pass rates and the noise",
}


@dataclass(frozen=True, slots=True)
class CensoredTimes:
    """Summary of rollouts needed to reach a target, where some seeds did not reach it in budget."""

    num_seeds: int
    num_reached: int
    median: float
    """Median over all seeds, those that did not arrive counted as later than the budget: infinite
    when half did not."""
    restricted_mean: float
    """Mean of the lesser of time and budget: no seed is left out and none counts as infinite."""


def censored_times(times: NDArray[np.float64] | list[float], *, budget: float) -> CensoredTimes:
    """Summarise rollouts needed to reach a target; infinite for a seed that did not reach it.

    Leaving out the seeds that did not arrive would flatter an arm that seldom arrives.

    Raises:
        DataError: No times, or one that is nan or negative.
    """
    values = np.asarray(times, dtype=np.float64)
    if values.ndim != 1 or not values.size or np.isnan(values).any() or (values < 0).any():
        raise DataError(
            "times must be a vector of numbers of at least 0, infinite where not reached; got"
            f" {times}"
        )
    values = np.where(values > budget, math.inf, values)
    ordered = np.sort(values)
    middle = (ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2])
    return CensoredTimes(
        num_seeds=len(values),
        num_reached=int(np.isfinite(values).sum()),
        median=float(sum(middle) / 2),
        restricted_mean=float(np.minimum(values, budget).mean()),
    )


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """Mean difference over paired seeds, with its bootstrap interval."""

    mean: float
    low: float
    high: float


def paired_difference(
    values: NDArray[np.float64] | list[float],
    baseline: NDArray[np.float64] | list[float],
    *,
    confidence: float = 0.95,
    num_resamples: int = 10_000,
    seed: int = 0,
) -> PairedDifference:
    """Return the mean of `values - baseline` over seeds, with a percentile bootstrap interval.

    Raises:
        DataError: The numbers of values and baselines differ, or there are none.
    """
    differences = np.asarray(values, dtype=np.float64) - np.asarray(baseline, dtype=np.float64)
    if differences.ndim != 1 or not differences.size or len(values) != len(baseline):
        raise DataError(
            f"paired values need one baseline each, got {len(values)} and {len(baseline)}"
        )
    rng = np.random.default_rng(seed)
    means = differences[
        rng.integers(len(differences), size=(num_resamples, len(differences)))
    ].mean(axis=1)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return PairedDifference(float(differences.mean()), float(low), float(high))


def numbers(text: str) -> list[int]:
    """Read integers from text such as "1,2,5-8"."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def run(
    name: str, pools: SimulatedPoolSettings, settings: SimulationSettings, seeds: Sequence[int]
) -> list[Curve]:
    """Simulate one sampler on each seed and return one learning curve per seed."""
    return [
        simulate(arm_of(name), make_simulated_pool(pools, seed=seed), settings, seed=seed)
        for seed in seeds
    ]


def best_rate(
    name: str, pools: SimulatedPoolSettings, settings: SimulationSettings, rates: Sequence[float]
) -> float:
    """Return the learning rate with the highest mean final accuracy on the tuning seeds."""
    if len(rates) == 1:
        return rates[0]
    means = []
    for rate in rates:
        curves = run(name, pools, dataclasses.replace(settings, learning_rate=rate), TUNING_SEEDS)
        means.append(np.mean([curve.final_accuracy for curve in curves]))
    return rates[int(np.argmax(means))]


def share(value: float, budget: int) -> str:
    """Format rollouts as a share of the budget; "> 1" if the target was not reached."""
    return f"{value / budget:.2f}" if math.isfinite(value) else "> 1"


def row(name: str, rate: float, curves: list[Curve], uniform: list[Curve]) -> str:
    """Return the table's line on one sampler."""
    budget = curves[0].budget
    finals, theirs = ([curve.final_accuracy for curve in part] for part in (curves, uniform))
    difference = paired_difference(finals, theirs)
    times = [curve.rollouts_to(target) for curve, target in zip(curves, theirs, strict=True)]
    found = censored_times(times, budget=budget)
    trained = np.mean(
        [curve.ledger.rollouts["train"] / curve.ledger.total_rollouts for curve in curves]
    )
    noise = np.mean([np.nanmean(curve.noise_share) for curve in curves])
    gap = (
        ""
        if name == BASELINE
        else f"{difference.mean:+.3f} ({difference.low:+.3f} to {difference.high:+.3f})"
    )
    apart = {
        key
        for curve in curves
        for key, count in curve.ledger.rollouts.items()
        if key != "train" and count
    }
    return (
        f"| {name} | {rate:g} | {np.median(finals):.3f} ({min(finals):.3f}-{max(finals):.3f}) |"
        f" {gap} | {share(found.median, budget)} | {found.restricted_mean / budget:.2f} |"
        f" {found.num_reached} of {found.num_seeds} |"
        f" {trained:.0%}{', rest ' * bool(apart)}{' and '.join(sorted(apart))} | {noise:.0%} |"
    )


def table(pool: str, pools: SimulatedPoolSettings, args: argparse.Namespace) -> list[str]:
    """Return the results table of one prompt pool."""
    settings = SimulationSettings(budget=args.budget)
    noise = {
        name: value
        for name, value in dataclasses.asdict(pools).items()
        if isinstance(value, float) and value
    }
    lines = [
        f"## {pool}",
        "",
        (
            f"{pools.num_prompts:,} prompts;"
            f" {', '.join(f'{value:.0%} {name}' for name, value in noise.items()) or 'no noise'}."
        ),
        "",
        (
            "| arm | learning rate | final accuracy, median (range) | paired difference to uniform,"
            " mean (95%) | rollouts to uniform's final accuracy, median share of budget |"
            " restricted mean | reached | of the rollouts, trained | noise in its batches |"
        ),
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    uniform: list[Curve] = []
    for name in args.arms:
        start = time.process_time()
        rate = best_rate(name, pools, settings, args.learning_rates)
        curves = run(name, pools, dataclasses.replace(settings, learning_rate=rate), args.seeds)
        uniform = uniform or curves
        lines.append(row(name, rate, curves, uniform))
        print(f"{pool} {name}: {time.process_time() - start:.1f} s", file=sys.stderr, flush=True)
    return [*lines, ""]


def parsed() -> argparse.Namespace:
    """Read the command line; `uniform` becomes the first sampler."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--arms",
        default=",".join([*ARMS, "progress", "oracle"]),
        help="arms, or registered samplers",
    )
    parser.add_argument("--pools", default="clean,noisy", help=f"some of {', '.join(POOLS)}")
    parser.add_argument("--seeds", type=numbers, default="100-107", help="such as 100-107 or 3,5")
    parser.add_argument(
        "--budget", type=int, default=SimulationSettings().budget, help="charged rollouts of a run"
    )
    parser.add_argument(
        "--learning-rates", default="0.03", help="several: chosen for each arm on other seeds"
    )
    parser.add_argument("--prompts", type=int, help="size of the pools, in place of their own")
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    args.arms = list(dict.fromkeys([BASELINE, *args.arms.split(",")]))
    args.learning_rates = [float(rate) for rate in args.learning_rates.split(",")]
    if set(args.seeds) & set(TUNING_SEEDS) and len(args.learning_rates) > 1:
        parser.error(
            f"learning rates are chosen on seeds {TUNING_SEEDS.start} to {TUNING_SEEDS.stop - 1}:"
            " use other seeds"
        )
    return args


def main() -> None:
    """Run the benchmark, print its tables and write them to a file."""
    args = parsed()
    command = f"python benchmarks/simulate.py {' '.join(sys.argv[1:])}".strip()
    settings, size = (
        SimulationSettings(budget=args.budget),
        {"num_prompts": args.prompts} if args.prompts else {},
    )
    notes = [f"`{name}`: {NOTES[name]}." for name in args.arms if name in NOTES]
    start = time.process_time()
    tables = [
        line
        for pool in args.pools.split(",")
        for line in table(pool, pool_settings(pool, **size), args)
    ]
    lines = [
        "# Ways to choose prompts, on a simulated learner",
        "",
        (
            "A learner that is a vector, not a language model: mechanics and scale, no evidence"
            " about models."
        ),
        (
            f"{settings.prompts_per_batch} prompts x {settings.rollouts_per_prompt} rollouts a"
            f" step, {args.budget:,} charged rollouts a run, {len(args.seeds)} seeds paired by pool"
            f" and luck ({args.seeds[0]} to {args.seeds[-1]})."
        ),
        (
            "Accuracy is on held-out clean prompts at the budget; intervals are bootstrapped over"
            " seeds. A seed that does not reach uniform's final accuracy counts as later than the"
            " budget in the median and as the whole budget in the mean."
        ),
        *notes,
        "",
        *tables,
        (
            f"`{command}`, vasari {vasari.__version__}, NumPy {np.__version__}, Python"
            f" {platform.python_version()}, {MACHINE}, {time.process_time() - start:.0f} s of one"
            " core."
        ),
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    result_file("simulate", args.out).write_text(text)


if __name__ == "__main__":
    main()

r"""What does GRPO teach in the quickstart, on levels that its cold start was taught and on others?

    python benchmarks/quickstart.py [--seeds 0 1 2 3 4] [--compare] [--out
    runs/benchmark_quickstart]

Runs `vasari quickstart` in a process of its own for each seed, reads its folder, prints one table
and writes it to `benchmarks/results/`. What an earlier call finished is not repeated. An old
processor is imitated by the environment:

    ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 MKL_ENABLE_INSTRUCTIONS=SSE4_2 \
        python benchmarks/quickstart.py --seeds 0 --out runs/old_processor
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import vasari
from result_files import MACHINE, result_file
from vasari.evaluate.seeds import seed_mean
from vasari.report.inputs import read_rollouts, read_run, solved_share

RESTRICTIONS = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS")
"""Variables that keep torch from newer instructions of the processor."""
_STAGES = ("tasks", "sft", "rl", "evaluate")
MEASURES = {"greedy": "greedy", "accuracy": "sampled", "pass_at": "pass@k"}


def run(seed: int, folder: Path, overrides: list[str], *, compare: bool) -> dict[str, Any]:
    """Run one quickstart, or continue an earlier one, and return its summary.

    `start` is added: the shares of test prompts that all rollouts of the cold start solved, and
    that none solved.
    """
    out = folder / f"seed{seed}"
    command = [sys.executable, "-m", "vasari", "quickstart", "--out", str(out), "--resume"]
    command += ["--compare"] if compare else []
    subprocess.run(
        [*command, "--set", f"seed={seed}", *(f"--set={o}" for o in overrides)], check=True
    )
    summary: dict[str, Any] = json.loads((out / "summary.json").read_text())
    seconds = {key: stage_seconds(out, key) for key in ("cpu_seconds", "seconds")}
    return summary | {"start": always_and_never(out), "stages": seconds}


def stage_seconds(out: Path, key: str) -> dict[str, float]:
    """Return the seconds of each stage, each sampler's training apart."""
    found = {path.stem: json.loads(path.read_text()) for path in (out / "stages").glob("*.json")}
    return {
        name: found[name][key]
        for name in sorted(found, key=lambda name: (_STAGES.index(name.partition("-")[0]), name))
    }


def always_and_never(out: Path) -> tuple[float, float]:
    """Return the shares of test prompts always and never solved by the cold start's rollouts."""
    rows = read_rollouts(read_run(out), "cold_start").values()
    shares = np.array([solved_share(row["verdicts"]) for row in rows])
    return float((shares == 1).mean()), float((shares == 0).mean())


def spell(value: Mapping[str, float] | None) -> str:
    """Format a mean with its interval."""
    return "-" if value is None else f"{value['mean']:.3f} ({value['low']:.3f}-{value['high']:.3f})"


def points(difference: Mapping[str, float] | None) -> str:
    """Format a paired difference of accuracies in percentage points, with its interval."""
    if difference is None:
        return "-"
    mean, low, high = (100 * difference[key] for key in ("mean", "low", "high"))
    return f"{mean:+.1f} ({low:+.1f} to {high:+.1f})"


def table(summaries: Mapping[int, dict[str, Any]]) -> str:
    """Return the results as Markdown: scores by seed, costs by seed, means over seeds."""
    lines = _rows("seed", "levels", "measure", "cold start (95%)", "after GRPO", "gain, points")
    for seed, summary in summaries.items():
        for part in ("untaught", "taught"):
            scores = summary[part]
            gains, kind = scores["difference"]["final_minus_cold_start"], f"@{scores['k']}"
            for measure, words in MEASURES.items():
                lines.append(
                    f"| {seed} | {part} | {words.replace('@k', kind)} |"
                    f" {spell(scores[measure]['cold_start'])} | {spell(scores[measure]['final'])} |"
                    f" {points(gains[measure])} |"
                )
    lines += ["", *_rows(*_COSTS)]
    for seed, summary in summaries.items():
        blind = summary["blind"]["final"]
        always, never = summary["start"]
        seconds = (
            ", ".join(f"{stage} {value:.0f}" for stage, value in summary["stages"][kind].items())
            + f": {sum(summary['stages'][kind].values()):.0f}"
            for kind in ("cpu_seconds", "seconds")
        )
        cells = (
            str(seed),
            f"{100 * (blind['accuracy']['mean'] - blind['majority']):+.1f}",
            f"{summary['zero_variance_share']:.2f}",
            f"{always:.2f}, {never:.2f}",
            f"{summary['rollouts']['train']:,} + {summary['rollouts']['refresh']:,}",
            points(summary["difference"]["final_minus_uniform"]),
            *seconds,
            f"{summary['peak_memory_mb']:.0f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", *over_seeds(list(summaries.values()))])


_COSTS = (
    "seed",
    "blind accuracy - majority answer, points",
    "silent groups",
    "cold start: always, never solved",
    "rollouts train + refresh",
    "sampler - uniform, points",
    "CPU seconds",
    "wall seconds",
    "peak memory, MB",
)


def _rows(*headings: str) -> list[str]:
    return [f"| {' | '.join(headings)} |", "| --- " * len(headings) + "|"]


def over_seeds(summaries: list[dict[str, Any]]) -> list[str]:
    """Return a line on each mean gain over the seeds, with the smallest and the largest."""
    lines = []
    for part in ("untaught", "taught"):
        for measure, words in MEASURES.items():
            gains = [
                100 * summary[part]["difference"]["final_minus_cold_start"][measure]["mean"]
                for summary in summaries
            ]
            lines.append(
                f"* {part}, {words}: {np.mean(gains):+.1f} points over {len(gains)} seeds"
                f" ({min(gains):+.1f} to {max(gains):+.1f})"
            )
    return [*lines, *_beside_uniform(summaries)]


def _beside_uniform(summaries: list[dict[str, Any]]) -> list[str]:
    """Return a line on the sampler less uniform over the seeds, with Student's interval."""
    found = [summary.get("difference", {}).get("final_minus_uniform") for summary in summaries]
    if len(found) < 2 or None in found:
        return []
    mean = seed_mean([100 * one["mean"] for one in found])
    return [
        f"* all levels, sampled, sampler - uniform: {mean.mean:+.1f} points over {mean.n} seeds"
        f" (95% t-interval {mean.low or 0:+.1f} to {mean.high or 0:+.1f})"
    ]


def main() -> None:
    """Run the benchmark, print its tables and write them to a file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark_quickstart"))
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    summaries = {
        seed: run(seed, arguments.out, arguments.overrides, compare=arguments.compare)
        for seed in arguments.seeds
    }
    text = table(summaries)
    print(text)
    first = next(iter(summaries.values()))
    command = f"python benchmarks/quickstart.py --seeds {' '.join(map(str, arguments.seeds))}"
    command += " --compare" if arguments.compare else ""
    command += "".join(f" --set {override}" for override in arguments.overrides)
    restrictions = [f"{name}={os.environ[name]}" for name in RESTRICTIONS if name in os.environ]
    kind = ("_compare" if arguments.compare else "") + ("_old_processor" if restrictions else "")
    result = result_file(f"quickstart{kind}")
    versions, decoding = first["versions"], first["decoding"]
    result.write_text(
        f"# What GRPO teaches in the quickstart\n\n{text}\n\nSampled: {decoding['num_rollouts']}"
        f" rollouts a test prompt at temperature {decoding['temperature']}. Test prompts were seen"
        " by neither cold start nor GRPO; intervals by bootstrap over prompts, differences paired."
        f" Sampler: {first['sampler']['name']}. Taught levels:"
        f" {', '.join(first['taught']['levels'])}; untaught:"
        f" {', '.join(first['untaught']['levels'])}.\n\n"
        f"`{' '.join([*restrictions, command])}`, vasari {vasari.__version__}, torch"
        f" {versions['torch']}, transformers {versions['transformers']}, TRL {versions['trl']},"
        f" {MACHINE}.\n"
    )
    print(f"\nwritten to {result}")


if __name__ == "__main__":
    main()

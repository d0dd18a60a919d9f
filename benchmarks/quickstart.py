r"""What does the quickstart give, and what do `progress` and VAS add to uniform prompts?

    python benchmarks/quickstart.py [--seeds 0 1 2] [--sampler all] [--out
    runs/benchmark_quickstart]

Runs `vasari quickstart` in a process of its own for each seed, reads its `summary.json`, prints one
table and writes it to `benchmarks/results/`. What an earlier call finished is not repeated. An old
processor is imitated by the environment:

    ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 MKL_ENABLE_INSTRUCTIONS=SSE4_2 \
        python benchmarks/quickstart.py --seeds 0 --sampler vas --out runs/old_processor
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

import vasari
from result_files import MACHINE, result_file
from vasari.train.group_file import read_groups

RESTRICTIONS = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS")
"""Variables that keep torch from newer instructions of the processor."""


def run(seed: int, sampler: str, folder: Path, overrides: list[str]) -> dict[str, Any]:
    """Run one quickstart, or continue an earlier one, and return its summary."""
    out = folder / f"seed{seed}-{sampler}"
    command = [
        sys.executable,
        "-m",
        "vasari",
        "quickstart",
        "--out",
        str(out),
        "--sampler",
        sampler,
        "--resume",
    ]
    subprocess.run(
        [*command, "--set", f"seed={seed}", *(f"--set={o}" for o in overrides)], check=True
    )
    summary: dict[str, Any] = json.loads((out / "summary.json").read_text())
    return summary | {
        "prompts_seen": {
            arm: prompts_seen(out / "rl" / arm / "groups") for arm in summary["by_arm"]
        }
    }


def prompts_seen(groups: Path) -> int:
    """Return how many different prompts a training run trained on."""
    return len(
        {
            row["prompt_index"]
            for row in read_groups(groups).to_pylist()
            if row["purpose"] == "train"
        }
    )


def spell(value: dict[str, float] | None) -> str:
    """Format a mean with its interval."""
    return "-" if value is None else f"{value['mean']:.3f} ({value['low']:.3f}-{value['high']:.3f})"


def points(difference: dict[str, float] | None) -> str:
    """Format a paired difference of accuracies in percentage points, with its interval."""
    if difference is None:
        return "-"
    mean, low, high = (100 * difference[key] for key in ("mean", "low", "high"))
    return f"{mean:+.1f} ({low:+.1f} to {high:+.1f})"


def rungs(summary: dict[str, Any], decoding: str = "accuracy") -> dict[str, dict[str, Any] | None]:
    """Return the accuracy of every model: base, cold start, then each trained one."""
    accuracy = summary[decoding]
    return {
        "base": accuracy.get("base"),
        "cold start": accuracy["cold_start"],
        **accuracy["by_arm"],
    }


def table(summaries: dict[int, dict[str, Any]]) -> str:
    """Return the results as a Markdown table."""
    columns = (
        "seed",
        "model",
        "sampled accuracy (95%)",
        "greedy",
        "rollouts train + refresh",
        "zero-variance groups",
        "different prompts",
    )
    lines = [f"| {' | '.join(columns)} |", "| --- " * len(columns) + "|"]
    for seed, summary in summaries.items():
        greedy = {
            "base": summary["greedy"].get("base"),
            "cold start": summary["greedy"]["cold_start"],
            **summary["greedy"]["by_arm"],
        }
        for name, value in rungs(summary).items():
            arm = summary["by_arm"].get(name)
            cost = f"{arm['rollouts']['train']:,} + {arm['rollouts']['refresh']:,}" if arm else "-"
            silent = f"{arm['zero_variance_share']:.2f}" if arm else "-"
            seen = f"{summary['prompts_seen'][name]:,}" if arm else "-"
            lines.append(
                f"| {seed} | {name} | {spell(value)} | {spell(greedy.get(name))} | {cost} |"
                f" {silent} | {seen} |"
            )
    arms = compared(list(summaries.values()))
    headings = ("seed", "final - cold start, points", *(f"{arm} - uniform, points" for arm in arms))
    headings += (
        "blind accuracy - majority answer, points",
        "held-out style",
        "cold start and all arms, min",
        "peak memory, MB",
    )
    lines += ["", f"| {' | '.join(headings)} |", "| --- " * len(headings) + "|"]
    for seed, summary in summaries.items():
        blind = summary["blind"]["final"]
        cells = [
            str(seed),
            points(summary["difference"].get("final_minus_cold_start")),
            *(points(summary["difference"]["by_arm_minus_uniform"].get(arm)) for arm in arms),
            f"{100 * (blind['accuracy']['mean'] - blind['majority']):+.1f}",
            spell(summary["held_out_style"]["final"]),
            f"{(summary['wall_seconds']['sft'] + summary['wall_seconds']['rl']) / 60:.0f}",
            f"{summary['peak_memory_mb']:.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, *over_seeds(list(summaries.values()))])


def compared(summaries: list[dict[str, Any]]) -> list[str]:
    """Return the names of samplers that some seed compared with uniform prompts, sorted."""
    found = (summary["difference"]["by_arm_minus_uniform"] for summary in summaries)
    return sorted(
        {arm for differences in found for arm, difference in differences.items() if difference}
    )


def over_seeds(summaries: list[dict[str, Any]]) -> list[str]:
    """Return lines on each sampler's mean gain over uniform prompts on at least two seeds."""
    lines = []
    for arm in compared(summaries):
        found = [
            d
            for summary in summaries
            if (d := summary["difference"]["by_arm_minus_uniform"].get(arm))
        ]
        if len(found) < 2:
            continue
        means = [100 * difference["mean"] for difference in found]
        half = (
            100
            * 1.96
            * float(np.sqrt(sum(((d["high"] - d["low"]) / 3.92) ** 2 for d in found)))
            / len(found)
        )
        mean = float(np.mean(means))
        lines += [
            "",
            (
                f"{arm} - uniform over {len(means)} seeds, with the same rollouts to train on and"
                f" refreshes on top: {mean:+.1f} points ({mean - half:+.1f} to {mean + half:+.1f}"
                f" by the prompts alone; single seeds {min(means):+.1f} to {max(means):+.1f})."
            ),
        ]
    return lines


def main() -> None:
    """Run the benchmark, print its tables and write them to a file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--sampler", default="all", choices=["all", "progress", "vas", "uniform"])
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark_quickstart"))
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    summaries = {
        seed: run(seed, arguments.sampler, arguments.out, arguments.overrides)
        for seed in arguments.seeds
    }
    text = table(summaries)
    print(text)
    versions = next(iter(summaries.values()))["versions"]
    decoding = next(iter(summaries.values()))["decoding"]
    command = (
        f"python benchmarks/quickstart.py --seeds {' '.join(map(str, arguments.seeds))} --sampler"
        f" {arguments.sampler}"
    )
    command += "".join(f" --set {override}" for override in arguments.overrides)
    restrictions = [f"{name}={os.environ[name]}" for name in RESTRICTIONS if name in os.environ]
    command = " ".join([*restrictions, command])
    kind = ("" if arguments.sampler == "all" else f"_{arguments.sampler}") + (
        "_old_processor" if restrictions else ""
    )
    result = result_file(f"quickstart{kind}")
    result.write_text(
        f"# The quickstart, and its samplers beside uniform prompts\n\n{text}\n\nAccuracy:"
        f" {decoding['num_rollouts']} rollouts a test prompt at temperature"
        f" {decoding['temperature']}, top-p {decoding['top_p']}; prompts that neither base, cold"
        " start nor RL saw; intervals by bootstrap over prompts, differences paired. Arms of a"
        f" seed share the cold start.\n\n`{command}`, vasari {vasari.__version__}, torch"
        f" {versions['torch']}, transformers {versions['transformers']}, TRL {versions['trl']},"
        f" {MACHINE}.\n"
    )
    print(f"\nwritten to {result}")


if __name__ == "__main__":
    main()

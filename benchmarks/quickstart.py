"""What does the quickstart give, and what does VAS add to uniform prompts when every rollout is charged?

    python benchmarks/quickstart.py [--seeds 0 1 2] [--sampler both] [--out runs/benchmark_quickstart]

Runs `vasari quickstart` in a process of its own for each seed, reads its `summary.json`, prints one table and writes it to
`benchmarks/results/`. A finished seed is read again and not repeated.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import vasari


def run(seed: int, sampler: str, folder: Path, overrides: list[str]) -> dict[str, Any]:
    """The summary of one quickstart, with the wall seconds of the whole command."""
    out = folder / f"seed{seed}-{sampler}"
    clock = out / "command_seconds.json"
    if not clock.exists():
        command = [sys.executable, "-m", "vasari", "quickstart", "--out", str(out), "--sampler", sampler, "--resume"]
        started = time.monotonic()
        subprocess.run([*command, "--set", f"seed={seed}", *(f"--set={o}" for o in overrides)], check=True)
        clock.write_text(json.dumps(time.monotonic() - started))
    summary: dict[str, Any] = json.loads((out / "summary.json").read_text())
    return summary | {"command_seconds": json.loads(clock.read_text())}


def spell(value: dict[str, float] | None) -> str:
    """A mean with its interval."""
    return "-" if value is None else f"{value['mean']:.3f} ({value['low']:.3f}-{value['high']:.3f})"


def rungs(summary: dict[str, Any], decoding: str = "accuracy") -> dict[str, dict[str, Any] | None]:
    """Accuracy of every model, lowest rung first; sampled, or `greedy`."""
    accuracy = summary[decoding]
    return {"base": accuracy.get("base"), "cold start": accuracy["cold_start"], **accuracy["by_arm"]}


def table(summaries: dict[int, dict[str, Any]]) -> str:
    """The answer as Markdown."""
    lines = ["| seed | model | sampled accuracy (95%) | greedy | rollouts train + refresh |", "| --- | --- | --- | --- | --- |"]
    for seed, summary in summaries.items():
        greedy = {
            "base": summary["greedy"].get("base"),
            "cold start": summary["greedy"]["cold_start"],
            **summary["greedy"]["by_arm"],
        }
        for name, value in rungs(summary).items():
            spent = (summary["by_arm"].get(name) or {}).get("rollouts")
            cost = f"{spent['train']:,} + {spent['refresh']:,}" if spent else "-"
            lines.append(f"| {seed} | {name} | {spell(value)} | {spell(greedy.get(name))} | {cost} |")
    headings = ("seed", "gain of the final model, points", "blind accuracy - majority answer, points")
    headings += ("held-out style", "whole command, s", "peak memory, MB")
    lines += ["", f"| {' | '.join(headings)} |", "| --- " * len(headings) + "|"]
    for seed, summary in summaries.items():
        gain = 100 * (summary["accuracy"]["final"]["mean"] - summary["accuracy"]["cold_start"]["mean"])
        blind = summary["blind"]["final"]
        blind_gap = 100 * (blind["accuracy"]["mean"] - blind["majority"])
        held_out = spell(summary["held_out_style"]["final"])
        cost = f"{summary['command_seconds']:.0f} | {summary['peak_memory_mb']:.0f}"
        lines.append(f"| {seed} | {gain:.1f} | {blind_gap:.1f} | {held_out} | {cost} |")
    arms = [set(summary["accuracy"]["by_arm"]) for summary in summaries.values()]
    if all({"uniform", "vas"} <= names for names in arms):
        differences = [
            100 * (s["accuracy"]["by_arm"]["vas"]["mean"] - s["accuracy"]["by_arm"]["uniform"]["mean"])
            for s in summaries.values()
        ]
        spread = (
            f"{np.mean(differences):+.1f} points on the mean, {min(differences):+.1f} to {max(differences):+.1f} over seeds"
        )
        lines += [
            "",
            f"VAS - uniform, same number of training rollouts, the refreshes on top: {spread} ({len(differences)} seeds).",
        ]
    return "\n".join(lines)


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--sampler", default="both", choices=["both", "vas", "uniform"])
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark_quickstart"))
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    summaries = {seed: run(seed, arguments.sampler, arguments.out, arguments.overrides) for seed in arguments.seeds}
    text = table(summaries)
    print(text)
    machine = f"{platform.machine()}-{os.cpu_count()}cpu"
    versions = next(iter(summaries.values()))["versions"]
    decoding = next(iter(summaries.values()))["decoding"]
    command = " ".join(["python benchmarks/quickstart.py", *sys.argv[1:]])
    result = Path(__file__).parent / "results" / f"quickstart_{machine}_{datetime.date.today().isoformat()}.md"
    result.write_text(
        f"# The quickstart, and VAS beside uniform prompts\n\n{text}\n\n"
        f"Accuracy: {decoding['num_rollouts']} rollouts a test prompt at temperature {decoding['temperature']}, "
        f"top-p {decoding['top_p']}; prompts that neither base, cold start nor RL saw; intervals by bootstrap over "
        f"prompts. Arms of a seed share the cold start.\n\n"
        f"`{command}`, vasari {vasari.__version__}, torch {versions['torch']}, transformers {versions['transformers']}, "
        f"TRL {versions['trl']}, {machine}.\n"
    )
    print(f"\nwritten to {result}")


if __name__ == "__main__":
    main()

"""What does a training step of ours cost beside plain `trl.GRPOTrainer`, with the same groups?

    python benchmarks/step_time.py [--repeats 12] [--only quickstart,images,bookkeeping]

Both trainers take the same rollouts, written down beforehand, in the place of generation, and the
same rewards: in one half of the rows all groups have an advantage, in the other every second one is
silent. Batches take turns in one process with one thread, and both end with the same weights.
Peak memory is that of a process which trains two batches with one of them. Sampler and bookkeeping
are measured alone, over a pool of 15,000 prompts, with a scripted engine in the place of a model.
Prints the tables and writes them to `benchmarks/results/`.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
import trl

import vasari
from result_files import MACHINE, RESULTS, result_file
from scripted_loop import bookkeeping
from trainer_pair import ARMS, MAKE, Alternation, Task, Written, median_ratio, peak_mib
from vasari.data.tasks.pool import PoolSettings, make_pool
from vasari.model import resolve_model
from vasari.train.settings import GrpoSettings

UPDATES, ROLLOUTS = 2, 8
GPU_BATCH_SECONDS = {
    "one GPU at 2,500 and 8,000 tokens/s": (63.7 + 55.6) * 3600 / 140,
    "8 GPUs at 5,000 and 16,000 tokens/s each": (4.0 + 3.5) * 3600 / 140,
    "32 GPUs at 5,000 and 16,000 tokens/s each": (1.0 + 0.9) * 3600 / 140,
}
"""Seconds of a batch of 512 x 8 rollouts of 1,000 tokens, computed, from docs/scale.md."""


@dataclass(frozen=True)
class Case:
    """Batches of prompts with images."""

    about: str
    num_prompts: int
    image_size: int
    longest_edge: int | None
    micro_batch: int


CASES = {
    "quickstart": Case("24 prompts of the quickstart, 16 image tokens", 24, 112, None, 96),
    "images": Case("4 prompts, 256 image tokens", 4, 448, 448**2, 16),
}
GROUPS = {"all mixed": False, "half silent": True}


def make_task(case: Case, num_batches: int) -> Task:
    """Return the model, the settings of the quickstart, and prompts for so many batches."""
    pool = make_pool(
        PoolSettings(
            families=("bars", "dice", "shapes"),
            num_prompts=case.num_prompts * num_batches,
            image_size=case.image_size,
        ),
        split="train",
        seed=3,
    )
    settings = GrpoSettings.model_validate(
        {
            "steps": UPDATES * num_batches,
            "prompts_per_batch": case.num_prompts,
            "rollouts_per_prompt": ROLLOUTS,
            "updates_per_batch": UPDATES,
            "micro_batch": case.micro_batch,
            "freeze_vision": True,
            "rewards": ["accuracy"],
            "validate_every": UPDATES,
            "save_every": UPDATES,
            "trl": {
                "learning_rate": 1.5e-4,
                "lr_scheduler_type": "linear",
                "beta": 0.0,
                "temperature": 1.0,
                "max_completion_length": 80,
            },
        }
    )
    model = str(resolve_model("vasari:tiny-base", Path()))
    return Task(model=model, prompts=pool, settings=settings, longest_edge=case.longest_edge)


def trainers(task: Task, arms: Sequence[str], folder: Path, *, silent: bool) -> dict[str, Any]:
    """Make trainers that take the written rollouts."""
    made = {arm: MAKE[arm](task, folder / arm) for arm in arms}
    written = Written(task, silent=silent)
    for trainer in made.values():
        written.give_to(trainer)
    return made


def measured(name: str, groups: str, repeats: int) -> dict[str, Any]:
    """Train with both in turns, and return the seconds of their batches.

    Raises:
        SystemExit: They did not end with the same weights.
    """
    task = make_task(CASES[name], repeats + 1)
    with tempfile.TemporaryDirectory() as folder:
        both = trainers(task, ARMS, Path(folder), silent=GROUPS[groups])
        before = {key: own.detach().clone() for key, own in weights(both["ours"]).items()}
        seconds = Alternation(both, UPDATES).run()
    moved = distance(weights(both["ours"]), before)
    apart = distance(weights(both["ours"]), weights(both["TRL"]))
    if not moved or apart > 1e-3 * moved:
        raise SystemExit(f"{name}, {groups}: weights moved by {moved} and differ by {apart}")
    return {"seconds": seconds, "apart": apart / moved}


def weights(trainer: Any) -> dict[str, torch.Tensor]:
    """Return the weights of a trainer's model by name."""
    return dict(trainer.model.named_parameters())


def distance(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """Return the distance of two models, as if all of their weights were one vector."""
    squares = [(own - other[key]).detach().square().sum() for key, own in one.items()]
    return float(torch.stack(squares).sum().sqrt())


def peak(name: str, groups: str, arm: str) -> float:
    """Return the MiB that a process needs which trains two batches with one trainer."""
    command = [sys.executable, "-W", "ignore", __file__, "--peak", name, groups, arm]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


def train_alone(name: str, groups: str, arm: str) -> None:
    """Train two batches with one trainer."""
    task = make_task(CASES[name], 2)
    with tempfile.TemporaryDirectory() as folder:
        made = trainers(task, [arm], Path(folder), silent=GROUPS[groups])
        made[arm].train()


def rows_of(name: str, repeats: int) -> tuple[list[str], float]:
    """Return the table's lines of a case, and the seconds of our batches with mixed groups."""
    lines, batch = [], 0.0
    for groups in GROUPS:
        found = measured(name, groups, repeats)
        seconds = {arm: own / UPDATES for arm, own in found["seconds"].items()}
        if not batch:
            batch = UPDATES * statistics.median(seconds["ours"])
        for arm in ARMS:
            ratio = "1" if arm == "TRL" else median_ratio(seconds[arm], seconds["TRL"])
            apart = "-" if arm == "TRL" else f"{found['apart']:.0e}"
            lines.append(
                f"| {CASES[name].about} | {groups} | {arm} | {statistics.median(seconds[arm]):.2f}"
                f" | {ratio} | {apart} | {peak(name, groups, arm):.0f} |"
            )
            print(lines[-1], flush=True)
    return lines, batch


def bookkeeping_lines(repeats: int, small_batch: float) -> list[str]:
    """Return the lines on sampler and bookkeeping, alone and beside the steps that they serve."""
    lines = [
        "",
        "Sampler and bookkeeping of a batch, alone: draw, observe, gate, ledger, metrics, and the"
        " file of its groups on disk. Milliseconds, medians. `vas` observes with trajectory"
        " diversity (`refresh: online`); a refresh of the whole pool is no part of a batch and"
        " stands in the last row, for as many prompts as a batch has.",
        "",
        "| sampler | pool | groups | tokens a rollout | draw | observe | group file | rest | sum |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    sizes = {"large": (15_000, 512, 8, 1_000), "small": (2_016, 24, 8, 24)}
    sums: dict[tuple[str, str], float] = {}
    asked = [(sampler, size) for size in sizes for sampler in ("progress", "vas")]
    for sampler, size in asked:
        pool, prompts, rollouts, tokens = sizes[size]
        parts = bookkeeping(sampler, pool, prompts, rollouts, tokens, repeats=repeats)
        sums[sampler, size] = sum(parts.values())
        cells = " | ".join(
            f"{1000 * value:.1f}" for value in [*parts.values(), sums[sampler, size]]
        )
        lines.append(f"| {sampler} | {pool:,} | {prompts} x {rollouts} | {tokens:,} | {cells} |")
    refresh = bookkeeping("vas", 15_000, 512, 32, 1_000, repeats=3, purpose="refresh")
    cells = " | ".join(
        f"{1000 * value:.1f}" for value in [*refresh.values(), sum(refresh.values())]
    )
    lines += [f"| vas, refresh | 15,000 | 512 x 32 | 1,000 | {cells} |", ""]
    lines += ["| beside | seconds of a batch | progress | vas |", "| --- | --- | --- | --- |"]
    beside = {
        f"{about} (computed, docs/scale.md)": ("large", seconds)
        for about, seconds in GPU_BATCH_SECONDS.items()
    }
    if small_batch:
        about = "the small model's batch above, without generation (measured)"
        beside |= {about: ("small", small_batch)}
    for about, (size, seconds) in beside.items():
        shares = " | ".join(f"{sums[name, size] / seconds:.3%}" for name in ("progress", "vas"))
        lines.append(f"| {about} | {seconds:.1f} | {shares} |")
    return lines


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=12)
    parser.add_argument("--only", default=",".join([*CASES, "bookkeeping"]))
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--peak", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.peak:
        train_alone(*asked.peak)
        print(peak_mib())
        return
    names = asked.only.split(",")
    lines = [
        f"# A training step beside TRL's, {MACHINE}",
        "",
        f"vasari {vasari.__version__}, torch {torch.__version__}, transformers"
        f" {transformers.__version__}, TRL {trl.__version__}, Python {platform.python_version()},"
        f" one thread, other jobs beside; the model of the quickstart, {ROLLOUTS} rollouts a"
        f" prompt, {UPDATES} updates a batch, no KL term, vision frozen. Rollouts are written"
        " down, so generation takes no time in either. Medians of"
        f" {asked.repeats} paired batches; 95% interval of the median ratio. Weights: how far ours"
        " and TRL's are apart at the end, as a share of how far they moved.",
        "",
        "| batches | groups | trainer | CPU s a step | beside TRL | weights apart | peak MiB |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    small = 0.0
    for name in [own for own in names if own in CASES]:
        rows, batch = rows_of(name, asked.repeats)
        lines += rows
        small = batch if name == "quickstart" else small
    if "bookkeeping" in names:
        lines += bookkeeping_lines(asked.repeats, small)
    lines += ["", f"`python benchmarks/step_time.py --repeats {asked.repeats}`"]
    text = "\n".join(lines) + "\n"
    print(text)
    result_file("step_time", asked.out).write_text(text)


if __name__ == "__main__":
    main()

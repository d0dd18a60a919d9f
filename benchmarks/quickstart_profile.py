"""Where does the time of the quickstart's GRPO go, in one source tree beside another?

    vasari sft recipes/quickstart.yaml --out RUN --set sft.max_minutes=3
    git worktree add --detach BEFORE COMMIT
    python benchmarks/quickstart_profile.py BEFORE AFTER --run RUN [--batches 14] [--repeats 3]
        [--sampler progress]

Trains so many batches from the cold start in RUN with each tree in turn, in a process of its own
with one thread and the same seed, with a clock of CPU time around each part. A clock stands still
while that of a part within runs; refresh and validation are taken as wholes. Prints a table and
writes it to `benchmarks/results/`.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from result_files import MACHINE, RESULTS, result_file

ROOT = Path(__file__).parents[1]
PARTS = (
    "generation",
    "refresh",
    "validation",
    "prompts and images",
    "verification and reward",
    "log-probabilities without gradient",
    "forward and backward",
    "optimizer",
    "sampler and bookkeeping",
    "checkpoints",
    "rest",
)
WHOLE = ("refresh", "validation")
"""Parts whose own generation and encoding are not told apart."""


class Clocks:
    """CPU seconds by part, each without the parts that run within it."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self._stack: list[str] = []
        self._since = 0.0

    def _turn(self) -> None:
        now = time.process_time()
        if self._stack:
            self.spent[self._stack[-1]] += now - self._since
        self._since = now

    def around(self, owner: Any, name: str, part: str | Callable[[], str | None]) -> None:
        """Put a clock around a method, or a function of a module.

        Args:
            owner: Class or module.
            name: Of the method.
            part: What its time counts as; or says so when it is called, None for what it is in.
        """
        plain = getattr(owner, name)

        @functools.wraps(plain)
        def timed(*given: Any, **named: Any) -> Any:
            own = part() if callable(part) else part
            if own is None or any(one in WHOLE for one in self._stack):
                return plain(*given, **named)
            self._turn()
            self._stack.append(own)
            try:
                return plain(*given, **named)
            finally:
                self._turn()
                self._stack.pop()

        setattr(owner, name, timed)


def put_clocks(clocks: Clocks) -> None:
    """Put a clock around every part of a training."""
    import torch  # noqa: PLC0415  (from the tree that is measured, with all that it imports)
    from accelerate import Accelerator  # noqa: PLC0415
    from accelerate.optimizer import AcceleratedOptimizer  # noqa: PLC0415
    from transformers import ProcessorMixin, Qwen2_5_VLProcessor  # noqa: PLC0415

    from vasari.train import callbacks, prompt_data, run_grpo  # noqa: PLC0415
    from vasari.train.loop import Loop  # noqa: PLC0415
    from vasari.train.trl_engine import TrlEngine  # noqa: PLC0415
    from vasari.train.trl_trainer import VarianceAwareGRPOTrainer as Trainer  # noqa: PLC0415

    def log_probabilities() -> str | None:
        return None if torch.is_grad_enabled() else "log-probabilities without gradient"

    for owner, name, part in (
        (run_grpo.GrpoTraining, "train", "rest"),
        (run_grpo.GrpoTraining, "refresh", "refresh"),
        (callbacks.Validator, "_measure", "validation"),
        (callbacks.ScoreSnapshots, "on_step_end", "sampler and bookkeeping"),
        (callbacks.MetricLog, "on_log", "sampler and bookkeeping"),
        (Loop, "next_batch", "sampler and bookkeeping"),
        (TrlEngine, "roll_out", "rest"),
        (prompt_data.PromptDataset, "__getitem__", "prompts and images"),
        (Trainer, "_tokenize_prompts", "prompts and images"),
        (Qwen2_5_VLProcessor, "__call__", "prompts and images"),
        (ProcessorMixin, "apply_chat_template", "prompts and images"),
        (Trainer, "_generate_single_turn", "generation"),
        (Trainer, "_calculate_rewards", "verification and reward"),
        (Trainer, "_get_per_token_logps_and_entropies", log_probabilities),
        (Trainer, "training_step", "forward and backward"),
        (Trainer, "_prepare_inputs", "rest"),
        (Trainer, "_save_checkpoint", "checkpoints"),
        (Trainer, "save_whole", "checkpoints"),
        (Accelerator, "clip_grad_norm_", "optimizer"),
        (AcceleratedOptimizer, "step", "optimizer"),
    ):
        clocks.around(owner, name, part)


def train(run: Path, sampler: str, batches: int) -> dict[str, Any]:
    """Train so many batches with the tree on the path, and return seconds by part and tokens."""
    import torch  # noqa: PLC0415

    from vasari.run.layout import RunDir  # noqa: PLC0415
    from vasari.run.prompts import prepare_prompts  # noqa: PLC0415
    from vasari.run.recipe import load_recipe  # noqa: PLC0415
    from vasari.run.training import run_grpo  # noqa: PLC0415

    torch.set_num_threads(1)
    path = ROOT / "recipes" / "quickstart.yaml"
    recipe = load_recipe(path, [f"grpo.steps={2 * batches}"])
    prompts = prepare_prompts(recipe, RunDir(run), recipe_folder=path.parent)
    clocks = Clocks()
    put_clocks(clocks)
    with tempfile.TemporaryDirectory() as folder:
        start = run / "cold_start" / "model"
        out = RunDir(Path(folder))
        run_grpo(recipe, out, prompts, arm=sampler, start=start, resume=False)
        facts = json.loads((out.stages / f"rl-{sampler}.json").read_text())
    return {"seconds": clocks.spent, "rollouts": facts["rollouts"], "tokens": facts["tokens"]}


def trained_by(tree: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """Train with a source tree in a process of its own."""
    command = [sys.executable, "-W", "ignore", __file__, *map(str, asked.trees)]
    command += ["--run", str(asked.run), "--sampler", asked.sampler]
    command += ["--batches", str(asked.batches), "--worker"]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(tree / "src"), str(Path(__file__).parent)]),
        "OMP_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def commit_of(tree: Path) -> str:
    """Return the short name of the last commit that changed a tree's `src/`."""
    command = ["git", "-C", str(tree), "log", "-1", "--format=%h", "--", "src"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def table(found: dict[str, list[dict[str, Any]]], batches: int) -> list[str]:
    """Return the lines of a table with seconds a batch and shares, and of what was generated."""
    trees = list(found)
    lines = [
        "| part | " + " | ".join(f"{tree}, CPU s a batch | share" for tree in trees) + " |",
        "| --- " * (1 + 2 * len(trees)) + "|",
    ]
    medians = {
        tree: {
            part: statistics.median(one["seconds"].get(part, 0.0) / batches for one in repeats)
            for part in PARTS
        }
        for tree, repeats in found.items()
    }
    for part in (*PARTS, "sum"):
        cells = []
        for tree in trees:
            whole = sum(medians[tree].values())
            seconds = whole if part == "sum" else medians[tree][part]
            cells.append(f"{seconds:.3f} | {seconds / whole:.1%}")
        lines.append(f"| {part} | " + " | ".join(cells) + " |")
    lines.append("")
    for tree, repeats in found.items():
        sums = [sum(one["seconds"].values()) / batches for one in repeats]
        counts = ", ".join(
            f"{repeats[0]['rollouts'][name]:,} {name} rollouts with {tokens:,} tokens"
            for name, tokens in repeats[0]["tokens"].items()
            if tokens
        )
        runs = ", ".join(f"{one:.2f}" for one in sums)
        lines.append(f"{tree}: {runs} CPU s a batch in the single runs; {counts}.")
    return lines


def main() -> None:
    """Profile both trees in turn."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("trees", type=Path, nargs=2, metavar="TREE")
    parser.add_argument("--run", type=Path, required=True, help="folder of `vasari sft`")
    parser.add_argument("--batches", type=int, default=14)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sampler", default="progress", choices=["progress", "vas", "uniform"])
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker:
        print(json.dumps(train(asked.run, asked.sampler, asked.batches)))
        return
    names = {
        f"{name} ({commit_of(tree)})": tree
        for name, tree in zip(("before", "after"), asked.trees, strict=True)
    }
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for _ in range(asked.repeats):
        for name, tree in names.items():
            found[name].append(trained_by(tree, asked))
            print(name, json.dumps(found[name][-1]), flush=True)
    text = "\n".join(
        [
            f"# Where the quickstart's time goes with `{asked.sampler}`, {MACHINE}",
            "",
            f"The first {asked.batches} batches of GRPO, from one cold start; medians of"
            f" {asked.repeats} runs of each tree, in turns, one thread, other jobs beside. Loading"
            " the model is left out; the validation before the first step and at the last is in.",
            "",
            *table(found, asked.batches),
            "",
            "`python benchmarks/quickstart_profile.py BEFORE AFTER --run RUN --batches"
            f" {asked.batches} --repeats {asked.repeats} --sampler {asked.sampler}`",
        ]
    )
    print(text)
    result_file(f"quickstart_profile_{asked.sampler}", asked.out).write_text(text + "\n")


if __name__ == "__main__":
    main()

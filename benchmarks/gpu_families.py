"""Do the recipes' model classes train and evaluate on a GPU, how fast, in how much memory?

    python benchmarks/gpu_families.py [--billions 1.0] [--models NAME ...] [--small] [--keep DIR]

Each published model that recipes name is built from its config with its own widths but fewer
layers, with random weights, and goes through `vasari sft`, `vasari train` (with a refresh and a
reference model) and `vasari evaluate`, each in a process of its own. Under ten minutes on one GPU.
`--small` takes small dimensions instead, which also run on a CPU.

A row says how large the model was, seconds a step, the GPU's peak memory, the share of weights that
moved at the learning rate of the paper (1e-6), and whether all of them are numbers. Writes a table
to `benchmarks/results/`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import load_file
from transformers import AutoConfig

import vasari
from result_files import RESULTS, result_file
from vasari.model.counting import model_class
from vasari.model.published import published_config, published_facts
from vasari.model.published_files import write_published_files
from vasari.model.small_dimensions import small_config

SKIPPED = ("Qwen/Qwen2.5-VL-7B-Instruct", "Qwen/Qwen2.5-VL-32B-Instruct")
"""The classes of the 3B in other sizes."""
WORDS = ["Solve the problem by reasoning first. <think> 12 + 30 = 42 </think><answer> \\boxed{42}"]

RECIPE: dict[str, Any] = {
    "name": "gpu_families",
    "seed": 0,
    "prompts": {
        "tasks": {
            "families": ["bars", "tables"],
            "num_cold_start": 32,
            "num_train": 16,
            "num_validation": 8,
            "num_test": 8,
            "num_held_out_style": 0,
            "image_size": 448,
        }
    },
    "sft": {
        "epochs": 1,
        "batch_prompts": 8,
        "micro_batch": 4,
        "validate_every": 4,
        "trl": {"learning_rate": 1e-5, "bf16": True, "gradient_checkpointing": True},
    },
    "sampler": {
        "name": "vas",
        "settings": {"preset": "paper", "num_refresh_rollouts": 4, "refresh_every": 2},
    },
    "grpo": {
        "steps": 4,
        "prompts_per_batch": 8,
        "rollouts_per_prompt": 8,
        "updates_per_batch": 2,
        "micro_batch": 8,
        "validate_every": 4,
        "save_every": 4,
        # Random weights are never right; repetition tells their rollouts apart.
        "rewards": ["accuracy", "repetition"],
        "trl": {
            "learning_rate": 1e-6,
            "beta": 0.01,
            "temperature": 1.0,
            "max_completion_length": 128,
            "bf16": True,
            "gradient_checkpointing": True,
        },
    },
    "evaluate": {"num_rollouts": 1, "temperature": 1.0, "max_tokens": 128},
}


def write_model(name: str, folder: Path, *, billions: float, small: bool) -> int:
    """Write a model folder with random weights, and return its number of parameters."""
    write_published_files(name, folder, WORDS * 20)
    made = AutoConfig.from_pretrained(str(folder))
    vocabulary = published_config(name).get_text_config().vocab_size
    if small:
        made = small_config(made)
    else:
        made.get_text_config().vocab_size = vocabulary
        _cut_layers(made, billions)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    with torch.device(device):
        model = model_class(made).from_config(made, dtype=torch.bfloat16)
    model.save_pretrained(str(folder))
    return sum(weight.numel() for weight in model.parameters())


def _cut_layers(config: Any, billions: float) -> None:
    """Take layers off the language model until it has at most so many parameters."""
    text = config.get_text_config()
    while _count(config) > billions * 1e9 and text.num_hidden_layers > 4:
        text.num_hidden_layers -= 2
        if getattr(text, "layer_types", None):
            text.layer_types = text.layer_types[: text.num_hidden_layers]
        if getattr(text, "max_window_layers", None) is not None:
            text.max_window_layers = min(text.max_window_layers, text.num_hidden_layers)


def _count(config: Any) -> int:
    with torch.device("meta"):
        return sum(
            weight.numel() for weight in model_class(config).from_config(config).parameters()
        )


class PeakGpuMemory:
    """Context manager that asks the driver twice a second how much of the GPU is in use, in GiB."""

    def __init__(self) -> None:
        self.peak_gib = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PeakGpuMemory:
        if torch.cuda.is_available():
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.5):
            free, total = torch.cuda.mem_get_info()
            self.peak_gib = max(self.peak_gib, (total - free) / 2**30)


def run_model(name: str, folder: Path, *, billions: float, small: bool) -> dict[str, Any]:
    """Train and evaluate one model in three commands, and return what was measured."""
    size = write_model(name, folder / "model", billions=billions, small=small)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    recipe = RECIPE | {"model": {"path": str(folder / "model"), "system_prompt": "mmr1"}}
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe))
    row: dict[str, Any] = {"model": name, "parameters": size}
    with PeakGpuMemory() as memory:
        for command in ("sft", "train", "evaluate"):
            started = time.monotonic()
            done = subprocess.run(
                [sys.executable, "-m", "vasari", command, str(path), "--out", str(folder / "run")],
                capture_output=True,
                text=True,
                check=False,
                env=os.environ | {"TOKENIZERS_PARALLELISM": "false"},
            )
            row[f"{command}_seconds"] = time.monotonic() - started
            if done.returncode:
                return row | {"failed": f"{command}: {done.stderr.strip().splitlines()[-1]}"}
    stages = folder / "run" / "stages"
    sft, grpo = (json.loads((stages / f"{one}.json").read_text()) for one in ("sft", "rl-vas"))
    row |= {
        "sft_step": sft["seconds"] / sft["steps"],
        "grpo_step": grpo["seconds"] / grpo["steps"],
        "tokens_per_second": sum(grpo["tokens"].values()) / grpo["seconds"],
        "peak_gib": memory.peak_gib,
    }
    return row | compare_weights(
        folder / "run" / "cold_start" / "model", folder / "run/rl/vas/last"
    )


def compare_weights(before: Path, after: Path) -> dict[str, Any]:
    """Return the share of weights that two saved models differ in, and whether all are finite."""
    old, new = (
        {k: v for f in sorted(one.glob("*.safetensors")) for k, v in load_file(f).items()}
        for one in (before, after)
    )
    moved = sum(int((old[name] != value).sum()) for name, value in new.items())
    return {
        "moved": moved / sum(value.numel() for value in new.values()),
        "finite": all(bool(torch.isfinite(value).all()) for value in new.values()),
    }


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of a Markdown table of what was measured."""
    yield (
        "| model | parameters | s an SFT step | s a GRPO step | tokens/s | peak GiB | moved |"
        " finite |"
    )
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for row in rows:
        start = f"| {row['model']} | {row['parameters'] / 1e9:.3f}B |"
        if "failed" in row:
            yield f"{start} failed | {row['failed'].replace('|', '/')} | | | | |"
            continue
        yield (
            f"{start} {row['sft_step']:.2f} | {row['grpo_step']:.2f} |"
            f" {row['tokens_per_second']:.0f} | {row['peak_gib']:.1f} | {row['moved']:.2%} |"
            f" {row['finite']} |"
        )


@contextmanager
def working_folder(keep: Path | None) -> Iterator[Path]:
    """Context manager with a folder for models and runs, removed afterwards unless it is kept."""
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def main() -> None:
    """Run all models, print the table and write it."""
    known = [name for name in published_facts()["models"] if name not in SKIPPED]
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--billions", type=float, default=1.0, help="parameters, at most")
    parser.add_argument("--models", nargs="+", default=known, choices=known)
    parser.add_argument("--small", action="store_true", help="small dimensions, also for a CPU")
    parser.add_argument("--keep", type=Path, help="folder for models and runs")
    given = parser.parse_args()
    rows = []
    with working_folder(given.keep) as folder:
        for name in given.models:
            place = folder / name.replace("/", "--")
            rows.append(run_model(name, place, billions=given.billions, small=given.small))
            print(json.dumps(rows[-1]), flush=True)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    lines = [
        "# Model families on a GPU",
        "",
        f"vasari {vasari.__version__}, torch {torch.__version__}, {device}; random weights,"
        f" {'small dimensions' if given.small else f'at most {given.billions}B parameters'}.",
        "",
        *table(rows),
    ]
    print("\n".join(lines))
    path = result_file("gpu_families", RESULTS)
    path.write_text("\n".join(lines) + "\n")
    print(f"written: {path}")


if __name__ == "__main__":
    main()

"""What do a step, rollouts and memory cost on a GPU, plain `trl.GRPOTrainer` beside ours?

    python benchmarks/gpu.py [--size 0.3 3] [--model FOLDER] [--small] [--minutes 9]

Under ten minutes on one H200. Qwen2.5-VL's architecture with random weights (float32, computed in
bfloat16) or a folder's model; 8 rollouts a prompt with one image of 256 tokens. Three trainers,
each in a process of its own: TRL's, ours, and ours with generation left to transformers as in TRL.
The first batch warms up; then batches in which all groups have an advantage take turns with batches
in which every second group is silent, by rewards that are given by place.

Random weights know no end. So that rollouts end at different lengths, every so many-th token of the
vocabulary is an end, for all trainers alike: with nearly uniform tokens, lengths fall off
geometrically, and a quarter of the rollouts is cut at the most tokens. The output head is not tied
to the embedding, or random weights would repeat their last token. A folder's model ends as it does.

A part that is cut at its time limit still has the batches that it has finished. Prints a table and
writes it to `benchmarks/results/`; `--small` takes tiny dimensions, also for a CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers
import trl
from transformers import AutoConfig, TrainerCallback

import vasari
from result_files import RESULTS, result_file
from trainer_pair import MAKE, Task, peak_mib
from vasari.data.tasks.pool import PoolSettings, make_pool
from vasari.model import resolve_model
from vasari.model.counting import model_class
from vasari.model.published_files import write_published_files
from vasari.model.small_dimensions import small_config
from vasari.records import Outcome, Prompt, Verdict
from vasari.train.settings import GrpoSettings

PUBLISHED = "Qwen/Qwen2.5-VL-3B-Instruct"
TRAINERS = {"TRL": "TRL", "ours": "ours", "ours, prompts not shared": "ours"}
ROLLOUTS, UPDATES = 8, 2
GROUPS = ("all mixed", "half silent")


@dataclass(frozen=True)
class Dimensions:
    """Dimensions; heads are as wide as in the published 3B, 128 and 80 in the vision encoder."""

    width: int
    layers: int
    heads: int
    key_value_heads: int
    feed_forward: int
    vocabulary: int
    vision_width: int
    vision_layers: int
    limit_seconds: int
    """Time limit of each trainer."""


SIZES = {
    "0.3": Dimensions(896, 12, 7, 1, 4864, 50_000, 640, 8, 100),
    "1": Dimensions(1536, 10, 12, 2, 8960, 151_936, 800, 16, 140),
    "3": Dimensions(2048, 36, 16, 2, 11_008, 151_936, 1280, 32, 180),
}


@dataclass(frozen=True)
class Scale:
    """How much is trained."""

    prompts: int
    image_size: int
    max_tokens: int
    micro_batch: int
    batches: int


FULL = Scale(prompts=8, image_size=448, max_tokens=256, micro_batch=16, batches=5)
SMALL = Scale(prompts=2, image_size=56, max_tokens=12, micro_batch=8, batches=3)


def write_model(size: str, folder: Path, pool: Sequence[Prompt]) -> None:
    """Write a model folder with random weights in bfloat16; `small` for tiny dimensions."""
    write_published_files(PUBLISHED, folder, [prompt.question for prompt in pool] * 20)
    config = config_of(size, folder)
    torch.manual_seed(0)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = model_class(config).from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(str(folder))


def config_of(size: str, folder: Path) -> Any:
    """Return the config of the model of a size, from the published one in a folder."""
    config = AutoConfig.from_pretrained(str(folder))
    if size == "small":
        config = small_config(config)
    else:
        own, text, vision = SIZES[size], config.text_config, config.vision_config
        text.hidden_size, text.intermediate_size = own.width, own.feed_forward
        text.num_attention_heads, text.num_key_value_heads = own.heads, own.key_value_heads
        text.num_hidden_layers, text.vocab_size = own.layers, own.vocabulary
        text.layer_types = text.layer_types[: own.layers]
        vision.hidden_size, vision.out_hidden_size = own.vision_width, own.width
        vision.num_heads = own.vision_width // 80
        vision.intermediate_size = own.vision_width * 3420 // 1280
        vision.depth, every = own.vision_layers, own.vision_layers // 4
        vision.fullatt_block_indexes = [every * (part + 1) - 1 for part in range(4)]
    config.tie_word_embeddings = config.text_config.tie_word_embeddings = False
    return config


def pool_of(scale: Scale) -> list[Prompt]:
    """Return prompts for all batches."""
    settings = PoolSettings(
        families=("bars", "tables"),
        num_prompts=scale.prompts * scale.batches,
        image_size=scale.image_size,
    )
    return make_pool(settings, split="train", seed=3)


def settings_of(scale: Scale) -> GrpoSettings:
    """Return settings like those of the recipes for GPUs, without a KL term."""
    cuda = torch.cuda.is_available()
    return GrpoSettings.model_validate(
        {
            "steps": UPDATES * scale.batches,
            "prompts_per_batch": scale.prompts,
            "rollouts_per_prompt": ROLLOUTS,
            "updates_per_batch": UPDATES,
            "micro_batch": scale.micro_batch,
            "rewards": ["accuracy"],
            "validate_every": UPDATES,
            "save_every": UPDATES,
            "trl": {
                "learning_rate": 1e-6,
                "beta": 0.0,
                "temperature": 1.0,
                "max_completion_length": scale.max_tokens,
                "bf16": cuda,
                "gradient_checkpointing": cuda,
            },
        }
    )


def kind_of(batch: int) -> str:
    """Which groups a batch has; the first one only warms up."""
    return GROUPS[(batch + 1) % 2]


def verdicts_by_place(scale: Scale) -> Callable[[Prompt, str], Verdict]:
    """Return verdicts that depend on how many rollouts came before: half of a group is right."""
    asked = 0

    def verify(_: Prompt, text: str) -> Verdict:
        nonlocal asked
        group, place = divmod(asked, ROLLOUTS)
        silent = kind_of(group // scale.prompts) == "half silent" and group % 2
        asked += 1
        right = place < ROLLOUTS // 2 and not silent
        return Verdict(Outcome.CORRECT if right else Outcome.INCORRECT, extraction=text[:9])

    return verify


class Batches(TrainerCallback):  # type: ignore[misc]
    """Trainer callback that measures each batch, and prints it as a line of JSON."""

    def __init__(self, trainer: Any) -> None:
        self.batch, self.tokens = 0, 0
        self.spent = {"generation": 0.0, "made": 0.0}
        draw, make = trainer._generate_single_turn, trainer._generate_and_score_completions

        def drawn(*given: Any, **named: Any) -> Any:
            found = self._timed("generation", draw, *given, **named)
            self.tokens += sum(len(own) for own in found[0])
            return found

        trainer._generate_single_turn = drawn
        trainer._generate_and_score_completions = partial(self._timed, "made", make)

    def _timed(self, name: str, call: Callable[..., Any], *given: Any, **named: Any) -> Any:
        started = now()
        found = call(*given, **named)
        self.spent[name] += now() - started
        return found

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        """Start the clock."""
        self._begin()

    def on_step_end(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        """Print what a batch has taken, after its last update."""
        if state.global_step % UPDATES:
            return
        seconds = now() - self._started
        cuda = torch.cuda.is_available()
        row = {
            "batch": self.batch,
            "groups": kind_of(self.batch),
            "generation": self.spent["generation"],
            "scoring": self.spent["made"] - self.spent["generation"],
            "update": (seconds - self.spent["made"]) / UPDATES,
            "seconds": seconds,
            "tokens": self.tokens,
            "peak_gib": torch.cuda.max_memory_allocated() / 2**30 if cuda else peak_mib() / 1024,
        }
        print(json.dumps(row), flush=True)
        self.batch += 1
        self._begin()

    def _begin(self) -> None:
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        self.tokens, self.spent = 0, dict.fromkeys(self.spent, 0.0)
        self._started = now()


def now() -> float:
    """Return the time in seconds when the GPU has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def train(name: str, model: str, scale: Scale, *, ends: bool) -> None:
    """Train with one of the trainers, and print a line of JSON for each batch."""
    task = Task(
        model=model,
        prompts=pool_of(scale),
        settings=settings_of(scale),
        verify=verdicts_by_place(scale),
    )
    with tempfile.TemporaryDirectory() as folder:
        trainer = MAKE[TRAINERS[name]](task, Path(folder))
        if ends:
            give_ends(trainer, scale)
        if name == "ours, prompts not shared":
            do_not_share(trainer)
        size = sum(own.numel() for own in trainer.model.parameters())
        print(json.dumps({"parameters": size}), flush=True)
        trainer.add_callback(Batches(trainer))
        trainer.train()


def give_ends(trainer: Any, scale: Scale) -> None:
    """Make every so many-th token an end, so that a quarter of the rollouts has the most tokens."""
    every = int(scale.max_tokens / 1.39)  # exp(-1.39) is a quarter
    config = trainer.model.config
    named = {config.image_token_id, config.video_token_id, trainer._tokenizer.pad_token_id}
    ends = [one for one in range(0, config.text_config.vocab_size, every) if one not in named]
    trainer.eos_token_ids = trainer.generation_config.eos_token_id = ends


def do_not_share(trainer: Any) -> None:
    """Leave generation to transformers, which reads a prompt for each of its rollouts."""
    kind = type(trainer)
    if not hasattr(kind, "_shares_prompts"):
        raise SystemExit("this version of vasari has no switch for rollouts that share a prompt")
    kind._shares_prompts = property(lambda _: False)


def in_own_process(name: str, model: str, scale: Scale, *, ends: bool, limit: float) -> str:
    """Train in a process of its own until the time limit, and return what it printed."""
    command = [sys.executable, "-W", "ignore", __file__, "--worker", name, "--model", model]
    command += ["--own-ends"] if not ends else []
    command += ["--small"] if scale is SMALL else []
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as log:
        environment = os.environ | {"TOKENIZERS_PARALLELISM": "false"}
        process = subprocess.Popen(command, stdout=out, stderr=log, env=environment)
        try:
            process.wait(timeout=max(1.0, limit))
            end = f"ended with {process.returncode}" if process.returncode else ""
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            end = f"cut after {limit:.0f} s"
        out.seek(0)
        log.seek(0)
        said = out.read()
        if end:
            print(f"{name}: {end}\n{log.read()[-1500:]}", flush=True)
        return said


def rows_of(
    said: str, name: str, size: str, scale: Scale, beside: dict[str, float]
) -> Iterator[str]:
    """Yield a line of the table for each kind of groups; `beside` keeps TRL's seconds."""
    found = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    parameters = next((one["parameters"] for one in found if "parameters" in one), 0)
    for groups in GROUPS:
        own = [one for one in found if one.get("groups") == groups and one["batch"]]
        start = f"| {size} ({parameters / 1e9:.2f}B) | {name} | {groups} |"
        if not own:
            yield f"{start} nothing measured | | | | | | | |"
            continue
        middle = {
            key: statistics.median(one[key] for one in own)
            for key in own[0]
            if key not in ("groups", "batch")
        }
        seconds = middle["seconds"]
        if name == "TRL":
            beside[groups] = seconds
        ratio = f"{seconds / beside[groups]:.2f}" if groups in beside else "-"
        tokens = middle["tokens"] / middle["generation"]
        yield (
            f"{start} {middle['generation']:.2f} | {middle['scoring']:.2f} |"
            f" {middle['update']:.2f} | {seconds:.2f} |"
            f" {ratio} | {ROLLOUTS * scale.prompts / seconds:.1f} | {tokens:,.0f} |"
            f" {middle['peak_gib']:.1f} |"
        )


def measure(asked: argparse.Namespace, scale: Scale, until: float) -> list[str]:
    """Measure all trainers at all sizes, and return the lines of the table."""
    lines = []
    sizes = ["given"] if asked.model else ["small"] if asked.small else asked.size
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            model = asked.model and str(resolve_model(asked.model, Path()))
            if not model:
                model = folder
                write_model(size, Path(folder), pool_of(scale))
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()
            beside: dict[str, float] = {}
            for name in TRAINERS:
                limit = SIZES[size].limit_seconds if size in SIZES else until - time.monotonic()
                limit = min(limit, until - time.monotonic())
                said = in_own_process(name, model, scale, ends=not asked.model, limit=limit)
                lines += rows_of(said, name, size, scale, beside)
                print(*lines[-len(GROUPS) :], sep="\n", flush=True)
    return lines


def main() -> None:
    """Run all parts, print the table and write it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", nargs="+", default=["0.3", "3"], choices=list(SIZES))
    parser.add_argument("--model", help="a folder's model, instead of random weights")
    parser.add_argument("--small", action="store_true", help="tiny dimensions, also for a CPU")
    parser.add_argument("--minutes", type=float, default=9.0, help="time limit of the whole")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--own-ends", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    scale = SMALL if asked.small else FULL
    if asked.worker:
        train(asked.worker, asked.model, scale, ends=not asked.own_ends)
        return
    lines = measure(asked, scale, time.monotonic() + 60 * asked.minutes)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    text = "\n".join(
        [
            "# TRL's trainer and ours on a GPU",
            "",
            f"vasari {vasari.__version__}, torch {torch.__version__}, transformers"
            f" {transformers.__version__}, TRL {trl.__version__}, Python"
            f" {platform.python_version()}, {device}. Batches of {scale.prompts} prompts x"
            f" {ROLLOUTS} rollouts of at most {scale.max_tokens} tokens, images of"
            f" {scale.image_size} x {scale.image_size} pixels, {UPDATES} updates a batch,"
            f" micro-batches of {scale.micro_batch}. Medians over {scale.batches - 1} batches, half"
            " of each kind; no intervals. Scoring is what else a batch takes before"
            " its updates: encoding, verdicts, log-probabilities. Each trainer in a process"
            " of its own, one after the other.",
            "",
            "| size | trainer | groups | generation, s | scoring, s | update, s a step | batch, s |"
            " beside TRL | rollouts/s | tokens/s generated | peak GiB |",
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
            *lines,
        ]
    )
    print(text)
    path = result_file("gpu_small" if asked.small else "gpu", asked.out)
    path.write_text(text + "\n")
    print(f"written: {path}")


if __name__ == "__main__":
    main()

"""How fast are rollouts that share the reading of their prompt, beside transformers' `generate`?

    python benchmarks/rollout_speed.py [--repeats 9] [--only quickstart,images]
        [--cold-start FOLDER]

Both draw the same tokens from the same random numbers, in turns, in one process with one thread;
`generate` is given what TRL gives it: each prompt as often as it has rollouts. A second pair is the
method of the trainers that generates (`_generate_single_turn`): that of plain `trl.GRPOTrainer`
beside ours. A cold start (`vasari sft recipes/quickstart.yaml`) writes longer rollouts than the
base model. Peak memory is that of a process which does one of them once. Prints a table and writes
it to `benchmarks/results/`.
"""

from __future__ import annotations

import argparse
import functools
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

import vasari
from result_files import MACHINE, RESULTS, result_file
from trainer_pair import MAKE, Task, median_ratio, peak_mib
from vasari.data.tasks.pool import PoolSettings, make_pool
from vasari.model import resolve_model
from vasari.model.base import Decoding
from vasari.model.encoded_prompts import padded_inputs
from vasari.model.sampling import nothing_added_by, sampling
from vasari.model.shared_prefill import generate_shared
from vasari.model.transformers_policy import TransformersPolicy, load_model
from vasari.records import Prompt
from vasari.train.settings import GrpoSettings
from vasari.train.trl_images import with_images

ROLLOUTS = 8
BASE = "vasari:tiny-base"
PAIRS = (("generate", "shared"), ("TRL's trainer", "our trainer"))
"""Ways that are compared, the one of transformers or TRL first."""


@dataclass(frozen=True)
class Case:
    """Prompts, and how long their rollouts are."""

    about: str
    num_prompts: int
    image_size: int
    max_pixels: int | None
    max_tokens: int


CASES = {
    "quickstart": Case("a training batch of the quickstart: 48 prompts", 48, 112, None, 80),
    "images": Case("8 prompts", 8, 448, 448**2, 128),
}


def pool_of(case: Case) -> list[Prompt]:
    """Return the prompts of a case."""
    settings = PoolSettings(
        families=("bars", "dice", "shapes"),
        num_prompts=case.num_prompts,
        image_size=case.image_size,
    )
    return make_pool(settings, split="train", seed=3)


def prepared(case: Case, model: str) -> tuple[TransformersPolicy, list[Prompt], Any]:
    """The model, its prompts, and how rollouts are drawn."""
    policy = TransformersPolicy.load(model, system="Think, then answer.")
    if case.max_pixels:  # more than the small model was made for
        policy.processor.image_processor.size["longest_edge"] = case.max_pixels
    drawn = sampling(policy.model, policy.processor, Decoding(max_tokens=case.max_tokens))
    return policy, pool_of(case), drawn


def ways(case: Case, model: str) -> dict[str, Callable[[], list[list[int]]]]:
    """All ways to draw the rollouts; the first call of each reads its prompts' images."""
    policy, pool, drawn = prepared(case, model)
    sources = torch.arange(len(pool)).repeat_interleave(ROLLOUTS)
    ends = torch.tensor(drawn.eos_token_id)

    @functools.cache
    def stock() -> Any:
        return load_model(model)

    @functools.cache
    def read(often: bool) -> Any:
        prompts = [pool[place] for place in sources] if often else pool
        return padded_inputs(
            [policy.encode(prompt) for prompt in prompts],
            policy.model,
            pad_token_id=policy.processor.tokenizer.pad_token_id,
        )

    def plain() -> torch.Tensor:
        with nothing_added_by(stock()):
            return stock().generate(**read(True), generation_config=drawn)  # type: ignore[no-any-return]

    def shared() -> torch.Tensor:
        with nothing_added_by(policy.model):
            return generate_shared(policy.model, read(False), sources, drawn).sequences

    def seeded(draw: Callable[[], torch.Tensor]) -> Callable[[], list[list[int]]]:
        def run() -> list[list[int]]:
            torch.manual_seed(0)
            with torch.no_grad():
                sequences = draw()[:, read(draw is plain)["input_ids"].size(1) :]
            found = torch.isin(sequences, ends)
            after = found.int().cumsum(1) - found.int() > 0
            return [row[~past].tolist() for row, past in zip(sequences, after, strict=True)]

        return run

    trained = {
        f"{who} trainer": by_trainer(arm, case, model, drawn)
        for who, arm in (("TRL's", "TRL"), ("our", "ours"))
    }
    return {"generate": seeded(plain), "shared": seeded(shared), **trained}


def by_trainer(arm: str, case: Case, model: str, drawn: Any) -> Callable[[], list[list[int]]]:
    """Rollouts as a trainer generates them, from prompts that it has encoded before."""

    @functools.cache
    def made() -> tuple[Any, Any]:
        settings = {
            "steps": 2,
            "prompts_per_batch": case.num_prompts,
            "micro_batch": case.num_prompts * ROLLOUTS,
            "updates_per_batch": 1,
            "rewards": ["accuracy"],
            "rollouts_per_prompt": ROLLOUTS,
            "trl": {"temperature": 1.0, "max_completion_length": case.max_tokens, "beta": 0.0},
        }
        task = Task(
            model=model,
            prompts=pool_of(case),
            settings=GrpoSettings.model_validate(settings),
            longest_edge=case.max_pixels,
        )
        with tempfile.TemporaryDirectory() as folder:
            trainer = MAKE[arm](task, Path(folder))
        # Both end, and leave out, what a run of ours does.
        trainer.eos_token_ids = drawn.eos_token_id
        trainer.generation_config.eos_token_id = drawn.eos_token_id
        trainer.generation_config.suppress_tokens = drawn.suppress_tokens
        read = [trainer.train_dataset[place] for place in range(case.num_prompts)]
        prompts = with_images([row for row in read for _ in range(ROLLOUTS)])
        return trainer, trainer._tokenize_prompts(prompts)

    def run() -> list[list[int]]:
        trainer, (ids, images, fields) = made()
        torch.manual_seed(0)
        found, _ = trainer._generate_single_turn(ids, images, fields, ROLLOUTS)
        return [list(own) for own in found]

    return run


def peak(name: str, way: str, model: str) -> float:
    """MiB that a process needs which draws the rollouts one way."""
    command = [sys.executable, "-W", "ignore", __file__, "--peak", name, way, model]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


def measured(name: str, model: str, repeats: int) -> list[str]:
    """A line of the table for each way."""
    every = ways(CASES[name], model)
    tokens = {way: draw() for way, draw in every.items()}
    policy, pool, _ = prepared(CASES[name], model)
    shown = torch.tensor(policy.encode(pool[0]).ids)
    num_image_tokens = int((shown == policy.processor.image_token_id).sum())
    num_tokens = sum(map(len, tokens["shared"]))
    about = (
        f"{CASES[name].about} with {num_image_tokens} image tokens, {ROLLOUTS} rollouts each of"
        f" {num_tokens / len(tokens['shared']):.0f} tokens on average"
    )
    if any(own != tokens["shared"] for own in tokens.values()):
        raise SystemExit(f"{name}: the ways draw other tokens")
    seconds: dict[str, list[float]] = {way: [] for way in every}
    for _ in range(repeats):
        for way, draw in every.items():
            started = time.process_time()
            draw()
            seconds[way].append(time.process_time() - started)
    lines = []
    for slow, fast in PAIRS:
        speed = median_ratio(np.array(seconds[slow]), np.array(seconds[fast]))
        for way, faster in ((slow, "1"), (fast, speed)):
            middle = statistics.median(seconds[way])
            lines.append(
                f"| {about} | {way} | {middle:.2f} | {num_tokens / middle:,.0f} | {faster} |"
                f" {peak(name, way, model):.0f} |"
            )
            print(lines[-1], flush=True)
    return lines


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--only", default=",".join(CASES))
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--cold-start", type=Path, help="folder of a model, for further rows")
    parser.add_argument("--peak", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    base = str(resolve_model(BASE, Path()))
    if asked.peak:
        name, way, model = asked.peak
        ways(CASES[name], model)[way]()
        print(peak_mib())
        return
    lines = [
        f"# Rollouts that share their prompt, {MACHINE}",
        "",
        f"vasari {vasari.__version__}, torch {torch.__version__}, transformers"
        f" {transformers.__version__}, Python {platform.python_version()}, one thread, other jobs"
        f" beside; the model of the quickstart. Medians of {asked.repeats} paired repeats; 95%"
        " interval of the median ratio. All ways draw the same tokens.",
        "",
        "| rollouts | way | CPU s | tokens/CPU s | times as fast | peak MiB of a process |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for model, whose in ((base, ""), (asked.cold_start, "after a cold start: ")):
        for name in asked.only.split(",") if model else ():
            lines += [
                line.replace("| ", f"| {whose}", 1)
                for line in measured(name, str(model), asked.repeats)
            ]
    command = f"python benchmarks/rollout_speed.py --repeats {asked.repeats} --only {asked.only}"
    lines += ["", f"`{command}{' --cold-start FOLDER' if asked.cold_start else ''}`"]
    text = "\n".join(lines) + "\n"
    print(text)
    result_file("rollout_speed", asked.out).write_text(text)


if __name__ == "__main__":
    main()

"""How fast are rollouts that share the reading of their prompt, beside transformers' `generate`?

    python benchmarks/rollout_speed.py [--repeats 9] [--only quickstart,images]

Both draw the same tokens from the same random numbers, in turns, in one process with one thread;
`generate` is given what TRL gives it: each prompt as often as it has rollouts. Peak memory is that
of a process which does one of the two once. Prints a table and writes it to `benchmarks/results/`.
"""

from __future__ import annotations

import argparse
import functools
import platform
import statistics
import subprocess
import sys
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
from vasari.data.tasks.pool import PoolSettings, make_pool
from vasari.model import resolve_model
from vasari.model.base import Decoding
from vasari.model.encoded_prompts import padded_inputs
from vasari.model.sampling import nothing_added_by, sampling
from vasari.model.shared_prefill import generate_shared
from vasari.model.transformers_policy import TransformersPolicy, load_model

ROLLOUTS = 8


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


def prepared(case: Case) -> tuple[TransformersPolicy, list[Any], Any]:
    """The model, its prompts, and how rollouts are drawn."""
    policy = TransformersPolicy.load(
        str(resolve_model("vasari:tiny-base", Path())),
        system="Think, then answer.",
    )
    if case.max_pixels:  # more than the small model was made for
        policy.processor.image_processor.size["longest_edge"] = case.max_pixels
    pool = make_pool(
        PoolSettings(
            families=("bars", "dice", "shapes"),
            num_prompts=case.num_prompts,
            image_size=case.image_size,
        ),
        split="train",
        seed=3,
    )
    drawn = sampling(policy.model, policy.processor, Decoding(max_tokens=case.max_tokens))
    return policy, pool, drawn


def ways(case: Case) -> dict[str, Callable[[], torch.Tensor]]:
    """Both ways to draw the rollouts; the first call of each reads its prompts' images."""
    policy, pool, drawn = prepared(case)
    sources = torch.arange(len(pool)).repeat_interleave(ROLLOUTS)

    @functools.cache
    def stock() -> Any:
        return load_model(str(resolve_model("vasari:tiny-base", Path())))

    @functools.cache
    def read(often: bool) -> Any:
        prompts = [pool[place] for place in sources] if often else pool
        return padded_inputs(
            [policy.encode(p) for p in prompts],
            policy.model,
            pad_token_id=policy.processor.tokenizer.pad_token_id,
        )

    def plain() -> torch.Tensor:
        with nothing_added_by(stock()):
            return stock().generate(**read(True), generation_config=drawn)  # type: ignore[no-any-return]

    def shared() -> torch.Tensor:
        with nothing_added_by(policy.model):
            return generate_shared(policy.model, read(False), sources, drawn).sequences

    def seeded(draw: Callable[[], torch.Tensor]) -> Callable[[], torch.Tensor]:
        def run() -> torch.Tensor:
            torch.manual_seed(0)
            with torch.no_grad():
                sequences = draw()
            return sequences[:, read(draw is plain)["input_ids"].size(1) :]

        return run

    return {"generate": seeded(plain), "shared": seeded(shared)}


def peak(name: str, way: str) -> float:
    """MiB that a process needs which draws the rollouts one way."""
    command = [sys.executable, "-W", "ignore", __file__, "--peak", name, way]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


def measured(name: str, repeats: int) -> list[str]:
    """A line of the table for each way."""
    both = ways(CASES[name])
    tokens = {way: draw() for way, draw in both.items()}
    policy, pool, _ = prepared(CASES[name])
    shown = torch.tensor(policy.encode(pool[0]).ids)
    num_image_tokens = int((shown == policy.processor.image_token_id).sum())
    length = float(
        (tokens["shared"] != policy.processor.tokenizer.pad_token_id).sum(1).float().mean()
    )
    about = (
        f"{CASES[name].about} with {num_image_tokens} image tokens, {ROLLOUTS} rollouts each of"
        f" {length:.0f} tokens on average"
    )
    if not torch.equal(*tokens.values()):
        raise SystemExit(f"{name}: the two ways draw other tokens")
    seconds: dict[str, list[float]] = {way: [] for way in both}
    for _ in range(repeats):
        for way, draw in both.items():
            started = time.perf_counter()
            draw()
            seconds[way].append(time.perf_counter() - started)
    ratios = np.array(seconds["generate"]) / np.array(seconds["shared"])
    rng = np.random.default_rng(0)
    medians = np.median(rng.choice(ratios, (2000, repeats)), axis=1)
    low, high = np.quantile(medians, [0.025, 0.975])
    speed = f"{np.median(ratios):.2f} ({low:.2f} to {high:.2f})"
    lines = []
    for way in both:
        faster = "1" if way == "generate" else speed
        lines.append(
            f"| {about} | {way} | {statistics.median(seconds[way]):.2f} | {faster} |"
            f" {peak(name, way):.0f} |"
        )
    return lines


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--only", default=",".join(CASES))
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.peak:
        ways(CASES[asked.peak[0]])[asked.peak[1]]()
        # `ru_maxrss` is also that of the process before, which started this one.
        status = Path("/proc/self/status").read_text()
        print(int(status.split("VmHWM:")[1].split()[0]) / 1024)
        return
    lines = [
        f"# Rollouts that share their prompt, {MACHINE}",
        "",
        f"vasari {vasari.__version__}, torch {torch.__version__}, transformers"
        f" {transformers.__version__}, Python {platform.python_version()}, one thread; the model"
        f" of the quickstart. Medians of {asked.repeats} paired repeats; 95% interval of the median"
        " ratio. Both ways draw the same tokens.",
        "",
        "| rollouts | way | s | times as fast | peak MiB of a process |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name in asked.only.split(","):
        lines += measured(name, asked.repeats)
    text = "\n".join(lines) + "\n"
    print(text)
    result_file("rollout_speed", asked.out).write_text(text)


if __name__ == "__main__":
    main()

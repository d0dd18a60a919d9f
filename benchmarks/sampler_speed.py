"""How long does each sampler take, and how much does it hold, on pools of millions?

    python benchmarks/sampler_speed.py [--only vas,uniform] [--draw-pool 10000000] [--pool 1600000]
    [--repeats 9]

Each sampler runs in a process of its own. Prints one table and writes it to `benchmarks/results/`.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import vasari
from result_files import MACHINE, RESULTS, result_file
from vasari.records import GroupOutcome
from vasari.sample import (
    SAMPLER_NAMES,
    PoolFeatures,
    PromptSampler,
    load_state,
    make_sampler,
    save_state,
)

BATCH, ROLLOUTS, NUM_CATEGORIES, NUM_COLUMNS = 512, 16, 20, 36
SETTINGS: dict[str, dict[str, Any]] = {"vas": {"refresh": "online", "beta": 0.0}}
"""Settings other than a sampler's own; diversity has a benchmark of its own."""


def features(num_prompts: int) -> PoolFeatures:
    """Make random prompt features: categories, difficulties, pass rates and further columns."""
    rng = np.random.default_rng(1)
    return PoolFeatures(
        categories=rng.integers(NUM_CATEGORIES, size=num_prompts),
        category_names=tuple(f"category {n}" for n in range(NUM_CATEGORIES)),
        values=rng.standard_normal((num_prompts, NUM_COLUMNS)),
        difficulty=rng.random(num_prompts),
        pass_rates=rng.random(num_prompts),
    )


def groups(indices: np.ndarray, step: int) -> list[GroupOutcome]:
    """Make one simulated training group for each prompt, at varied pass rates."""
    rng = np.random.default_rng(step)
    made = []
    for index in dict.fromkeys(indices.tolist()):
        verdicts = (rng.random(ROLLOUTS) < rng.random()).astype(np.float64)
        confidence = -rng.exponential(size=ROLLOUTS)
        tokens = [np.zeros(2, dtype=np.int32)] * ROLLOUTS
        group = GroupOutcome(
            index=index,
            rewards=verdicts,
            verdicts=verdicts,
            token_ids=tokens,
            confidence=confidence,
            purpose="train",
            batch=step,
        )
        made.append(group)
    return made


def make(
    name: str, num_prompts: int, given: PoolFeatures, ids: list[str] | None = None
) -> PromptSampler:
    """Build the sampler named `name` for a pool of `num_prompts`."""
    settings = SETTINGS.get(name, {})
    return make_sampler(
        name, num_prompts=num_prompts, seed=0, features=given, prompt_ids=ids, **settings
    )


def timed(function: Callable[[], Any]) -> float:
    """Return the CPU milliseconds that one call takes."""
    start = time.process_time()
    function()
    return 1000 * (time.process_time() - start)


def draws_and_observations(name: str, num_prompts: int, repeats: int) -> dict[str, list[float]]:
    """Return the CPU milliseconds of each draw and each observation after the first of each."""
    sampler = make(name, num_prompts, features(num_prompts))
    spent: dict[str, list[float]] = {"draw": [], "observe": []}
    for step in range(repeats + 1):
        drawn: list[Any] = []
        spent["draw"].append(timed(lambda: drawn.append(sampler.draw(BATCH))))  # noqa: B023
        outcomes = groups(drawn[0].indices, step)
        spent["observe"].append(timed(lambda: sampler.observe(outcomes)))  # noqa: B023
    return {key: values[1:] for key, values in spent.items()}


def state(name: str, num_prompts: int) -> dict[str, float]:
    """Return CPU and wall seconds to save and restore a sampler's state, and its size in MB."""
    given = features(num_prompts)
    ids = [f"prompt-{n}" for n in range(num_prompts)]
    one, other = make(name, num_prompts, given, ids), make(name, num_prompts, given, ids)
    one.observe(groups(one.draw(BATCH).indices, 0))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sampler.npz"
        cpu, wall = time.process_time(), time.perf_counter()
        save_state(path, one.state_dict())
        other.load_state_dict(load_state(path))
        return {
            "cpu": time.process_time() - cpu,
            "wall": time.perf_counter() - wall,
            "megabytes": path.stat().st_size / 1e6,
        }


def bytes_per_prompt(name: str, num_prompts: int) -> float:
    """Return the bytes a prompt that a sampler without ids holds after a batch."""
    given = features(num_prompts)
    tracemalloc.start()
    sampler = make(name, num_prompts, given)
    sampler.observe(groups(sampler.draw(BATCH).indices, 0))
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return held / num_prompts


def measure(args: argparse.Namespace, name: str) -> dict[str, Any]:
    """Return all measurements of one sampler."""
    return {
        "large": draws_and_observations(name, args.draw_pool, args.repeats),
        "middle": draws_and_observations(name, args.pool, args.repeats),
        "state": state(name, args.pool),
        "bytes": bytes_per_prompt(name, args.pool),
    }


def import_seconds(repeats: int) -> list[float]:
    """Return the CPU seconds of `import vasari.sample` in a new process, NumPy included."""
    code = (
        "import time; start = time.process_time(); import vasari.sample; print(time.process_time()"
        " - start)"
    )
    run = [sys.executable, "-c", code]
    return [
        float(subprocess.run(run, capture_output=True, text=True, check=True).stdout)
        for _ in range(repeats)
    ]


def spread(values: list[float], digits: int = 1) -> str:
    """Format values as their median and range."""
    return (
        f"{statistics.median(values):.{digits}f}"
        f" ({min(values):.{digits}f}-{max(values):.{digits}f})"
    )


def row(name: str, found: dict[str, Any]) -> str:
    """Return one line of the table."""
    cells = [
        name,
        spread(found["large"]["draw"]),
        spread(found["middle"]["draw"]),
        spread(found["middle"]["observe"]),
    ]
    saved = found["state"]
    cells += [
        f"{saved['cpu']:.2f} ({saved['wall']:.2f})",
        f"{saved['megabytes']:.0f}",
        f"{found['bytes']:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def report(args: argparse.Namespace, rows: list[str]) -> str:
    """Return the Markdown page of the results."""
    command = f"python benchmarks/sampler_speed.py {' '.join(sys.argv[1:])}".strip()
    large, middle = (f"{size / 1e6:g} million" for size in (args.draw_pool, args.pool))
    lines = [
        "# Samplers on pools of millions",
        "",
        (
            f"Batches of {BATCH} prompts, groups of {ROLLOUTS}; milliseconds of CPU time of one"
            f" thread, median (range) of {args.repeats}. The state is that of {middle} prompts with"
            " ids, saved and restored: CPU seconds (wall)."
        ),
        (
            "Groups are observed on that pool too. Bytes a prompt are without ids, with features."
            " `vas` is online, without"
        ),
        "diversity, which is [measured apart](diversity_speed_x86_64-2cpu_2026-11-23.md).",
        "",
        (
            f"| sampler | draw of {large}, ms | draw of {middle}, ms | observe, ms | state, s |"
            " state, MB | bytes a prompt |"
        ),
        "| --- | --- | --- | --- | --- | --- | --- |",
        *rows,
        "",
        (
            f"`import vasari.sample` with NumPy: {spread(import_seconds(args.repeats), 3)} s of CPU"
            " time."
        ),
        "",
        (
            f"`{command}`, vasari {vasari.__version__}, NumPy {np.__version__}, Python"
            f" {platform.python_version()}, {MACHINE}."
        ),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the benchmark, print its tables and write them to a file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", default=",".join(SAMPLER_NAMES), help="names, separated by commas"
    )
    for name, default in (("draw-pool", 10_000_000), ("pool", 1_600_000), ("repeats", 9)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args, args.measure)))
        return
    rows = []
    for name in args.only.split(","):
        command = [sys.executable, __file__, "--measure", name, "--draw-pool", str(args.draw_pool)]
        command += ["--pool", str(args.pool), "--repeats", str(args.repeats)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        rows.append(row(name, json.loads(done.stdout.splitlines()[-1])))
        print(rows[-1], file=sys.stderr, flush=True)
    text = report(args, rows)
    print(text)
    result_file("sampler_speed", args.out).write_text(text)


if __name__ == "__main__":
    main()

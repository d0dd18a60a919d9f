"""Does the pipeline run through on real prompts, not made for the small model?

    python benchmarks/real_prompts.py --data DIR [--limit 1000] [--out runs/benchmark_real]

DIR holds `problems.jsonl` (id, question, answer, image) and its images, such as Geometry3K. Adds to
every tenth prompt a second image and takes the image from every other tenth, so that batches mix
prompts with none, one and two; trains and evaluates the shipped base with `vasari train` and
`vasari evaluate`, and writes what came out to `benchmarks/results/`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import vasari
from result_files import MACHINE, result_file

RECIPE = Path(__file__).parents[1] / "recipes" / "own_prompts.yaml"


def mix(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows changed to have none, one or two images each."""
    mixed = []
    for place, row in enumerate(rows):
        images = [row["image"]] if place % 10 != 1 else []
        if place % 10 == 0:
            images.append(rows[(place + 1) % len(rows)]["image"])
        mixed.append(
            {key: value for key, value in row.items() if key != "image"} | {"images": images}
        )
    return mixed


def run(command: list[str]) -> float:
    """Run a `vasari` command that must succeed and return its wall-clock seconds."""
    started = time.monotonic()
    subprocess.run([sys.executable, "-m", "vasari", *command], check=True)
    return time.monotonic() - started


def main() -> None:
    """Train and evaluate on the prompts, print the results and write them to a file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark_real"))
    arguments = parser.parse_args()
    folder = arguments.out / "prompts"
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        json.loads(line) for line in (arguments.data / "problems.jsonl").read_text().splitlines()
    ][: arguments.limit]
    rows = mix(rows)
    (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    shutil.copytree(arguments.data / "images", folder / "images", dirs_exist_ok=True)
    recipe = folder / "recipe.yaml"
    shutil.copy(RECIPE, recipe)
    fixed = [
        str(recipe),
        "--out",
        str(arguments.out / "run"),
        "--set",
        f"prompts.files.limit={arguments.limit}",
    ]
    fixed += ["--set", "model.max_pixels=50176", "--set", "sampler.settings.num_refresh_rollouts=4"]
    seconds = {"train": run(["train", *fixed]), "evaluate": run(["evaluate", *fixed])}
    summary = json.loads((arguments.out / "run" / "summary.json").read_text())
    counts = [sum(len(row["images"]) == n for row in rows) for n in range(3)]
    accuracy = {"base": summary["accuracy"]["base"], "after GRPO": summary["accuracy"]["final"]}
    lines = [
        "| what | value |",
        "| --- | --- |",
        f"| prompts with none, one, two images | {counts[0]}, {counts[1]}, {counts[2]} |",
    ]
    lines += [
        f"| accuracy, {name} | {a['mean']:.3f} ({a['low']:.3f}-{a['high']:.3f}), n={a['n']} |"
        for name, a in accuracy.items()
    ]
    lines += [f"| rollouts, {name} | {count:,} |" for name, count in summary["rollouts"].items()]
    lines += [f"| {name}, s | {value:.0f} |" for name, value in seconds.items()]
    lines.append(f"| peak memory, MB | {summary['peak_memory_mb']:.0f} |")
    text = "\n".join(lines)
    print(text)
    result = result_file("real_prompts")
    result.write_text(
        f"# Real prompts through the whole pipeline\n\n{text}\n\nThe small model knows none of"
        " this; that it runs through, images of all counts in one batch, and that the report shows"
        " it, is the result.\n\n`python benchmarks/real_prompts.py --data DIR --limit"
        f" {arguments.limit}` on {arguments.data.name}, vasari {vasari.__version__}, {MACHINE}.\n"
    )
    print(f"\nwritten to {result}")


if __name__ == "__main__":
    main()

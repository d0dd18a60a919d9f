"""How much memory and time do curation's local stages take for a million rows, 1,000 images?

    python benchmarks/curate_million.py --rows 1000000 --images 1000 --folder runs/million

Reading, checks, near-duplicates, benchmark leaks and balance; a hundredth of the rows are planted
copies with other punctuation. Peak memory is that of the curating process (`ru_maxrss`), which is
started afresh.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import yaml
from PIL import Image, ImageDraw

from vasari.core.progress import silent
from vasari.curate.recipe import load_curation
from vasari.curate.run.job import curate

WORDS = 3_000
ROWS_PER_FILE = 100_000
COPIES = 100  # one row in so many is a copy of an earlier one


def make_data(folder: Path, num_rows: int, num_images: int) -> None:
    """Write the images, the rows that refer to the images, and a small benchmark."""
    rng = np.random.default_rng(0)
    (folder / "data" / "images").mkdir(parents=True)
    for number in range(num_images):
        draw_figure(np.random.default_rng(number)).save(
            folder / "data" / "images" / f"{number}.png"
        )
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = ["".join(rng.choice(letters, size=rng.integers(3, 9))) for _ in range(WORDS)]
    file, earlier = None, {}
    for row in range(num_rows):
        if row % ROWS_PER_FILE == 0:
            file = (folder / "data" / f"train-{row // ROWS_PER_FILE:03d}.jsonl").open("w")
        if row % COPIES == COPIES - 1 and earlier:
            told = earlier | {"question": earlier["question"].replace(" ", "  ").rstrip("?") + " ?"}
        else:
            text = " ".join(words[place] for place in rng.integers(0, WORDS, size=14))
            told = {
                "question": f"{text} {rng.integers(2, 5000)} and {rng.integers(2, 5000)}?",
                "answer": str(rng.integers(1, 9999)),
            }
            told |= {
                "image": f"images/{rng.integers(num_images)}.png",
                "category": f"c{rng.integers(13)}",
            }
            earlier = told
        file.write(json.dumps({"id": f"r{row}"} | told) + "\n")
    file.close()
    (folder / "bench").mkdir()
    lines = [
        {
            "id": f"b{n}",
            "question": f"Which of {n} things is the largest one in a row of {n + 1}?",
            "answer": str(n),
        }
        for n in range(1000)
    ]
    (folder / "bench" / "test.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def draw_figure(rng: np.random.Generator) -> Image.Image:
    """Draw a random line figure of 320 x 240 pixels."""
    image = Image.new("RGB", (320, 240), "white")
    draw = ImageDraw.Draw(image)
    points = rng.integers([10, 10], [310, 230], size=(7, 2))
    draw.line([tuple(map(int, point)) for point in points], fill="black", width=3)
    x, y = (int(value) for value in rng.integers(40, 180, size=2))
    draw.ellipse([x, y, x + 60, y + 50], outline="blue", width=3)
    return image


def curate_here(folder: Path) -> None:
    """Curate the data in this process and print each stage's time and memory."""
    marks: list[tuple[str, float, float, float]] = []

    class Watch:
        """Context manager that notes the time and memory of one stage."""

        def __init__(self, name: str) -> None:
            self.name = name

        def __enter__(self):
            self.started, self.cpu = time.monotonic(), time.process_time()
            return silent

        def __exit__(self, *_: object) -> None:
            marks.append(
                (
                    self.name,
                    time.process_time() - self.cpu,
                    time.monotonic() - self.started,
                    peak_mb(),
                )
            )

    started = time.monotonic()
    curated = curate(
        load_curation(folder / "recipe.yaml"), base=folder, root=folder / "out", show=Watch
    )
    told = {
        "stages": marks,
        "seconds": time.monotonic() - started,
        "cpu_seconds": time.process_time(),
        "peak_mb": peak_mb(),
        "stage_counts": [
            [s["title"], sum(s["given"].values()), sum(s["kept"].values())]
            for s in curated.funnel["stages"]
        ],
    }
    print(json.dumps(told))


def peak_mb() -> float:
    """Return the largest resident memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Make the data if missing, curate it in a new process, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--images", type=int, default=1_000)
    parser.add_argument("--keep", type=int, default=15_000, help="prompts of the balanced set")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.here:
        curate_here(given.folder)
        return
    if not (given.folder / "data").exists():
        make_data(given.folder, given.rows, given.images)
    recipe = {
        "name": "million",
        "sources": [{"source": "jsonl", "folder": "data", "domain": "math"}],
        "decontaminate": {"benchmarks": [{"source": "jsonl", "folder": "bench"}]},
        "rl": {"parts": [{"name": "all", "target": given.keep}]},
    }
    (given.folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    command = [sys.executable, __file__, "--here", "--folder", str(given.folder)]
    done = subprocess.run(
        command,
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    told = json.loads(done.stdout.splitlines()[-1])
    load = os.getloadavg()[0]
    print(
        f"rows {given.rows:,}, images {given.images:,}; {platform.machine()}, {os.cpu_count()}"
        f" CPUs, load {load:.1f}"
    )
    print(
        "| stage | rows given | rows kept | processor seconds | rows a processor second | seconds |"
        " peak MB so far |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    # What comes after the stages, such as reading back, has no rows of its own.
    for (name, cpu, seconds, peak), (_, rows, kept) in itertools.zip_longest(
        told["stages"], told["stage_counts"], fillvalue=("", 0, 0)
    ):
        counts = f"{rows:,} | {kept:,} | {cpu:.1f} | {rows / max(cpu, 1e-3):,.0f}"
        if not rows:
            counts = f" | | {cpu:.1f} | "
        print(f"| {name} | {counts} | {seconds:.1f} | {peak:,.0f} |")
    cpu, seconds, peak = told["cpu_seconds"], told["seconds"], told["peak_mb"]
    total = f"| {cpu:.1f} | {given.rows / cpu:,.0f} | {seconds:.1f} | {peak:,.0f} |"
    print(f"| all, with the files written | {given.rows:,} | | {total[2:]}")


if __name__ == "__main__":
    main()

"""From 200 rows of one's own with pictures to a report, by the commands of docs/curate.md."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

pytest.importorskip("aiohttp")

DOCS = Path(__file__).parents[2] / "docs" / "curate.md"
SHORT = (
    "sft.epochs=0.2",
    "grpo.steps=2",
    "grpo.prompts_per_batch=4",
    "grpo.rollouts_per_prompt=4",
    "grpo.validate_every=2",
    "grpo.save_every=2",
    "grpo.trl.max_completion_length=12",
    "evaluate.num_rollouts=2",
    "evaluate.max_tokens=12",
    "evaluate.pass_at=[1,2]",
)


def draw_rows(folder, count=200):
    """Bar charts with a question, an answer and a worked solution each, as JSON lines."""
    (folder / "images").mkdir(parents=True)
    rng, rows = random.Random(0), []
    for n in range(count):
        bars = {name: rng.randint(1, 9) for name in rng.sample(["red", "blue", "green"], 2)}
        image = Image.new("RGB", (56, 56), "white")
        draw = ImageDraw.Draw(image)
        for place, (name, value) in enumerate(bars.items()):
            draw.rectangle([6 + place * 24, 52 - value * 5, 22 + place * 24, 52], fill=name)
        image.save(folder / "images" / f"{n}.png")
        (one, a), (other, b) = bars.items()
        rows.append(
            {
                "question": f"What is {one} plus {other}?",
                "answer": str(a + b),
                "image": f"images/{n}.png",
                "solution": f"{one} is {a}. {other} is {b}. {a} + {b} = {a + b}.",
            }
        )
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def documented():
    """The recipe and the commands of the page's last section."""
    section = DOCS.read_text().split("## 8. ")[1].split("\n## ")[0]
    (recipe,) = re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)
    (commands,) = re.findall(r"```bash\n(.*?)```", section, re.DOTALL)
    lines = [line.split("#")[0].split() for line in commands.splitlines()]
    return recipe, [words[1:] for words in lines if words[0] == "vasari"]


@pytest.mark.slow
@pytest.mark.heavy
def test_the_page_takes_rows_of_ones_own_to_a_report(tmp_path):
    draw_rows(tmp_path / "mine")
    recipe, commands = documented()
    (tmp_path / "mine.yaml").write_text(recipe)
    assert [words[0] for words in commands] == ["curate", "recipe", "sft", "train", "evaluate"]

    for words in commands:
        changes = SHORT if words[0] in ("sft", "train", "evaluate") else ()
        done = subprocess.run(
            [sys.executable, "-m", "vasari", *words, *(w for c in changes for w in ("--set", c))],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == 0, f"{words}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"

    manifest = json.loads((tmp_path / "runs" / "curated" / "manifest.json").read_text())
    assert {path: read["problems"] for path, read in manifest["read_back"].items()} == {
        "sft.parquet": [],
        "rl.parquet": [],
    }
    summary = json.loads((tmp_path / "runs" / "trained" / "summary.json").read_text())
    assert set(summary["accuracy"]) >= {"base", "cold_start", "final"}
    assert (tmp_path / "runs" / "trained" / "report.html").exists()

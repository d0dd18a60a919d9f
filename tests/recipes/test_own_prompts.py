"""A stranger's JSON lines and pictures go through the recipe for prompts of one's own, from
training to report."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

RECIPE = Path(__file__).parents[2] / "recipes" / "own_prompts.yaml"
SHORT = (
    "grpo.steps=2",
    "grpo.prompts_per_batch=4",
    "grpo.rollouts_per_prompt=4",
    "grpo.micro_batch=8",
    "grpo.trl.max_completion_length=12",
)
FEW = ("grpo.validate_every=2", "grpo.save_every=2", "sampler.settings.num_refresh_rollouts=2")
EVALUATE = ("evaluate.num_rollouts=2", "evaluate.max_tokens=12", "evaluate.pass_at=[1,2]")


def vasari(folder: Path, *words: str) -> str:
    command = [sys.executable, "-m", "vasari", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.mark.slow
def test_prompts_of_a_jsonl_file_are_trained_on_and_evaluated(image_prompts, tiny_folder, tmp_path):
    (tmp_path / "images").mkdir()
    rows = []
    for prompt in image_prompts:
        picture = f"images/{prompt.id}.png"
        (tmp_path / picture).write_bytes(prompt.images[0].data)
        rows.append(
            {
                "pid": prompt.id,
                "problem": prompt.question,
                "answer": prompt.answer,
                "options": prompt.choices,
                "image": picture,
            }
        )
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    shutil.copy(RECIPE, tmp_path)
    settings = [
        word
        for change in (*SHORT, *FEW, *EVALUATE, f"model.path={tiny_folder}")
        for word in ("--set", change)
    ]

    vasari(tmp_path, "train", "own_prompts.yaml", "--out", "run", *settings)
    vasari(tmp_path, "evaluate", "own_prompts.yaml", "--out", "run", *settings)

    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["rollouts"]["train"] == 16  # one batch of 4 prompts x 4 rollouts for two updates
    assert summary["accuracy"]["final"]["n"] == 1  # a tenth of 12 prompts
    assert (tmp_path / "run" / "report.html").exists()

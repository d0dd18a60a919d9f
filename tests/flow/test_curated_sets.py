"""What `vasari curate` leaves is what `vasari sft` and `vasari train` take, without a step
between."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytest.importorskip("aiohttp")


def vasari(folder: Path, *words: str) -> str:
    command = [sys.executable, "-m", "vasari", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.mark.slow
@pytest.mark.heavy
def test_the_two_sets_of_a_curation_are_trained_on_as_they_are(write_recipe, tmp_path):
    tasks = {"families": ["bars", "tables"], "num_prompts": 16, "image_size": 56}
    curation = {
        "name": "sets",
        "sources": [{"tasks": tasks, "domain": "math"}],
        "sft": {},
        "rl": {"parts": [{"name": "all", "target": 10}]},
    }
    (tmp_path / "curation.yaml").write_text(yaml.safe_dump(curation))
    vasari(tmp_path, "curate", "curation.yaml", "--out", "sets")

    training = write_recipe(
        tmp_path / "training",
        prompts={
            "files": {
                "train": "../sets/rl.parquet",
                "cold_start": "../sets/sft.parquet",
                "held_out_share": 0.2,
            }
        },
        sft={
            "epochs": 1,
            "batch_prompts": 4,
            "micro_batch": 4,
            "learning_rate": 1e-3,
            "validate_every": 4,
            "workers": 0,
        },
        grpo={"steps": 2, "validate_every": 2},
    )
    vasari(tmp_path, "sft", str(training), "--out", "run")
    vasari(tmp_path, "train", str(training), "--out", "run")

    assert (tmp_path / "run" / "rl" / "vas" / "best").exists()

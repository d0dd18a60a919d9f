"""Weights divided over two processes: what is trained, saved and validated is the whole model.

DeepSpeed's ZeRO-3 runs here on two CPU processes, through the commands that a user types. Needs the
extra `deepspeed`; `scripts/check-models` installs it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.heavy]

ZERO3 = {
    "bf16": {"enabled": "auto"},
    "zero_optimization": {"stage": 3, "stage3_gather_16bit_weights_on_model_save": True},
    "gradient_accumulation_steps": "auto",
    "gradient_clipping": "auto",
    "train_batch_size": "auto",
    "train_micro_batch_size_per_gpu": "auto",
}


def recipe_in(folder: Path, model: Path, *, zero3: bool) -> Path:
    """A recipe of two SFT steps and two GRPO batches, with a refresh before each batch."""
    shared: dict[str, Any] = {"learning_rate": 1e-3, "warmup_steps": 0}
    if zero3:
        (folder / "zero3.json").write_text(json.dumps(ZERO3))
        shared["deepspeed"] = "zero3.json"
    recipe = {
        "name": "sharded",
        "seed": 0,
        "prompts": {
            "tasks": {
                "families": ["bars"],
                "num_cold_start": 16,
                "num_train": 9,
                "num_validation": 5,
                "num_test": 2,
                "num_held_out_style": 0,
                "image_size": 56,
            }
        },
        "model": {"path": str(model), "system_prompt": "small"},
        "sft": {
            "epochs": 1,
            "batch_prompts": 8,
            "micro_batch": 4,
            "validate_every": 1,
            "trl": shared | {"dataloader_num_workers": 0},
        },
        "sampler": {
            "name": "vas",
            "settings": {"preset": "paper", "num_refresh_rollouts": 2, "refresh_every": 1},
        },
        "grpo": {
            "steps": 2,
            "prompts_per_batch": 4,
            "rollouts_per_prompt": 4,
            "updates_per_batch": 1,
            "micro_batch": 4,
            "validate_every": 1,
            "save_every": 1,
            # a small part at a time, so that the two processes have unequal numbers of parts
            "refresh_batch": 2,
            "rewards": ["repetition"],
            "trl": shared
            | {"learning_rate": 1e-2, "beta": 0.01, "temperature": 1.0, "max_completion_length": 8},
        },
    }
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path


def vasari(*arguments: str, processes: int) -> str:
    """What a `vasari` command prints in so many processes."""
    start = [sys.executable, "-m"]
    if processes > 1:
        start += ["torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
        start.append(str(Path(__file__).parent / "deepspeed_on_cpu.py"))
    else:
        start.append("vasari")
    own = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "DS_ACCELERATOR": "cpu"}
    done = subprocess.run(
        [*start, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env=os.environ | own,
    )
    said = [line for line in done.stderr.splitlines() if line.startswith(("error", "[rank"))]
    assert done.returncode == 0, "\n".join(said[-40:]) or done.stderr[-3000:]
    return done.stdout


def weights(folder: Path) -> dict[str, Any]:
    return load_file(folder / "model.safetensors")


@pytest.fixture(scope="module")
def zero3_run(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of SFT and GRPO in two processes under ZeRO-3."""
    pytest.importorskip("deepspeed", reason="needs the extra deepspeed")
    folder = tmp_path_factory.mktemp("zero3")
    recipe = recipe_in(folder, tiny_folder, zero3=True)
    for command in ("sft", "train"):
        vasari(command, str(recipe), "--out", str(folder / "run"), processes=2)
    return folder / "run"


def test_supervised_training_under_zero_3_gives_the_weights_of_one_process(
    zero3_run: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    plain = recipe_in(tmp_path, tiny_folder, zero3=False)
    vasari("sft", str(plain), "--out", str(tmp_path / "run"), processes=1)
    expected = weights(tmp_path / "run" / "cold_start" / "model")
    found = weights(zero3_run / "cold_start" / "model")
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=2e-5, rtol=1e-4, msg=name)


@pytest.mark.parametrize("which", ["best", "last", "checkpoint-2"])
def test_what_training_under_zero_3_saves_is_the_whole_model(
    which: str, zero3_run: Path, tiny_folder: Path
) -> None:
    shapes = {name: value.shape for name, value in weights(tiny_folder).items()}
    saved = weights(zero3_run / "rl" / "vas" / which)
    assert {name: value.shape for name, value in saved.items()} == shapes


def test_training_under_zero_3_moves_the_weights_and_keeps_the_best(zero3_run: Path) -> None:
    rl, start = zero3_run / "rl" / "vas", weights(zero3_run / "cold_start" / "model")
    last = weights(rl / "last")
    assert any(not torch.equal(last[name], value) for name, value in start.items())
    rows = [json.loads(line) for line in (rl / "validation.jsonl").read_text().splitlines()]
    assert [row["n"] for row in rows] == [5, 5, 5]
    # The first of equal accuracies is the best: where none is better, the weights of the start.
    best = weights(rl / "best")
    same_as = {0: start, 2: last}
    step = max(rows, key=lambda row: (row["accuracy"], -row["step"]))["step"]
    if step in same_as:
        assert all(torch.equal(best[name], value) for name, value in same_as[step].items())
    summary = json.loads((zero3_run / "stages" / "rl-vas.json").read_text())
    # two batches of 4 x 4, and before each all nine prompts twice
    assert summary["rollouts"] == {"train": 32, "refresh": 36}

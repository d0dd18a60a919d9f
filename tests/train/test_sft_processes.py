"""The cold start on several processes: the same batches, losses and weights as on one."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from safetensors.torch import load_file

from vasari.train.callbacks import read_log
from vasari.train.checkpoints import complete_checkpoints

SCRIPT = Path(__file__).with_name("sft_process.py")
_spec = importlib.util.spec_from_file_location("sft_process", SCRIPT)
assert _spec is not None
assert _spec.loader is not None
sft_process: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(sft_process)


@pytest.fixture(scope="module")
def alone(family_folder, tmp_path_factory):
    """A training on one process."""
    out = tmp_path_factory.mktemp("alone") / "run"
    sft_process.train(str(family_folder("qwen2_5_vl")), out)
    return out


def on_processes(
    number: int, model: Path, out: Path, **changes: Any
) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc_per_node={number}", SCRIPT, model, out, json.dumps(changes)]
    paths = [str(Path(__file__).parents[1] / "models"), os.environ.get("PYTHONPATH", "")]
    return subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=os.environ
        | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": ":".join(paths)},
    )


def apart(one: Path, other: Path) -> float:
    """The largest difference of two models' weights."""
    first, second = (load_file(run / "model" / "model.safetensors") for run in (one, other))
    assert first.keys() == second.keys()
    return max(float((first[name] - second[name]).abs().max()) for name in first)


def losses(run: Path, name: str) -> list[float]:
    return [row[name] for row in read_log(run / "metrics.jsonl") if name in row]


@pytest.mark.slow
@pytest.mark.parametrize("number", [2, pytest.param(4, marks=pytest.mark.heavy)])
def test_several_processes_end_with_the_weights_and_losses_of_one(
    number, alone, family_folder, tmp_path
):
    done = on_processes(number, family_folder("qwen2_5_vl"), tmp_path / "run")
    assert done.returncode == 0, done.stderr[-2000:]
    assert apart(alone, tmp_path / "run") < 1e-5
    for name in ("loss", "eval_loss"):
        assert losses(tmp_path / "run", name) == pytest.approx(losses(alone, name), rel=1e-5)


@pytest.mark.slow
def test_the_size_of_micro_batches_changes_no_loss(alone, family_folder, tmp_path):
    sft_process.train(str(family_folder("qwen2_5_vl")), tmp_path, micro_batch=8)
    for name in ("loss", "eval_loss"):
        assert losses(tmp_path, name) == pytest.approx(losses(alone, name), rel=1e-5)


@pytest.mark.slow
@pytest.mark.heavy
@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_killed_process_ends_the_others_and_the_resumed_run_ends_the_same(
    rank, alone, family_folder, tmp_path
):
    out = tmp_path / "run"
    killed = on_processes(2, family_folder("qwen2_5_vl"), out, kill=rank)
    assert killed.returncode != 0
    assert not (out / "model").exists()
    assert [path.name for path in complete_checkpoints(out)] == ["checkpoint-1", "checkpoint-2"]
    resumed = on_processes(2, family_folder("qwen2_5_vl"), out, resume=True)
    assert resumed.returncode == 0, resumed.stderr[-2000:]
    assert apart(alone, out) < 1e-5

"""Two machines, as two torchrun commands on this one: they train what one does, or say what differs."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from vasari.data.prompt_file import read_prompts, write_prompts
from vasari.train.agreement import prompt_contents
from vasari.train.group_file import read_groups

pytestmark = pytest.mark.slow

HOST = socket.gethostname()
SCRIPT = Path(__file__).with_name("training_process.py")
RECIPE = """
name: machines
seed: 3
threads: 1
prompts:
  tasks:
    {families: [bars], num_cold_start: 0, num_train: 12, num_validation: 2, num_test: 2, num_held_out_style: 0}
model: {path: "vasari:tiny-base", system_prompt: small}
sampler: {name: vas, settings: {num_refresh_rollouts: 2, refresh_every: 2}}
grpo:
  steps: 3
  prompts_per_batch: 4
  rollouts_per_prompt: 4
  updates_per_batch: 1
  micro_batch: 4
  validate_every: 3
  save_every: 3
  trl: {learning_rate: 1.0e-4, beta: 0.0, temperature: 1.0, max_completion_length: 12}
"""


def node(*command: Any, port: int, nodes: int = 2, processes: int = 1) -> subprocess.Popen[str]:
    """One machine's torchrun."""
    words = [
        *(sys.executable, "-m", "torch.distributed.run"),
        *(f"--nnodes={nodes}", f"--nproc_per_node={processes}", "--local_addr=127.0.0.1"),
        *("--rdzv_backend=c10d", f"--rdzv_endpoint=127.0.0.1:{port}", "--rdzv_id=test"),
        *map(str, command),
    ]
    return subprocess.Popen(
        words,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )


def together(*commands: tuple[Any, ...], processes: int = 1) -> list[tuple[int, str]]:
    """Exit status and messages of each machine, one for each command."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = [
        node(*command, port=port, nodes=len(commands), processes=processes) for command in commands
    ]
    return [(one.wait(), said) for one in started for said in (one.communicate(timeout=1800)[1],)]


def errors(ended: list[tuple[int, str]]) -> list[str]:
    """The line with which each machine's training ended."""
    assert all(status != 0 for status, _ in ended), ended
    return [
        next((line for line in said.splitlines() if "error: " in line or "Error: " in line), said)
        for _, said in ended
    ]


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE)
    return path


def training(recipe: Path, out: Path, *more: str) -> tuple[Any, ...]:
    return ("-m", "vasari", "train", recipe, "--out", out, *more)


def left(out: Path) -> dict[str, Any]:
    """What a training rolled out, and a digest of its weights."""
    arm = out / "rl" / "vas"
    columns = ("batch", "prompt_id", "purpose", "role", "rewards", "texts")
    weights = (arm / "last" / "model.safetensors").read_bytes()
    return {
        "groups": read_groups(arm / "groups", columns).to_pylist(),
        "weights": hashlib.sha256(weights).hexdigest(),
    }


@pytest.mark.heavy
def test_two_machines_train_what_two_processes_of_one_do(recipe, tmp_path):
    one = together(training(recipe, tmp_path / "one"), processes=2)
    two = together(*[training(recipe, tmp_path / "two")] * 2)
    assert [status for status, _ in [*one, *two]] == [0, 0, 0], (one, two)
    assert left(tmp_path / "two") == left(tmp_path / "one")
    assert len(left(tmp_path / "two")["groups"]) == 12 + 4 + 4 + 12 + 4


@pytest.mark.heavy
def test_another_recipe_on_one_machine_is_named(recipe, tmp_path):
    ended = together(
        training(recipe, tmp_path / "out"),
        training(recipe, tmp_path / "out", "--set", "grpo.steps=5"),
    )
    lines = errors(ended)
    assert all(f"error: process 1 on {HOST}: grpo.steps is " in line for line in lines), lines
    assert all("in process 0 on" in line for line in lines)
    assert all("give every machine the same recipe and options" in line for line in lines)
    assert not (tmp_path / "out").exists()


@pytest.mark.heavy
def test_a_recipe_that_is_missing_on_one_machine_ends_both(recipe, tmp_path):
    absent = tmp_path / "absent.yaml"
    lines = errors(together(training(recipe, tmp_path), training(absent, tmp_path)))
    assert all("absent.yaml" in line for line in lines), lines
    assert sum(f"on {HOST}: " in line for line in lines) == 1


@pytest.mark.heavy
def test_a_folder_that_is_not_shared_is_named(recipe, tmp_path):
    ended = together(training(recipe, tmp_path / "a"), training(recipe, tmp_path / "b"))
    assert all("--out must be on a disk that all machines share" in e for e in errors(ended))


@pytest.mark.heavy
def test_other_data_in_a_script_with_trl_are_named(text_folder, tmp_path):
    told = {"model": str(text_folder), "out": str(tmp_path), "trainer": "ours", "processes": 2}
    config = {"per_device_train_batch_size": 8}
    ended = together(
        *[(SCRIPT, json.dumps({**told, "config": config, "num_rows": num})) for num in (12, 11)]
    )
    lines = errors(ended)
    assert all("train_dataset has " in line for line in lines), lines
    assert all("first other one: no. 11, " in line for line in lines)


def test_prompts_that_were_written_and_read_again_are_the_same(mixed_prompts, tmp_path):
    write_prompts(tmp_path / "pool.parquet", mixed_prompts)
    read = read_prompts(tmp_path / "pool.parquet")
    assert (prompt_contents(read) == prompt_contents(mixed_prompts)).all()

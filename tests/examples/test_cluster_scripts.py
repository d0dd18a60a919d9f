"""The scripts for several machines call torchrun as they say."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "examples" / "cluster"
SAYS_ITS_WORDS = '#!/bin/sh\nprintf "%s " "$(basename "$0")" "$@"; echo\n'


@pytest.fixture
def run(tmp_path):
    """Runs a script with commands that print their words; returns what was printed."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def ran(script, *words, commands, **variables):
        for name, code in commands.items():
            (folder / name).write_text(code)
            (folder / name).chmod(0o755)
        environment = {"PATH": f"{folder}:{os.environ['PATH']}"} | variables
        done = subprocess.run(
            ["bash", str(SCRIPTS / script), *map(str, words)],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
        )
        return done.returncode, done.stdout.splitlines(), done.stderr

    return ran


def recipe(folder, content):
    path = folder / "recipe.yaml"
    path.write_text(content)
    return path


def test_each_machine_trains_both_stages_and_goes_on(run, tmp_path):
    path = recipe(tmp_path, "name: x\nsft:\n  epochs: 1\ngrpo: {}\n")
    told = {"HEAD": "10.0.0.1", "NODES": "4", "GPUS": "8"}
    status, lines, _ = run(
        "torchrun.sh", path, "out", commands={"torchrun": SAYS_ITS_WORDS}, **told
    )
    meet = (
        "torchrun --nnodes 4 --nproc_per_node 8 --rdzv_backend c10d --rdzv_endpoint 10.0.0.1:29500"
        " --rdzv_id vasari -m vasari"
    )
    assert status == 0
    assert [line.strip() for line in lines] == [
        f"{meet} {stage} {path} --out out --resume" for stage in ("sft", "train")
    ]


def test_a_recipe_without_a_cold_start_is_trained_at_once(run, tmp_path):
    path = recipe(tmp_path, "name: x\n# sft: none\ngrpo: {}\n")
    told = {"HEAD": "a", "NODES": "1", "GPUS": "1"}
    _, lines, _ = run("torchrun.sh", path, "out", commands={"torchrun": SAYS_ITS_WORDS}, **told)
    assert [line.split("vasari ")[-1].split()[0] for line in lines] == ["train"]


def test_a_variable_that_is_missing_is_named(run, tmp_path):
    status, _, said = run("torchrun.sh", recipe(tmp_path, ""), "out", commands={}, NODES="2")
    assert status != 0
    assert "HEAD: names no machine" in said


def test_slurm_starts_one_task_a_machine_that_meet_at_the_first(run, tmp_path):
    scontrol = (
        '#!/bin/sh\n[ "$2" = hostnames ] && printf "n1\\nn2\\n"'
        f' || echo "   Command={SCRIPTS}/slurm.sh recipe.yaml out"\n'
    )
    srun = '#!/bin/sh\necho "$HEAD $NODES $GPUS $PORT $RUN"; printf "%s " "$@"; echo\n'
    slurm = {
        "SLURM_JOB_NODELIST": "n[1-2]",
        "SLURM_NNODES": "2",
        "SLURM_GPUS_ON_NODE": "8",
        "SLURM_JOB_ID": "1234567",
    }
    status, lines, said = run(
        "slurm.sh", "recipe.yaml", "out", commands={"scontrol": scontrol, "srun": srun}, **slurm
    )
    assert status == 0, said
    assert lines[0] == "n1 2 8 29567 1234567"
    assert lines[1].split() == [
        "--kill-on-bad-exit=1",
        "bash",
        f"{SCRIPTS}/torchrun.sh",
        "recipe.yaml",
        "out",
    ]

"""Two processes under torchrun: they end without a thread that outlives the interpreter."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

TRAINING_IN_A_CYCLE = """
import os, torch
from vasari.train.processes import start_processes

class Trainer:
    pass

def train():
    trainer = Trainer()
    trainer.itself = trainer
    trainer.group = torch.distributed.group.WORLD
    torch.distributed.all_reduce(torch.ones(2), group=trainer.group)

def threads():
    return [open(f"/proc/self/task/{task}/comm").read().strip() for task in os.listdir("/proc/self/task")]

with start_processes() as processes:
    train()
    assert any("gloo" in name for name in threads()), threads()
# One write: two processes share the pipe.
os.write(1, f"left: {[name for name in threads() if 'gloo' in name]}\\n".encode())
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted in /proc")
def test_no_thread_of_the_group_outlives_a_trainer_that_lies_about_in_a_cycle(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(TRAINING_IN_A_CYCLE)
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", str(script)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("left: []") == 2, done.stdout

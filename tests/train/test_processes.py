"""Two processes under torchrun: what the main one decides, and that no thread outlives the
interpreter."""

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


MAIN_DECIDES = """
import os
from types import SimpleNamespace
from accelerate import Accelerator
from vasari.train.processes import start_processes
from vasari.train.loop import LoopOptions
from vasari.train.trl_engine import TrlEngine

with start_processes():
    accelerator = Accelerator(cpu=True)
    engine = TrlEngine(SimpleNamespace(accelerator=accelerator), None, None, LoopOptions())
    said = [engine.on_main(lambda: (accelerator.process_index, number)) for number in range(2)]
    try:
        engine.on_main(lambda: [][0])
    except Exception as error:
        said.append(f"{type(error).__name__}: {error}")
os.write(1, f"{accelerator.process_index} {said}\\n".encode())
"""


def on_two_processes(code, folder):
    """The lines that two processes print, sorted."""
    script = folder / "train.py"
    script.write_text(code)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc_per_node=2",
            str(script),
        ],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return sorted(done.stdout.splitlines())


@pytest.mark.heavy
@pytest.mark.slow
def test_every_process_knows_what_the_main_one_decided_and_that_it_failed(tmp_path):
    main, other = on_two_processes(MAIN_DECIDES, tmp_path)
    assert main == "0 [(0, 0), (0, 1), 'IndexError: list index out of range']"
    stopped = "StateError: the main process stopped: IndexError: list index out of range"
    assert other == f"1 [(0, 0), (0, 1), '{stopped}']"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted in /proc")
def test_no_thread_of_the_group_outlives_a_trainer_that_lies_about_in_a_cycle(tmp_path):
    assert on_two_processes(TRAINING_IN_A_CYCLE, tmp_path) == ["left: []"] * 2

"""On two processes as TRL, and after a kill as if nothing had happened."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).with_name("training_process.py")

pytestmark = pytest.mark.slow


@pytest.fixture
def run(text_folder, tmp_path):
    """Trains in a process of its own, or in several; returns what it wrote, None when it was
    killed."""

    def train(name: str, *, processes: int = 1, **settings: Any) -> dict[str, Any] | None:
        out = tmp_path / name
        out.mkdir(exist_ok=True)
        facts = out / "facts.json"
        facts.unlink(missing_ok=True)
        told = json.dumps(
            {"model": str(text_folder), "out": str(out), "expect_processes": processes, **settings}
        )
        command = [sys.executable, str(SCRIPT), told]
        if processes > 1:
            command = [
                sys.executable,
                "-m",
                "torch.distributed.run",
                "--standalone",
                f"--nproc_per_node={processes}",
                str(SCRIPT),
                told,
            ]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=300, env=environment, check=False
        )
        if settings.get("die_at") is not None:
            assert done.returncode != 0, done.stdout
            return None
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(facts.read_text())

    return train


def numbers(facts: dict[str, Any]) -> list[dict[str, Any]]:
    """What was logged at each step, without the line that sums a training up."""
    return [row for row in facts["logged"] if "train_loss" not in row]


def test_two_processes_log_and_learn_what_trl_s_do(run):
    config = {"per_device_train_batch_size": 8, "max_steps": 3}
    stock = run("stock", processes=2, trainer="stock", config=config)
    ours = run("ours", processes=2, trainer="ours", config=config, arguments={"sampler": "uniform"})
    for theirs, own in zip(numbers(stock), numbers(ours), strict=True):
        assert {name: own.get(name) for name in theirs} == theirs
    assert ours["weights"] == stock["weights"]
    assert ours["rollouts"]["train"] == 3 * 4 * 4


SAMPLERS = {
    "uniform": {"sampler": "uniform"},
    "progress": {"sampler": "progress"},
    "weighted passes": {"sampler": "weighted_passes"},
    "vas, refreshed": {"sampler": {"name": "vas", "refresh_every": 2, "num_refresh_rollouts": 2}},
    "two stages": {
        "sampler": "uniform",
        "gate": {
            "name": "two_stage",
            "num_screening": 2,
            "num_rollouts": 4,
            "evict_after": 2,
            "defer_batches": 1,
        },
    },
    "mixed": {"sampler": "uniform", "gate": "mixed"},
}


KILLED = [
    ("uniform", 1),
    ("progress", 1),
    ("weighted passes", 2),
    ("vas, refreshed", 1),
    ("vas, refreshed", 2),
    ("two stages", 2),
    ("mixed", 1),
]

if os.environ.get("VASARI_TRAININGS") != "all":  # scripts/check-trainings
    KILLED = [("weighted passes", 2)]


@pytest.mark.parametrize(("name", "processes"), KILLED)
def test_a_killed_training_goes_on_with_the_same_prompts_and_ends_with_the_same_weights(
    run, name, processes
):
    # The second pass over the pool begins at the fourth batch: stock TRL would repeat the first
    # one's order there.
    config = {
        "per_device_train_batch_size": 16 // processes,
        "max_steps": 6,
        "save_strategy": "steps",
        "save_steps": 2,
    }
    settings = {
        "trainer": "ours",
        "config": config,
        "arguments": SAMPLERS[name],
        "processes": processes,
    }
    settings["max_generations"] = 2
    whole = run("whole", **settings)
    run("killed", die_at=5, **settings)
    resumed = run("killed", resume=True, **settings)
    assert resumed["drawn"] == whole["drawn"][-len(resumed["drawn"]) :]
    assert 0 < len(resumed["drawn"]) < len(whole["drawn"])
    assert numbers(resumed)[-2:] == numbers(whole)[-2:]
    assert resumed["weights"] == whole["weights"]
    assert resumed["rollouts"] == whole["rollouts"]


@pytest.mark.heavy
def test_a_training_that_is_resumed_at_its_end_takes_no_step_more(run):
    config = {
        "per_device_train_batch_size": 16,
        "max_steps": 2,
        "save_strategy": "steps",
        "save_steps": 2,
    }
    settings = {"trainer": "ours", "config": config, "arguments": {"sampler": "uniform"}}
    whole = run("run", **settings)
    again = run("run", resume=True, **settings)
    assert again["drawn"] == []
    assert again["weights"] == whole["weights"]

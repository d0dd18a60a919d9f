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


def orders(folder: Path) -> dict[str, dict[str, Any]]:
    """What to train, by name: beside TRL, and killed and resumed."""
    pair = {"processes": 2, "config": {"per_device_train_batch_size": 8, "max_steps": 3}}
    found = {
        "stock": pair | {"trainer": "stock"},
        "ours": pair | {"trainer": "ours", "arguments": {"sampler": "uniform"}},
    }
    for name, processes in KILLED:
        # The second pass over the pool begins at the fourth batch: stock TRL would repeat the first
        # one's order there.
        config = {
            "per_device_train_batch_size": 16 // processes,
            "max_steps": 6,
            "save_strategy": "steps",
            "save_steps": 2,
        }
        of = f"{name} on {processes}"
        whole = {
            "trainer": "ours",
            "config": config,
            "arguments": SAMPLERS[name],
            "processes": processes,
            "max_generations": 2,
            "out": str(folder / of),
        }
        killed = whole | {"out": str(folder / f"{of}, killed")}
        found |= {
            f"{of}, whole": whole,
            f"{of}, resumed at its end": whole | {"resume": True},
            f"{of}, killed": killed | {"die_at": 5},
            f"{of}, resumed": killed | {"resume": True},
        }
    return found


@pytest.fixture(scope="module")
def runs(text_folder, tmp_path_factory):
    """What each training wrote; None for one that was killed."""
    folder = tmp_path_factory.mktemp("runs")
    known = {"model": str(text_folder), "out": str(folder / "pair")}
    told = {
        name: {**known, "facts": str(folder / f"{name}.json"), **order}
        for name, order in orders(folder).items()
    }
    done = subprocess.run(
        [sys.executable, str(SCRIPT), json.dumps(list(told.values()))],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=False,
        timeout=1200,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    paths = {name: Path(order["facts"]) for name, order in told.items()}
    return {
        name: json.loads(path.read_text()) if path.exists() else None
        for name, path in paths.items()
    }


def numbers(facts: dict[str, Any]) -> list[dict[str, Any]]:
    """What was logged at each step, without the line that sums a training up."""
    return [row for row in facts["logged"] if "train_loss" not in row]


def test_two_processes_log_and_learn_what_trl_s_do(runs):
    stock, ours = runs["stock"], runs["ours"]
    for theirs, own in zip(numbers(stock), numbers(ours), strict=True):
        assert {name: own.get(name) for name in theirs} == theirs
    assert ours["weights"] == stock["weights"]
    assert ours["rollouts"]["train"] == 3 * 4 * 4


@pytest.mark.parametrize(("name", "processes"), KILLED)
def test_a_killed_training_goes_on_with_the_same_prompts_and_ends_with_the_same_weights(
    runs, name, processes
):
    whole, killed, resumed = (
        runs[f"{name} on {processes}, {what}"] for what in ("whole", "killed", "resumed")
    )
    assert killed is None
    assert resumed["drawn"] == whole["drawn"][-len(resumed["drawn"]) :]
    assert 0 < len(resumed["drawn"]) < len(whole["drawn"])
    assert numbers(resumed)[-2:] == numbers(whole)[-2:]
    assert resumed["weights"] == whole["weights"]
    assert resumed["rollouts"] == whole["rollouts"]


@pytest.mark.parametrize(("name", "processes"), KILLED)
def test_a_training_that_is_resumed_at_its_end_takes_no_step_more(runs, name, processes):
    whole, again = (
        runs[f"{name} on {processes}, {what}"] for what in ("whole", "resumed at its end")
    )
    assert again["drawn"] == []
    assert again["weights"] == whole["weights"]

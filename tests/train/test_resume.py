"""A run that is killed and resumed is the run that nobody killed: prompts, texts, ledger, weights,
bit for bit."""

from __future__ import annotations

import functools
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from vasari.sample import load_state
from vasari.train.callbacks import read_log
from vasari.train.group_file import read_groups
from vasari.train.run_state import GATE_FILE, RUN_FILE
from vasari.verify import verify_answer

pytestmark = pytest.mark.slow

NUM_BATCHES, PROMPTS, ROLLOUTS = 6, 4, 4
GRPO = {"steps": 12, "micro_batch": 2}
MODES = {
    "full": {"sampler": {"settings": {"refresh_every": 2, "num_refresh_rollouts": 2}}},
    "stale": {
        "sampler": {
            "settings": {
                "refresh": "stale",
                "refresh_every": 1,
                "stale_share": 0.3,
                "num_refresh_rollouts": 2,
            }
        },
        "grpo": {"trl": {"beta": 0.01}},
    },
    "online": {"sampler": {"settings": {"refresh": "online"}}},
    # Without a reward for the format many groups have no variance, and a batch takes several
    # generations.
    "gate": {
        "sampler": {"settings": {"refresh": "online"}},
        "grpo": {"gate": "mixed", "rewards": [{"name": "accuracy"}]},
    },
    # The gate remembers prompts: whom it deferred and evicted must survive as well.
    "screening": {
        "sampler": {"settings": {"refresh": "online"}},
        "grpo": {
            "gate": "two_stage",
            "screening": {"rollouts": 2, "defer_batches": 2, "evict_after": 1},
        },
    },
}
_OF_THE_PROCESS = {
    "time",
    "step_time",
    "train_runtime",
    "train_samples_per_second",
    "train_steps_per_second",
    "train_loss",
}
"""Logged numbers of the process: clocks, and the mean loss over the steps that it took itself."""

Moment = Callable[[Path], bool]


def generating(batch: int) -> Moment:
    """The batch before is saved, this one is not yet rolled out."""
    return lambda arm: (arm / f"checkpoint-{2 * batch}" / "COMPLETE").exists()


def saving(batch: int) -> Moment:
    """The checkpoint after this batch is being written."""
    return lambda arm: (arm / f"checkpoint-{2 * batch + 2}").exists()


def updating(batch: int) -> Moment:
    """This batch is rolled out and observed; its updates are under way."""
    return lambda arm: (arm / "groups" / f"{batch:06d}-train.parquet").exists()


def command(recipe: Path, out: Path, *, processes: int, resume: bool) -> list[str]:
    launcher = (
        ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
        if processes > 1
        else []
    )
    words = [sys.executable, *launcher, "-m", "vasari", "train", str(recipe), "--out", str(out)]
    return [*words, "--resume"] if resume else words


def run(recipe: Path, out: Path, *, processes: int = 1, kills: Sequence[Moment] = ()) -> None:
    """Train to the end; each moment kills the command, with all its processes, and the next one
    resumes."""
    for attempt, moment in enumerate([*kills, None]):
        log = out.with_suffix(f".{attempt}.log")
        with log.open("w") as file:
            process = subprocess.Popen(
                command(recipe, out, processes=processes, resume=attempt > 0),
                stdout=file,
                stderr=subprocess.STDOUT,
                env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
                start_new_session=True,
            )
            if moment is None:
                code = process.wait()
            else:
                while process.poll() is None and not moment(out / "rl" / "vas"):
                    time.sleep(0.002)
                os.killpg(process.pid, signal.SIGKILL)
                code = process.wait()
        assert code == (0 if moment is None else -signal.SIGKILL), log.read_text()[-4000:]


def drawn(arm: Path) -> str:
    """Every group of the run as text, nan scores included."""
    return str(read_groups(arm / "groups").to_pylist())


def ledger(arm: Path) -> dict[str, dict[str, int]]:
    state: dict[str, dict[str, int]] = json.loads((arm / "checkpoint-12" / RUN_FILE).read_text())[
        "ledger"
    ]
    return state


def gate_state(arm: Path) -> dict[str, object]:
    """Of a gate that remembers prompts."""
    path = arm / "checkpoint-12" / GATE_FILE
    return load_state(path) if path.exists() else {}


def metrics(arm: Path) -> str:
    return str(
        [
            {name: value for name, value in row.items() if name not in _OF_THE_PROCESS}
            for row in read_log(arm / "metrics.jsonl")
        ]
    )


def assert_the_same_run(arm: Path, whole: Path) -> None:
    assert drawn(arm) == drawn(whole)
    assert ledger(arm) == ledger(whole)
    assert read_log(arm / "validation.jsonl") == read_log(whole / "validation.jsonl")
    for name in ("last", "best"):
        one, other = (load_file(folder / name / "model.safetensors") for folder in (arm, whole))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)
    assert metrics(arm) == metrics(whole)
    with np.load(arm / "scores.npz") as one, np.load(whole / "scores.npz") as other:
        assert all(np.array_equal(one[key], other[key]) for key in ("step", "batch", "vps"))
    assert str(gate_state(arm)) == str(gate_state(whole))


@pytest.fixture(scope="module")
def whole(write_recipe, tmp_path_factory):
    """The recipe of a mode, and the arm's folder of its undisturbed run."""
    folder = tmp_path_factory.mktemp("whole")

    @functools.cache
    def undisturbed(mode: str) -> tuple[Path, Path]:
        recipe = write_recipe(folder / f"{mode}-recipe", **_merged(MODES[mode]))
        run(recipe, folder / mode)
        return recipe, folder / mode / "rl" / "vas"

    return undisturbed


@pytest.mark.parametrize(
    ("mode", "kills"),
    [
        ("full", [generating(2), saving(3), updating(5)]),
        pytest.param("stale", [updating(3)], marks=pytest.mark.heavy),
        pytest.param("online", [saving(2)], marks=pytest.mark.heavy),
        pytest.param("gate", [updating(3)], marks=pytest.mark.heavy),
        pytest.param("screening", [saving(2), updating(4)], marks=pytest.mark.heavy),
    ],
)
def test_a_killed_run_ends_as_the_undisturbed_one(mode, kills, whole, tmp_path):
    recipe, undisturbed = whole(mode)
    run(recipe, tmp_path / "killed", kills=kills)
    assert_the_same_run(tmp_path / "killed" / "rl" / "vas", undisturbed)
    assert _moved(undisturbed)


@pytest.mark.heavy
def test_a_run_killed_at_random_ends_as_the_undisturbed_one(whole, tmp_path):
    recipe, undisturbed = whole("full")
    rng = np.random.default_rng()
    batch, delay = int(rng.integers(1, NUM_BATCHES)), float(rng.uniform(0, 0.5))
    reached = generating(batch)

    def moment(arm: Path) -> bool:
        return reached(arm) and time.sleep(delay) is None

    run(recipe, tmp_path / "killed", kills=[moment])
    assert_the_same_run(tmp_path / "killed" / "rl" / "vas", undisturbed)


@pytest.fixture(scope="module")
def pair(write_recipe, tmp_path_factory):
    """Two processes, undisturbed and killed: their arms' folders."""
    return two_processes(
        write_recipe, tmp_path_factory.mktemp("pair"), "full", kills=[saving(1), generating(4)]
    )


def two_processes(write_recipe, folder, mode, *, kills):
    recipe = write_recipe(folder / "recipe", **_merged(MODES[mode]))
    run(recipe, folder / "whole", processes=2)
    run(recipe, folder / "killed", processes=2, kills=kills)
    return folder / "whole" / "rl" / "vas", folder / "killed" / "rl" / "vas"


@pytest.mark.heavy
def test_two_processes_killed_end_as_the_undisturbed_two(pair):
    whole, killed = pair
    assert_the_same_run(killed, whole)
    assert _moved(whole)


@pytest.mark.heavy
def test_there_were_two_processes(pair):
    states = sorted(path.name for path in (pair[0] / "checkpoint-12").glob("rng_state*"))
    assert states == ["rng_state_0.pth", "rng_state_1.pth"]


@pytest.mark.heavy
def test_no_group_of_two_processes_straddles_two_prompts(pair, digit_prompts):
    rows = read_groups(pair[0] / "groups").to_pylist()
    by_purpose = {
        purpose: list(rows_)
        for purpose, rows_ in itertools.groupby(sorted(rows, key=_purpose), key=_purpose)
    }
    assert [len(row["texts"]) for row in by_purpose["train"]] == [ROLLOUTS] * (
        NUM_BATCHES * PROMPTS
    )
    for row in rows:
        prompt = digit_prompts[row["prompt_index"]]
        assert row["prompt_id"] == prompt.id
        verdicts = [
            verify_answer(text, prompt.answer, kind=prompt.kind).value for text in row["texts"]
        ]
        assert row["verdicts"] == verdicts


@pytest.mark.heavy
def test_the_ledger_counts_the_rollouts_of_both_processes(pair):
    rows = read_groups(pair[0] / "groups").to_pylist()
    for purpose in ("train", "refresh"):
        own = [row for row in rows if row["purpose"] == purpose]
        assert ledger(pair[0])["rollouts"][purpose] == sum(len(row["texts"]) for row in own)
        assert ledger(pair[0])["tokens"][purpose] == sum(sum(row["num_tokens"]) for row in own)
    assert ledger(pair[0])["rollouts"] == {
        "train": 96,
        "refresh": 3 * 12 * 2,
        "screen": 0,
        "discarded": 0,
    }


@pytest.mark.heavy
def test_two_processes_each_fill_their_share_of_a_batch_and_resume(write_recipe, tmp_path):
    arm, killed = two_processes(write_recipe, tmp_path, "gate", kills=[saving(2)])
    assert_the_same_run(killed, arm)
    assert _moved(arm)
    rows = read_groups(arm / "groups").to_pylist()
    trained = [row for row in rows if row["purpose"] == "train"]
    assert all(len(set(row["rewards"])) > 1 for row in trained)
    assert 0 < len(trained) <= NUM_BATCHES * PROMPTS
    assert (
        max(row["generations"] for row in read_log(arm / "metrics.jsonl") if "generations" in row)
        > 1
    )
    expected = {
        "train": ROLLOUTS * len(trained),
        "discarded": ROLLOUTS * (len(rows) - len(trained)),
    }
    assert {name: count for name, count in ledger(arm)["rollouts"].items() if count} == expected


@pytest.mark.heavy
def test_two_processes_share_what_both_screened_and_resume(write_recipe, tmp_path):
    arm, killed = two_processes(write_recipe, tmp_path, "screening", kills=[updating(2)])
    assert_the_same_run(killed, arm)
    assert _moved(arm)
    rows = read_groups(arm / "groups").to_pylist()
    trained = [row for row in rows if row["purpose"] == "train"]
    assert {len(row["texts"]) for row in trained} == {ROLLOUTS}
    assert all(sorted(row["verdicts"][:2]) == [0.0, 1.0] for row in trained)
    # Both processes roll out equally many prompts further.
    assert all(
        sum(row["batch"] == batch for row in trained) in (0, 2, 4) for batch in range(NUM_BATCHES)
    )
    expected = {"train": ROLLOUTS * len(trained), "screen": 2 * (len(rows) - len(trained))}
    assert {name: count for name, count in ledger(arm)["rollouts"].items() if count} == expected


def _purpose(row: dict[str, str]) -> str:
    return row["purpose"]


def _merged(changes: dict[str, dict[str, object]]) -> dict[str, dict[str, object]]:
    return {**changes, "grpo": {**GRPO, **changes.get("grpo", {})}}


def _moved(arm: Path) -> bool:
    first, last = (
        load_file(arm / name / "model.safetensors") for name in ("checkpoint-10", "checkpoint-12")
    )
    return any(not torch.equal(first[name], last[name]) for name in first)

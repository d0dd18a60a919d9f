"""The benchmark's arms and control; then all of it once, on the tiny model."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from sample_efficiency.arms import ARMS, CONFIRMATORY, chosen_arms, define
from sample_efficiency.options import read_run
from sample_efficiency.permuted import PermutedSampler
from vasari.core.errors import ConfigError
from vasari.records import GroupOutcome
from vasari.sample import check_prompt_sampler, make_sampler

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "sample_efficiency.py"


def test_the_control_keeps_the_contract_of_samplers():
    def make(num_prompts, seed, prompt_ids):
        inner = make_sampler("progress", num_prompts=num_prompts, seed=seed, prompt_ids=prompt_ids)
        return PermutedSampler(inner, seed=seed + 1, prompt_ids=prompt_ids)

    check_prompt_sampler(make)


def groups(indices):
    return [GroupOutcome(index=int(i), rewards=np.ones(4), verdicts=np.ones(4)) for i in indices]


def test_the_control_learns_about_the_prompts_that_it_meant():
    """An inner sampler of the same seed, on its own, names the prompts that were meant."""
    alone, inner = (make_sampler("beta", num_prompts=30, seed=2) for _ in range(2))
    control = PermutedSampler(inner, seed=3)
    meant, drawn = alone.draw(5).indices, control.draw(5).indices
    control.observe(groups(drawn))
    assert set(np.flatnonzero(inner.alphas() > 1)) == set(meant.tolist())


def test_the_control_means_another_prompt_by_an_index_after_each_observation():
    control = PermutedSampler(make_sampler("uniform", num_prompts=30, seed=2), seed=3)
    places = []
    for _ in range(2):
        control.observe(groups(control.draw(5).indices))
        control.draw(1)
        places.append(control.state_dict()["state"]["places"].tolist())
    assert places[0] != places[1]


def test_a_sampler_that_asks_for_rollouts_cannot_be_permuted():
    with pytest.raises(ConfigError, match=r"cannot permute 'vas'"):
        PermutedSampler(make_sampler("vas", num_prompts=30, seed=2), seed=3)


def test_the_confirmatory_arms_can_be_run():
    assert list(chosen_arms(list(CONFIRMATORY))) == list(CONFIRMATORY)


def test_an_arm_that_nobody_knows_is_refused():
    with pytest.raises(ConfigError, match="there is no arm best"):
        chosen_arms(["best"])


def test_a_sampler_that_this_version_lacks_is_named():
    with pytest.raises(ConfigError, match=r"arm mine: .*; leave it out"):
        chosen_arms(["uniform"], ["mine=no_such_sampler"])


def test_features_make_no_difference_to_uniform():
    assert not ARMS["uniform"].knows_features
    assert ARMS["weighted_passes"].knows_features
    assert not ARMS["weighted_passes_without_features"].knows_features


def test_an_arm_can_be_defined_on_the_command_line():
    name, arm = define("sharp=progress,sharpness=4,shared=false")
    assert (name, arm.sampler, arm.settings) == (
        "sharp",
        "progress",
        {"sharpness": 4, "shared": False},
    )


def test_an_arm_that_cannot_be_read_is_refused():
    with pytest.raises(ConfigError, match=r"NAME=SAMPLER\[,key=value...\], got 'sharp'"):
        define("sharp")


def test_a_run_is_a_cold_start_and_a_seed():
    assert read_run("2:205") == (2, 205)
    with pytest.raises(ConfigError, match="COLD_START:SEED, got '205'"):
        read_run("205")


def command(out, model, *more):
    words = [sys.executable, str(SCRIPT), *more, "--small", "--out", str(out)]
    words += ["--model", str(model), "--pools", "heterogeneous", "--runs", "1:200"]
    return [*words, "--arms", "uniform", "weighted_passes"]


def run(out, model, *more):
    return subprocess.run(
        command(out, model, *more), capture_output=True, text=True, check=False, timeout=600
    )


@pytest.fixture(scope="module")
def study(taught_folder, tmp_path_factory):
    """The small study: uniform and ours on one pool, one run."""
    out = tmp_path_factory.mktemp("study")
    done = run(out, taught_folder, "run")
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def cell_of(out, arm):
    return out / "cells" / "heterogeneous" / arm / "cold1-seed200"


def curve_of(out, arm):
    return json.loads((cell_of(out, arm) / "curve.json").read_text())


@pytest.mark.heavy
@pytest.mark.slow
def test_both_arms_spend_the_budget(study):
    arms = ("uniform", "weighted_passes")
    assert [curve_of(study, arm)["charged"] for arm in arms] == [[16, 32, 48]] * 2


@pytest.mark.heavy
@pytest.mark.slow
def test_accuracy_is_measured_at_every_mark(study):
    points = curve_of(study, "uniform")["points"]
    assert [point["batch"] for point in points] == [0, 1, 2, 3]
    assert {len(point[name]) for point in points for name in ("greedy", "sampled")} == {6}


@pytest.mark.heavy
@pytest.mark.slow
def test_arms_of_a_run_begin_alike(study):
    first, second = (curve_of(study, arm)["points"][0] for arm in ("uniform", "weighted_passes"))
    assert first == second


@pytest.mark.heavy
@pytest.mark.slow
def test_the_write_up_has_tables_and_numbers(study):
    (text,) = (study / "results").glob("*.md")
    numbers = json.loads(text.with_suffix(".json").read_text())
    assert "All 2 cells are done." in text.read_text()
    assert len(numbers["confirmatory"]) == 8
    assert not any(one["complete"] for one in numbers["confirmatory"])


@pytest.mark.heavy
@pytest.mark.slow
def test_a_finished_cell_of_other_settings_is_refused(study, taught_folder):
    done = run(study, taught_folder, "analyse", "--budget", "64")
    assert done.returncode == 2
    assert "holds a cell of other settings (budget was 48, is 64)" in done.stderr


@pytest.mark.heavy
@pytest.mark.slow
def test_packed_cells_are_not_trained_again(study, taught_folder, tmp_path):
    packed, other = tmp_path / "packed", tmp_path / "other"
    run(study, taught_folder, "export", "--cells", str(packed))
    run(other, taught_folder, "import", "--cells", str(packed))
    shutil.copytree(study / "stock", other / "stock")
    done = run(other, taught_folder, "run")
    assert "2 of 2 cells are done" in done.stdout, done.stderr
    assert len([*packed.glob("*")]) == 1


@pytest.mark.heavy
@pytest.mark.slow
def test_a_cell_that_another_process_runs_is_left_alone(study):
    folder = cell_of(study, "weighted_passes")
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        words = [sys.executable, str(SCRIPT), "--run-cell", str(folder)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "another process runs this cell" in done.stderr


@pytest.mark.heavy
@pytest.mark.slow
def test_a_killed_cell_goes_on_as_if_nothing_had_been(study, tmp_path):
    folder = tmp_path / "cell"
    folder.mkdir()
    shutil.copy(cell_of(study, "weighted_passes") / "task.json", folder)
    words = [sys.executable, str(SCRIPT), "--run-cell", str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        words, env=environment, start_new_session=True, stderr=subprocess.DEVNULL
    ) as process:
        while (
            process.poll() is None and not (folder / "run" / "checkpoint-2" / "COMPLETE").exists()
        ):
            time.sleep(0.002)
        os.killpg(process.pid, signal.SIGKILL)
    assert not (folder / "curve.json").exists()
    subprocess.run(words, env=environment, check=True, stderr=subprocess.DEVNULL)
    resumed = json.loads((folder / "curve.json").read_text())
    whole = curve_of(study, "weighted_passes")
    same = ("charged", "points", "groups")
    assert {name: resumed[name] for name in same} == {name: whole[name] for name in same}

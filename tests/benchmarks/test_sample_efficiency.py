"""The benchmark's pools, control and bookkeeping; then all of it once, on the tiny model."""

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

from sample_efficiency.arms import ARMS, REQUIRED, define
from sample_efficiency.permuted import PermutedSampler
from sample_efficiency.pools import COIN_FLIP, CoinFlips, coin, flip_coins
from sample_efficiency.study import check_fresh, learning_rate
from vasari.core.errors import ConfigError
from vasari.records import GroupOutcome
from vasari.sample import check_prompt_sampler, make_sampler

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "sample_efficiency.py"


def test_half_of_the_coins_fall_heads():
    heads = sum(coin(3, f"prompt-{n}", 192, n) for n in range(1000))
    assert 430 < heads < 570  # four and a half standard deviations of 15.8


def test_coins_are_flipped_on_perfect_prompts_only(image_prompts):
    spoiled = flip_coins(image_prompts, 5, seed=0)
    again = flip_coins(spoiled, 7, seed=1)
    assert [p.metadata["imperfection"] for p in spoiled].count(COIN_FLIP) == 5
    assert [p.metadata["imperfection"] for p in again].count(COIN_FLIP) == 12


def verdicts(coins, prompts, num=40):
    return [coins(prompts[place % 2], "<answer>1</answer>").value for place in range(num)]


def test_a_resumed_run_flips_the_same_coins(image_prompts):
    prompts = flip_coins(image_prompts, 12, seed=0)
    first, resumed = CoinFlips(5), CoinFlips(5)
    first.ledger.charge("train", rollouts=192, tokens=10)
    resumed.ledger.load_state_dict(first.ledger.state_dict())
    assert verdicts(first, prompts) == verdicts(resumed, prompts)


def test_the_coins_of_the_next_batch_are_others(image_prompts):
    prompts = flip_coins(image_prompts, 12, seed=0)
    coins = CoinFlips(5)
    before = verdicts(coins, prompts)
    coins.ledger.charge("train", rollouts=192, tokens=10)
    assert verdicts(coins, prompts) != before


def test_what_is_no_coin_flip_is_verified(image_prompts):
    verdict = CoinFlips(5)(
        image_prompts[0], f"<think>x</think><answer>{image_prompts[0].answer}</answer>"
    )
    assert verdict.value == 1.0


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


def test_the_required_arms_are_known():
    assert set(REQUIRED) <= set(ARMS)


def test_an_arm_can_be_defined_on_the_command_line():
    name, arm = define("sharp=progress,sharpness=4,shared=false")
    assert (name, arm.sampler, arm.settings, arm.parent) == (
        "sharp",
        "progress",
        {"sharpness": 4, "shared": False},
        "progress",
    )


def test_an_arm_that_cannot_be_read_is_refused():
    with pytest.raises(ConfigError, match=r"NAME=SAMPLER\[,key=value...\], got 'sharp'"):
        define("sharp")


@pytest.mark.parametrize(
    ("given", "tuned", "expected"),
    [
        ({"progress-no-cost": 1.0, "progress": 2.0}, {"progress": 3.0}, (1.0, "given")),
        ({"progress": 2.0}, {"progress-no-cost": 4.0}, (4.0, "tuned")),
        ({"progress": 2.0}, {"progress": 3.0}, (2.0, "given for progress")),
        ({}, {"progress": 3.0}, (3.0, "tuned for progress")),
        ({}, {"uniform": 3.0}, (5.0, "recipe, not tuned")),
        ({"progress": 2.0}, {"progress-no-cost": 3.0}, (3.0, "tuned")),
    ],
)
def test_a_learning_rate_is_the_arms_own_or_its_parents(given, tuned, expected):
    name, chosen = "progress-no-cost", {"chosen": {"noisy": tuned}}
    assert (
        learning_rate(name, ARMS[name], pool="noisy", given=given, tuned=chosen, fallback=5.0)
        == expected
    )


def test_a_rate_tuned_on_another_pool_is_taken_and_said():
    tuned = {"chosen": {"realistic": {"beta": 2.0}, "clean": {"uniform": 3.0}}}
    found = learning_rate("beta", ARMS["beta"], pool="noisy", given={}, tuned=tuned, fallback=5.0)
    assert found == (2.0, "tuned on pool realistic")


def test_seeds_of_the_tuning_are_refused_for_the_study():
    with pytest.raises(ConfigError, match=r"seeds \[100\] were used to tune"):
        check_fresh([0, 100], {"seeds": [100, 101]})


def command(out, model, *more):
    return [
        sys.executable,
        str(SCRIPT),
        "--small",
        "--out",
        str(out),
        "--cold-start",
        str(model),
        *more,
    ]


def run(out, model, *more):
    return subprocess.run(
        command(out, model, *more), capture_output=True, text=True, check=False, timeout=600
    )


@pytest.fixture(scope="module")
def study(taught_folder, tmp_path_factory):
    """The small study: uniform and progress on the noisy pool, one seed."""
    out = tmp_path_factory.mktemp("study")
    done = run(out, taught_folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def curve_of(out, arm):
    return json.loads((out / "cells" / "noisy" / arm / "seed0" / "curve.json").read_text())


@pytest.mark.heavy
@pytest.mark.slow
def test_both_arms_spend_the_budget(study):
    spent = [
        sum(curve_of(study, arm)["batches"][-1]["rollouts"].values())
        for arm in ("uniform", "progress")
    ]
    assert spent == [48, 48]


@pytest.mark.heavy
@pytest.mark.slow
def test_accuracy_is_measured_at_every_mark(study):
    assert [point["batch"] for point in curve_of(study, "uniform")["points"]] == [0, 1, 2, 3]


@pytest.mark.heavy
@pytest.mark.slow
def test_arms_of_a_seed_begin_alike(study):
    first = [curve_of(study, arm)["points"][0]["correct"] for arm in ("uniform", "progress")]
    assert first[0] == first[1]


@pytest.mark.heavy
@pytest.mark.slow
def test_the_write_up_has_table_figure_and_numbers(study):
    (text,), (figure,) = (
        [*(study / "results").glob(pattern)] for pattern in ("*.md", "*_noisy.svg")
    )
    numbers = json.loads(text.with_suffix(".json").read_text())
    assert "All 2 cells are done." in text.read_text()
    assert f"]({figure.name})" in text.read_text()
    assert numbers["complete"]
    assert set(numbers["pools"]["noisy"]["arms"]) == {"uniform", "progress"}


@pytest.mark.heavy
@pytest.mark.slow
def test_a_missing_cell_is_named_and_no_result(study, taught_folder):
    done = run(
        study, taught_folder, "--analyse", "--seeds", "0", "1", "--results", str(study / "partial")
    )
    assert "Incomplete: 2 of 4 cells are done." in done.stdout
    assert "| uniform | **1 of 2** |" in done.stdout


@pytest.mark.heavy
@pytest.mark.slow
def test_a_finished_cell_of_other_settings_is_refused(study, taught_folder):
    done = run(study, taught_folder, "--analyse", "--budget", "64")
    assert done.returncode == 2
    assert "holds a cell of other settings (budget was 48, is 64)" in done.stderr


@pytest.mark.heavy
@pytest.mark.slow
def test_a_cell_that_another_process_runs_is_left_alone(study):
    folder = study / "cells" / "noisy" / "progress" / "seed0"
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
    shutil.copy(study / "cells" / "noisy" / "progress" / "seed0" / "task.json", folder)
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
    resumed, whole = json.loads((folder / "curve.json").read_text()), curve_of(study, "progress")
    same = ("batches", "points", "trained_on")
    assert {name: resumed[name] for name in same} == {name: whole[name] for name in same}

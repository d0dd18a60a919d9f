"""verl's own `fit`, killed and resumed, and refused where it would go on with something else."""

from __future__ import annotations

import math
import shutil
from collections import Counter

import numpy as np
import pytest
import scenario
from trainings import ENDLESS, FILTERED, of_scenario

pytestmark = pytest.mark.slow

SAVED = 6
"""The step whose checkpoint is resumed."""
DIES = 8


def visits_before(run, step: int) -> dict[int, int]:
    """Groups of each prompt that were rolled out up to this step."""
    return dict(Counter(row["place"] for row in run.rolled_out if row["step"] <= step))


CLOCKED = ("timing", "perf/", "training/off_policy", "global_seqlen")
"""What two runs of the same training log differently."""


def numbers(run, after: int) -> list[dict[str, float]]:
    return [
        {
            name: math.nan if value is None else value
            for name, value in row.items()
            if not name.startswith(CLOCKED)
        }
        for row in run.log
        if row["step"] > after
    ]


NO_LOG_PROBS = "actor_rollout_ref.rollout.calculate_log_probs=False"


@pytest.fixture(scope="module")
def without_log_probs(train):
    """A training whose rollouts come without log-probabilities, and one that is killed in the update
    of step 8, two steps after its last checkpoint."""
    return train(
        {
            "whole": of_scenario("uniform", NO_LOG_PROBS),
            "killed": of_scenario("vas", NO_LOG_PROBS, "trainer.save_freq=3", dies_in_update=DIES),
        }
    )


def test_rollouts_may_come_without_log_probabilities(without_log_probs):
    run = without_log_probs["whole"]
    assert run.problem == ""
    assert run.drawn() == scenario.recorded_draws("uniform")
    assert np.isnan([own for group in run.groups() for own in group["confidence"]]).all()


@pytest.fixture(scope="module")
def killed(without_log_probs):
    run = without_log_probs["killed"]
    assert run.problem.startswith("killed\n")
    assert (run.folder / "checkpoints" / "latest_checkpointed_iteration.txt").read_text() == "6"
    return run


@pytest.fixture(scope="module")
def resumed(train, killed, runs, tmp_path_factory):
    """The killed training, and the filtered one from its checkpoint, gone on in a new process."""
    filtered = tmp_path_factory.mktemp("filtered_again")
    shutil.copytree(runs["filtered"].folder / "checkpoints", filtered / "checkpoints")
    latest = filtered / "checkpoints" / "latest_checkpointed_iteration.txt"
    latest.write_text(str(SAVED))
    other = tmp_path_factory.mktemp("other")
    shutil.copytree(filtered / "checkpoints", other / "checkpoints")
    (killed.folder / "rolled_out.jsonl").rename(killed.folder / "rolled_out_before.jsonl")
    groups = killed.folder / "groups"
    shutil.copy(groups / "000000-train.parquet", groups / "000042-train.parquet")
    mixed = tmp_path_factory.mktemp("mixed")
    shutil.copytree(groups, mixed / "groups")
    return train(
        {
            "killed": of_scenario(
                "vas",
                "trainer.save_freq=3",
                folder=killed.folder,
                visits=visits_before(runs["saved"], SAVED),
            ),
            "filtered": of_scenario(
                "weighted_passes",
                FILTERED,
                ENDLESS,
                folder=filtered,
                visits=visits_before(runs["filtered"], SAVED),
            ),
            "other_sampler": of_scenario("uniform", folder=other),
            "mixed": of_scenario("uniform", folder=mixed),
        }
    )


@pytest.mark.parametrize("name", ["killed", "filtered"])
def test_a_resumed_training_ends_by_itself(resumed, name):
    assert resumed[name].problem == ""


@pytest.mark.parametrize(("name", "whole"), [("killed", "saved"), ("filtered", "filtered")])
def test_a_resumed_training_draws_what_the_uninterrupted_one_draws(resumed, runs, name, whole):
    assert {row["step"] for row in resumed[name].rolled_out} == {7, 8, 9, 10}
    after = runs[whole].drawn()[SAVED:]
    assert resumed[name].drawn()[-len(after) :] == after


@pytest.mark.parametrize(("name", "whole"), [("killed", "saved"), ("filtered", "filtered")])
def test_a_resumed_training_logs_and_charges_what_the_uninterrupted_one_does(
    resumed, runs, name, whole
):
    then, now = numbers(runs[whole], SAVED), numbers(resumed[name], SAVED)
    assert len(now) == len(then) == 4
    for one, other in zip(now, then, strict=True):
        # verl adds float32 in the order of names that are random.
        assert one == pytest.approx(other, nan_ok=True, rel=1e-6, abs=1e-6)


def test_a_checkpoint_of_another_sampler_is_refused_in_a_line(resumed):
    last = resumed["other_sampler"].problem.strip().splitlines()[-1]
    assert "written with the sampler weighted_passes, this run uses uniform" in last


def test_groups_after_the_checkpoint_are_those_of_the_resumed_training(resumed, runs):
    assert {group["batch"] for group in resumed["killed"].groups()} == set(range(10))
    assert resumed["killed"].drawn() == runs["saved"].drawn()


def test_a_training_that_begins_among_groups_of_another_is_refused_in_a_line(resumed):
    last = resumed["mixed"].problem.strip().splitlines()[-1]
    assert "holds the groups of another training" in last
    assert len(resumed["mixed"].groups()) > 0

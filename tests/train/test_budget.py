"""Trainings that end when their rollouts are spent: 12 rollouts a batch of one update."""

import pytest
from pydantic import ValidationError

from vasari.train.callbacks import read_log
from vasari.train.groups import verify_prompt
from vasari.train.settings import GrpoSettings


def test_a_budget_of_no_rollouts_is_refused():
    with pytest.raises(ValidationError, match=r"greater than or equal to 1"):
        GrpoSettings(max_rollouts=0)


@pytest.fixture(scope="module")
def run(run_small, tmp_path_factory):
    """A finished run of a budget of 24 rollouts with steps for 48, and what it reported."""
    out = tmp_path_factory.mktemp("budget")
    return out, run_small(out, steps=4, max_rollouts=24, validate_every=4)


@pytest.mark.slow
def test_training_ends_with_the_batch_that_reaches_the_budget(run):
    assert (run[1]["batches"], run[1]["rollouts"]["train"]) == (2, 24)


@pytest.mark.slow
def test_a_run_that_ends_by_its_budget_is_validated_at_its_end(run):
    assert [row["rollouts"] for row in read_log(run[0] / "validation.jsonl")] == [0, 24]


@pytest.mark.slow
def test_resuming_a_run_that_has_spent_its_budget_adds_no_rollout(run, run_small):
    again = run_small(run[0], steps=4, max_rollouts=24, validate_every=4, resume=True)
    assert again["rollouts"] == run[1]["rollouts"]


@pytest.mark.slow
def test_refreshes_count_against_the_budget(run_small, tmp_path):
    """12 prompts x 2 rollouts are scored before the first batch of 12: 36 of 30 are spent after
    it."""
    facts = run_small(tmp_path, sampler="vas", steps=4, max_rollouts=30)
    assert facts["rollouts"] == {"train": 12, "refresh": 24, "screen": 0, "discarded": 0}


@pytest.mark.slow
def test_a_batch_of_several_updates_is_finished_before_training_ends(run_small, tmp_path):
    facts = run_small(
        tmp_path, steps=4, updates_per_batch=2, micro_batch=3, max_rollouts=1, save_every=2
    )
    assert (facts["steps"], facts["batches"]) == (2, 1)


@pytest.mark.slow
def test_a_run_verifies_its_rollouts_as_it_is_told(run_small, tmp_path):
    seen = []

    def noted(prompt, text):
        seen.append(prompt.id)
        return verify_prompt(prompt, text)

    facts = run_small(tmp_path, steps=1, sampler="vas", verify=noted)
    assert len(seen) == sum(facts["rollouts"].values())


@pytest.mark.slow
def test_training_ends_with_the_batch_that_spends_its_minutes(run_small, tmp_path):
    facts = run_small(
        tmp_path, steps=4, updates_per_batch=2, micro_batch=3, max_minutes=1e-9, save_every=2
    )
    assert (facts["steps"], facts["batches"]) == (2, 1)
    assert read_log(tmp_path / "validation.jsonl")[-1]["step"] == 2

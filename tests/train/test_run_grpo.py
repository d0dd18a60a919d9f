"""Whole trainings in this process."""

import contextlib
import dataclasses
import json
import resource
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from vasari.core.errors import ConfigError, StateError, StorageError
from vasari.model.transformers_policy import TransformersPolicy
from vasari.train.callbacks import read_log
from vasari.train.checkpoints import complete_checkpoints
from vasari.train.group_file import read_groups


def weights(folder):
    return load_file(folder / "model.safetensors")


def equal_weights(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_pool_smaller_than_a_batch_is_refused(run_small, tmp_path):
    with pytest.raises(ConfigError, match=r"the pool has 12 prompts and a batch draws 13"):
        run_small(tmp_path, prompts_per_batch=13)


@pytest.fixture(scope="module")
def run(run_small, tmp_path_factory):
    """A finished run of two batches with variance-aware sampling, and what it reported."""
    out = tmp_path_factory.mktemp("run")
    return out, run_small(out, sampler="vas", validate_every=1)


@pytest.mark.slow
def test_a_run_moves_the_weights(run, taught_folder):
    assert not equal_weights(weights(run[0] / "last"), weights(taught_folder))


@pytest.mark.slow
def test_every_rollout_is_charged_to_what_it_was_spent_on(run):
    out, facts = run
    assert facts["rollouts"] == {"train": 2 * 3 * 4, "refresh": 12 * 2, "screen": 0, "discarded": 0}
    rows = read_groups(out / "groups").to_pylist()
    for purpose in ("train", "refresh"):
        own = [row for row in rows if row["purpose"] == purpose]
        assert sum(len(row["rewards"]) for row in own) == facts["rollouts"][purpose]
        assert sum(sum(row["num_tokens"]) for row in own) == facts["tokens"][purpose]


@pytest.mark.slow
def test_a_run_says_how_its_rollouts_were_drawn(run):
    sampling = run[1]["sampling"]
    assert (sampling["temperature"], sampling["top_p"], sampling["max_tokens"]) == (1.0, 1.0, 12)
    assert sampling["never_sampled"]
    assert json.loads(json.dumps(sampling)) == sampling


@pytest.mark.slow
def test_validation_begins_before_the_first_step(run):
    assert [row["step"] for row in read_log(run[0] / "validation.jsonl")] == [0, 1, 2]


@pytest.mark.slow
def test_best_is_the_checkpoint_with_the_best_validation(run, taught_folder):
    out, facts = run
    rows = read_log(out / "validation.jsonl")
    step = max(rows, key=lambda row: (row["accuracy"], -row["step"]))["step"]
    assert facts["best_step"] == step
    expected = out / f"checkpoint-{step}" if step else taught_folder
    assert equal_weights(weights(out / "best"), weights(expected))


@pytest.mark.slow
def test_without_validation_the_last_weights_are_the_best(run_small, tmp_path):
    facts = run_small(tmp_path, validation=[], steps=1)
    assert equal_weights(weights(tmp_path / "best"), weights(tmp_path / "last"))
    assert (facts["best_step"], facts["best_validation"]) == (1, None)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["best", "last"])
def test_what_a_run_leaves_answers_prompts(run, digit_prompts, name):
    from vasari.model.base import Decoding

    policy = TransformersPolicy.load(str(run[0] / name), system="Think, then answer.")
    ((rollout,),) = policy.generate(
        digit_prompts[1:2], Decoding(num_rollouts=1, max_tokens=4), seed=0
    )
    assert len(rollout.token_ids) > 0


@pytest.mark.slow
def test_a_second_run_in_the_same_folder_is_refused(run, run_small):
    with pytest.raises(StateError, match="already holds a run up to checkpoint-2; pass --resume"):
        run_small(run[0], sampler="vas")


@pytest.mark.slow
def test_resuming_a_run_at_its_last_step_adds_none(run, run_small):
    out, facts = run
    before = weights(out / "last")
    again = run_small(out, sampler="vas", validate_every=1, resume=True)
    assert {name: again[name] for name in facts if name != "seconds"} == {
        name: facts[name] for name in facts if name != "seconds"
    }
    assert equal_weights(weights(out / "last"), before)


@pytest.mark.slow
def test_a_checkpoint_of_another_sampler_is_refused(run, run_small):
    with pytest.raises(StateError, match="written with the sampler vas, this run uses uniform"):
        run_small(run[0], resume=True)


@pytest.mark.slow
def test_a_checkpoint_of_another_pool_is_refused(run, run_small, digit_prompts):
    others = [*digit_prompts[:-1], dataclasses.replace(digit_prompts[-1], id="another")]
    with pytest.raises(StateError, match="pool"):
        run_small(run[0], prompts=others, sampler="vas", resume=True)


@pytest.mark.slow
def test_a_full_disk_costs_nothing_that_was_saved(run_small, tmp_path):
    """The disk refuses the second checkpoint; with room again, the run ends as if nothing had
    been."""
    settings = {"sampler": "vas", "steps": 3, "validate_every": 3}
    run_small(tmp_path / "whole", **settings)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill_the_disk(done, total, note=""):
        if done == 2 and not note.startswith("scoring"):
            resource.setrlimit(resource.RLIMIT_FSIZE, (250_000, limits[1]))

    with contextlib.ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_FSIZE, limits)
        with pytest.raises(
            StorageError, match=r"the last complete checkpoint is checkpoint-1\. Free some space"
        ):
            run_small(tmp_path / "full", **settings, tell=fill_the_disk)
    assert [path.name for path in complete_checkpoints(tmp_path / "full")] == ["checkpoint-1"]
    run_small(tmp_path / "full", **settings, resume=True)
    assert equal_weights(weights(tmp_path / "full" / "last"), weights(tmp_path / "whole" / "last"))
    # As text: a score that nobody knows is nan, which equals nothing.
    full, whole = (
        str(read_groups(tmp_path / name / "groups").to_pylist()) for name in ("full", "whole")
    )
    assert full == whole


@pytest.mark.slow
def test_micro_batches_without_an_image_train_beside_others_with_two(run_small, tmp_path):
    facts = run_small(
        tmp_path, prompts_per_batch=6, micro_batch=2, updates_per_batch=2, save_every=2
    )
    assert facts["steps"] == 2
    norms = [row["grad_norm"] for row in read_log(tmp_path / "metrics.jsonl") if "grad_norm" in row]
    assert np.isfinite(norms).all()


@pytest.mark.slow
def test_a_kl_term_has_the_starting_weights_as_its_reference(run_small, tmp_path):
    run_small(tmp_path, trl={"beta": 0.01})
    kl = [row["kl"] for row in read_log(tmp_path / "metrics.jsonl") if "kl" in row]
    assert kl[0] == pytest.approx(0.0, abs=1e-6)
    assert kl[1] > 1e-6


@pytest.mark.slow
def test_the_vision_encoder_can_stay_as_it_is(run_small, tmp_path, taught_folder):
    run_small(tmp_path, freeze_vision=True)
    before, after = weights(taught_folder), weights(tmp_path / "last")
    moved = {name for name in after if not torch.equal(before[name], after[name])}
    assert moved
    assert not any(name.startswith("visual") or ".visual." in name for name in moved)


@pytest.mark.slow
def test_adapters_train_resume_and_answer(run_small, tmp_path, digit_prompts):
    from vasari.model.base import Decoding

    settings = {
        "lora": {"rank": 2, "alpha": 4},
        "freeze_vision": True,
        "trl": {"beta": 0.01},
        "sampler": "vas",
    }
    run_small(tmp_path, **settings)
    trained = load_file(tmp_path / "last" / "adapter_model.safetensors")
    assert any(value.any() for name, value in trained.items() if "lora_B" in name)
    assert not any("visual" in name for name in trained)
    for leftover in (tmp_path / "checkpoint-2", tmp_path / "last"):
        shutil.rmtree(leftover)
    run_small(tmp_path, **settings, resume=True)
    again = load_file(tmp_path / "last" / "adapter_model.safetensors")
    assert all(torch.equal(again[name], value) for name, value in trained.items())
    policy = TransformersPolicy.load(str(tmp_path / "last"), system="Think, then answer.")
    ((rollout,),) = policy.generate(
        digit_prompts[1:2], Decoding(num_rollouts=1, max_tokens=4), seed=0
    )
    assert len(rollout.token_ids) > 0

import math
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from vasari.model.base import Decoding
from vasari.sample import AllGate, UniformSampler
from vasari.train.callbacks import Validator, read_log, write_log
from vasari.train.run_state import RunState


def at(step, *, main=True):
    return SimpleNamespace(global_step=step, max_steps=10, is_world_process_zero=main)


@pytest.fixture
def validator(tmp_path):
    run = RunState(sampler=UniformSampler(num_prompts=2, seed=0), gate=AllGate())
    return Validator(
        [],
        Decoding(),
        run=run,
        every=2,
        seed=0,
        folder=tmp_path,
        share=range,
        policy=nullcontext,
        save=lambda _: None,
    )


def test_a_resumed_record_ends_at_the_checkpoint_and_knows_its_best(validator, tmp_path):
    path = tmp_path / "validation.jsonl"
    write_log(
        path,
        [
            {"step": step, "accuracy": value}
            for step, value in [(0, 0.1), (2, 0.5), (4, 0.3), (6, 0.4)]
        ],
    )
    with path.open("a") as file:
        file.write('{"step": 8, "acc')
    validator.on_train_begin(None, at(4), None)
    assert [row["step"] for row in read_log(path)] == [0, 2, 4]
    assert (validator.best, validator.best_step) == (0.5, 2)


def test_a_best_that_was_measured_after_the_checkpoint_is_measured_anew(validator, tmp_path):
    # `best` holds its weights, and those of step 2 are gone: no step before may be called the best.
    rows = [{"step": 2, "accuracy": 0.5}, {"step": 4, "accuracy": 0.3}]
    write_log(tmp_path / "validation.jsonl", [*rows, {"step": 6, "accuracy": 0.9}])
    validator.on_train_begin(None, at(4), None)
    assert read_log(tmp_path / "validation.jsonl") == rows
    assert (validator.best, validator.best_step) == (-math.inf, 0)


def test_of_equal_accuracies_the_first_is_best(validator, tmp_path):
    write_log(
        tmp_path / "validation.jsonl", [{"step": 0, "accuracy": 0.5}, {"step": 2, "accuracy": 0.5}]
    )
    validator.on_train_begin(None, at(2), None)
    assert validator.best_step == 0


def test_a_new_run_forgets_an_old_record(validator, tmp_path):
    write_log(tmp_path / "validation.jsonl", [{"step": 0, "accuracy": 0.5}])
    validator.on_train_begin(None, at(0), None)
    assert not (tmp_path / "validation.jsonl").exists()

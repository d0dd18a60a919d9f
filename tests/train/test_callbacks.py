import json
import math
from types import SimpleNamespace

import numpy as np
import pytest

from vasari.core.errors import StorageError
from vasari.sample import make_sampler
from vasari.train.callbacks import (
    MetricLog,
    ScoreSnapshots,
    TellProgress,
    append_to_log,
    read_log,
    write_log,
)


def at(step, *, of=10, main=True):
    return SimpleNamespace(global_step=step, max_steps=of, is_world_process_zero=main)


def test_every_number_is_logged_with_its_step(tmp_path):
    log = MetricLog(tmp_path / "metrics.jsonl")
    log.on_train_begin(None, at(0), None)
    log.on_log(None, at(3), None, logs={"loss": 0.5, "count": 2, "name": "x", "unknown": math.nan})
    (row,) = read_log(tmp_path / "metrics.jsonl")
    assert {name: row[name] for name in row if name != "time"} == {
        "schema": 1,
        "step": 3,
        "loss": 0.5,
        "count": 2,
    }


def test_a_resumed_log_forgets_what_came_after_its_checkpoint(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"st')
    log = MetricLog(path)
    log.on_train_begin(None, at(2), None)
    log.on_log(None, at(3), None, logs={"loss": 1.0})
    assert [row["step"] for row in read_log(path)] == [1, 2, 3]
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_a_new_run_begins_an_empty_log(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n')
    MetricLog(path).on_train_begin(None, at(0), None)
    assert read_log(path) == []


def test_only_the_main_process_logs(tmp_path):
    log = MetricLog(tmp_path / "metrics.jsonl")
    log.on_train_begin(None, at(0, main=False), None)
    log.on_log(None, at(1, main=False), None, logs={"loss": 1.0})
    assert list(tmp_path.iterdir()) == []


def test_a_log_that_cannot_be_written_is_a_storage_error(tmp_path):
    (tmp_path / "log").mkdir()
    with pytest.raises(StorageError, match="log: could not be written: Is a directory"):
        append_to_log(tmp_path / "log", {"step": 1})


def test_a_full_disk_leaves_the_rows_that_were_there(tmp_path, largest_file):
    path = tmp_path / "rows.jsonl"
    write_log(path, [{"step": 1}])
    with largest_file(100), pytest.raises(StorageError, match="could not be written"):
        write_log(path, [{"step": step} for step in range(100)])
    assert read_log(path) == [{"step": 1}]


def test_progress_carries_the_last_loss_and_reward():
    told = []
    watch = TellProgress(lambda done, total, note="": told.append((done, total, note)))
    watch.on_train_begin(None, at(0), None)
    watch.on_log(None, at(1), None, logs={"loss": 0.25, "reward": 1.5, "other": 3.0})
    watch.on_step_end(None, at(1), None)
    watch.scoring(5, 20)
    assert told == [(1, 10, "loss 0.250, reward 1.500"), (1, 10, "scoring prompts 5/20")]


@pytest.fixture
def scored():
    """A sampler whose scores change with every call of `change`."""
    from vasari.records import GroupOutcome

    sampler = make_sampler("vas", num_prompts=2, seed=0, refresh="online", refresh_every=1)

    def change(step):
        verdicts = np.array([1.0, 0.0] if step % 2 else [1.0, 1.0])
        tokens = [[1, 2, 3], [4, 5, 6]]
        sampler.observe(
            [
                GroupOutcome(
                    index=0, rewards=verdicts, verdicts=verdicts, token_ids=tokens, batch=step
                )
            ]
        )

    return sampler, change


def test_a_resumed_record_of_scores_keeps_its_checkpoints_own(scored, tmp_path):
    sampler, change = scored
    record = ScoreSnapshots(sampler, tmp_path / "scores.npz", updates_per_batch=1)
    record.on_train_begin(None, at(0), None)
    for step in range(1, 5):
        change(step)
        record.on_step_end(None, at(step), None)
    again = ScoreSnapshots(sampler, tmp_path / "scores.npz", updates_per_batch=1)
    again.on_train_begin(None, at(2), None)
    change(3)
    again.on_step_end(None, at(3), None)
    with np.load(tmp_path / "scores.npz") as kept:
        assert kept["step"].tolist() == [1, 2, 3]
        assert kept["batch"].tolist() == [0, 1, 2]  # as the batches of the groups, counted from 0
        assert kept["vps"].shape == (3, 2)

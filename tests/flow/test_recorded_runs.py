"""Numbers do not move: trainings recorded at b600954 draw, roll out, reward and log today what they
did then.

The samplers are replayed on what they were told, on every machine. The trainings are trained again
where arithmetic is that of the recording; `scripts/check` does two of nine,
`scripts/check-trainings` all.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vasari.core.progress import silent
from vasari.records import GroupOutcome
from vasari.run.prompts import generate
from vasari.sample import make_sampler, prompt_features

HERE = Path(__file__).parent
_spec = importlib.util.spec_from_file_location("record_runs", HERE / "record_runs.py")
assert _spec is not None
assert _spec.loader is not None
record_runs: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(record_runs)

RECORDED = HERE / "recorded"
RUNS = [(sampler, how) for sampler in record_runs.SAMPLERS for how in ("one", "two", "killed")]
QUICK = {("weighted_passes", "one")}
"""The run of a usual check; the others take minutes."""

if os.environ.get("VASARI_TRAININGS") != "all":
    RUNS = [run for run in RUNS if run in QUICK]


@pytest.fixture(scope="module")
def recipe():
    from vasari.run.recipe import load_recipe

    return load_recipe(record_runs.RECIPE)


@pytest.fixture(scope="module")
def pool(recipe):
    return generate(recipe.prompts.tasks, seed=recipe.seed, tell=silent)["train"]


def numbers(values: list[Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([float(value) for value in values])


def group_of(told: dict[str, Any]) -> GroupOutcome:
    return GroupOutcome(
        index=told["index"],
        rewards=numbers(told["rewards"]),
        verdicts=numbers(told["verdicts"]),
        token_ids=told["token_ids"],
        confidence=None if told["confidence"] is None else numbers(told["confidence"]),
        answers=told["answers"],
        purpose=told["purpose"],
        batch=told["batch"],
    )


@pytest.mark.parametrize("name", record_runs.SAMPLERS)
def test_a_sampler_that_is_told_the_same_draws_the_same(recipe, pool, name):
    ids = [prompt.id for prompt in pool]
    sampler = make_sampler(
        name,
        num_prompts=len(pool),
        seed=recipe.seed,
        prompt_ids=ids,
        features=prompt_features(pool),
        **recipe.sampler.of(name),
    )
    drawn = 0
    for event in record_runs.read(RECORDED / f"events-{name}.json.gz"):
        if event["call"] == "due":
            assert sampler.due(event["batch"]).tolist() == event["indices"]
        elif event["call"] == "observe":
            sampler.observe([group_of(told) for told in event["groups"]])
        else:
            draw = sampler.draw(event["num_prompts"])
            assert (draw.indices.tolist(), list(draw.roles)) == (event["indices"], event["roles"])
            drawn += 1
    assert drawn == record_runs.STEPS // 2


@pytest.fixture(scope="module")
def cold_start(tmp_path_factory):
    """A run's folder with prompts and cold start, where a training here is bit for bit one
    there."""
    recorded = (RECORDED / "fingerprint.txt").read_text().strip()
    if record_runs.fingerprint() != recorded:
        pytest.skip(
            f"arithmetic here is not that of the recording ({recorded}), so that other tokens are"
            " sampled"
        )
    folder = tmp_path_factory.mktemp("recorded") / "run"
    record_runs.train_cold_start(folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("sampler", "how"), RUNS)
def test_a_training_is_the_recorded_one(cold_start, tmp_path, sampler, how):
    run = tmp_path / "run"
    shutil.copytree(cold_start, run)
    processes = 2 if how == "two" else 1
    if how == "killed":
        record_runs.train(run, sampler, die_at=record_runs.DIE_AT)
        assert not (run / "rl" / sampler / f"checkpoint-{record_runs.STEPS}").exists()
    first = run / "rl" / sampler / "groups" / "000000-train.parquet"
    written = first.stat().st_mtime_ns if how == "killed" else None
    record_runs.train(run, sampler, processes=processes, resume=how == "killed")
    # A training that began anew would end in the same numbers.
    assert written in (None, first.stat().st_mtime_ns)
    found = record_runs.recording_of(run, sampler)
    recorded = record_runs.read(RECORDED / f"{sampler}-{processes}.json.gz")
    for now, then in zip(found["groups"], recorded["groups"], strict=True):
        assert now == then
    assert found["validation"] == recorded["validation"]
    for now, then in zip(found["metrics"], recorded["metrics"], strict=True):
        # What a resumed run sums up at its end is of its own steps.
        names = {name for name in then if not (how == "killed" and name == "train_loss")}
        assert names <= now.keys()
        # NumPy picks its kernels by processor, so a sampler's own sums may end in other digits.
        close = {name for name in names if name.startswith("sampler/")}
        assert {name: now[name] for name in names - close} == {
            name: then[name] for name in names - close
        }
        assert [now[name] for name in sorted(close)] == pytest.approx(
            [then[name] for name in sorted(close)], rel=1e-12, nan_ok=True
        )

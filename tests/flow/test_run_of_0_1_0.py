"""A run that 0.1.0 wrote is reported, scored and continued: `tests/golden/run_0_1_0`, made by
commit b600954."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from vasari.cli.main import app
from vasari.core.files import read_json
from vasari.core.ledger import Ledger
from vasari.report import write_report, write_summary
from vasari.report.inputs import read_run
from vasari.report.tables import essentials, spending, stage_rows
from vasari.sample import make_gate, make_sampler, prompt_features
from vasari.sample.state_file import load_state
from vasari.train.group_file import read_groups
from vasari.train.run_state import RunState

OLD = Path(__file__).parents[1] / "golden" / "run_0_1_0"
CHECKPOINTS = {arm: OLD / "rl" / arm / "checkpoint-4" for arm in ("vas", "progress")}
SETTINGS = {"vas": {"refresh_every": 1, "num_refresh_rollouts": 2}, "progress": {"explore": 0.25}}

# What b600954 itself did after loading the states: `due(2)`, then three draws of four prompts, with
# their roles.
HALVES = ("promoted", "promoted", "uniform", "uniform")
NEXT = (list(range(12)), [[0, 10, 11, 6], [11, 1, 0, 8], [3, 11, 7, 9]], HALVES)
# The stored ledger of each arm, with the name of today for what it called `probe`.
SPENT = {
    "vas": {"train": 16, "refresh": 48, "screen": 20, "discarded": 0},
    "progress": {"train": 28, "refresh": 0, "screen": 10, "discarded": 0},
}
# Prompts whose `deferred_until` is 2 in the stored gate.
DEFERRED = {"vas": [5, 9], "progress": [0, 1, 4, 9]}


@pytest.fixture
def old(tmp_path):
    """A copy of the run."""
    return shutil.copytree(OLD, tmp_path / "run")


def sampler_of(arm, prompts):
    ids = [prompt.id for prompt in prompts]
    return make_sampler(
        arm,
        num_prompts=12,
        seed=0,
        prompt_ids=ids,
        features=prompt_features(prompts),
        **SETTINGS[arm],
    )


def of_today(content):
    """What 0.1.0 wrote, with the purpose `probe` called `screen`."""
    if isinstance(content, dict):
        return {
            "screen" if key == "probe" else key: of_today(value) for key, value in content.items()
        }
    return content


def without_terms(summary):
    """A summary less what 0.1.0 did not write."""
    arms = {
        arm: {key: value for key, value in facts.items() if key != "reward_terms"}
        for arm, facts in summary["by_arm"].items()
    }
    return {key: value for key, value in summary.items() if key != "reward_terms"} | {
        "by_arm": arms
    }


def test_the_summary_is_the_one_that_0_1_0_wrote_under_todays_names(old):
    before, now = of_today(read_json(OLD / "summary.json")), without_terms(write_summary(old))
    for summary in (before, now):
        summary.pop("difference")  # needs the evaluated rollouts, which are not in the repository
    added = {name: now.pop(name) for name in ("cpu_seconds", "taught", "untaught")}
    assert added == {
        "cpu_seconds": dict.fromkeys(("tasks", "sft", "rl", "evaluate")),
        "taught": None,
        "untaught": None,
    }
    assert now == before


@pytest.mark.parametrize("arm", ["vas", "progress"])
def test_what_an_old_run_spent_stands_under_todays_purposes(old, arm):
    assert write_summary(old)["by_arm"][arm]["rollouts"] == SPENT[arm]
    facts = dict(
        next(row["facts"] for row in stage_rows(read_run(old)) if row["name"] == f"rl-{arm}")
    )
    assert facts["rollouts"].endswith(f"{SPENT[arm]['screen']} to try prompts out")


def test_the_reward_terms_of_an_old_run_are_in_its_summary(old):
    """By hand from the stored training groups: 3 of 8 rollouts right in both batches of vas, 8 and
    5 in the format."""
    found = write_summary(old)["by_arm"]["vas"]["reward_terms"]
    assert found == {
        "accuracy": {"first": 3 / 8, "last": 3 / 8, "mean": 3 / 8},
        "format": {"first": 0.5, "last": 5 / 16, "mean": 13 / 32},
    }


def test_the_page_of_an_old_run_shows_terms_purposes_and_what_was_rewarded(old):
    page = write_report(old).read_text(encoding="utf-8")
    assert "<figcaption><b>accuracy</b></figcaption>" in page
    assert (
        "progress: from 0.438 to 0.292 at step 3" in page
    )  # 0.5 x 14 of 16 and x 7 of 12 rollouts in the format
    assert "16 to train · 48 to score prompts · 20 to try prompts out" in page
    assert "probe" not in page
    assert ("Reward", "accuracy + 0.5 \u00d7 format") in essentials(read_run(old))
    parts = [
        part["purpose"]
        for bar in spending(read_run(old), ["vas"])[0]["bars"]
        for part in bar["parts"]
    ]
    assert parts == ["train", "refresh", "screen"]


def test_the_command_reports_an_old_run(old):
    done = CliRunner().invoke(app, ["report", str(old)])
    assert done.exit_code == 0, done.output
    assert "16 to train" in done.output
    assert (old / "report.html").exists()


def test_an_old_run_is_reported_without_torch(old):
    code = """
import sys
from pathlib import Path
for name in ("torch", "transformers", "trl", "accelerate", "peft"):
    sys.modules[name] = None  # importing it fails
from vasari.cli.run_report import report_run
report_run(Path(sys.argv[1]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(old)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_groups_of_an_old_run_are_scored(old):
    done = CliRunner().invoke(app, ["score", str(old), "--arm", "vas"])
    assert done.exit_code == 0, done.output
    rows = {
        row["prompt_id"]: row
        for row in pq.read_table(old / "rl" / "vas" / "groups.scores.parquet").to_pylist()
    }
    # Batch 1 of digit-7: [1, 0] in the refresh, [1, 0, 0, 1] in training; of digit-0: [0, 0] in the
    # refresh alone.
    assert (rows["digit-7"]["pass_rate"], rows["digit-7"]["ovs"]) == (0.5, 0.25)
    assert (rows["digit-0"]["pass_rate"], rows["digit-0"]["ovs"]) == (0.0, 0.0)
    assert rows["digit-10"]["pass_rate"] == pytest.approx(1 / 6)


def test_an_old_sampler_goes_on_with_the_draws_of_0_1_0(digit_prompts):
    sampler = sampler_of("vas", digit_prompts)
    sampler.load_state_dict(load_state(CHECKPOINTS["vas"] / "vasari_sampler.npz"))
    due, draws, roles = NEXT
    assert sampler.due(2).tolist() == due
    found = [sampler.draw(4) for _ in draws]
    assert [draw.indices.tolist() for draw in found] == draws
    assert {draw.roles for draw in found} == {roles}


def test_an_old_belief_goes_on_with_what_it_has_seen(digit_prompts):
    # `progress` weighs prompts in another way since, so that its draws are others.
    sampler = sampler_of("progress", digit_prompts)
    saved = load_state(CHECKPOINTS["progress"] / "vasari_sampler.npz")
    sampler.load_state_dict(saved)
    seen = np.array(saved["state"]["seen_at"]) >= 0
    assert seen.all()
    assert sampler.metrics()["sampler/seen_share"] == 1.0
    assert not len(sampler.due(2))
    scores = sampler.scores()
    assert len(set(scores[seen].tolist())) > 1
    assert len(set(sampler.draw(4).indices.tolist())) == 4


@pytest.mark.parametrize("arm", ["vas", "progress"])
def test_an_old_ledger_goes_on_counting(arm):
    ledger = Ledger()
    ledger.load_state_dict(read_json(CHECKPOINTS[arm] / "vasari_books.json")["ledger"])
    assert dict(ledger.rollouts) == SPENT[arm]
    stored = json.loads((OLD / "stages" / f"rl-{arm}.json").read_text())
    assert ledger.tokens["screen"] == stored["tokens"]["probe"]


@pytest.mark.parametrize("arm", ["vas", "progress"])
def test_an_old_checkpoint_goes_on_with_its_sampler_gate_ledger_and_batch(arm, digit_prompts):
    gate = make_gate("two_stage", num_screening=2, num_rollouts=4, defer_batches=1)
    state = RunState(sampler=sampler_of(arm, digit_prompts), gate=gate)
    state.load(CHECKPOINTS[arm])
    assert state.batch == 2
    assert dict(state.ledger.rollouts) == SPENT[arm]
    assert np.flatnonzero(~gate.wanted(range(12), 2)).tolist() == DEFERRED[arm]


def test_the_terms_of_an_old_rollout_add_up_to_its_reward():
    for group in read_groups(OLD / "rl" / "progress" / "groups").to_pylist(
        maps_as_pydicts="strict"
    ):
        parts = [sum(values) for values in zip(*group["reward_terms"].values(), strict=True)]
        assert parts == group["rewards"]

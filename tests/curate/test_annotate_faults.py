"""A fifth of faults of every kind, by the server and by the teacher: every row is kept, dropped
with a reason, or dead."""

from __future__ import annotations

import hashlib
import json
from collections import Counter

import pytest

pytest.importorskip("aiohttp")

from vasari.curate.ask.annotate import REASONS, AnnotateSettings, annotate
from vasari.curate.ask.categorise import CategoriseSettings, categorise
from vasari.curate.ask.rephrase import RephraseSettings, rephrase
from vasari.curate.ask.validity import ValiditySettings, validity
from vasari.curate.stage import check_result
from vasari.endpoint import write_dead_letters

# Ways to misbehave, as the server of tests/endpoint knows them, and what the client calls them.
FAULTS = {
    "rate_limited": "rate_limited",
    "error": "server_error",
    "error_in_body": "server_error",
    "bad_request": "refused",
    "redirect": "redirected",
    "timeout": "timeout",
    "cut": "cut_connection",
    "cut_within": "cut_connection",
    "malformed": "malformed_json",
    "other_shape": "not_a_completion",
    "wrong_type": "wrong_content_type",
    "drip": "slow_body",
    "large": "too_large",
    "truncated": "",
}
NUM_PROMPTS = 240


def planned_fault(body, attempt):
    """A fault for a fifth of the requests; two thirds of these recover at the third attempt."""
    number = int(hashlib.sha256(json.dumps(body["messages"][-1]).encode()).hexdigest()[:8], 16)
    if number % 5 or (attempt > 2 and number // 5 % 3):
        return "good"
    return [*FAULTS][number // 15 % len(FAULTS)]


@pytest.fixture(scope="module")
def rows():
    from vasari.data.tasks.pool import PoolSettings, make_pool

    return make_pool(
        PoolSettings(families=("bars", "tables"), num_prompts=NUM_PROMPTS, image_size=56),
        split="train",
        seed=5,
    )


@pytest.mark.slow
def test_with_a_fifth_of_faults_every_row_is_kept_dropped_with_a_reason_or_dead(
    teach, asking, rows, tmp_path
):
    server = teach(rows, wrong=0.1, truncated=0.05, off_format=0.05)
    planned = Counter()

    def plan(body, attempt):
        fault = planned_fault(body, attempt)
        planned[fault] += attempt == 1
        return fault

    server.plan = plan
    model = asking(server, timeout_seconds=2.0, max_attempts=4, max_failures_in_a_row=500)
    result = check_result(
        annotate(rows, model, AnnotateSettings(min_words=3, num_rationales=2)),
        len(rows),
        stage="annotate",
    )
    reasons = Counter(drop.reason for drop in result.dropped)
    assert set(reasons) <= {*REASONS, "teacher_failed"}
    assert reasons["teacher_failed"] > 0
    assert all(drop.detail for drop in result.dropped)
    dead = write_dead_letters(model.store, tmp_path / "dead.jsonl")
    named = {
        json.loads(line)["reason"] for line in (tmp_path / "dead.jsonl").read_text().splitlines()
    }
    assert named <= set(FAULTS.values())
    assert set(planned) == {*FAULTS, "good"}
    assert planned["good"] / planned.total() == pytest.approx(0.8, abs=0.08)
    # A row is dead when neither of its two requests came through.
    assert dead == result.counts.get("rationales_failed", 0) + 2 * reasons["teacher_failed"]
    assert len(result.kept) > 0.7 * NUM_PROMPTS


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "settings"),
    [
        (rephrase, RephraseSettings()),
        (categorise, CategoriseSettings(drop_uncategorised=True)),
        (validity, ValiditySettings(num_blind=2, num_sighted=2)),
    ],
)
def test_every_other_stage_ends_and_decides_about_every_row(teach, asking, rows, stage, settings):
    server = teach(rows, wrong=0.1, truncated=0.05, off_format=0.05)
    server.plan = planned_fault
    model = asking(server, timeout_seconds=2.0, max_attempts=3, max_failures_in_a_row=500)
    some = rows[:80]
    result = check_result(stage(some, model, settings), len(some), stage=stage.__name__)
    assert [drop.index for drop in result.dropped] == sorted(drop.index for drop in result.dropped)
    assert all(drop.reason and drop.id == some[drop.index].id for drop in result.dropped)
    assert len(result.kept) > 0.5 * len(some)

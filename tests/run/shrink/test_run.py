"""Every recipe runs whole in small dimensions: cold start, kill, resume, evaluation, report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vasari.core.errors import StateError
from vasari.run.recipe import load_recipe
from vasari.run.shrink.run import shrink

RECIPES = sorted(
    path
    for path in (Path(__file__).parents[3] / "recipes").glob("*.yaml")
    if not path.stem.startswith(("curate_", "benchmarks", "tiny_base"))
)


@pytest.mark.slow
@pytest.mark.heavy
@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_runs_whole(path, tmp_path):
    told = []
    run = shrink(path, tmp_path / "out", (), tell=told.append)
    recipe = load_recipe(path)
    summary = json.loads((run / "summary.json").read_text())
    assert (run / "report.html").exists()
    assert (summary["accuracy"]["cold_start"] is None) == (recipe.sft is None)
    assert "vasari train: killed after checkpoint-" in "\n".join(told)
    stage = json.loads((run / "stages" / f"rl-{recipe.sampler.name}.json").read_text())
    assert stage["steps"] == 4 * recipe.grpo.updates_per_batch
    rows = (run / "rl" / recipe.sampler.name / "metrics.jsonl").read_text().splitlines()
    metrics = [json.loads(row) for row in rows]
    # Groups differ in their rewards, so that weights move.
    assert any(row.get("grad_norm", 0) > 0 for row in metrics)
    assert any(row.get("reward", 0) > 0 for row in metrics)


def test_a_folder_with_something_in_it_is_refused(tmp_path):
    (tmp_path / "mine").write_text("keep")
    with pytest.raises(StateError, match="holds something already"):
        shrink(RECIPES[0], tmp_path, (), tell=print)

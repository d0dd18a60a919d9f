"""What the write-up of the study says of tests decided by hand, and cells without cold starts."""

import json
import math
from pathlib import Path

import pytest

from sample_efficiency.analysis import Result
from sample_efficiency.arms import CONFIRMATORY
from sample_efficiency.curves import Run
from sample_efficiency.design import TESTS
from sample_efficiency.inference import Mean
from sample_efficiency.options import options
from sample_efficiency.planning import explored_beside, plan
from sample_efficiency.write_up import points, table, table_of_tests, verdicts
from vasari.core.errors import ConfigError
from vasari.run.recipe import load_recipe

RECIPE = Path(__file__).parents[2] / "benchmarks" / "sample_efficiency" / "recipe.yaml"


def results(*unclaimed):
    """The results of all tests, of which those named "pool measure" claim nothing."""
    return [
        Result(
            test=test,
            arm="weighted_passes",
            mean=Mean(0.03, 0.01, 0.05, 0.02, 12),
            bootstrap=(math.nan, math.nan),
            sign_flip_p=0.5,
            p=0.001,
            adjusted=0.5 if f"{test.pool} {test.measure}" in unclaimed else 0.01,
            complete=True,
        )
        for test in TESTS
    ]


@pytest.mark.parametrize(
    ("unclaimed", "first", "win"),
    [
        ([], "* a gain on `heterogeneous`: shown", "yes"),
        (["no_features sampled"], "* a gain on `no_features`: not shown", "yes"),
        (["heterogeneous greedy"], "* a gain on `heterogeneous`: not shown", "no"),
        (["one_skill_four sampled"], "* no harm on `one_skill_four`: not shown", "no"),
    ],
)
def test_a_win_takes_both_measures_and_what_is_not_shown_comes_first(unclaimed, first, win):
    lines = verdicts(results(*unclaimed)).splitlines()
    assert len(lines) == 5
    wanted = next(line for line in lines if "win" not in line)
    assert wanted == first
    assert f"* **a win of `weighted_passes`: {win}**" in lines


def test_rows_without_a_claim_come_first():
    rows = table_of_tests(results("one_skill_four sampled")).splitlines()[2:]
    assert rows[0].startswith("| one_skill_four | sampled |")
    assert [row.split(" | ")[-1] for row in rows] == ["no |"] + ["yes |"] * 7


def test_points_are_percent_with_a_sign():
    assert points(Mean(0.031, -0.0042, 0.0662, 0.02, 12)) == "+3.1 (-0.4 to +6.6)"
    assert points(Mean(-0.031, math.nan, math.nan, math.nan, 1)) == "-3.1"
    assert table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def chosen_for(out):
    words = ["analyse", "--out", str(out), "--runs", "1:200", "--pools", "no_features"]
    return options(words, description="")


def test_unpacked_cells_are_analysed_without_their_cold_start(tmp_path):
    chosen, recipe = chosen_for(tmp_path), load_recipe(RECIPE, [])
    with pytest.raises(ConfigError, match=r"neither cold start many-1 nor a cell of it"):
        plan(chosen, recipe, {"uniform": CONFIRMATORY["uniform"]}, train=False)
    folder = tmp_path / "cells" / "heterogeneous" / "uniform" / "cold1-seed200"
    folder.mkdir(parents=True)
    known = {"pool": "heterogeneous", "cold_start": 1, "fingerprint": "abc"}
    (folder / "task.json").write_text(json.dumps(known))
    (one,) = plan(chosen, recipe, {"uniform": CONFIRMATORY["uniform"]}, train=False)
    assert (one.pool, one.run, one.cell.folder) == ("no_features", Run(1, 200), folder)
    assert one.cell.task.fingerprint == "abc"
    assert explored_beside(chosen, recipe) == []


def test_exploratory_runs_are_beside_an_analysis_only(tmp_path):
    chosen = chosen_for(tmp_path)
    chosen.command = "run"
    assert explored_beside(chosen, load_recipe(RECIPE, [])) == []

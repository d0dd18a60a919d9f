"""The table of an ablation on numbers worked by hand, and its figures from made-up logs."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from vasari.report.ablation import ablation_numbers, ablation_page, spread_of_cells, verdict
from vasari.report.ablation_figures import mean_curve, score_figure, training_figure
from vasari.report.curves import MEASURES, VALIDATION
from vasari.report.inputs import Arm, Groups, Run
from vasari.run.ablation_grid import ablation_grid
from vasari.run.recipe import parse_recipe

UNIFORM = (0.50, 0.60, 0.70)
VAS = (0.60, 0.72, 0.81)  # 0.10, 0.12 and 0.11 more


def evaluated(sampled, greedy):
    scores = {
        "sampled": {"accuracy": {"mean": sampled}},
        "greedy": {"accuracy": {"mean": greedy}},
    }
    return {"sets": {"test": scores}}


@pytest.fixture
def grid(tmp_path):
    recipe = parse_recipe(
        {
            "name": "small",
            "prompts": {"files": {"train": "train.jsonl"}},
            "model": {"path": "somewhere"},
            "grpo": {"steps": 120, "updates_per_batch": 2},
        },
        where="test",
    )
    made = ablation_grid(recipe).chosen(["mix_ratio=0.5", "mix_ratio=0.2"])
    rows = [
        {
            "parameter": row.parameter,
            "paper_value": row.paper_value,
            "value": row.value,
            "paper": row.paper,
            "cell": row.cell,
        }
        for row in made.rows
    ]
    base = {"num_refresh_rollouts": 8, "refresh_every": 28, "mix_ratio": 0.5}
    return {
        "recipe": "small",
        "model": "somewhere",
        "base": base,
        "seeds": [0, 1, 2],
        "which": "last",
        "cells": {"uniform": None, "vas": {}, "vas-mix_ratio-0.2": {}},
        "rows": rows,
    }


@pytest.fixture
def runs(tmp_path):
    return {
        seed: Run(
            tmp_path,
            stages={
                "rl-uniform": {"rollouts": {"train": 256, "refresh": 0}},
                "rl-vas": {"rollouts": {"train": 256, "refresh": 384}},
            },
            evaluation={
                "cold_start": evaluated(0.25, 0.5),
                "uniform": evaluated(UNIFORM[seed], 0.5),
                "vas": evaluated(VAS[seed], 0.75),
            },
        )
        for seed in range(3)
    }


def test_numbers_are_those_worked_by_hand(grid, runs):
    found = ablation_numbers(grid, runs)["cells"]
    assert found["vas"]["mean"]["sampled"]["mean"] == pytest.approx(0.71)
    assert found["vas"]["mean"]["greedy"]["mean"] == 0.75
    difference = found["vas"]["minus_uniform"]["sampled"]
    assert difference["mean"] == pytest.approx(0.11)
    # 4.3027 x 0.01 / sqrt(3), Student's quantile of two degrees of freedom.
    assert difference["high"] == pytest.approx(0.11 + 0.024842, abs=1e-5)
    assert found["vas"]["p_holm"] == pytest.approx(1 - (363 / 365) ** 0.5)
    assert found["vas"]["rollouts"] == {"train": 256, "refresh": 384}
    assert found["vas-mix_ratio-0.2"]["mean"]["sampled"] is None


def test_the_page_has_table_4s_rows_with_the_papers_numbers_beside_ours(grid, runs):
    page = ablation_page(ablation_numbers(grid, runs))
    lines = page.splitlines()
    assert (
        "| mix_ratio | 0.5 | 71.0 (44.8 to 97.2) | 75.0 | +11.0 (+8.5 to +13.5)"
        " | 0.0027 | 256 + 384 | 51.7 | -0.1 |"
    ) in lines
    assert "| mix_ratio | 0.2 |  |  |  |  |  | 51.5 | -0.3 |" in lines
    assert any(line.startswith("| GRPO, uniform |  | 60.0 (35.2 to 84.8) |") for line in lines)
    assert "base settings the paper's (N = 8" in page


def test_the_verdict_names_cells_that_differ_and_says_when_none_does(grid, runs):
    assert "differ from uniform prompts: vas (+11.0 points)" in verdict(
        ablation_numbers(grid, runs)
    )
    two = {seed: runs[seed] for seed in (0, 1)}  # t = 11, df 1: p = 1 - 2 atan(11) / pi = 0.058
    assert "no cell differs" in verdict(ablation_numbers(grid, two))
    assert "needs two seeds" in verdict(ablation_numbers(grid, {0: runs[0]}))


def test_the_spread_that_chance_gives_worked_by_hand():
    # Seeds 50 and 70, 60 and 60: means 60 and 60. Without cell and seed each value is off by 5, so
    # the variance is 4 x 25 / 1, and that of a mean over two seeds half of it.
    assert spread_of_cells([[50, 70], [60, 60]]) == pytest.approx((0.0, 50**0.5))
    # What a seed adds to all cells alike is no chance.
    assert spread_of_cells([[50, 70], [52, 72]]) == pytest.approx((2**0.5, 0.0))


def logged(*values):
    lines = [{"step": step, "grad_norm": value} for step, value in enumerate(values, start=1)]
    accuracy = [{"step": 0, "accuracy": values[0], "rollouts": 0}]
    return lines, accuracy


def test_curves_are_means_over_seeds_at_steps_that_all_have(tmp_path):
    runs = [
        Run(tmp_path, arms={"vas": Arm("vas", *logged(*values))})
        for values in ((1.0, 2.0, 3.0), (3.0, 6.0))
    ]
    curve = mean_curve(runs, "vas", MEASURES[1])
    assert curve.steps.tolist() == [1, 2]
    assert curve.values.tolist() == [2.0, 4.0]
    curve = mean_curve(runs, "vas", VALIDATION)
    assert (curve.low.tolist(), curve.high.tolist()) == ([1.0], [3.0])
    assert mean_curve(runs, "uniform", VALIDATION) is None


def test_figures_are_files_of_their_own(tmp_path):
    run = Run(tmp_path, arms={name: Arm(name, *logged(1.0, 2.0)) for name in ("uniform", "vas")})
    scores = np.array([[0.1, 0.2, 0.3], [0.3, 0.2, 0.1]])
    groups = Groups(
        batch=np.array([1, 14]),
        index=np.array([0, 2]),
        prompt_id=["a", "c"],
        purpose=np.array(["train", "refresh"]),
        role=np.array(["uniform", "uniform"]),
        verdicts=[[0.0, 1.0]] * 2,
        extractions=[[None, None]] * 2,
        pass_rate=np.array([0.5, 0.5]),
    )
    figures = (
        training_figure([run]),
        score_figure({"batch": np.array([0.0, 14.0]), "vps": scores}, groups),
    )
    for figure in figures:
        assert ET.fromstring(figure).tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314 (ours)
        assert "var(" not in figure
    assert training_figure([]) is None
    assert "0% stayed (50% by chance)" in figures[1]
    assert score_figure({}, groups) is None
    assert score_figure({"batch": np.array([0.0, 14.0]), "vps": scores}, None) is None

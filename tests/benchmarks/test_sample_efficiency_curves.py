"""Curves of accuracy over rollouts, their pairing and their archive, by hand."""

import gzip
import json

import numpy as np
import pytest

from sample_efficiency.analysis import beside, claims, confirmatory, pair, targets
from sample_efficiency.archive import export_cells, import_cells
from sample_efficiency.curves import Curve, Run, marks_of, trapezoid
from sample_efficiency.design import FINAL_RUNS, TESTS, USED_SEEDS, check_fresh
from sample_efficiency.study import key_of
from vasari.core.errors import ConfigError, DataError, StateError


def cell(charged, points, **changes):
    """A cell of rollouts charged after each batch, and answers to held-out prompts by batch."""
    return {
        "schema": 2,
        "pool": "heterogeneous",
        "arm": "a",
        "cold_start": 1,
        "seed": 200,
        "budget": charged[-1],
        "num_sampled": 1,
        "spent_before": 0,
        "charged": charged,
        "points": [{"batch": at, "greedy": text, "sampled": text} for at, text in points],
    } | changes


def test_a_refresh_is_paid_for_and_moves_no_weights():
    """Batch 1 costs 14 with its refresh, batch 2 costs 4: 13 rollouts buy the cold start."""
    curve = Curve.read(cell([14, 18], [(0, "00"), (2, "10")]))
    found = curve.at(np.array([0.0, 13.0, 14.0, 18.0]), "greedy")
    np.testing.assert_allclose(found, [[0, 0], [0, 0], [0.5, 0], [1, 0]])


def test_sampled_rollouts_of_a_prompt_are_a_share():
    """Of four sampled rollouts 3 and 1 are right, of one greedy rollout 1 and 0."""
    own = cell([4], [(0, "00"), (1, "10")], num_sampled=4)
    own["points"][1]["sampled"] = "31"
    curve = Curve.read(own)
    np.testing.assert_allclose(curve.at(np.array([4.0]), "sampled"), [[0.75, 0.25]])
    np.testing.assert_allclose(curve.at(np.array([4.0]), "greedy"), [[1, 0]])


def test_what_was_spent_beforehand_delays_the_first_batch():
    curve = Curve.read(cell([14, 18], [(0, "0"), (2, "1")], spent_before=10))
    np.testing.assert_allclose(
        curve.accuracy(np.array([0, 9.0, 14, 18]), "sampled"), [0, 0, 0.5, 1]
    )


def test_a_run_that_cannot_pay_for_another_batch_keeps_its_policy():
    curve = Curve.read(cell([4], [(0, "0"), (1, "1")]))
    np.testing.assert_allclose(curve.accuracy(np.array([4.0, 6.0]), "greedy"), [1, 1])


def test_a_record_without_its_end_is_refused():
    with pytest.raises(DataError, match=r"measured after batches \[0, 1\] of 2"):
        Curve.read(cell([4, 8], [(0, "0"), (1, "1")]))


def test_a_cell_of_an_earlier_schema_is_refused():
    with pytest.raises(DataError, match="schema 1, expected 2"):
        Curve.read(cell([4], [(0, "0"), (1, "1")], schema=1))


def test_the_mean_over_the_budget_is_the_trapezoid_s():
    """0 to 1 in the first half, then 1: (0.5 + 1) / 2."""
    assert trapezoid(marks_of(8, 2), np.array([0.0, 1.0, 1.0])) == pytest.approx(0.75)


def study(shift=0):
    """Uniform solves 2 of 10 prompts in the end, ours 2 + `shift`, on all pools and runs."""
    found = {}
    for pool in ("heterogeneous", "no_features", "one_skill_once", "one_skill_four"):
        for arm, num in (("uniform", 2), ("weighted_passes", 2 + shift)):
            found[pool, arm] = {}
            for run in FINAL_RUNS:
                more = num + (run.seed % 2 if arm != "uniform" and shift else 0)
                end = ("1" * more).ljust(10, "0")
                where = {"pool": pool, "arm": arm, "cold_start": run[0], "seed": run[1]}
                where["groups"] = {}
                points = [(0, "0" * 10), (1, end)]
                found[pool, arm][run] = Curve.read(cell([8], points, **where))
    return found


def test_runs_are_paired_by_cold_start_and_seed():
    curves = study(shift=1)
    del curves["heterogeneous", "uniform"][FINAL_RUNS[0]]
    del curves["heterogeneous", "weighted_passes"][FINAL_RUNS[1]]
    found = pair(
        curves,
        "heterogeneous",
        "weighted_passes",
        "uniform",
        measure="greedy",
        marks=marks_of(8, 1),
    )
    assert found.runs == FINAL_RUNS[2:]
    # One or two prompts of ten more in the end, none at the start: half of that over the budget.
    expected = [0.05 + 0.05 * (run.seed % 2) for run in found.runs]
    np.testing.assert_allclose(found.differences, expected)


def test_a_gain_everywhere_is_claimed_everywhere():
    results = confirmatory(study(shift=1), runs=FINAL_RUNS, marks=marks_of(8, 1))
    assert [one.claimed for one in results] == [True] * 8


def test_no_difference_is_no_gain_and_no_harm():
    results = confirmatory(study(), runs=FINAL_RUNS, marks=marks_of(8, 1))
    # Greedy and sampled by pool: no gain in sampled accuracy, no harm anywhere.
    assert [one.claimed for one in results] == [True, False] * 2 + [True] * 4


def test_nothing_is_claimed_without_all_runs():
    curves = study(shift=1)
    del curves["heterogeneous", "uniform"][FINAL_RUNS[0]]
    results = confirmatory(curves, runs=FINAL_RUNS, marks=marks_of(8, 1))
    assert [one.claimed for one in results][:4] == [False, False, True, True]


def test_the_procedure_claims_by_holm_over_the_tests_given():
    """Differences of -1 with an error of 0 pass no test; those of +1 pass all."""
    differences = {
        test.name: np.full(12, 1.0 if test.measure == "greedy" else -1.0) for test in TESTS
    }
    assert claims(differences) == [test.name for test in TESTS if test.measure == "greedy"]


def test_the_target_is_three_quarters_of_uniform_s_gain():
    uniform = study()["heterogeneous", "uniform"]
    assert targets(uniform, marks_of(8, 1)) == pytest.approx(dict.fromkeys((1, 2, 3, 4), 0.15))


def test_a_cold_start_on_which_uniform_gains_nothing_has_no_target():
    flat = Curve.read(cell([8], [(0, "11"), (1, "10")]))
    assert targets({Run(1, 200): flat}, marks_of(8, 1)) == {}
    curves = {("p", "uniform"): {Run(1, 200): flat}, ("p", "a"): {Run(1, 200): flat}}
    found = beside(curves, "p", "a", "uniform", marks=marks_of(8, 1))
    assert found.reached == (0, 0)


def test_a_faster_arm_saves_rollouts():
    """Uniform reaches 0.15 at 6 of 8 rollouts; ours, at 0.3 or 0.4 in the end, at 4 or 3."""
    found = beside(
        study(shift=1), "heterogeneous", "weighted_passes", "uniform", marks=marks_of(8, 1)
    )
    assert found.reached == (12, 12)
    assert found.restricted == pytest.approx(3.5)
    assert found.saved.value == pytest.approx(-2.5)


def test_final_seeds_are_fresh_and_each_is_used_once():
    check_fresh(FINAL_RUNS)
    assert len({run.seed for run in FINAL_RUNS}) == 12
    with pytest.raises(ConfigError, match=r"seeds \[100\] were used before"):
        check_fresh([Run(1, 100)])
    assert 101 in USED_SEEDS


def write_cell(out, seed=200, sampled="01", **task):
    folder = out / "cells" / "p" / "a" / f"cold1-seed{seed}"
    folder.mkdir(parents=True)
    where = {"pool": "p", "arm": "a", "cold_start": 1, "seed": seed}
    settings = where | {"model": "here", "stock": "there", "budget": 8} | task
    (folder / "task.json").write_text(json.dumps(settings))
    points = [{"batch": 0, "greedy": "00", "sampled": sampled}]
    (folder / "curve.json").write_text(json.dumps({"schema": 2, "points": points}))
    return folder


def test_cells_come_back_as_they_were_packed(tmp_path):
    first, second = write_cell(tmp_path / "a"), write_cell(tmp_path / "a", seed=201)
    assert "2 new of 2 cells" in export_cells(tmp_path / "a", tmp_path / "packed")
    assert "2 of 2 cells" in import_cells(tmp_path / "packed", tmp_path / "b")
    for folder in (first, second):
        copy = tmp_path / "b" / folder.relative_to(tmp_path / "a")
        assert json.loads((copy / "curve.json").read_text()) == json.loads(
            (folder / "curve.json").read_text()
        )
        tasks = [json.loads((f / "task.json").read_text()) for f in (copy, folder)]
        assert key_of(tasks[0]) == key_of(tasks[1])
    packed = (tmp_path / "packed" / "p.jsonl.gz").read_bytes()
    assert "0 new of 2 cells" in export_cells(tmp_path / "b", tmp_path / "packed")
    assert (tmp_path / "packed" / "p.jsonl.gz").read_bytes() == packed


def test_another_result_of_the_same_settings_is_refused(tmp_path):
    write_cell(tmp_path / "a")
    write_cell(tmp_path / "b", sampled="11")
    export_cells(tmp_path / "a", tmp_path / "packed")
    with pytest.raises(StateError, match="holds another result of the cell"):
        export_cells(tmp_path / "b", tmp_path / "packed")


def test_settings_changed_by_hand_are_refused(tmp_path):
    write_cell(tmp_path / "a")
    export_cells(tmp_path / "a", tmp_path / "packed")
    path = tmp_path / "packed" / "p.jsonl.gz"
    text = gzip.decompress(path.read_bytes()).decode().replace('"budget":8', '"budget":9')
    path.write_bytes(gzip.compress(text.encode()))
    with pytest.raises(DataError, match="changed by hand"):
        import_cells(tmp_path / "packed", tmp_path / "b")

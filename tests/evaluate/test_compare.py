"""Comparisons against hand calculations and closed forms."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasari.core.errors import DataError
from vasari.evaluate.compare import compare_results, improvement_chance, ladder_table
from vasari.evaluate.run import evaluate_policy
from vasari.evaluate.settings import EvaluateSettings
from vasari.model.scripted import ScriptedPolicy, policy_with_pass_rates

CHOSEN = EvaluateSettings(num_rollouts=4, greedy=False, blind=None)


@pytest.fixture
def evaluate(tmp_path):
    def run(name, prompts, rate=lambda p: 1.0, chosen=CHOSEN, set_name="test"):
        result = evaluate_policy(
            policy_with_pass_rates(rate), {set_name: prompts}, chosen, name=name, out=tmp_path
        )
        return result, tmp_path / f"{name}-rollouts.parquet"

    return run


def test_a_model_compared_with_itself_has_no_difference(evaluate, make_prompts):
    _, file = evaluate("m", make_prompts(12), lambda p: 0.5)
    found = compare_results(file, file)["sets"]["test"]
    assert (found["difference"]["low"], found["difference"]["high"], found["improvement"]) == (
        0.0,
        0.0,
        0.5,
    )


def test_the_difference_is_the_second_minus_the_first_over_shared_prompts(evaluate, make_prompts):
    prompts = make_prompts(10)
    _, low = evaluate("low", prompts[:8], lambda p: float(p.id in ("p0", "p1")))
    _, high = evaluate("high", prompts[2:], lambda p: float(p.id in ("p2", "p3", "p9")))
    found = compare_results(low, high)["sets"]["test"]
    # Shared are p2 to p7: the first solves none, the second two of six.
    assert {key: found[key] for key in ("num_prompts", "num_only_a", "num_only_b")} == {
        "num_prompts": 6,
        "num_only_a": 2,
        "num_only_b": 2,
    }
    assert (found["a"]["mean"], found["b"]["mean"], found["difference"]["mean"]) == (
        0.0,
        pytest.approx(1 / 3),
        pytest.approx(1 / 3),
    )
    # A resample of six without p2 and p3 has no difference and counts half: 1 - (4/6)^6 / 2.
    assert found["improvement"] == pytest.approx(1 - (4 / 6) ** 6 / 2, abs=0.01)


def test_differences_are_split_by_category(evaluate, make_prompts):
    prompts = [
        replace(p, category="bars" if i < 3 else "pies") for i, p in enumerate(make_prompts(5))
    ]
    _, none = evaluate("none", prompts, lambda p: 0.0)
    _, bars = evaluate("bars", prompts, lambda p: float(p.category == "bars"))
    found = compare_results(none, bars)["sets"]["test"]["by_category"]
    assert {name: (entry["mean"], entry["n"]) for name, entry in found.items()} == {
        "bars": (1.0, 3),
        "pies": (0.0, 2),
    }


def test_how_both_were_drawn_stands_beside(evaluate, make_prompts):
    _, one = evaluate("one", make_prompts(2), chosen=CHOSEN.model_copy(update={"temperature": 0.6}))
    _, two = evaluate("two", make_prompts(2), chosen=CHOSEN.model_copy(update={"num_rollouts": 3}))
    found = compare_results(one, two)["sets"]["test"]
    assert (found["decoding_a"]["temperature"], found["decoding_b"]["num_rollouts"]) == (0.6, 3)


def test_greedy_rollouts_are_compared_on_request(tmp_path, make_prompts):
    for name, right in (("a", "0"), ("b", "1")):
        policy = ScriptedPolicy(lambda p, rng, right=right: f"\\boxed{{{right}}}")
        evaluate_policy(
            policy,
            {"t": make_prompts(4, answer=lambda i: "1")},
            EvaluateSettings(blind=None),
            name=name,
            out=tmp_path,
        )
    found = compare_results(
        tmp_path / "a-rollouts.parquet", tmp_path / "b-rollouts.parquet", decoding="greedy"
    )
    assert found["sets"]["t"]["difference"]["mean"] == 1.0


def test_a_prompt_that_changed_under_its_id_is_refused(evaluate, make_prompts):
    prompts = make_prompts(3)
    _, old = evaluate("old", prompts)
    _, new = evaluate("new", [replace(prompts[0], answer="99"), *prompts[1:]])
    with pytest.raises(
        DataError, match="1 prompts have the same id and differ in content, such as 'p0'"
    ):
        compare_results(old, new)


def test_files_without_shared_prompts_are_refused(evaluate, make_prompts):
    _, one = evaluate("one", make_prompts(2))
    _, two = evaluate("two", make_prompts(2), set_name="other")
    with pytest.raises(DataError, match="share no prompts with sampled rollouts"):
        compare_results(one, two)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=12))
def test_the_chances_of_an_improvement_and_of_a_loss_sum_to_one(values):
    difference = np.array(values)
    up = improvement_chance(difference, num_resamples=200)
    assert up + improvement_chance(-difference, num_resamples=200) == pytest.approx(1.0)


def test_the_chance_of_an_improvement_is_the_normal_one_for_many_prompts():
    difference = np.random.default_rng(0).normal(0.05, 1.0, size=500)
    z = difference.mean() / (difference.std() / math.sqrt(500))
    assert improvement_chance(difference) == pytest.approx(
        0.5 * (1 + math.erf(z / math.sqrt(2))), abs=0.02
    )


def test_no_differences_are_refused():
    with pytest.raises(DataError, match="at least one prompt"):
        improvement_chance(np.array([]))


def test_a_ladder_shows_each_model_with_its_gain_over_the_row_above(evaluate, make_prompts):
    bars = make_prompts(4)
    pies = [replace(p, id=f"pie {p.id}", category="pies") for p in bars]
    rates = {"base": (0.0, 0.0), "cold": (1.0, 0.0), "vas": (1.0, 1.0)}
    results = []
    for name, (of_bars, of_pies) in rates.items():
        results.append(
            evaluate(
                name, bars + pies, lambda p, b=of_bars, q=of_pies: b if p.category == "bars" else q
            )[0]
        )
    rows = ladder_table(results)
    assert [(row["model"], row["accuracy"]["mean"], row["gain"]) for row in rows] == [
        ("base", 0, None),
        ("cold", 0.5, 0.5),
        ("vas", 1, 0.5),
    ]
    shown = [{name: entry["mean"] for name, entry in row["by_category"].items()} for row in rows]
    assert shown == [dict(zip(("bars", "pies"), pair, strict=True)) for pair in rates.values()]
    assert all(row["decoding"]["num_rollouts"] == 4 and row["greedy"] is None for row in rows)


def test_a_category_that_a_model_lacks_is_none_in_its_row(evaluate, make_prompts):
    both = [replace(p, category=c) for p, c in zip(make_prompts(2), ("bars", "pies"), strict=True)]
    rows = ladder_table([evaluate("one", both[:1])[0], evaluate("two", both)[0]])
    assert [row["by_category"]["pies"] is None for row in rows] == [True, False]


def test_a_ladder_over_a_set_that_a_model_lacks_names_it(evaluate, make_prompts):
    one, _ = evaluate("one", make_prompts(1))
    two, _ = evaluate("two", make_prompts(1), set_name="other")
    with pytest.raises(DataError, match="not evaluated on set 'test': two"):
        ladder_table([one, two], set_name="test")
    with pytest.raises(DataError, match="no set of prompts was evaluated with all models"):
        ladder_table([one, two])
    with pytest.raises(DataError, match="at least one result"):
        ladder_table([])

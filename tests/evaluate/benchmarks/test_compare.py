"""Two models on the same prompts: differences by hand, and comparisons that would mean nothing."""

from __future__ import annotations

import itertools
import json

import pytest

from vasari.core.errors import DataError, StateError
from vasari.evaluate.benchmarks import (
    BenchmarkSettings,
    evaluate_benchmarks,
    plan_benchmarks,
)
from vasari.evaluate.compare import compare_benchmarks
from vasari.model.scripted import ScriptedPolicy


@pytest.fixture
def evaluate(data, tmp_path):
    def run(name, right, *sets, **changes):
        """A model that solves the prompts of these ids."""
        answers = {
            f"mathvision/{n}": said for n, said in (("1", "5"), ("2", "B"), ("3", "C"), ("4", "12"))
        }
        answers |= {f"mathverse/{n}": str((n - 1) // 5 + 1) for n in range(1, 21)}
        policy = ScriptedPolicy(
            lambda prompt, rng: f"\\boxed{{{answers[prompt.id] if prompt.id in right else 'no'}}}"
        )
        chosen = {one: {"folder": f"data/{one}"} for one in sets or ("mathvision",)}
        settings = BenchmarkSettings(
            sets=chosen, **({"protocols": ("vasari",), "max_tokens": 30} | changes)
        )
        evaluate_benchmarks(
            policy, plan_benchmarks(settings, folder=data.parent), tmp_path / name, name=name
        )
        return tmp_path / name

    return run


def test_the_difference_is_that_of_the_shared_prompts_with_its_interval(evaluate):
    a, b = (
        evaluate("a", {"mathvision/1"}),
        evaluate("b", {"mathvision/1", "mathvision/2", "mathvision/4"}),
    )
    pair = compare_benchmarks(a, b)
    found = pair["sets"]["mathvision"]
    assert (pair["model_a"], pair["model_b"], pair["protocol"]) == ("a", "b", "vasari")
    assert (found["a"]["mean"], found["b"]["mean"], found["difference"]["mean"]) == (
        0.25,
        0.75,
        0.5,
    )
    assert (found["num_better"], found["num_worse"], found["num_equal"]) == (2, 0, 2)
    # Differences 0, 1, 0, 1: sqrt(4 x 1/4) / 4.
    assert found["difference"]["standard_error"] == pytest.approx(0.25)
    # A resample of four has no 1 with chance (1/2)^4, and then counts half.
    assert found["chance"] == pytest.approx(1 - 1 / 32, abs=0.01)


def test_the_versions_of_a_problem_are_resampled_together(evaluate):
    a = evaluate("a", set(), "mathverse")
    b = evaluate("b", {f"mathverse/{n}" for n in range(1, 11)}, "mathverse")
    found = compare_benchmarks(a, b)["sets"]["mathverse"]
    # Two of four problems differ by 1 in all five versions: sqrt(4 x (5/2)^2) / 20.
    assert (found["difference"]["mean"], found["difference"]["n"]) == (0.5, 4)
    assert found["difference"]["standard_error"] == pytest.approx(0.25)


def test_a_model_against_itself_differs_by_nothing(evaluate):
    a = evaluate("a", {"mathvision/1"})
    found = compare_benchmarks(a, a)["sets"]["mathvision"]
    assert found["difference"]["mean"] == 0
    # Four prompts: z^2 / (4 + z^2) to either side.
    assert (
        found["difference"]["high"]
        == -found["difference"]["low"]
        == pytest.approx(0.4899, abs=1e-4)
    )
    assert found["chance"] == 0.5


def test_comparing_the_other_way_round_turns_every_sign(evaluate):
    models = [evaluate("a", {"mathvision/1", "mathvision/3"}), evaluate("b", {"mathvision/2"})]
    first, second = (
        compare_benchmarks(*order)["sets"]["mathvision"] for order in itertools.permutations(models)
    )
    assert first["difference"]["mean"] == -second["difference"]["mean"] == -0.25
    assert (
        (first["num_better"], first["num_worse"])
        == (second["num_worse"], second["num_better"])
        == (1, 2)
    )


def test_prompts_of_one_set_alone_are_counted_and_left_out(evaluate):
    a, b = evaluate("a", {"mathvision/1"}), evaluate("b", {"mathvision/1"})
    path = b / "by_prompt.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:3]))
    found = compare_benchmarks(a, b)["sets"]["mathvision"]
    assert (found["num_prompts"], found["num_only_a"], found["num_only_b"]) == (3, 1, 0)


def test_prompts_that_changed_between_two_runs_are_refused(evaluate):
    a, b = evaluate("a", set()), evaluate("b", set())
    path = b / "by_prompt.jsonl"
    rows = [json.loads(line) | {"digest": "other"} for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(
        DataError, match=r"4 prompts have the same id and differ in content, such as 'mathvision/1'"
    ):
        compare_benchmarks(a, b)


def test_results_that_share_nothing_or_lack_the_protocol_are_refused(evaluate, tmp_path):
    a, b = evaluate("a", set()), evaluate("b", set(), "mathverse")
    with pytest.raises(DataError, match=r"the two share no prompts"):
        compare_benchmarks(a, b)
    with pytest.raises(DataError, match=r"was not scored by 'paper'; there are vasari"):
        compare_benchmarks(a, a, protocol="paper")
    with pytest.raises(StateError, match=r"scores\.json is missing or damaged"):
        compare_benchmarks(a, tmp_path / "nowhere")

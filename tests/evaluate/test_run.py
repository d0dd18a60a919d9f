"""Evaluations of scripted policies whose true scores are known."""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vasari.core.errors import ConfigError, DataError
from vasari.evaluate.run import evaluate_policy
from vasari.evaluate.settings import EvaluateSettings
from vasari.model.scripted import ScriptedPolicy
from vasari.records import Prompt

PLAIN = EvaluateSettings(greedy=False, blind=None)


def say(answer: str) -> str:
    return f"<think>t</think><answer>\\boxed{{{answer}}}</answer>"


def correct_first(counts: dict[str, int], num_rollouts: int) -> ScriptedPolicy:
    """Correct in the first `counts[id]` of each `num_rollouts` rollouts of a prompt."""
    asked = {name: itertools.count() for name in counts}

    def answer(prompt: Prompt, _) -> str:
        right = next(asked[prompt.id]) % num_rollouts < counts[prompt.id]
        return say(prompt.answer if right else "-1")

    return ScriptedPolicy(answer)


def policy_with_pass_rates(pass_rate: Callable[[Prompt], float]) -> ScriptedPolicy:
    """Correct with the chance that `pass_rate` gives for a prompt, else a larger number."""

    def answer(prompt: Prompt, rng: np.random.Generator) -> str:
        right = rng.random() < pass_rate(prompt)
        return say(prompt.answer if right else str(int(prompt.answer) + int(rng.integers(1, 10))))

    return ScriptedPolicy(answer)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_accuracy_is_near_the_true_pass_rate_with_an_interval_of_the_normal_width(
    rate, make_prompts, tmp_path
):
    policy = policy_with_pass_rates(lambda _: rate)
    found = evaluate_policy(policy, {"test": make_prompts(150)}, PLAIN, name="m", out=tmp_path)
    accuracy = found["sets"]["test"]["sampled"]["accuracy"]
    deviation = math.sqrt(rate * (1 - rate) / 8 / 150)
    assert accuracy["mean"] == pytest.approx(rate, abs=4 * deviation)
    assert accuracy["high"] - accuracy["low"] == pytest.approx(2 * 1.96 * deviation, rel=0.3)


@pytest.mark.slow
def test_the_interval_holds_the_true_pass_rate_in_about_95_of_100_evaluations(
    make_prompts, tmp_path
):
    prompts, held = make_prompts(60, images=lambda i: 0), []
    for seed in range(60):
        chosen = PLAIN.model_copy(update={"seed": seed, "pass_at": ()})
        found = evaluate_policy(
            policy_with_pass_rates(lambda _: 0.6), {"t": prompts}, chosen, name="m", out=tmp_path
        )
        accuracy = found["sets"]["t"]["sampled"]["accuracy"]
        held.append(accuracy["low"] <= 0.6 <= accuracy["high"])
    # Fewer than 51 of 60 has a chance below 1 in 1,000 at 95%.
    assert sum(held) >= 51


def test_pass_at_k_is_the_closed_form(make_prompts, tmp_path):
    chosen = PLAIN.model_copy(update={"num_rollouts": 4})
    policy = correct_first({"p0": 1, "p1": 2, "p2": 0}, 4)
    sampled = evaluate_policy(policy, {"test": make_prompts(3)}, chosen, name="m", out=tmp_path)[
        "sets"
    ]["test"]["sampled"]
    # 1 - C(4-c, k) / C(4, k) for c = 1, 2, 0: k=1 1/4, 1/2, 0; k=2 1/2, 5/6, 0; k=4 1, 1, 0.
    means = {k: entry["mean"] for k, entry in sampled["pass_at"].items()}
    assert means == pytest.approx({"1": 1 / 4, "2": (1 / 2 + 5 / 6) / 3, "4": 2 / 3})
    assert sampled["accuracy"]["mean"] == pytest.approx(1 / 4)


def test_maj_at_k_counts_spellings_of_one_number_as_one_vote(make_prompts, tmp_path):
    said = itertools.cycle(["7", "3", "3.0", "7 ", "$3$"])
    chosen = PLAIN.model_copy(update={"num_rollouts": 5, "pass_at": (1, 2, 5)})
    prompts = make_prompts(1, answer=lambda i: "3")
    found = evaluate_policy(
        ScriptedPolicy(lambda p, rng: say(next(said))),
        {"t": prompts},
        chosen,
        name="m",
        out=tmp_path,
    )
    maj = {k: entry["mean"] for k, entry in found["sets"]["t"]["sampled"]["maj_at"].items()}
    assert maj == {"1": 0.0, "2": 0.5, "5": 1.0}


@given(counts=st.lists(st.integers(0, 4), min_size=1, max_size=5))
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_accuracy_is_pass_at_one_and_pass_at_k_never_falls(counts, make_prompts, tmp_path):
    prompts = make_prompts(len(counts), images=lambda i: 0)
    policy = correct_first(
        {prompt.id: count for prompt, count in zip(prompts, counts, strict=True)}, 4
    )
    chosen = PLAIN.model_copy(update={"num_rollouts": 4, "pass_at": (1, 2, 3, 4)})
    sampled = evaluate_policy(policy, {"t": prompts}, chosen, name="m", out=tmp_path)["sets"]["t"][
        "sampled"
    ]
    curve = [entry["mean"] for entry in sampled["pass_at"].values()]
    assert curve[0] == pytest.approx(sampled["accuracy"]["mean"])
    assert curve == sorted(curve)


def test_only_the_pass_at_k_that_the_rollouts_allow_are_reported(make_prompts, tmp_path):
    chosen = PLAIN.model_copy(update={"num_rollouts": 3})
    found = evaluate_policy(
        policy_with_pass_rates(lambda _: 1.0),
        {"t": make_prompts(2)},
        chosen,
        name="m",
        out=tmp_path,
    )
    assert list(found["sets"]["t"]["sampled"]["pass_at"]) == ["1", "2"]


def test_unverifiable_rollouts_are_not_solved_and_are_shown(make_prompts, tmp_path):
    prompts = [
        *make_prompts(3),
        replace(make_prompts(1)[0], id="broken", answer="no number", kind="number"),
    ]
    found = evaluate_policy(
        policy_with_pass_rates(lambda _: 1.0),
        {"t": prompts},
        EvaluateSettings(blind=None),
        name="m",
        out=tmp_path,
    )
    scores = found["sets"]["t"]
    assert (scores["sampled"]["accuracy"]["mean"], scores["sampled"]["unverifiable"]) == (0.75, 8)
    assert (scores["greedy"]["accuracy"]["mean"], scores["greedy"]["unverifiable"]) == (0.75, 1)


def test_a_blind_policy_that_says_the_majority_answer_has_no_gap(make_prompts, tmp_path):
    letters = lambda i: "AABC"[i % 4]  # noqa: E731
    pool = make_prompts(40, answer=letters, kind="choice", choices=("x", "y", "z"))
    policy = ScriptedPolicy(lambda prompt, rng: say(prompt.answer if prompt.images else "A"))
    found = evaluate_policy(
        policy, {"t": pool[:20]}, EvaluateSettings(), name="m", out=tmp_path, reference=pool[20:]
    )
    scores = found["sets"]["t"]
    assert scores["sampled"]["accuracy"]["mean"] == 1.0
    assert {key: scores["blind"][key] for key in ("majority", "majority_num_own", "gap")} == {
        "majority": 0.5,
        "majority_num_own": 0,
        "gap": 0.0,
    }


def test_prompts_without_images_are_no_part_of_the_blind_control(make_prompts, tmp_path):
    prompts = make_prompts(9, images=lambda i: i % 3)
    found = evaluate_policy(
        policy_with_pass_rates(lambda _: 1.0),
        {"t": prompts},
        EvaluateSettings(),
        name="m",
        out=tmp_path,
    )
    assert found["sets"]["t"]["blind"]["accuracy"]["n"] == 6
    only_text = make_prompts(3, images=lambda i: 0)
    found = evaluate_policy(
        policy_with_pass_rates(lambda _: 1.0),
        {"t": only_text},
        EvaluateSettings(),
        name="m",
        out=tmp_path,
    )
    assert "blind" not in found["sets"]["t"]


def test_prompts_with_no_one_and_several_images_are_answered_in_one_batch(make_prompts, tmp_path):
    prompts = make_prompts(9, images=lambda i: i % 3, answer=lambda i: str(i % 3))
    policy = ScriptedPolicy(lambda prompt, rng: say(str(len(prompt.images))))
    found = evaluate_policy(policy, {"t": prompts}, EvaluateSettings(), name="m", out=tmp_path)
    assert (
        found["sets"]["t"]["sampled"]["accuracy"]["mean"]
        == found["sets"]["t"]["greedy"]["accuracy"]["mean"]
        == 1.0
    )
    assert found["sets"]["t"]["blind"]["accuracy"]["mean"] == 0.0


def test_accuracy_is_split_by_category_and_difficulty(make_prompts, tmp_path):
    bars = make_prompts(4, category="bars", difficulty="1")
    pies = [
        replace(prompt, id=f"pie{prompt.id}")
        for prompt in make_prompts(2, category="pies", difficulty="2")
    ]
    bare = [
        replace(prompt, id=f"bare{prompt.id}")
        for prompt in make_prompts(1, category="", difficulty="")
    ]
    policy = policy_with_pass_rates(lambda prompt: float(prompt.category == "bars"))
    scores = evaluate_policy(policy, {"t": bars + pies + bare}, PLAIN, name="m", out=tmp_path)[
        "sets"
    ]["t"]
    shown = {
        key: {label: (entry["mean"], entry["n"]) for label, entry in scores[key].items()}
        for key in scores
        if key.startswith("by_")
    }
    assert shown == {
        "by_category": {"bars": (1.0, 4), "pies": (0.0, 2)},
        "by_difficulty": {"1": (1.0, 4), "2": (0.0, 2)},
        "by_category_difficulty": {"bars/1": (1.0, 4), "pies/2": (0.0, 2)},
    }


def test_format_and_truncation_are_shares_of_the_sampled_rollouts(make_prompts, tmp_path):
    texts = itertools.cycle([say("1"), "1", "word " * 60, "<answer>1</answer>"])
    chosen = PLAIN.model_copy(update={"num_rollouts": 4, "max_tokens": 40})
    sampled = evaluate_policy(
        ScriptedPolicy(lambda p, rng: next(texts)),
        {"t": make_prompts(2)},
        chosen,
        name="m",
        out=tmp_path,
    )["sets"]["t"]["sampled"]
    assert (sampled["format"], sampled["truncated"]) == (0.25, 0.25)


def test_how_rollouts_were_drawn_stands_beside_every_accuracy(make_prompts, tmp_path):
    chosen = EvaluateSettings(temperature=0.6, top_p=0.9, num_rollouts=2, max_tokens=50)
    scores = evaluate_policy(
        policy_with_pass_rates(lambda _: 1.0),
        {"t": make_prompts(2)},
        chosen,
        name="m",
        out=tmp_path,
    )["sets"]["t"]
    assert scores["sampled"]["decoding"] == {
        "num_rollouts": 2,
        "temperature": 0.6,
        "top_p": 0.9,
        "max_tokens": 50,
        "images": "shown",
    }
    assert scores["greedy"]["decoding"] == {
        "num_rollouts": 1,
        "temperature": 0.0,
        "top_p": 1.0,
        "max_tokens": 50,
        "images": "shown",
    }
    assert scores["blind"]["decoding"] == {
        "num_rollouts": 1,
        "temperature": 0.6,
        "top_p": 0.9,
        "max_tokens": 50,
        "images": "removed",
    }


def test_the_file_holds_what_is_returned_and_every_rollout_is_kept(make_prompts, tmp_path):
    sets = {"test": make_prompts(3), "held_out": make_prompts(2)}
    found = evaluate_policy(
        policy_with_pass_rates(lambda _: 0.5), sets, EvaluateSettings(), name="m", out=tmp_path
    )
    assert json.loads((tmp_path / "m.json").read_text()) == found
    rows = pq.read_table(tmp_path / "m-rollouts.parquet").to_pylist()
    assert Counter((row["set"], row["decoding"], len(row["texts"])) for row in rows) == {
        ("test", "sampled", 8): 3, ("test", "greedy", 1): 3, ("test", "blind", 1): 3,
        ("held_out", "sampled", 8): 2, ("held_out", "greedy", 1): 2, ("held_out", "blind", 1): 2,
    }  # fmt: skip


def test_a_limit_draws_prompts_from_the_whole_set(make_prompts, tmp_path):
    prompts = [
        replace(p, category="first" if i < 50 else "second")
        for i, p in enumerate(make_prompts(100))
    ]
    chosen = PLAIN.model_copy(update={"limit": 20})
    scores = evaluate_policy(
        policy_with_pass_rates(lambda _: 1.0), {"t": prompts}, chosen, name="m", out=tmp_path
    )["sets"]["t"]
    assert scores["num_prompts"] == 20
    assert set(scores["by_category"]) == {"first", "second"}


def test_progress_ends_at_the_number_of_rollouts_and_never_falls(make_prompts, tmp_path):
    told = []
    chosen = EvaluateSettings(rollouts_per_part=16)
    evaluate_policy(
        policy_with_pass_rates(lambda _: 0.5), {"t": make_prompts(5)}, chosen, name="m", out=tmp_path,
        tell=lambda done, total, note="": told.append((done, total)),
    )  # fmt: skip
    assert told == sorted(told)
    assert told[-1] == (5 * 8 + 5 + 5, 5 * 8 + 5 + 5)


def test_a_set_without_prompts_is_refused(tmp_path):
    with pytest.raises(DataError, match="set 'test' has no prompts"):
        evaluate_policy(
            policy_with_pass_rates(lambda _: 1.0), {"test": []}, PLAIN, name="m", out=tmp_path
        )


def test_no_set_is_refused(tmp_path):
    with pytest.raises(DataError, match="at least one set"):
        evaluate_policy(policy_with_pass_rates(lambda _: 1.0), {}, PLAIN, name="m", out=tmp_path)


def test_an_id_twice_in_a_set_is_refused(make_prompts, tmp_path):
    with pytest.raises(DataError, match="same id"):
        evaluate_policy(
            policy_with_pass_rates(lambda _: 1.0),
            {"t": make_prompts(1) * 2},
            PLAIN,
            name="m",
            out=tmp_path,
        )


@pytest.mark.parametrize("name", ["", "../m", "a/b", ".hidden"])
def test_a_name_that_leaves_the_folder_is_refused(name, make_prompts, tmp_path):
    with pytest.raises(ConfigError, match="names its files"):
        evaluate_policy(
            policy_with_pass_rates(lambda _: 1.0),
            {"t": make_prompts(1)},
            PLAIN,
            name=name,
            out=tmp_path,
        )

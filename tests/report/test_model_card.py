"""The card of a model has its scores, data, rollouts and recipe, and nothing of the machine."""

from __future__ import annotations

import dataclasses
import json

import pytest
import yaml

from vasari.report.card_counts import _counts
from vasari.report.inputs import read_run
from vasari.report.model_card import CardFacts, make_model_card, shareable
from vasari.report.summary import summarise

FACTS = CardFacts(
    arm="vas",
    which="best",
    dtype="bfloat16",
    num_parameters=1234,
    is_merged=True,
    sees_images=True,
    fingerprint="",
)


@pytest.fixture
def run(finished_run):
    return read_run(finished_run)


def header(card):
    return yaml.safe_load(card.split("---")[1])


def test_scores_and_rollouts_are_those_of_the_summary(run):
    card, found = make_model_card(run, FACTS), summarise(run, {})
    for name, value in (
        ("Base", found["accuracy"]["base"]),
        ("GRPO, VAS", found["accuracy"]["final"]),
    ):
        mean, low, high = (f"{100 * value[key]:.1f}" for key in ("mean", "low", "high"))
        assert f"| {name} | {value['n']} | {mean} ({low} to {high}) |" in card
    spent = found["rollouts"]["refresh"], found["tokens"]["refresh"]
    assert f"| to score prompts | {spent[0]:,} | {spent[1]:,} |" in card
    assert "16 test prompts are few" in card
    assert "| train | 48 | 48 |" in card


@pytest.mark.parametrize(
    ("stated", "line", "licence"),
    [
        ({}, "unknown: fill in", "unknown"),
        (
            {"licence": "apache-2.0", "base": "Qwen/Qwen3.5-4B"},
            "Licence: apache-2.0, as stated",
            "apache-2.0",
        ),
    ],
    ids=["unknown", "stated"],
)
def test_licence_and_base_are_those_that_the_user_states(run, stated, line, licence):
    card = make_model_card(run, dataclasses.replace(FACTS, **stated))
    assert line in card
    assert header(card)["license"] == licence
    assert header(card).get("base_model") == stated.get("base")


def test_weights_that_were_not_evaluated_are_not_given_the_scores_of_others(run):
    other = dataclasses.replace(FACTS, fingerprint="of the last weights")
    run.evaluation["vas"]["fingerprint"] = "of the best weights"
    assert "those of other weights" in make_model_card(run, other)
    assert "were not evaluated" in make_model_card(run, dataclasses.replace(FACTS, arm="beta"))


def test_a_run_that_never_became_better_says_so(run):
    run.stages["rl-vas"] = {**run.stages.get("rl-vas", {}), "best_step": 0}
    assert "these are the weights that it began with" in make_model_card(run, FACTS)


def test_hostile_text_of_a_run_stays_text(run):
    run.settings["recipe"]["name"] = "</h1><script>x</script>\n---\n# [a](b)"
    run.settings["recipe"]["model"] = {"path": "x", "system_prompt": "```\n# Title\n"}
    card = make_model_card(run, FACTS)
    before_recipe = card.partition("## How it was made")[0]
    assert "<script>" not in before_recipe
    assert header(card)["library_name"] == "transformers"
    assert "````\n```\n# Title\n````" in before_recipe


def test_paths_addresses_and_keys_are_left_out():
    given = {
        "prompts": {"files": {"train": "/home/me/data/rl.parquet", "test": "data/test.parquet"}},
        "model": {"path": "../models/mine", "system_prompt": "/think first"},
        "grpo": {
            "trl": {
                "vllm_server_base_url": "http://10.0.0.1:8000",
                "hub_token": "abc",
                "note": ["hf_abcdefghijkl", "C:\\Users\\me\\x.json", 0.5],
            }
        },
    }
    assert shareable(given) == {
        "prompts": {"files": {"train": "rl.parquet", "test": "data/test.parquet"}},
        "model": {"path": "mine", "system_prompt": "/think first"},
        "grpo": {
            "trl": {
                "vllm_server_base_url": "(left out)",
                "hub_token": "(left out)",
                "note": ["(left out)", "x.json", 0.5],
            }
        },
    }


def test_the_folder_of_the_run_is_not_in_its_card(run):
    card = make_model_card(run, FACTS)
    assert str(run.root) not in card
    assert json.dumps(str(run.root))[1:-1] not in card


@pytest.mark.parametrize(
    ("shrunk_from", "path", "words"),
    [
        ("Qwen/Qwen3.5-4B", "model", "a copy of `Qwen/Qwen3.5-4B` in tiny dimensions"),
        ("/home/me/model", "model", "a copy of the recipe's model in tiny dimensions"),
        ("vasari:tiny-base", "vasari:tiny-base", "in small: few prompts and few steps. It shows"),
    ],
)
def test_the_card_of_a_shrunk_run_says_first_that_it_is_a_trial(run, shrunk_from, path, words):
    run.settings["recipe"] |= {"shrunk_from": shrunk_from, "model": {"path": path}}
    card = make_model_card(run, FACTS)
    before_use = card.partition("## Use")[0]
    assert "> **A trial, not a model to use.** `vasari train --shrink`" in before_use
    assert words in before_use
    assert "trial" in header(card)["tags"]
    assert "/home/me" not in card


def test_the_card_of_another_run_is_of_no_trial(run):
    assert "trial" not in make_model_card(run, FACTS).lower().partition("## how it was made")[0]


def test_validation_and_evaluation_are_among_the_rollouts(run):
    logs = dataclasses.replace(
        run.arms["vas"], validation=[{"step": 0, "rollouts_validation": 4}] * 3
    )
    run.arms["vas"] = logs
    sampled = {"decoding": {"num_rollouts": 8}, "accuracy": {"mean": 0.5, "n": 16}}
    run.evaluation.clear()
    run.evaluation["vas"] = {"sets": {"test": {"sampled": sampled, "greedy": {"accuracy": 1.0}}}}
    card = make_model_card(run, FACTS)
    assert "| to choose the best weights by validation | 12 | - |" in card
    assert "| to evaluate the models in the table of scores | 128 | - |" in card


def test_the_code_on_the_card_runs_as_it_stands(run):
    code = make_model_card(run, FACTS).split("```python\n")[1].split("```")[0]
    assert 'folder = "."' in code
    assert "FOLDER" not in code


def test_levels_stand_in_their_order_with_their_prompts():
    levels = ["10"] * 2 + ["2"] * 3 + [""]
    assert _counts("train", "difficulty", levels) == [
        "* train: difficulty 2 (3 prompts), 10 (2); 1 prompts without"
    ]


def test_many_pass_rates_are_given_as_their_range():
    rates = [f"{rate / 100}" for rate in range(101)]
    assert _counts("train", "difficulty", rates) == [
        "* train: difficulty 0 to 1, median 0.5 (101 prompts)"
    ]


def test_words_stand_by_their_number_and_the_rest_is_counted():
    names = [f"family {letter}" for letter in "abcdefghijklmn"] + ["family n"]
    (line,) = _counts("train", "category", names)
    assert line.startswith("* train: category family n (2 prompts), family a (1), ")
    assert line.endswith("and 2 others")

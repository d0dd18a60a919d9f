"""Recipes of 0.1.0 are read under today's keys, each change is told in one line, and what has no
meaning is named."""

import copy
import json
import logging
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from vasari.core.errors import ConfigError
from vasari.run.recipe import load_recipe, parse_recipe
from vasari.run.upgrade import upgrade_recipe

ROOT = Path(__file__).parents[2]
OLD_RUN = ROOT / "tests" / "golden" / "run_0_1_0"
OLD_RECIPE = OLD_RUN / "recipe.yaml"
TODAY = sorted((ROOT / "recipes").glob("*.yaml"))


def read(path):
    return yaml.safe_load(path.read_text())


def upgraded(grpo, told=None):
    return upgrade_recipe({"grpo": grpo}, tell=(told if told is not None else []).append)["grpo"]


@pytest.mark.parametrize(
    ("old", "rewards"),
    [
        ({"accuracy_reward": 1.0, "format_reward": 1.0}, {"accuracy": 1.0, "format": 1.0}),
        ({"accuracy_reward": 2, "format_reward": 0.5}, {"accuracy": 2.0, "format": 0.5}),
        # What was left out was 1 in 0.1.0.
        ({"format_reward": 0.5}, {"accuracy": 1.0, "format": 0.5}),
        ({"accuracy_reward": 0.9}, {"accuracy": 0.9, "format": 1.0}),
        ({"format_reward": 0}, {"accuracy": 1.0}),
        ({"format_reward": 0.0, "accuracy_reward": 3.0}, {"accuracy": 3.0}),
        ({"accuracy_reward": 0}, {"format": 1.0}),
        # YAML 1.1 reads this as text, and 0.1.0 took it for a number.
        ({"format_reward": "1e-1"}, {"accuracy": 1.0, "format": 0.1}),
    ],
    ids=str,
)
def test_the_two_weights_become_terms_with_weights(old, rewards):
    assert upgraded({"steps": 4, **old}) == {
        "steps": 4,
        "rewards": [{"name": name, "weight": weight} for name, weight in rewards.items()],
    }


weights = st.floats(0.01, 100) | st.integers(1, 9)


@given(weights, weights)
def test_a_recipe_that_was_read_once_is_read_the_same_again(accuracy, form):
    once = upgraded(
        {"accuracy_reward": accuracy, "format_reward": form, "screening": {"defer_steps": 3}}
    )
    told = []
    assert upgraded(once, told) == once
    assert told == []


@pytest.mark.parametrize("path", TODAY, ids=lambda path: path.stem)
def test_todays_recipes_stay_as_they_are(path):
    told = []
    assert upgrade_recipe(read(path), tell=told.append) == read(path)
    assert told == []


def test_what_is_given_is_not_changed():
    content = read(OLD_RECIPE) | {
        "grpo": read(OLD_RECIPE)["grpo"] | {"screening": {"rollouts": 2, "defer_steps": 1}}
    }
    before = copy.deepcopy(content)
    upgrade_recipe(content, tell=lambda _: None)
    assert content == before


def test_a_change_is_told_in_a_line_that_can_be_pasted_into_the_recipe():
    told = []
    rewards = upgraded({"accuracy_reward": 1.0, "format_reward": 0.5}, told)["rewards"]
    (line,) = told
    assert line.startswith(
        "the recipe's grpo.accuracy_reward and grpo.format_reward, as in 0.1.0, are read as"
        " grpo.rewards: ["
    )
    assert yaml.safe_load(line.partition("grpo.rewards: ")[2]) == rewards


def test_reading_an_old_recipe_says_so_once_for_each_change(tmp_path, caplog):
    content = read(OLD_RECIPE)
    content["grpo"]["screening"] = {"rollouts": 2, "defer_steps": 1}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(content))
    with caplog.at_level(logging.INFO, logger="vasari.run.upgrade"):
        load_recipe(tmp_path / "recipe.yaml")
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    assert [line.partition(" is read as ")[2].partition(":")[0] for line in said[:2]] == [
        "grpo.rewards",
        "grpo.screening.defer_batches",
    ]
    assert [line.partition(" are read as ")[2].partition(":")[0] for line in said[2:]] == [
        "grpo.trl"
    ]


def test_deferral_counts_batches():
    assert upgraded({"screening": {"rollouts": 2, "defer_steps": 3}}) == {
        "screening": {"rollouts": 2, "defer_batches": 3}
    }


@pytest.mark.parametrize(
    ("section", "old", "trl"),
    [
        ("grpo", {"clip_low": 0.1, "clip_high": 0.28}, {"epsilon": 0.1, "epsilon_high": 0.28}),
        ("grpo", {"clip_low": 0.1}, {"epsilon": 0.1, "epsilon_high": 0.2}),
        ("grpo", {"kl_coefficient": 0.5}, {"beta": 0.5}),
        ("grpo", {"loss": "dapo"}, {"loss_type": "dapo", "importance_sampling_level": "token"}),
        ("grpo", {"loss": "gspo"}, {"loss_type": "grpo", "importance_sampling_level": "sequence"}),
        ("grpo", {"scale_advantages": "none"}, {"scale_rewards": "none"}),
        ("grpo", {"schedule": "constant"}, {"lr_scheduler_type": "constant_with_warmup"}),
        ("grpo", {"schedule": "linear"}, {"lr_scheduler_type": "linear"}),
        ("grpo", {"temperature": 1.0, "top_p": 0.9}, {"temperature": 1.0, "top_p": 0.9}),
        ("grpo", {"max_tokens": 80}, {"max_completion_length": 80}),
        ("grpo", {"bf16": True, "trl": {"beta": 0.0}}, {"beta": 0.0, "bf16": True}),
        ("grpo", {"workers": 1, "report_to": []}, {"report_to": []}),
        ("sft", {"workers": 0, "warmup": 0.1}, {"dataloader_num_workers": 0, "warmup_steps": 0.1}),
        ("sft", {"save_every": None, "deepspeed": None}, {"deepspeed": None}),
    ],
    ids=str,
)
def test_what_is_only_passed_to_trl_has_trls_names(section, old, trl):
    assert upgrade_recipe({section: old})[section] == {"trl": trl}


def test_moved_settings_are_told_in_one_line_that_can_be_pasted():
    told = []
    trl = upgraded({"clip_high": 0.28, "bf16": True}, told)["trl"]
    (line,) = told
    assert line.startswith("the recipe's grpo.bf16, grpo.clip_high, as before 0.2.0, are read as")
    assert yaml.safe_load(line.partition("grpo.trl: ")[2]) == trl


def test_a_key_without_effect_is_named_and_left_out():
    told = []
    assert upgrade_recipe({"sft": {"save_every": 5}}, tell=told.append) == {"sft": {}}
    assert told == ["the recipe's sft.save_every is left out: it had no effect"]


def test_the_settings_of_a_gate_of_ones_own_keep_their_names():
    grpo = {"gate": {"name": "my_gates:Mine", "settings": {"defer_steps": 2, "format_reward": 1}}}
    assert upgraded(grpo) == grpo


def test_a_bare_gate_stays_a_name():
    assert upgraded({"gate": "mixed", "format_reward": 0.0})["gate"] == "mixed"


@pytest.mark.parametrize(
    ("grpo", "message"),
    [
        (
            {"accuracy_reward": 0, "format_reward": 0},
            "are 0, and nothing would be rewarded; name the terms in grpo.rewards",
        ),
        (
            {"format_reward": 1, "rewards": []},
            r"format_reward cannot stand beside grpo\.rewards.*leave format_reward out",
        ),
        (
            {"accuracy_reward": -1},
            r"grpo\.accuracy_reward must be a number, at least 0, got -1; today it is a weight",
        ),
        ({"accuracy_reward": "much"}, "must be a number, at least 0, got 'much'"),
        ({"format_reward": None}, "must be a number, at least 0, got None"),
        ({"format_reward": [1]}, r"must be a number, at least 0, got \[1\]"),
        ({"format_reward": float("nan")}, "must be a number, at least 0, got nan"),
        (
            {"screening": {"defer_steps": 1, "defer_batches": 1}},
            "has both defer_steps and defer_batches",
        ),
        (
            {"clip_high": 0.3, "trl": {"epsilon_high": 0.28}},
            r"grpo has both clip_high and trl\.epsilon_high.*leave clip_high out",
        ),
        (
            {"loss": "gspo", "trl": {"importance_sampling_level": "token"}},
            r"grpo has both loss and trl\.importance_sampling_level",
        ),
        ({"warmup": 1.0}, r"grpo\.warmup was a share.*give grpo\.trl\.warmup_steps"),
        ({"warmup": -0.1}, r"grpo\.warmup was a share of the steps.*got -0\.1"),
    ],
    ids=str,
)
def test_what_has_no_meaning_today_is_named_with_what_to_write(grpo, message):
    with pytest.raises(ConfigError, match=message):
        upgraded(grpo)


@pytest.mark.parametrize(
    "content",
    [{}, {"grpo": None}, {"grpo": 3}, {"grpo": ["accuracy_reward"]}, {"grpo": {"gate": []}}],
)
def test_content_of_another_shape_is_left_to_the_check(content):
    assert upgrade_recipe(content) == content


def test_an_error_names_the_recipe():
    with pytest.raises(
        ConfigError, match=r"^recipe old\.yaml: grpo\.format_reward must be a number"
    ):
        parse_recipe({"name": "old", "grpo": {"format_reward": "x"}}, where="recipe old.yaml")


def test_an_override_by_an_old_key_is_read_too():
    recipe = load_recipe(ROOT / "recipes" / "own_prompts.yaml", ["grpo.format_reward=0.25"])
    assert [(term.name, term.weight) for term in recipe.grpo.rewards] == [
        ("accuracy", 1.0),
        ("format", 0.25),
    ]


def test_the_recipe_of_an_old_run_loads_and_trains_what_it_trained():
    recipe = load_recipe(OLD_RECIPE)
    stored = parse_recipe(
        json.loads((OLD_RUN / "settings.json").read_text())["recipe"], where="settings.json"
    )
    assert recipe == stored
    assert [(term.name, term.weight) for term in recipe.grpo.rewards] == [
        ("accuracy", 1.0),
        ("format", 0.5),
    ]
    assert (recipe.grpo.gate.name, recipe.grpo.screening.defer_batches) == ("two_stage", 1)
    assert recipe.sampler.of("progress") == {"explore": 0.25}


def test_an_old_lower_clip_leaves_the_upper_one_of_its_algorithm():
    grpo = upgrade_recipe({"grpo": {"algorithm": "gspo", "clip_low": 0.1}})["grpo"]
    assert grpo == {"algorithm": "gspo", "trl": {"epsilon": 0.1}}

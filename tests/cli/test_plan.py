"""`vasari plan`: the page, its JSON, its exit code, and every recipe that ships."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from vasari.cli.main import app

USUAL = ("quickstart.yaml", "mmr1_3b.yaml")
RECIPES = sorted(
    path.name
    for path in (Path(__file__).parents[2] / "recipes").glob("*.yaml")
    if not path.name.startswith(("curate", "benchmarks"))
)


def plan(*words):
    return CliRunner().invoke(app, ["plan", *map(str, words)], env={"COLUMNS": "120"})


@pytest.fixture
def recipe(tmp_path):
    """A small recipe over generated prompts."""
    content = {
        "name": "small",
        "prompts": {
            "tasks": {
                "families": ["bars"],
                "num_cold_start": 0,
                "num_train": 40,
                "num_validation": 4,
                "num_test": 4,
                "num_held_out_style": 0,
            }
        },
        "model": {"path": "vasari:tiny-base", "system_prompt": "small"},
        "grpo": {
            "steps": 20,
            "prompts_per_batch": 4,
            "rollouts_per_prompt": 4,
            "micro_batch": 4,
            "trl": {"max_completion_length": 64},
        },
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_a_plan_shows_parameters_steps_and_rollouts(recipe):
    shown = plan(recipe)
    assert shown.exit_code == 0, shown.output
    # 10 batches of 4 x 4; 32 rollouts of 40 prompts before the first.
    for expected in ("1,240,128", "20 in 10 batches", "160", "1,280", "8.00", "keys and values"):
        assert expected in shown.output


def test_json_holds_the_same_numbers(recipe):
    found = json.loads(plan(recipe, "--json").output)
    training = found["grpo"]["training"]
    assert (training["train"]["most"], training["refresh"]["most"]) == (160, 1280)
    assert found["model"]["total"] == sum(found["model"]["by_part"].values())
    assert found["problems"] == []


def test_what_would_fail_is_named_and_the_exit_code_says_so(recipe):
    shown = plan(recipe, "--gpus", 3)
    assert shown.exit_code == 1
    assert "would fail:" in shown.output
    assert "3 processes" in shown.output


def test_what_does_not_fit_a_gpu_is_named_and_hours_follow_from_a_throughput(recipe):
    found = json.loads(plan(recipe, "--json", "--gpu-memory", 1, "--tokens-per-second", 100).output)
    assert found["hours"]["train"] == pytest.approx(160 * 64 / 100 / 3600)
    assert "updates" not in found["hours"]
    assert any("grpo: generating takes" in problem for problem in found["problems"])
    roomy = json.loads(plan(recipe, "--json", "--gpu-memory", 80).output)
    assert roomy["problems"] == []
    assert roomy["memory"]["grpo"]["parts"]["weights"] == 4 * 1_240_128


def test_vllm_takes_its_share_of_the_gpu_and_transformers_keeps_no_caches_beside_it(recipe):
    grpo = ("--set", "grpo.vllm=colocate", "--set", "grpo.trl.vllm_gpu_memory_utilization=0.4")
    evaluate = ("--set", "evaluate.vllm=colocate", "--set", "evaluate.batch_rollouts=4096")
    found = json.loads(plan(recipe, "--json", "--gpu-memory", 10, *grpo, *evaluate).output)
    for stage, share in (("grpo", 0.4), ("evaluate", 0.9)):
        generating = found["memory"][stage]["generating"]
        assert generating["vLLM"] == share * 10 * 2**30
        assert not generating.get("keys and values")


def test_an_evaluation_that_leaves_vllm_too_little_is_named(recipe):
    evaluate = ("evaluate.vllm=colocate", "evaluate.vllm_gpu_memory_utilization=0.0001")
    words = [word for knob in evaluate for word in ("--set", knob)]
    problems = json.loads(plan(recipe, "--json", "--gpu-memory", 10, *words).output)["problems"]
    assert any("raise evaluate.vllm_gpu_memory_utilization" in problem for problem in problems)


def test_a_disk_that_is_too_small_is_named(recipe, monkeypatch):
    monkeypatch.setattr("vasari.run.plan.make.free_bytes", lambda path: 1000)
    assert "its disk has 0 GiB left" in plan(recipe).output


def test_a_model_that_is_not_there_leaves_the_rest_of_the_plan(recipe):
    shown = plan(recipe, "--set", "model.path=./nowhere")
    assert shown.exit_code == 1
    assert "there is no folder" in shown.output
    assert "20 in 10 batches" in shown.output


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in USUAL else [pytest.mark.heavy]) for name in RECIPES],
)
def test_every_shipped_recipe_has_a_plan(monkeypatch, name):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    shown = plan(Path("recipes") / name, "--gpus", 8, "--prompts", 15_000, "--json")
    found = json.loads(shown.output)
    # tiny_base_2 to 5 go on from the run of the one before, which is not there.
    assert (found["model"] is None) == name.startswith("tiny_base_")
    # The prompt files are the user's.
    has_files = "files" in yaml.safe_load((Path("recipes") / name).read_text())["prompts"]
    assert any("is not there" in note for note in found["notes"]) == has_files
    assert found["grpo"] is None or found["grpo"]["training"]["train"]["most"] > 0


@pytest.fixture
def recipe_of_files(recipe, tmp_path):
    """The small recipe over files that are not there yet."""
    content = yaml.safe_load(recipe.read_text())
    content["prompts"] = {"files": {"train": "rl.parquet", "test": "test.parquet"}}
    recipe.write_text(yaml.safe_dump(content))
    return recipe


def test_rollouts_on_prompts_that_are_not_there_are_not_known(recipe_of_files):
    shown = plan(recipe_of_files)
    for purpose in ("refresh", "validation", "evaluation"):
        (row,) = [line for line in shown.output.splitlines() if line.strip().startswith(purpose)]
        assert row.split() == [purpose, "not", "known", "-", "-", "-"]
    found = json.loads(plan(recipe_of_files, "--json").output)
    training = found["grpo"]["training"]
    assert (training["refresh"], training["validation"], found["grpo"]["evaluation"]) == (None,) * 3
    assert set(found["generated"]) == {"train"}


def test_a_sampler_that_never_refreshes_takes_none_for_it(recipe_of_files):
    found = plan(recipe_of_files, "--json", "--set", "sampler.name=progress")
    assert json.loads(found.output)["grpo"]["training"]["refresh"] == {"least": 0, "most": 0}


def test_unknown_hours_name_the_options_that_give_them(recipe):
    assert "hours are not known without --tokens-per-second and --update-tokens-per-second, or" in (
        plan(recipe).output
    )
    told = plan(recipe, "--tokens-per-second", 100).output
    assert "hours are not known without --update-tokens-per-second, or --calibrate" in told
    assert "hours are not" not in (
        plan(recipe, "--tokens-per-second", 100, "--update-tokens-per-second", 100).output
    )


def test_gpus_over_which_an_update_does_not_divide_are_told_so(recipe):
    shown = plan(recipe, "--gpus", 3).output
    # 16 rollouts in 2 updates: no micro-batch divides 8 over 3 processes.
    assert "8 an update, which do not divide over 3 processes; use 2, or choose" in shown
    assert "micro_batch" not in shown


def test_a_micro_batch_that_does_not_divide_is_told_one_that_does(recipe):
    shown = plan(recipe, "--set", "grpo.micro_batch=3").output
    assert "do not divide into micro-batches of 3; set micro_batch to 2, or another" in shown

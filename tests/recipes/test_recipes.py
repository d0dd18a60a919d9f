"""Every recipe of the repository is read by the code that runs it, and the paper's say what the
paper says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from vasari.core.errors import ConfigError
from vasari.run.recipe import load_recipe
from vasari.sample import vas_settings

ROOT = Path(__file__).parents[2]
# Curations and benchmarks have other forms: test_curation_recipes.py, test_benchmark_recipes.py.
RECIPES = sorted(
    path
    for path in (ROOT / "recipes").glob("*.yaml")
    if not path.stem.startswith(("curate_", "benchmarks"))
)
SIZES = ("3b", "7b", "32b")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_is_valid_and_named_after_its_file(path):
    assert load_recipe(path).name == path.stem


@pytest.mark.parametrize("size", SIZES)
def test_the_papers_recipes_hold_the_papers_numbers(size):
    recipe = load_recipe(ROOT / "recipes" / f"mmr1_{size}.yaml")
    assert recipe.sft is not None
    assert recipe.grpo is not None
    # arXiv:2509.21268, section 6.1.
    assert (recipe.sft.epochs, recipe.sft.trl.learning_rate) == (5, 1e-5)
    grpo = recipe.grpo
    assert (grpo.prompts_per_batch, grpo.rollouts_per_prompt) == (512, 8)
    assert (grpo.trl.learning_rate, grpo.trl.beta, grpo.trl.temperature) == (1e-6, 0.01, 0.6)
    assert [(term.name, term.weight) for term in grpo.rewards] == [
        ("accuracy", 1.0),
        ("format", 1.0),
    ]
    assert vas_settings(**recipe.sampler.settings) == vas_settings(
        "paper",
        num_refresh_rollouts=32,
        mix_ratio=0.5,
        alpha=0.8,
        beta=0.2,
        refresh_every=35,
        refresh="full",
    )


@pytest.mark.parametrize("size", SIZES)
def test_the_papers_recipes_differ_only_in_what_depends_on_size(size):
    def common(name):
        recipe = load_recipe(ROOT / "recipes" / f"mmr1_{name}.yaml").model_dump()
        recipe.pop("name")
        recipe["model"].pop("path")
        recipe["model"].pop("dtype")
        recipe["grpo"].pop("refresh_batch")
        recipe["evaluate"].pop("batch_rollouts")
        for part in ("sft", "grpo"):
            recipe[part].pop("micro_batch")
            trl = recipe[part]["trl"]
            for key in ("deepspeed", "vllm_gpu_memory_utilization", "vllm_tensor_parallel_size"):
                trl.pop(key, None)
        return recipe

    assert common(size) == common("3b")


def test_recipes_hold_the_content_of_the_deepspeed_files_they_name():
    for path in RECIPES:
        recipe, written = load_recipe(path), yaml.safe_load(path.read_text())
        for part in ("sft", "grpo"):
            name = written.get(part, {}).get("trl", {}).get("deepspeed")
            if name is not None:
                content = json.loads((ROOT / "recipes" / name).read_text())
                assert getattr(recipe, part).trl.deepspeed == content
                assert f"zero{content['zero_optimization']['stage']}.json" == name


@pytest.mark.parametrize("name", ["seed", "num_prompts", "prompt_ids", "features"])
def test_what_the_run_gives_a_sampler_is_no_setting_of_it(name):
    with pytest.raises(ConfigError, match=f"the run gives '{name}' itself; leave it out"):
        load_recipe(ROOT / "recipes" / "quickstart_tiny.yaml", [f"sampler.settings.{name}=3"])


SHORT = "name: mine\nprompts: {files: {train: pool.jsonl}}\nmodel: {path: vasari:tiny-base}\n"


def written(folder, text):
    path = folder / "mine.yaml"
    path.write_text(SHORT + text)
    return path


@pytest.mark.parametrize(
    ("text", "overrides"),
    [("grpo: {vllm: off}", []), ("grpo: {vllm: colocate}", ["grpo.vllm=off"])],
    ids=["in the recipe", "on the command line"],
)
def test_a_bare_off_turns_vllm_off(tmp_path, text, overrides):
    assert load_recipe(written(tmp_path, text), overrides).grpo.vllm == "off"


def test_vllm_is_not_turned_on_without_saying_how(tmp_path):
    with pytest.raises(ConfigError, match=r"grpo: vllm: expected no true or false, got True"):
        load_recipe(written(tmp_path, "grpo: {vllm: on}"))


def test_settings_of_vllm_fsdp_and_optimizers_reach_trl_under_its_names(tmp_path):
    (tmp_path / "fsdp.json").write_text('{"version": 2}')
    knobs = {
        "vllm_gpu_memory_utilization": 0.4,
        "vllm_tensor_parallel_size": 2,
        "vllm_max_model_length": 8192,
        "vllm_enable_sleep_mode": True,
        "optim": "adamw_torch_fused",
        "fsdp": True,
    }
    path = written(
        tmp_path, json.dumps({"grpo": {"trl": {**knobs, "fsdp_config": "fsdp.json"}}})[1:-1]
    )
    trl = load_recipe(path).grpo.trl
    assert {name: getattr(trl, name) for name in knobs} == knobs
    assert trl.fsdp_config == {"version": 2}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            None,
            r"sft\.trl\.deepspeed: cannot read .*zero\.json \(No such file.*relative to the rec",
        ),
        ("{", r"sft\.trl\.deepspeed: .*zero\.json is not JSON"),
        ("[1]", r"sft\.trl\.deepspeed: .*zero\.json holds no object"),
    ],
    ids=["missing", "not JSON", "a list"],
)
def test_a_deepspeed_file_that_cannot_be_used_is_one_line_when_the_recipe_is_read(
    tmp_path, content, message
):
    if content is not None:
        (tmp_path / "zero.json").write_text(content)
    with pytest.raises(ConfigError, match=message) as caught:
        load_recipe(written(tmp_path, "sft: {trl: {deepspeed: zero.json}}"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("override", "meant"),
    [
        ("grpo.step=3", "do you mean 'grpo.steps'?"),
        ("evaluate.num_rolouts=3", "do you mean 'evaluate.num_rollouts'?"),
        ("grpo.screening.candidate=2", "do you mean 'grpo.screening.candidates'?"),
        ("grpo.rewards=[{name: accuracy, wieght: 1}]", "do you mean 'grpo.rewards.0.weight'?"),
        ("model.system=x", "do you mean 'model.system_prompt'?"),
        ("prompts.tasks.num_trian=3", "do you mean 'prompts.tasks.num_train'?"),
        ("sft.lora={rnk: 3}", "do you mean 'sft.lora.rank'?"),
        ("zebra=1", "unknown key 'zebra'; leave it out"),
    ],
)
def test_an_unknown_key_is_told_the_nearest_known_one(override, meant):
    quickstart = Path(__file__).parents[2] / "recipes" / "quickstart.yaml"
    with pytest.raises(ConfigError) as caught:
        load_recipe(quickstart, [override])
    assert str(caught.value).endswith(meant)


def test_no_clock_ends_a_stage_of_the_quickstart():
    recipe = load_recipe(ROOT / "recipes" / "quickstart.yaml")
    assert recipe.sft is not None
    assert recipe.grpo is not None
    assert (recipe.sft.max_minutes, recipe.grpo.max_minutes) == (None, None)
    # Else another machine would sum up in another order.
    assert recipe.threads is not None


def test_the_quickstart_leaves_levels_to_grpo():
    tasks = load_recipe(ROOT / "recipes" / "quickstart.yaml").prompts.tasks
    assert tasks is not None
    taught = tasks.pool_of("cold_start").level_weights
    for split in ("train", "validation", "test"):
        assert set(taught) < set(tasks.pool_of(split).level_weights)


def test_levels_of_the_cold_start_keep_their_weights():
    tasks = (
        "{families: [bars], level_weights: {'1': 3, '2': 1, '3': 2}, cold_start_levels: ['1', '3']}"
    )
    quickstart = ROOT / "recipes" / "quickstart_tiny.yaml"
    recipe = load_recipe(quickstart, [f"prompts.tasks={tasks}"])
    assert recipe.prompts.tasks is not None
    assert recipe.prompts.tasks.pool_of("cold_start").level_weights == {"1": 3, "3": 2}
    assert recipe.prompts.tasks.pool_of("test").level_weights == {"1": 3, "2": 1, "3": 2}


def test_levels_of_the_cold_start_and_a_shape_exclude_each_other():
    with pytest.raises(ConfigError, match="cold_start_levels"):
        load_recipe(
            ROOT / "recipes" / "quickstart_tiny.yaml", ["prompts.tasks.cold_start_levels=['1']"]
        )

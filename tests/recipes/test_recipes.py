"""Every recipe of the repository is read by the code that runs it, and the paper's say what the
paper says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

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
        for part in ("sft", "grpo"):
            recipe[part].pop("micro_batch")
            recipe[part]["trl"].pop("deepspeed")
        return recipe

    assert common(size) == common("3b")


def test_deepspeed_files_that_recipes_name_exist_and_are_json():
    for path in RECIPES:
        recipe = load_recipe(path)
        for part in (recipe.sft, recipe.grpo):
            if part is not None and part.trl.deepspeed is not None:
                assert (
                    json.loads((ROOT / "recipes" / part.trl.deepspeed).read_text())[
                        "zero_optimization"
                    ]["stage"]
                    == 3
                )


@pytest.mark.parametrize("name", ["seed", "num_prompts", "prompt_ids", "features"])
def test_what_the_run_gives_a_sampler_is_no_setting_of_it(name):
    with pytest.raises(ConfigError, match=f"the run gives '{name}' itself; leave it out"):
        load_recipe(ROOT / "recipes" / "quickstart_tiny.yaml", [f"sampler.settings.{name}=3"])

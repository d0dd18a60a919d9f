"""A shrunk recipe differs from its recipe in rows, steps and dimensions, and in what GPUs have."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from vasari.run.recipe import load_recipe, parse_recipe
from vasari.run.shrink.prompts import ROWS, small_prompts, write_small_prompts
from vasari.run.shrink.settings import settings_differences, shrunk_settings

RECIPES = sorted(
    path
    for path in (Path(__file__).parents[3] / "recipes").glob("*.yaml")
    if not path.stem.startswith(("curate_", "benchmarks"))
)
MAY_CHANGE = {
    "shrunk_from",
    "prompts",
    "model.path",
    "model.max_pixels",
    "sft.epochs",
    "sft.batch_prompts",
    "sft.micro_batch",
    "sft.validate_every",
    "sampler.settings.refresh_every",
    "sampler.settings.num_refresh_rollouts",
    "grpo.steps",
    "grpo.prompts_per_batch",
    "grpo.rollouts_per_prompt",
    "grpo.micro_batch",
    "grpo.validate_every",
    "grpo.save_every",
    "grpo.refresh_batch",
    "grpo.trl.max_completion_length",
    "evaluate.num_rollouts",
    "evaluate.max_tokens",
}
FOR_GPUS = {
    "sft.trl.deepspeed",
    "grpo.trl.deepspeed",
    "grpo.vllm",
    "sft.trl.optim",
    "grpo.trl.optim",
}


def shrunk(recipe):
    files = {split: f"data/{split}.parquet" for split in ROWS}
    named = recipe.prompts.files
    files = {key: path for key, path in files.items() if named and getattr(named, key)}
    path = "model" if recipe.model.path else None
    content = shrunk_settings(recipe, model_path=path, files=files)
    return parse_recipe(yaml.safe_load(yaml.safe_dump(content)), where="shrunk")


def changes(recipe):
    return {
        place: (before, after)
        for place, before, after in settings_differences(
            recipe.model_dump(mode="json"), shrunk(recipe).model_dump(mode="json")
        )
    }


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_nothing_but_rows_steps_dimensions_and_gpus_changes(path):
    found = changes(load_recipe(path))
    others = {place for place in found if not place.startswith("prompts.")}
    assert others <= MAY_CHANGE | FOR_GPUS
    assert {found[place][1] for place in others & FOR_GPUS} <= {None, "off", "adamw_torch"}


def test_a_refresh_comes_after_the_kill():
    recipe = shrunk(load_recipe(RECIPES[0].with_name("mmr1_3b.yaml")))
    batches = recipe.grpo.steps // recipe.grpo.updates_per_batch
    assert recipe.grpo.save_every == recipe.grpo.updates_per_batch
    assert 1 < recipe.sampler.settings["refresh_every"] < batches


def test_settings_of_trackers_kernels_and_attention_for_gpus_are_left_out():
    gpu = {
        "name": "mine",
        "prompts": {"files": {"train": "pool.jsonl"}},
        "model": {"path": "a/b", "attn_implementation": "flash_attention_2"},
        "grpo": {"trl": {"fsdp": True, "use_liger_kernel": True, "report_to": "wandb"}},
    }
    found = changes(parse_recipe(gpu, where="gpu"))
    assert found["model.attn_implementation"] == ("flash_attention_2", None)
    assert {key: found[f"grpo.trl.{key}"][1] for key in ("fsdp", "use_liger_kernel")} == {
        "fsdp": None,
        "use_liger_kernel": False,
    }
    assert found["grpo.trl.report_to"] == ("wandb", [])


def test_prompts_are_the_first_of_a_file_or_generated(image_prompts, tmp_path):
    from vasari.data.prompt_file import read_prompts, write_prompts

    write_prompts(tmp_path / "pool.parquet", image_prompts)
    recipe = parse_recipe(
        {
            "name": "mine",
            "prompts": {"files": {"train": "pool.parquet", "test": "missing.parquet"}},
            "model": {"path": "a/b"},
        },
        where="mine",
    )
    found = small_prompts(recipe.prompts.files, folder=tmp_path, seed=0)
    assert found.origins == {
        "train": "the first 12 of pool.parquet",
        "test": "8 generated, since missing.parquet is not there",
    }
    assert [prompt.id for prompt in found.prompts["train"]] == [one.id for one in image_prompts]
    paths = write_small_prompts(found, tmp_path / "out")
    assert len(read_prompts(tmp_path / "out" / paths["test"])) == ROWS["test"]
    assert all(prompt.images and prompt.solution for prompt in found.prompts["test"])

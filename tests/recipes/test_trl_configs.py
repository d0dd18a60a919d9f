"""TRL's configuration of every recipe is the one that was recorded, field by field."""

from __future__ import annotations

import dataclasses
import enum
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from trl import GRPOConfig, SFTConfig

from vasari.run.recipe import load_recipe
from vasari.train.trl_config import grpo_config, sft_config

ROOT = Path(__file__).parents[2]
# What differs from TRL's defaults, recorded before recipes had TRL's names, on a CPU, with 1,000
# prompts to learn from. Rows are as many as prompts, or that for each pass over facts.
RECORDED = json.loads((ROOT / "tests" / "golden" / "trl_configs.json").read_text())
CLASSES = {"grpo": GRPOConfig, "sft": SFTConfig}


def fields(config: Any) -> dict[str, Any]:
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    return {
        name: dataclasses.asdict(value)
        if dataclasses.is_dataclass(value)
        else value.value
        if isinstance(value, enum.Enum)
        else value
        for name, value in values.items()
    }


@pytest.mark.parametrize("name", RECORDED)
def test_a_recipe_gives_trl_what_it_gave_before(name, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    recipe_name, part = name.split(".")
    recipe = load_recipe(ROOT / "recipes" / f"{recipe_name}.yaml")
    settings = getattr(recipe, part)
    # TRL takes it only where the package is installed.
    deepspeed = settings.trl.deepspeed
    settings = settings.model_copy(
        update={"trl": settings.trl.model_copy(update={"deepspeed": None})}
    )
    if part == "grpo":
        config = grpo_config(settings, Path("OUT"), recipe.seed)
    else:
        config = sft_config(settings, Path("OUT"), recipe.seed, num_prompts=1000)
    # The default of `disable_tqdm` depends on the log level of the process.
    stock = fields(CLASSES[part]("OUT", use_cpu=True, bf16=False, disable_tqdm=False))
    changed = {key: value for key, value in fields(config).items() if value != stock[key]}
    recorded = dict(RECORDED[name])
    if file := recorded.pop("deepspeed", None):
        assert deepspeed == json.loads((ROOT / "recipes" / file).read_text())
    assert changed == recorded


def test_every_recipe_that_trains_is_recorded():
    recipes = [
        load_recipe(path)
        for path in (ROOT / "recipes").glob("*.yaml")
        if not path.stem.startswith(("curate_", "benchmarks"))
    ]
    assert set(RECORDED) == {
        f"{recipe.name}.{part}"
        for recipe in recipes
        for part in CLASSES
        if getattr(recipe, part) is not None
    }

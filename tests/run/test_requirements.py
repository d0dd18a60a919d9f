"""A package that a recipe's settings need and that is missing is named before anything is loaded."""

from __future__ import annotations

import importlib.util

import pytest

from vasari.core.errors import MissingExtraError
from vasari.run.recipe import parse_recipe
from vasari.run.requirements import require_packages

NEEDS = {
    "deepspeed": ({"grpo": {"trl": {"deepspeed": {}}}}, "vasari[deepspeed]"),
    "vllm": ({"grpo": {"vllm": "colocate", "trl": {"bf16": True}}}, "vasari[vllm]"),
    "peft": ({}, "vasari[train]"),
    "bitsandbytes": ({"grpo": {"trl": {"optim": "adamw_8bit"}}}, "bitsandbytes"),
    "galore_torch": ({"sft": {"trl": {"optim": "galore_adamw_8bit"}}}, "galore-torch"),
    "torchao": ({"sft": {"trl": {"optim": "adamw_torch_8bit"}}}, "torchao"),
    "liger_kernel": ({"sft": {"trl": {"use_liger_kernel": True}}}, "liger-kernel"),
    "wandb": ({"grpo": {"trl": {"report_to": "wandb"}}}, "wandb"),
    "flash_attn": ({"model": {"attn_implementation": "flash_attention_2"}}, "flash-attn"),
    "trl": ({}, "vasari[train]"),
}


def recipe(settings):
    model = {"path": "vasari:tiny-base", **settings.get("model", {})}
    prompts = {"files": {"train": "pool.jsonl"}}
    content = {"name": "mine", "prompts": prompts, **settings, "model": model}
    return parse_recipe(content, where="recipe")


@pytest.fixture
def without(monkeypatch):
    """Makes one of these packages look as if it were not installed, and the others as if they were."""
    find = importlib.util.find_spec

    def hide(missing):
        def found(name, *more):
            if name == missing:
                return None
            return find("json") if name in NEEDS else find(name, *more)

        monkeypatch.setattr(importlib.util, "find_spec", found)

    return hide


@pytest.mark.parametrize("package", NEEDS)
def test_a_missing_package_is_one_line_with_what_to_install(package, without):
    settings, install = NEEDS[package]
    checked = recipe(settings)
    without(package)
    with pytest.raises(MissingExtraError, match=rf"need.* {package}\b") as caught:
        require_packages(checked, "sft", "grpo", "evaluate")
    assert str(caught.value).endswith(f"pip install '{install}'")


def test_vllm_is_asked_for_by_an_evaluation_with_it_alone(without):
    checked = recipe({"evaluate": {"vllm": "colocate"}})
    without("vllm")
    require_packages(checked, "sft", "grpo")
    with pytest.raises(
        MissingExtraError, match=r"^evaluate\.vllm: colocate needs the package vllm"
    ):
        require_packages(checked, "evaluate")


def test_what_only_another_stage_needs_is_not_asked_for(without):
    checked = recipe(NEEDS["vllm"][0])
    without("vllm")
    require_packages(checked, "sft", "evaluate")

"""Check that the packages a recipe's settings need are installed, before anything is loaded."""

from __future__ import annotations

import fnmatch
import importlib.util
from collections.abc import Iterator, Sequence
from typing import Any

from vasari.core.errors import MissingExtraError
from vasari.model.path import require_training
from vasari.run.recipe import Recipe

_TRACKERS = {
    "trackio": "trackio",
    "wandb": "wandb",
    "tensorboard": "tensorboard",
    "mlflow": "mlflow",
    "swanlab": "swanlab",
    "comet_ml": "comet_ml",
    "clearml": "clearml",
}
"""Tracker's name in `report_to` -> its package, which is installed under the same name."""

_OPTIMIZERS = {
    "adamw_torch_[48]*": ("torchao", "torchao"),
    "galore_*": ("galore_torch", "galore-torch"),
    "apollo_*": ("apollo_torch", "apollo-torch"),
    "*lomo": ("lomo_optim", "lomo-optim"),
    "grokadamw": ("grokadamw", "grokadamw"),
    "schedule_free_*": ("schedulefree", "schedulefree"),
    "stable_adamw": ("optimi", "torch-optimi"),
    **dict.fromkeys(
        ("*8bit", "paged_*", "ademamix", "lion_*", "rmsprop_bnb*"),
        ("bitsandbytes", "bitsandbytes"),
    ),
}
"""Optimizer of transformers (pattern; the first that fits) -> its module, and what pip installs."""

Need = tuple[str, str, str]
"""Module, setting that needs it, and what `pip install` is given."""


def require_packages(recipe: Recipe, *stages: str) -> None:
    """Raise if a package is missing that these stages of a recipe need.

    Args:
        recipe: The recipe.
        stages: Any of `sft`, `grpo`, `evaluate`.

    Raises:
        MissingExtraError: Names the package, the setting that needs it and the pip command.
    """
    require_training()
    for problem in missing_packages(recipe, *stages):
        raise problem


def missing_packages(recipe: Recipe, *stages: str) -> Iterator[MissingExtraError]:
    """Yield an error for each package that these stages of a recipe need and that is missing."""
    for module, setting, package in _needs(recipe, stages):
        if importlib.util.find_spec(module) is None:
            yield MissingExtraError(
                f"{setting} needs the package {module}: pip install '{package}'"
            )


def _needs(recipe: Recipe, stages: Sequence[str]) -> Iterator[Need]:
    attention = recipe.model.attn_implementation or ""
    if attention.startswith("flash_attention"):
        module = "flash_attn_interface" if attention == "flash_attention_3" else "flash_attn"
        yield module, f"model.attn_implementation: {attention}", "flash-attn"
    for name in ("sft", "grpo"):
        section = getattr(recipe, name)
        if section is None:
            continue
        if name in stages:
            yield from _needs_of_trl(name, section.trl)
    if "grpo" in stages and recipe.grpo is not None and recipe.grpo.vllm != "off":
        yield "vllm", f"grpo.vllm: {recipe.grpo.vllm}", "vasari[vllm]"
    if "evaluate" in stages and recipe.evaluate.vllm != "off":
        yield "vllm", f"evaluate.vllm: {recipe.evaluate.vllm}", "vasari[vllm]"


def _needs_of_trl(section: str, trl: Any) -> Iterator[Need]:
    if trl.deepspeed is not None:
        yield "deepspeed", f"{section}.trl.deepspeed", "vasari[deepspeed]"
    optimizer = getattr(trl, "optim", "")
    optimizer = str(getattr(optimizer, "value", optimizer))
    for pattern, (module, package) in _OPTIMIZERS.items():
        if fnmatch.fnmatchcase(optimizer, pattern):
            yield module, f"{section}.trl.optim: {optimizer}", package
            break
    if getattr(trl, "use_liger_kernel", False):
        yield "liger_kernel", f"{section}.trl.use_liger_kernel", "liger-kernel"
    trackers = [trl.report_to] if isinstance(trl.report_to, str) else trl.report_to
    for tracker in trackers:
        if tracker in _TRACKERS:
            yield _TRACKERS[tracker], f"{section}.trl.report_to: {tracker}", _TRACKERS[tracker]

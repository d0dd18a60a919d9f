"""Trained weights written for others: whole or merged, sharded, with processor and template."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from peft import PeftConfig

from vasari.model.families import family_of
from vasari.model.processor import load_processor, save_processor
from vasari.train.adapters import has_adapter, load_merged
from vasari.train.checkpoints import check_finite

SHARD_SIZE = "5GB"
WeightType = Literal["bfloat16", "float32"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedWeights:
    """Facts on exported weights."""

    num_parameters: int
    is_merged: bool
    """Whether an adapter was merged into the weights."""
    sees_images: bool


def export_weights(source: str, folder: Path, *, dtype: WeightType) -> ExportedWeights:
    """Write a trained model, any adapter merged, and its processor into a folder.

    An adapter is merged in float32, and the result rounded to `dtype`. The folder opens with
    `AutoModelForImageTextToText` (or `AutoModelForCausalLM`) and `AutoProcessor`.

    Args:
        source: Folder of trained weights.
        folder: Gets `config.json`, `generation_config.json`, safetensors in shards of at
            most 5 GB, and the files of the processor as the base model was published with.
        dtype: Type of the weights.

    Raises:
        StateError: The source cannot be loaded, or holds weights that are no numbers.
    """
    folder.mkdir(parents=True, exist_ok=True)
    merged = has_adapter(source)
    model = load_merged(source, dtype="float32" if merged else dtype)
    check_finite(model.named_parameters(), where=source)
    model.to(getattr(torch, dtype))
    for part in model.config.sub_configs:
        if getattr(model.config, part, None) is not None:
            getattr(model.config, part).dtype = dtype
    model.save_pretrained(str(folder), max_shard_size=SHARD_SIZE)
    save_processor(load_processor(_with_processor(source)), folder)
    return ExportedWeights(
        num_parameters=sum(weight.numel() for weight in model.parameters()),
        is_merged=merged,
        sees_images=family_of(model.config).layout != "none",
    )


def _with_processor(source: str) -> str:
    """The source, or the base model of an adapter that lies in a folder alone."""
    if (Path(source) / "tokenizer_config.json").exists() or not has_adapter(source):
        return source
    return str(PeftConfig.from_pretrained(source).base_model_name_or_path)

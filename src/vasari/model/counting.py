"""Parameters of a model, counted from its config without loading or downloading weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING

from vasari.core.errors import StateError
from vasari.model.published import published_config


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterCount:
    """Number of parameters of a model, by part, and of those that are trained."""

    by_part: Mapping[str, int]
    """Parameters of `embeddings`, `language model`, `output head` and `vision`; tied ones once."""
    trained: int
    """Parameters that get a gradient."""

    @property
    def total(self) -> int:
        """Number of parameters of all parts."""
        return sum(self.by_part.values())


def open_config(path: str) -> Any:
    """Return the transformers config of a model folder or a hub name; downloads no weights.

    Raises:
        StateError: There is none, or the hub cannot be reached.
    """
    if not Path(path).is_dir() and (known := published_config(path)) is not None:
        return known
    try:
        return AutoConfig.from_pretrained(path, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        if Path(path).is_dir():
            raise StateError(f"{path}: no config can be read from it: {error}") from error
        raise StateError(
            f"{path}: its config is neither on this machine nor reachable; run `hf download {path}"
            " config.json` where there is a network, or set model.path to a folder"
        ) from error


def model_without_weights(config: Any) -> Any:
    """Return transformers' own model of a config on torch's meta device: shapes, no memory."""
    with torch.device("meta"):
        return model_class(config).from_config(config)


def model_class(config: Any) -> Any:
    """Return the automatic class of transformers for a config: with images, or for text only."""
    has_images = type(config) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING
    return AutoModelForImageTextToText if has_images else AutoModelForCausalLM


def count_parameters(
    model: Any, prepare: Callable[[Any], Any] | None = None, *, adapters: str = "lora_"
) -> ParameterCount:
    """Count the parameters of a model by part, and those that training changes.

    Args:
        model: On any device; changed by `prepare`.
        prepare: Adds adapters and freezes weights, as training does; None trains all.
        adapters: What the names of added weights contain; they count as part `adapters`.
    """
    roots = {
        "embeddings": model.get_input_embeddings(),
        "output head": model.get_output_embeddings(),
        "language model": model.get_decoder(),
    }
    part_of = {
        id(weight): part
        for part, root in reversed(roots.items())  # the embeddings are within the decoder
        if root is not None
        for weight in root.parameters()
    }
    if prepare is not None:
        with torch.device("meta") if model.device.type == "meta" else torch.device("cpu"):
            model = prepare(model)
    counts = dict.fromkeys(("embeddings", "language model", "output head", "vision"), 0)
    trained = 0
    for name, weight in model.named_parameters():
        part = "adapters" if adapters in name else part_of.get(id(weight), "vision")
        counts[part] = counts.get(part, 0) + weight.numel()
        trained += weight.numel() * weight.requires_grad
    return ParameterCount(by_part=counts, trained=trained)

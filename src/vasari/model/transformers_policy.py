"""A policy that runs a model of transformers in this process."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

from vasari.core.errors import MissingExtraError, StateError
from vasari.model.config import load_config, one_line
from vasari.model.families import family_of, without_adapters
from vasari.model.hub import require_weights
from vasari.model.image_reuse import reuse_image_features
from vasari.model.model_policy import ModelPolicy
from vasari.model.processor import load_processor
from vasari.model.transformers_tokens import TransformersTokens

_UNREADABLE = (
    OSError,
    ValueError,
    LookupError,
    EOFError,
    TypeError,
    AttributeError,
    RuntimeError,
    SafetensorError,
)
"""What transformers, torch and safetensors raise on weights that are damaged or no weights."""


class TransformersPolicy(ModelPolicy):
    """Policy that draws rollouts from a transformers model in this process.

    Args:
        model: Vision-language or text-only, also with adapters.
        processor: From `load_processor`.
        system: The system prompt; "" for none.

    Raises:
        ConfigError: The family is not supported, or the chat template takes no system prompt.
    """

    engine: TransformersTokens

    def __init__(self, model: Any, processor: Any, *, system: str) -> None:
        super().__init__(
            TransformersTokens(model, processor),
            processor,
            family_of(without_adapters(model).config),
            system=system,
        )
        reuse_image_features(model)

    @property
    def model(self) -> Any:
        """The model that draws."""
        return self.engine.model

    @classmethod
    def load(
        cls,
        path: str,
        *,
        system: str,
        max_pixels: int | None = None,
        dtype: str = "auto",
        attn_implementation: str | None = None,
        thinking: bool | None = None,
    ) -> TransformersPolicy:
        """Make a policy from a model folder or a hub name, on the accelerator if there is one."""
        processor = load_processor(path, max_pixels=max_pixels, thinking=thinking)
        model = load_model(path, dtype=dtype, attn_implementation=attn_implementation)
        device = torch.accelerator.current_accelerator(check_available=True)
        return cls(model.to(device or "cpu").eval(), processor, system=system)


def load_model(path: str, *, dtype: str = "auto", attn_implementation: str | None = None) -> Any:
    """Load a model from a folder or a hub name, never with remote code.

    It is transformers' own class: `AutoModelForImageTextToText` for a vision-language family,
    `AutoModelForCausalLM` for text alone.

    Raises:
        StateError: Nothing there can be loaded as a model.
        ConfigError: The family is not supported.
    """
    require_weights(path)
    family = family_of(load_config(path))
    _require_weight_files(Path(path))
    kind = AutoModelForCausalLM if family.layout == "none" else AutoModelForImageTextToText
    try:
        model, report = kind.from_pretrained(
            path,
            dtype=dtype,
            attn_implementation=attn_implementation,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except ImportError as error:
        raise MissingExtraError(f"{path}: the model cannot be loaded: {one_line(error)}") from error
    except pickle.UnpicklingError as error:
        raise StateError(
            f"{path}: its weights are a pickle that is damaged or holds more than tensors, and what"
            " it holds is not run; give weights as safetensors (transformers: `save_pretrained`)"
        ) from error
    except torch.OutOfMemoryError:
        raise
    except _UNREADABLE as error:
        why = one_line(error)
        why = why if " " in why else f"its weights are damaged ({type(error).__name__} {why})"
        raise StateError(f"{path}: no model can be loaded from it: {why}") from error
    _require_all_weights(path, sorted(report["missing_keys"]))
    # Under ZeRO-3 transformers also keeps the renaming rules that fitted no weight, and would save
    # weights under names that the source never had.
    model._weight_conversions = [
        rule for rule in getattr(model, "_weight_conversions", None) or () if rule.was_used()
    ]
    return model


def _require_weight_files(folder: Path) -> None:
    """Raise if a model folder has no file of weights."""
    if folder.is_dir() and not [*folder.glob("*.safetensors"), *folder.glob("*.bin")]:
        raise StateError(
            f"{folder}: has a config.json and no weights (model.safetensors, or pytorch_model.bin);"
            " copy them too, or give the folder that has them"
        )


def _require_all_weights(path: str, missing: list[str]) -> None:
    """Raise if weights were not in the files: transformers would have drawn them at random."""
    if missing:
        named = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise StateError(
            f"{path}: its files lack {len(missing)} of the model's weights ({named}), which would"
            " be random; give the folder that the model was saved to, with its own config.json"
        )

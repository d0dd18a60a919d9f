"""The weights that are trained: which ones, and in which precision."""

from __future__ import annotations

from typing import Any

from vasari.model.transformers_policy import load_model
from vasari.train.settings import TrainedWeights


def load_weights(
    path: str, settings: TrainedWeights, *, attn_implementation: str | None = None
) -> Any:
    """Return the model of a folder or hub name with the weights that `settings` train.

    Weights are float32 whatever the compute type (`trl.bf16`): bfloat16 has 8 bits of mantissa, and
    at a learning rate of 1e-6 an update of nearly every weight is lost in rounding.
    """
    model = load_model(path, dtype="float32", attn_implementation=attn_implementation)
    return prepare_weights(model, settings)


def prepare_weights(model: Any, settings: TrainedWeights) -> Any:
    """Add LoRA adapters or freeze the vision encoder, as the settings say; return the model."""
    if settings.lora is not None:
        from peft import LoraConfig, get_peft_model  # noqa: PLC0415  (seconds to import, and seldom needed)

        adapters = LoraConfig(
            r=settings.lora.rank,
            lora_alpha=settings.lora.alpha,
            lora_dropout=settings.lora.dropout,
            target_modules=settings.lora.target_modules,
            exclude_modules=r".*\bvisual\b.*" if settings.freeze_vision else None,
            task_type="CAUSAL_LM",
        )
        return get_peft_model(model, adapters)
    if settings.freeze_vision:
        for weight in model.model.visual.parameters():
            weight.requires_grad_(False)
    return model

"""Which weights train: all, all but the vision encoder, or low-rank adapters."""

from __future__ import annotations

from typing import Any

from vasari.train.settings import Optimisation


def prepare_weights(model: Any, settings: Optimisation) -> Any:
    """The model with the weights that the settings leave trainable."""
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

"""The weights that are trained: which ones, in which precision, and what they begin with."""

from __future__ import annotations

from typing import Any

from vasari.core.errors import ConfigError
from vasari.model.families import family_of, vision_modules
from vasari.train.adapters import (
    add_adapter,
    continue_adapter,
    has_adapter,
    is_adapted,
    load_base,
    load_merged,
)
from vasari.train.checkpoints import check_finite
from vasari.train.settings import GrpoSettings, SftSettings, TrainedWeights


def load_weights(
    path: str,
    settings: SftSettings | GrpoSettings,
    *,
    seed: int,
    attn_implementation: str | None = None,
) -> Any:
    """Return the model of a folder or hub name with the weights that `settings` train.

    Trained weights are float32 whatever the compute type (`trl.bf16`): bfloat16 has 8 bits of
    mantissa, and at a learning rate of 1e-6 an update of nearly every weight is lost in rounding.

    Where the folder holds an adapter (a cold start with `lora`), `lora` trains it further, and
    without `lora` all weights are trained from the merged model.

    Raises:
        ConfigError: `freeze_vision` for a model that sees nothing, or `lora` fits no module.
        StateError: Nothing there can be loaded, or it holds weights that are no numbers.
    """
    dtype = type_to_load(settings)
    if settings.lora is not None and has_adapter(path):
        base = load_base(path, dtype=dtype, attn_implementation=attn_implementation)
        frozen = _frozen(base, settings)
        model = continue_adapter(path, base, settings.lora, frozen=frozen, seed=seed)
    else:
        model = load_merged(path, dtype=dtype, attn_implementation=attn_implementation)
        model = prepare_weights(model, settings, seed=seed)
    check_finite(model.named_parameters(), where=path)
    return model


def prepare_weights(model: Any, settings: TrainedWeights, *, seed: int = 0) -> Any:
    """Add a new LoRA adapter or freeze the vision encoder, as the settings say.

    Returns:
        The model; one with an adapter is ready and comes back as it is.

    Raises:
        ConfigError: `freeze_vision` for a model that sees nothing, or `lora` fits no module.
    """
    if is_adapted(model):
        return model
    frozen = _frozen(model, settings)
    if settings.lora is not None:
        return add_adapter(model, settings.lora, frozen=frozen, seed=seed)
    for part in frozen.values():
        part.requires_grad_(False)
    return model


def _frozen(model: Any, settings: TrainedWeights) -> dict[str, Any]:
    """What is not trained, by name: the vision encoder, its projector, single weights of images."""
    if not settings.freeze_vision:
        return {}
    family = family_of(model.config)
    found = vision_modules(model, family)
    if not found:
        raise ConfigError(
            f"freeze_vision: a model of the family {family.name} has no vision encoder; leave it"
            " out"
        )
    return found | {f"model.{name}": getattr(model.model, name) for name in family.vision_weights}


def type_to_load(settings: SftSettings | GrpoSettings) -> str:
    """Return the type of a model's weights in memory: "float32", or "auto" for the published."""
    server = isinstance(settings, GrpoSettings) and settings.vllm != "off"
    if settings.lora is None or not settings.trl.bf16 or server:
        # TRL merges adapters in place to pass weights to vLLM, and takes them out again: in
        # bfloat16 the base model would drift.
        return "float32"
    return "auto"  # what is not trained stays as it was published

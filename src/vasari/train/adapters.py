"""Low-rank adapters (LoRA): made, continued, merged into their base model, and kept in a folder.

A folder with an adapter has its base model's weights beside it, as transformers reads "a complete
model with an embedded adapter": it opens by itself, wherever it is moved to.
"""

from __future__ import annotations

import copy
import re
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftConfig, PeftModel, get_peft_model
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils import get_peft_model_state_dict, load_peft_weights, set_peft_model_state_dict
from safetensors.torch import save_file
from transformers.integrations import is_deepspeed_zero3_enabled

from vasari.core.errors import ConfigError, StateError
from vasari.model.transformers_policy import load_model
from vasari.train.settings import LoraSettings

WEIGHTS_FILE = "adapter_model.safetensors"
CONFIG_FILE = "adapter_config.json"


def add_adapter(model: Any, lora: LoraSettings, *, frozen: Collection[str], seed: int) -> PeftModel:
    """Return the model with a new adapter, which changes nothing yet; only the adapter is trained.

    Args:
        model: Any model of transformers.
        lora: The adapter's settings.
        frozen: Names of modules that get no adapter, nor do their parts.
        seed: Of the adapter's random half; the same seed gives the same adapter.

    Raises:
        ConfigError: `target_modules` fit no module, or the embeddings of the vocabulary.
    """
    names = "|".join(map(re.escape, frozen))
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=lora.target_modules,
        exclude_modules=rf"({names})(\..*)?" if frozen else None,
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        try:
            adapted = get_peft_model(model, config)
        except ValueError as error:
            reason = " ".join(str(error).split())
            raise ConfigError(f"lora.target_modules {lora.target_modules!r}: {reason}") from error
    base = adapted.get_base_model()
    if any(
        isinstance(layer, BaseTunerLayer)
        for layer in (base.get_input_embeddings(), base.get_output_embeddings())
    ):
        # TRL reads the weights of the output layer and not its adapter; both layers may be one.
        raise ConfigError(
            f"lora.target_modules {lora.target_modules!r} take in the embeddings of the vocabulary,"
            " which cannot be trained by an adapter; name other modules"
        )
    return adapted


def has_adapter(path: str) -> bool:
    """Whether a folder holds an adapter, with its base model's weights beside it or elsewhere."""
    return (Path(path) / CONFIG_FILE).exists()


def continue_adapter(
    path: str, base: Any, lora: LoraSettings, *, frozen: Collection[str], seed: int
) -> PeftModel:
    """Return the base model with the adapter in the folder `path`, to be trained further.

    An adapter of another rank, scale or of other modules than `lora` asks for is merged into the
    base model, exactly where that is float32, and a new adapter begins at nothing.
    """
    adapted = add_adapter(base, lora, frozen=frozen, seed=seed)
    config = PeftConfig.from_pretrained(path)
    fresh, kept = get_peft_model_state_dict(adapted), load_peft_weights(path, device="cpu")
    same_shapes = {name: value.shape for name, value in fresh.items()} == {
        name: value.shape for name, value in kept.items()
    }
    if same_shapes and _scale(config) == _scale(adapted.peft_config["default"]):
        set_peft_model_state_dict(adapted, kept)
        return adapted
    merged_base = merge_adapter(path, adapted.unload())
    return add_adapter(merged_base, lora, frozen=frozen, seed=seed)


def _scale(config: Any) -> tuple[Any, ...]:
    return (config.lora_alpha, config.r, config.use_rslora, config.use_dora)


def merge_adapter(path: str, base: Any) -> Any:
    """Return the base model, in float32, with the adapter in the folder `path` merged into it.

    Raises:
        ConfigError: DeepSpeed has spread the base model over processes.
    """
    if is_deepspeed_zero3_enabled():
        raise ConfigError(
            f"{path}: its adapter cannot be merged under DeepSpeed's stage 3; train it further with"
            " the same `lora`, use stage 2, or merge it first with vasari export"
        )
    whole = merged(PeftModel.from_pretrained(base, path))
    return whole.requires_grad_(True)  # PEFT has frozen it


def merged(model: Any) -> Any:
    """Return the model with its adapter merged into float32 weights; without one, as it is."""
    if not is_adapted(model):
        return model
    # PEFT froze the weights beside the adapter, and leaves them so.
    return model.float().merge_and_unload(safe_merge=True).requires_grad_(True)


def is_adapted(model: Any) -> bool:
    """Whether a model carries an adapter that PEFT added."""
    return isinstance(model, PeftModel)


def load_base(path: str, *, dtype: str, attn_implementation: str | None = None) -> Any:
    """Return the base model of the adapter in a folder, without the adapter.

    Raises:
        StateError: Its weights are neither in the folder nor where the adapter says.
    """
    folder = Path(path)
    if not (folder / "config.json").exists():
        name = PeftConfig.from_pretrained(path).base_model_name_or_path
        if not name:
            raise StateError(
                f"{path}: has an adapter, and no base model beside it; copy all files of the folder"
                " that it was trained into, or name the base model in its adapter_config.json"
                " (base_model_name_or_path)"
            )
        return load_model(name, dtype=dtype, attn_implementation=attn_implementation)
    # transformers adds an adapter that lies in the folder.
    with tempfile.TemporaryDirectory() as alone:
        for file in folder.iterdir():
            if file.name not in (CONFIG_FILE, WEIGHTS_FILE):
                (Path(alone) / file.name).symlink_to(file.absolute())
        model = load_model(alone, dtype=dtype, attn_implementation=attn_implementation)
    return _named(model, path)


def load_merged(
    path: str, *, dtype: str = "float32", attn_implementation: str | None = None
) -> Any:
    """Return the model of a folder or a hub name; an adapter is merged into it, in float32."""
    if not has_adapter(path):
        return load_model(path, dtype=dtype, attn_implementation=attn_implementation)
    base = load_base(path, dtype="float32", attn_implementation=attn_implementation)
    return _named(merge_adapter(path, base), path)


def _named(model: Any, path: str) -> Any:
    """The model, with the name by which TRL loads the reference model and vLLM."""
    model.name_or_path = model.config._name_or_path = path
    return model


def write_adapter(model: PeftModel, folder: Path, weights: Mapping[str, Any] | None) -> None:
    """Write the adapter that is trained into a folder.

    Args:
        model: Carries the adapter.
        folder: Exists.
        weights: Of the whole model, where they were gathered; None: as they are in `model`.
    """
    config = copy.copy(model.peft_config["default"])
    config.inference_mode = True
    # The base model's weights are beside it; a path would not survive a move.
    if Path(str(config.base_model_name_or_path)).exists():
        config.base_model_name_or_path = None
    config.save_pretrained(str(folder))
    state = get_peft_model_state_dict(model, state_dict=weights)
    save_file(
        {name: value.detach().cpu().contiguous() for name, value in state.items()},
        folder / WEIGHTS_FILE,
        metadata={"format": "pt"},
    )


def write_base(model: PeftModel, folder: Path, weights: Mapping[str, Any] | None) -> None:
    """Write the base model's weights into a folder, as the model would be without the adapter."""
    base = model.get_base_model()
    state = base.state_dict() if weights is None else weights
    own = {
        name.removeprefix("base_model.model.").replace(".base_layer.", "."): value
        for name, value in state.items()
        if f".{model.base_model.prefix}" not in name
    }
    base.save_pretrained(str(folder), state_dict=own)


def restore_adapter(model: PeftModel, path: Path) -> None:
    """Put the adapter of a folder into a model that has one of the same shape.

    Raises:
        StateError: The folder has another adapter, or none.
    """
    if not (path / WEIGHTS_FILE).exists():
        raise StateError(f"{path}: has no adapter, and the run trains one")
    kept, own = load_peft_weights(str(path), device="cpu"), get_peft_model_state_dict(model)
    if kept.keys() != own.keys():
        other = sorted(kept.keys() ^ own.keys())[:3]
        raise StateError(f"{path}: its adapter has other weights than the run's: {other}")
    set_peft_model_state_dict(model, kept)

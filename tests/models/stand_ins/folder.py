"""Writing a small model's folder as its family is laid out on the hub."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

CLIP = {
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}
HALF = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
EVERY_STEP = {"do_convert_rgb": True, "do_normalize": True, "do_rescale": True, "do_resize": True}


def small_text(**changes: Any) -> dict[str, Any]:
    """Return the sizes of a text model of two thin layers, with `changes`."""
    return {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 32768,
    } | changes


def small_vision(**changes: Any) -> dict[str, Any]:
    """Return the sizes of a vision encoder of two thin layers, with `changes`."""
    return {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    } | changes


def write_folder(
    folder: Path,
    *,
    config: Mapping[str, Any],
    tokenizer: Any,
    template: str,
    template_files: tuple[str, ...],
    generation: Mapping[str, Any],
    tokenizer_config: Mapping[str, Any] | None = None,
    files: Mapping[str, Mapping[str, Any]] | None = None,
    seed: int,
) -> None:
    """Write config, bfloat16 weights, tokenizer, template and processor files to `folder`.

    Args:
        config: `config.json`.
        template_files: Where the family publishes its chat template: `tokenizer_config.json`,
            `chat_template.json`, `chat_template.jinja`.
        generation: `generation_config.json`.
        tokenizer_config: What the family publishes in `tokenizer_config.json` besides.
        files: Further JSON files, of the processor.
        seed: Of the weights.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(str(folder))
    settings = json.loads((folder / "tokenizer_config.json").read_text()) | (tokenizer_config or {})
    if "tokenizer_config.json" in template_files:
        settings["chat_template"] = template
    if "chat_template.json" in template_files:
        _put(folder / "chat_template.json", {"chat_template": template})
    if "chat_template.jinja" in template_files:
        (folder / "chat_template.jinja").write_text(template)
    _put(folder / "config.json", config)
    _weights(folder, seed).save_pretrained(str(folder))
    _put(folder / "config.json", config)
    _put(folder / "generation_config.json", generation)
    _put(folder / "tokenizer_config.json", settings)
    for name, content in (files or {}).items():
        _put(folder / name, content)


def _put(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _weights(folder: Path, seed: int) -> Any:
    """The model of a folder's `config.json`, whose output depends on each weight and each image."""
    config = AutoConfig.from_pretrained(str(folder))
    maker = (
        AutoModelForImageTextToText if hasattr(config, "vision_config") else AutoModelForCausalLM
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = maker.from_config(config, dtype=torch.float32)
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in model.modules():
            for weight in module.parameters(recurse=False):
                noise = torch.randn(weight.shape, generator=draw)
                if weight.ndim < 2:
                    weight.add_(0.05 * noise)
                else:
                    is_filter = type(module).__name__.startswith("Conv")
                    inputs = weight[0].numel() if is_filter else weight.shape[-1]
                    weight.copy_(noise / math.sqrt(inputs))
    model.tie_weights()
    return model.to(torch.bfloat16)

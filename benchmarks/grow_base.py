"""A larger model that begins where the shipped base ends: for the study's second model size.

    python benchmarks/grow_base.py --out runs/grown_base [--width 2] [--extra-layers 2]
    python benchmarks/sample_efficiency.py explore --set model.path=runs/grown_base ...

Training a base of several million parameters from scratch takes days on two cores. Instead the
base's language model is widened and deepened so that it computes the same (Net2Net,
arXiv:1511.05641): every channel and head is there `width` times, and each added layer adds nothing
yet. Then noise makes the copies differ, so that training can use them apart. The vision encoder is
the base's.
"""

from __future__ import annotations

import argparse
import copy
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import Qwen2_5_VLForConditionalGeneration

from vasari.model.path import resolve_model


def widened(weight: Tensor, times: int, *, inputs: bool, outputs: bool) -> Tensor:
    """Return a weight for inputs or outputs that come `times` times, one block after the other.

    Args:
        weight: A matrix [outputs, inputs] or a vector [outputs].
        times: Number of copies of each channel.
        inputs: Whether the inputs are copied; the weights are divided by their number.
        outputs: Whether the outputs are.
    """
    if inputs:
        weight = weight.repeat(1, times) / times
    if outputs:
        weight = torch.cat([weight] * times)
    return weight


def grow(base: Any, *, width: int, extra_layers: int) -> Any:
    """Return a model of `width` times the base's width that computes the same as it.

    Args:
        base: A Qwen2_5_VLForConditionalGeneration with tied embeddings.
        width: Copies of each channel and head of the language model.
        extra_layers: Layers added after each of the base's; they add nothing until trained.
    """
    config = copy.deepcopy(base.config)
    text, depth = config.text_config, extra_layers + 1
    for name in (
        "hidden_size",
        "intermediate_size",
        "num_attention_heads",
        "num_key_value_heads",
    ):
        setattr(text, name, getattr(text, name) * width)
    text.num_hidden_layers *= depth
    if getattr(text, "layer_types", None):
        text.layer_types = [kind for kind in text.layer_types for _ in range(depth)]
    config.vision_config.out_hidden_size *= width
    grown = Qwen2_5_VLForConditionalGeneration(config)
    grown.generation_config = copy.deepcopy(base.generation_config)
    with torch.no_grad():
        _fill(grown, base, width=width, depth=depth)
    return grown


def _fill(grown: Any, base: Any, *, width: int, depth: int) -> None:
    old, new = base.model.language_model, grown.model.language_model
    # The head is the embedding once more, and reads every channel `width` times.
    new.embed_tokens.weight.copy_(old.embed_tokens.weight.repeat(1, width))
    new.norm.weight.copy_(old.norm.weight.repeat(width) / width)
    for place, layer in enumerate(new.layers):
        source = dict(old.layers[place // depth].named_parameters())
        for name, weight in layer.named_parameters():
            is_norm, is_matrix = "layernorm" in name, source[name].ndim == 2
            weight.copy_(widened(source[name], width, inputs=is_matrix, outputs=True))
            adds = name.startswith(("self_attn.o_proj", "mlp.down_proj"))
            if place % depth and adds and not is_norm:
                weight.zero_()
    vision = dict(base.model.visual.named_parameters())
    for name, weight in grown.model.visual.named_parameters():
        same = weight.shape == vision[name].shape
        weight.copy_(
            vision[name] if same else widened(vision[name], width, inputs=False, outputs=True)
        )


def perturb(model: Any, *, noise: float, seed: int) -> None:
    """Add noise to the language model's matrices, as a share of each one's standard deviation."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.model.language_model.parameters():
            if weight.ndim == 2:
                scale = noise * weight.std()
                weight.add_(scale * torch.randn(weight.shape, generator=generator))


def main() -> None:
    """Write the grown model beside the base's tokenizer and processor, and print its size."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base", default="vasari:tiny-base")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--width", type=int, default=2)
    parser.add_argument("--extra-layers", type=int, default=2)
    parser.add_argument("--noise", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    folder = Path(resolve_model(chosen.base))
    base = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    grown = grow(base, width=chosen.width, extra_layers=chosen.extra_layers)
    perturb(grown, noise=chosen.noise, seed=chosen.seed)
    shutil.copytree(folder, chosen.out, ignore=shutil.ignore_patterns("*.safetensors", "config*"))
    grown.save_pretrained(chosen.out)
    print(f"{chosen.out}: {sum(w.numel() for w in grown.parameters()):,} parameters")


if __name__ == "__main__":
    main()

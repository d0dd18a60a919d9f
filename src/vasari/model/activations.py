"""Bytes that a model keeps for the backward pass and for generation, from its modules and config.

Nothing is run: the modules may lie on torch's meta device. docs/scale.md has the formulas.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from vasari.model.families import family_of, vision_modules

Precision = Literal["float32", "autocast", "bfloat16"]
"""Float32 throughout; float32 weights with bfloat16 products (PyTorch's autocast); or weights and
activations in bfloat16 (DeepSpeed)."""

_WIDTH = {"float32": 4, "autocast": 2, "bfloat16": 2}
"""Bytes of a number that goes into a matrix product."""
_NORM = {"float32": 8, "autocast": 8, "bfloat16": 6}
"""Bytes a number that an RMSNorm keeps: its input and the normalised input, computed in float32."""
_RESIDUAL = {"float32": 4, "autocast": 4, "bfloat16": 2}
"""Bytes of a number of the residual stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptBytes:
    """Bytes that a stack of layers keeps for the backward pass, for each token that it reads."""

    whole: float
    """With everything kept, over all layers."""
    inputs: float
    """With the inputs of the layers alone, as gradient checkpointing keeps them."""
    largest_layer: float
    """Of one layer, which gradient checkpointing recomputes at a time."""
    by_length: float
    """More for each token of the same sequence, over all layers: attention weights, where they are
    computed one by one (`eager`)."""

    def of(self, tokens: float, *, length: float, checkpointing: bool) -> float:
        """Return the bytes for so many tokens, in sequences of the given length."""
        if not checkpointing:
            return tokens * (self.whole + self.by_length * length)
        share = self.largest_layer / self.whole if self.whole else 0.0
        return tokens * (self.inputs + self.largest_layer + share * self.by_length * length)


def language_kept(model: Any, precision: Precision) -> KeptBytes:
    """Return what the language model's layers keep, for each token of text or image."""
    return _of_layers(list(model.get_decoder().layers), model.config.get_text_config(), precision)


def vision_kept(model: Any, precision: Precision) -> KeptBytes:
    """Return what the vision encoder's layers keep for each patch; zeros for a text-only model."""
    config = getattr(model.config, "vision_config", None)
    layers = [
        layer
        for module in vision_modules(model, family_of(model.config)).values()
        for layer in _layers_in(module)
    ]
    return _of_layers(layers, config, precision)


def _layers_in(module: nn.Module) -> Iterator[nn.Module]:
    """The layers of the outermost lists of layers that attend."""
    for child in module.children():
        if isinstance(child, nn.ModuleList) and any("att" in n for n, _ in child.named_modules()):
            yield from child
        else:
            yield from _layers_in(child)


def _of_layers(layers: list[nn.Module], config: Any, precision: Precision) -> KeptBytes:
    if not layers:
        return KeptBytes(whole=0.0, inputs=0.0, largest_layer=0.0, by_length=0.0)
    hidden, *_ = _attention_widths(config)
    sizes = [_of_layer(layer, config, precision) for layer in layers]
    eager = config._attn_implementation == "eager"
    weights = (4 + (0 if precision == "float32" else 2)) * _num_heads(config) if eager else 0
    return KeptBytes(
        whole=sum(sizes),
        inputs=len(layers) * hidden * _RESIDUAL[precision],
        largest_layer=max(sizes),
        by_length=weights * len(layers),
    )


def _of_layer(layer: nn.Module, config: Any, precision: Precision) -> float:
    """Bytes a token that one layer keeps: inputs of norms and products, and of the attention."""
    hidden, heads, key_values = _attention_widths(config)
    width = _WIDTH[precision]
    kept = 0.0
    inputs: set[tuple[str, int]] = set()
    gates = 0
    for name, module in layer.named_modules():
        kind = type(module).__name__
        if kind.endswith("RMSNorm") or isinstance(module, nn.LayerNorm):
            (size,) = module.weight.shape
            if size != hidden:  # a norm of each head
                size = heads if name.endswith("q_norm") else key_values
            kept += size * (4 if isinstance(module, nn.LayerNorm) else _NORM[precision])
        elif isinstance(module, nn.Linear):
            parent = name.rpartition(".")[0]
            if precision == "autocast":  # each product makes a bfloat16 copy of its own
                kept += width * module.in_features
            else:
                inputs.add((parent, module.in_features))
            if name.endswith(("gate_proj", "up_proj", "fc1", "linear_fc1", "w1", "w3")):
                gates += module.out_features * (2 if "gate" in name or name.endswith("w1") else 1)
    kept += width * sum(size for _, size in inputs)
    # Queries, keys and values, and one number in float32 for each head and token.
    kept += width * (heads + 2 * key_values) + 4 * _num_heads(config)
    return kept + width * gates


def _num_heads(config: Any) -> int:
    for name in ("num_attention_heads", "num_heads"):
        if getattr(config, name, None):
            return int(getattr(config, name))
    raise AttributeError(f"{type(config).__name__} has no number of attention heads")


def _attention_widths(config: Any) -> tuple[int, int, int]:
    """Width of the residual stream, of all queries, and of all keys."""
    hidden = int(getattr(config, "hidden_size", 0) or config.embed_dim)
    heads = _num_heads(config)
    size = int(getattr(config, "head_dim", None) or hidden // heads)
    return hidden, heads * size, int(getattr(config, "num_key_value_heads", None) or heads) * size


def cache_bytes(config: Any, *, length: int, width: int) -> int:
    """Return the bytes of keys and values of one sequence that is being generated.

    Args:
        config: The model's.
        length: Tokens of the sequence, prompt included.
        width: Bytes of a number: 4 where weights are float32, even under autocast.
    """
    text = config.get_text_config()
    _, _, key_values = _attention_widths(text)
    kinds = getattr(text, "layer_types", None) or ["full_attention"] * text.num_hidden_layers
    window = getattr(text, "sliding_window", None) or length
    lengths = {"full_attention": length, "sliding_attention": min(length, window)}
    return sum(2 * key_values * width * lengths.get(kind, 0) for kind in kinds)

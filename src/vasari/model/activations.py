"""Bytes that a model keeps for the backward pass and for generation, from its modules and config.

Nothing is run: the modules may lie on torch's meta device. docs/scale.md has the formulas.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from torch import nn

from vasari.model.families import family_of, vision_modules, without_adapters

Precision = Literal["float32", "autocast", "bfloat16"]
"""Float32 throughout; float32 weights with bfloat16 products (PyTorch's autocast); or weights and
activations in bfloat16 (DeepSpeed)."""

_WIDTH = {"float32": 4, "autocast": 2, "bfloat16": 2}
"""Bytes of a number that goes into a matrix product."""
_NORM = {"float32": 8, "autocast": 8, "bfloat16": 6}
"""Bytes a number that an RMSNorm keeps: its input and the normalised input, computed in float32."""
_RESIDUAL = {"float32": 4, "autocast": 4, "bfloat16": 2}
"""Bytes of a number of the residual stream."""


_ACTIVATED = ("gate_proj", "up_proj", "fc1", "linear_fc1", "w1", "w3")
"""Ends of the names of products that an activation function follows, or that it multiplies."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShapes:
    """What a model keeps in memory for each token and patch, beside its weights."""

    config: Any
    """Of transformers."""
    hidden: int
    """Width of the language model."""
    vocabulary: int
    """Rows of the output head."""
    largest_layer: int
    """Weights of the largest layer of the language model."""
    head_is_frozen: bool
    """Whether the output head gets no gradient."""
    vision_is_frozen: bool
    """Whether nothing before the language model's layers gets a gradient."""
    language: Mapping[Precision, KeptBytes]
    """For each token."""
    vision: Mapping[Precision, KeptBytes]
    """For each patch."""
    patch_bytes: int
    """Bytes of a patch of an image, as the processor gives it."""

    def cache(self, length: int, width: int) -> int:
        """Return the bytes of keys and values of one sequence of so many tokens."""
        return cache_bytes(self.config, length=length, width=width)


def model_shapes(model: Any) -> ModelShapes:
    """Return what a model keeps in memory for each token, as its weights are to be trained.

    Args:
        model: Ready for training, on any device; the meta device will do.
    """
    base = without_adapters(model)
    text = base.config.get_text_config()
    layers = base.get_decoder().layers
    vision = vision_modules(base, family_of(base.config)).values()
    trained = [w for module in vision for w in module.parameters() if w.requires_grad]
    return ModelShapes(
        config=base.config,
        hidden=int(text.hidden_size),
        vocabulary=int(text.vocab_size),
        largest_layer=max(sum(w.numel() for w in layer.parameters()) for layer in layers),
        head_is_frozen=not base.get_output_embeddings().weight.requires_grad,
        vision_is_frozen=not trained,
        language={kind: language_kept(base, kind) for kind in get_args(Precision)},
        vision={kind: vision_kept(base, kind) for kind in get_args(Precision)},
        patch_bytes=_patch_bytes(getattr(base.config, "vision_config", None)),
    )


def _patch_bytes(vision: Any) -> int:
    if vision is None:
        return 0
    size = vision.patch_size
    height, width = size if isinstance(size, list | tuple) else (size, size)
    return 4 * 3 * int(height) * int(width) * int(getattr(vision, "temporal_patch_size", 1))


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
    """Bytes a token that one layer keeps: inputs of norms and products, and of the attention.

    A product keeps its input for the gradient of its weight, and none where that is frozen.
    """
    hidden, heads, key_values = _attention_widths(config)
    width = _WIDTH[precision]
    kept = 0.0
    shared: set[tuple[str, int]] = set()
    for full_name, module in layer.named_modules():
        name = full_name.removesuffix(".base_layer")  # of an adapted product
        if isinstance(module, nn.LayerNorm) or type(module).__name__.endswith("RMSNorm"):
            (size,) = module.weight.shape
            if size != hidden:  # a norm of each head
                size = heads if name.endswith("q_norm") else key_values
            kept += size * _of_norm(module, precision)
        elif isinstance(module, nn.Linear):
            if not module.weight.requires_grad:
                pass
            elif precision == "autocast":  # each product makes a bfloat16 copy of its own
                kept += width * module.in_features
            else:
                shared.add((name.partition(".")[0], module.in_features))
            # What goes into the activation function and comes out, and what it multiplies.
            if name.endswith(_ACTIVATED):
                gated = name.endswith(("gate_proj", "w1"))
                kept += width * module.out_features * (2 if gated else 1)
    kept += width * sum(size for _, size in shared)
    # Queries, keys and values, and one number in float32 for each head and token.
    return kept + width * (heads + 2 * key_values) + 4 * _num_heads(config)


def _of_norm(norm: nn.Module, precision: Precision) -> int:
    """Bytes a number that a norm keeps: its input, and the normalised input for its weight."""
    if isinstance(norm, nn.LayerNorm) or not norm.weight.requires_grad:
        return 4
    # Gemma multiplies with the weight before it rounds to bfloat16.
    return _NORM["autocast" if "Gemma" in type(norm).__name__ else precision]


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

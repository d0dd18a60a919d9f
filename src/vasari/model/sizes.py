"""Sizes of a small Qwen2.5-VL made from scratch; needs no torch, so that recipes can use it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from vasari.core.bounds import Bounds, PositiveCount, check_fields


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallVlmSettings:
    """Sizes of a small Qwen2.5-VL made from scratch: widths, layers, heads, vocabulary."""

    hidden: Annotated[int, Bounds(least=24)] = 128
    """Width of the language model."""
    layers: PositiveCount = 4
    """Decoder layers."""
    heads: PositiveCount = 4
    """Attention heads of the language model; half as many key-value heads."""
    feed_forward: Annotated[int, Bounds(least=8)] = 256
    """Width of the decoder's feed-forward layers."""
    vision_hidden: Annotated[int, Bounds(least=24)] = 96
    """Width of the vision encoder."""
    vision_layers: PositiveCount = 3
    """Layers of the vision encoder."""
    vision_heads: PositiveCount = 4
    """Attention heads of the vision encoder."""
    vision_feed_forward: Annotated[int, Bounds(least=8)] = 192
    """Width of the encoder's feed-forward layers."""
    image_size: Annotated[int, Bounds(least=28)] = 112
    """Pixels a side that images are brought to; 112 gives 16 image tokens."""
    vocabulary: Annotated[int, Bounds(least=300)] = 768
    """Entries of the tokenizer, special ones included."""

    def __post_init__(self) -> None:
        check_fields(self)

"""Published sizes of the paper's models, so that a plan needs neither network nor weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class QwenSizes:
    """Sizes of one published Qwen2.5-VL, from its `config.json`."""

    hidden: int
    """Width of the language model, and what the vision encoder puts out."""
    layers: int
    """Decoder layers."""
    heads: int
    """Attention heads."""
    key_value_heads: int
    """Heads of keys and values."""
    feed_forward: int
    """Width of the decoder's feed-forward layers."""
    vocabulary: int
    """Rows of the token embeddings."""
    tied: bool
    """Whether the output head is the embeddings."""
    vision_feed_forward: int = 3420
    """Width of the vision encoder's feed-forward layers."""

    def config(self) -> dict[str, Any]:
        """Return what `config.json` says of the sizes, as arguments of transformers' config."""
        return {
            "text_config": {
                "hidden_size": self.hidden,
                "num_hidden_layers": self.layers,
                "num_attention_heads": self.heads,
                "num_key_value_heads": self.key_value_heads,
                "intermediate_size": self.feed_forward,
                "vocab_size": self.vocabulary,
                "max_position_embeddings": 128_000,
                "rope_parameters": {
                    "rope_type": "default",
                    "rope_theta": 1_000_000.0,
                    "mrope_section": [16, 24, 24],
                },
                "tie_word_embeddings": self.tied,
            },
            "vision_config": {
                "depth": 32,
                "hidden_size": 1280,
                "num_heads": 16,
                "intermediate_size": self.vision_feed_forward,
                "out_hidden_size": self.hidden,
            },
            "tie_word_embeddings": self.tied,
        }


PUBLISHED: Mapping[str, QwenSizes] = {
    "Qwen/Qwen2.5-VL-3B-Instruct": QwenSizes(
        hidden=2048,
        layers=36,
        heads=16,
        key_value_heads=2,
        feed_forward=11008,
        vocabulary=151_936,
        tied=True,
    ),
    "Qwen/Qwen2.5-VL-7B-Instruct": QwenSizes(
        hidden=3584,
        layers=28,
        heads=28,
        key_value_heads=4,
        feed_forward=18944,
        vocabulary=152_064,
        tied=False,
    ),
    "Qwen/Qwen2.5-VL-32B-Instruct": QwenSizes(
        hidden=5120,
        layers=64,
        heads=40,
        key_value_heads=8,
        feed_forward=27648,
        vocabulary=152_064,
        tied=False,
        vision_feed_forward=3456,
    ),
}
"""Sizes by hub name; all three are `qwen2_5_vl`."""

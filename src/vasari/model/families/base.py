"""What Vasari must know of a model family; everything else is transformers' and TRL's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Layout = Literal["grid", "positions", "shapes", "tiles", "flat", "samples", "none"]
"""How a batch holds its images; a row is an entry of the first dimension of `pixel_values`.

- "grid": a row a patch, of all images; `image_grid_thw` [images, 3] has each image's patches in
  time, height and width.
- "positions": a row an image; `image_position_ids` [images, patches, 2].
- "shapes": a row a tile; `spatial_shapes` [tiles, 2] and `pixel_attention_mask` [tiles, patches].
- "tiles": a row a tile; nothing in the batch says how many of them an image has.
- "flat": a row an image, with all of its tiles; `image_sizes` [images, 2] in some families.
- "samples": a row a prompt, `pixel_values` [prompts, most tiles, ...] padded with zeros, and
  `pixel_attention_mask` [prompts, most tiles, ...].
- "none": no images; the model reads text only.
"""

IMAGE_FIELDS: Mapping[Layout, tuple[str, ...]] = {
    "grid": ("pixel_values", "image_grid_thw"),
    "positions": ("pixel_values", "image_position_ids"),
    "shapes": ("pixel_values", "spatial_shapes", "pixel_attention_mask"),
    "tiles": ("pixel_values",),
    "flat": ("pixel_values", "image_sizes", "batch_num_images"),
    "samples": ("pixel_values", "pixel_attention_mask"),
    "none": (),
}
"""Fields of a batch that only images have, by layout; a family may lack the later ones."""

LimitPixels = Callable[[Any, int], None]
"""Changes an image processor so that an image gets at most so many pixels; else ConfigError."""

AspectRatio = Callable[[Any], float]
"""Gives the longest side by the shortest of an image that an image processor can handle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Models that are fed and trained alike: how images reach them, which tokens stand for images.

    Names of modules and of configuration values are transformers'.
    """

    name: str
    """Name in messages and tables, e.g. "Qwen2.5-VL"."""
    model_types: tuple[str, ...]
    """Values of `model_type` in the model's config.json."""
    layout: Layout
    """How a batch holds the images."""
    vision: tuple[str, ...] = ()
    """Modules for what is not text, encoders and projectors, in `model.model` of the base model;
    a checkpoint may lack some."""
    vision_weights: tuple[str, ...] = ()
    """Weights in `model.model` that are of images too, and of none of these modules."""
    never_sampled: tuple[str, ...] = ()
    """Names of token ids in the configuration that must not be generated: no image would be behind
    them."""
    image_markers: tuple[str, ...] = ()
    """Regular expressions; a vocabulary entry that one of them matches as a whole stands for an
    image or a video. It must neither be generated nor be typed in a question."""
    limit_pixels: LimitPixels | None = None
    """Limits the pixels of an image; None if images have a fixed size."""
    needs_torchvision: bool = False
    """Whether transformers has no image processor of this family without torchvision."""
    counts_images: bool = False
    """Whether the model takes `batch_num_images` [prompts]; without it, images of a prompt with
    several are read as if each were alone."""
    max_aspect_ratio: AspectRatio | None = None
    """Longest side by shortest of an image that can be shown; None for any."""

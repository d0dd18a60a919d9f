"""The images of each rollout in TRL's batches, so that they follow it wherever it goes.

TRL keeps the images of a batch as the model's processor lays them out: by patch, tile, image or
rollout. It finds a rollout's part by comparing sizes, which mistakes one layout for another where
the numbers happen to agree. Here they are taken apart once, while the layout is known.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.nn.functional import pad

from vasari.core.errors import ConfigError

IMAGES = "images"
"""Field of a batch with one `RolloutImages` for each rollout."""

RolloutImages = dict[str, torch.Tensor]
"""What the model is given for the images of one rollout, by name; empty without an image."""

PIXEL_FIELDS = (
    "pixel_values",
    "image_grid_thw",
    "image_position_ids",
    "spatial_shapes",
    "pixel_attention_mask",
    "image_sizes",
)
"""Fields of TRL's batch that the model gets for images, with other rows than one a rollout."""

COUNT_FIELDS = ("num_images", "num_tiles")
"""Fields of TRL's batch that say how many images, or tiles of images, each rollout has."""


def by_rollout(batch: Mapping[str, Any]) -> list[RolloutImages] | None:
    """Return what the model is given for the images of each rollout; None if there are none.

    Args:
        batch: A batch, or the images of one, in TRL's format: `pixel_values` and, as the model
            needs it, other fields of `PIXEL_FIELDS` and `COUNT_FIELDS`.

    Raises:
        ConfigError: The layout is none that we know, so that nobody can say whose image is whose.
    """
    if batch.get("pixel_values") is None:
        return None
    num_images = list(batch["num_images"])
    rows: list[RolloutImages] = [{} for _ in num_images]
    for name in PIXEL_FIELDS:
        if batch.get(name) is None:
            continue
        sizes = _sizes(name, batch, num_images)
        if sum(sizes) != len(batch[name]):
            raise ConfigError(
                f"the images of this model cannot be told apart by rollout: {name} has"
                f" {len(batch[name])} rows, and {sum(num_images)} images should have {sum(sizes)}"
            )
        for row, count, part in zip(rows, num_images, batch[name].split(sizes), strict=True):
            if count:
                row[name] = part
    return rows


def _sizes(name: str, batch: Mapping[str, Any], num_images: list[int]) -> list[int]:
    """Rows of a field that belong to each rollout."""
    if name == "pixel_values" and batch.get("image_grid_thw") is not None:
        patches = batch["image_grid_thw"].prod(-1).split(num_images)
        return [int(own.sum()) for own in patches]
    if batch.get("num_tiles") is not None:
        return list(batch["num_tiles"])
    if batch.get("pixel_attention_mask") is not None:
        # One padded row a rollout, also where it has no image (SmolVLM, Idefics3).
        return [1] * len(num_images)
    return num_images


def model_inputs(rows: Sequence[RolloutImages], model: Any) -> dict[str, torch.Tensor]:
    """Return what the model is given for the images of these rollouts; {} if none has an image.

    Args:
        rows: Of any rollouts, also of several generations: images that a processor padded to
            different sizes are padded to the largest.
        model: The model without adapters. LLaVA-OneVision treats an image that is alone in its
            prompt otherwise, and TRL does not tell it which are: it is told here.
    """
    shown = [row for row in rows if row]
    names = dict.fromkeys(name for row in shown for name in row)
    inputs = {name: _stacked([row[name] for row in shown]) for name in names}
    if shown and "batch_num_images" in inspect.signature(model.forward).parameters:
        counts = [len(row["pixel_values"]) for row in shown]
        inputs["batch_num_images"] = torch.tensor(counts, device=inputs["pixel_values"].device)
    return inputs


def _stacked(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """One below the other, padded with zeros at the end of every other dimension."""
    largest = [max(sizes) for sizes in zip(*(part.shape[1:] for part in parts), strict=True)]
    padded = []
    for part in parts:
        missing = [size - own for size, own in zip(largest, part.shape[1:], strict=True)]
        # From the last dimension to the second.
        widths = [width for size in reversed(missing) for width in (0, size)]
        padded.append(pad(part, widths) if any(widths) else part)
    return torch.cat(padded)

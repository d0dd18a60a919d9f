"""The images of each rollout in TRL's batches, so that they follow it wherever it goes.

TRL keeps the images of a batch as the model's processor lays them out: by patch, tile, image or
rollout. It finds a rollout's part by comparing sizes, which mistakes one layout for another where
the numbers happen to agree. Here a prompt is encoded by itself, once for all of its rollouts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.functional import pad
from trl import prepare_multimodal_messages

from vasari.core.errors import ConfigError
from vasari.model.encoded_prompts import TOKEN_TYPES, Shown, stacked

IMAGES = "images"
"""Field of a batch with one `Shown` for each rollout."""

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


IMAGE_COLUMNS = ("images", "image")
"""Columns in which TRL looks for a prompt's images, the first that there is."""


def with_images(rows: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Return the prompts of the rows, with images put into the messages as TRL expects them.

    Rows of one prompt get one object.
    """
    if not any(images_of(row) for row in rows):
        return [row["prompt"] for row in rows]
    made: dict[int, Any] = {}
    for row in rows:
        if id(row["prompt"]) not in made:
            made[id(row["prompt"])] = prepare_multimodal_messages(
                row["prompt"], images=images_of(row)
            )
    return [made[id(row["prompt"])] for row in rows]


def images_of(row: Mapping[str, Any]) -> list[Any]:
    """Return the images of a row of the data set."""
    if "images" in row:
        return row["images"] or []
    return [] if row.get("image") is None else [row["image"]]


def images_in(messages: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Return the images in the messages of a prompt."""
    return [
        part["image"]
        for message in messages
        if isinstance(message["content"], list)
        for part in message["content"]
        if part["type"] == "image"
    ]


def joined_fields(fields: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what the model is given beside the tokens of several prompts, each encoded alone.

    Args:
        fields: Of each prompt, as a processor gives them to TRL for a list of one.
    """
    joined: dict[str, Any] = {}
    for name in dict.fromkeys(name for own in fields for name in own):
        if name in TOKEN_TYPES:
            joined[name] = [list(row) for own in fields for row in own[name]]
        else:
            parts = [torch.as_tensor(np.array(own[name])) for own in fields if name in own]
            joined[name] = stacked(parts)
    return joined


def types_of_columns(types: torch.Tensor, num_columns: int) -> torch.Tensor:
    """Return [rollouts, num_columns] which tokens stand for images, of TRL's for those columns.

    TRL encodes prompts a second time, as text. Where chat template and tokenizer both write a
    `<bos>` (Gemma 3), that is a token more than the model reads, and all images would stand one
    place too far. Prompts are padded on the left, so that their last tokens agree.
    """
    return types[:, max(0, types.size(1) - num_columns) :]


def by_rollout(batch: Mapping[str, Any]) -> list[Shown] | None:
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
    rows: list[Shown] = [{} for _ in num_images]
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


def with_placeholder(
    ids: torch.Tensor, mask: torch.Tensor, num_columns: int, tokens: Sequence[int], *, pad_id: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return tokens and mask of rollouts with one more, a prompt without a completion.

    Args:
        ids: [rollouts, prompt and completion].
        mask: The same, 1 for a token and 0 for padding.
        num_columns: Columns of the prompts; more are added where the new one is longer.
        tokens: Of the new prompt.
        pad_id: Token of padding.
    """
    missing = max(0, len(tokens) - num_columns)
    ids, mask = pad(ids, (missing, 0), value=pad_id), pad(mask, (missing, 0))
    own = slice(num_columns + missing - len(tokens), num_columns + missing)
    row, shown = torch.full_like(ids[:1], pad_id), torch.zeros_like(mask[:1])
    row[0, own], shown[0, own] = torch.as_tensor(tokens).to(ids), 1
    return torch.cat([ids, row]), torch.cat([mask, shown])

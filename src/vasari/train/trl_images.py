"""The images of each rollout in TRL's batches, so that they follow it wherever it goes.

TRL keeps the images of a batch as the model's processor lays them out: by patch, tile, image or
rollout. It finds a rollout's part by comparing sizes, which mistakes one layout for another where
the numbers happen to agree. Here a prompt is encoded by itself, once for all of its rollouts.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.functional import pad
from trl import prepare_multimodal_messages

from vasari.core.errors import ConfigError

IMAGES = "images"
"""Field of a batch with one `Shown` for each rollout."""

Shown = dict[str, torch.Tensor]
"""What the model is given for one prompt beside its tokens, by name: the tensors of its images, and
[tokens] which tokens stand for them."""

TOKEN_TYPES = ("token_type_ids", "mm_token_type_ids")
"""Fields of TRL's batch that say which tokens stand for images, one row a rollout."""

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


def encoded(processor: Any, messages: Sequence[Any], **options: Any) -> tuple[list[int], Shown]:
    """Return the tokens of one prompt, and what the model is given beside them.

    Args:
        processor: A vision-language model's.
        messages: With the images in them.
        options: Of `apply_chat_template`.
    """
    found = processor.apply_chat_template(
        [messages],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        **options,
    )
    ids: list[int] = found["input_ids"][0].tolist()
    shown = {name: value for name, value in found.items() if isinstance(value, torch.Tensor)}
    for name in ("input_ids", "attention_mask", "batch_num_images"):
        shown.pop(name, None)
    return ids, {name: own[0] if name in TOKEN_TYPES else own for name, own in shown.items()}


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
            joined[name] = _stacked(parts)
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


def model_inputs(rows: Sequence[Shown], model: Any) -> dict[str, torch.Tensor]:
    """Return what the model is given for the images of these rollouts; {} if none has an image.

    Args:
        rows: Of any rollouts, also of several generations: images that a processor padded to
            different sizes are padded to the largest.
        model: The model without adapters. LLaVA-OneVision treats an image that is alone in its
            prompt otherwise, and TRL does not tell it which are: it is told here.
    """
    pictures = [row for row in rows if "pixel_values" in row]
    names = dict.fromkeys(name for row in pictures for name in row if name not in TOKEN_TYPES)
    inputs = {name: _stacked([row[name] for row in pictures]) for name in names}
    if pictures and "batch_num_images" in inspect.signature(model.forward).parameters:
        counts = [len(row["pixel_values"]) for row in pictures]
        inputs["batch_num_images"] = torch.tensor(counts)
    return inputs


def token_types(rows: Sequence[Shown], prompt: int, completion: int) -> dict[str, torch.Tensor]:
    """Return [rollouts, tokens] which tokens stand for images; {} if the model is not told.

    Args:
        rows: Of rollouts.
        prompt: Columns of the prompts, which are padded on the left.
        completion: Columns of the completions, in which no token stands for an image.
    """
    types = {}
    for name in dict.fromkeys(name for row in rows for name in row if name in TOKEN_TYPES):
        types[name] = torch.zeros(len(rows), prompt + completion, dtype=torch.long)
        for own, row in zip(types[name], rows, strict=True):
            own[prompt - len(row[name]) : prompt] = row[name]
    return types


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

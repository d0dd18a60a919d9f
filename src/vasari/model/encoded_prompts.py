"""Prompts as a model reads them, each encoded by itself, and batches of several.

Processors lay out the images of a batch by patch, tile, image or row. Encoded by itself, a prompt
keeps what is its own, whatever other prompts stand beside it later.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch.nn.functional import pad

Shown = dict[str, torch.Tensor]
"""What the model is given for one prompt beside its tokens, by name: the tensors of its images, and
[tokens] which tokens stand for them."""

TOKEN_TYPES = ("token_type_ids", "mm_token_type_ids")
"""Names under which models are told which tokens stand for images, one row a prompt."""


@dataclass(frozen=True, slots=True, eq=False)
class EncodedPrompt:
    """One prompt as a model reads it."""

    ids: Sequence[int]
    """Its tokens."""
    shown: Shown
    """What the model is given beside them."""
    images: Sequence[Image.Image] = ()
    """Its images as pictures, for an engine that encodes them itself."""
    messages: Sequence[Any] = ()
    """The conversation with its images in it, for such an engine."""


def encoded(processor: Any, messages: Sequence[Any], **options: Any) -> tuple[list[int], Shown]:
    """Return the tokens of one prompt, and what the model is given beside them.

    Args:
        processor: The model's processor, or the tokenizer of a text-only model.
        messages: With the images in them; of a text-only model, with text as content.
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


def padded_inputs(
    prompts: Sequence[EncodedPrompt],
    model: Any,
    *,
    pad_token_id: int,
    pad_to_multiple_of: int | None = None,
) -> dict[str, torch.Tensor]:
    """Return what the model reads of several prompts, padded on the left, on the CPU.

    Args:
        prompts: In the order of the rows.
        model: The model without adapters.
        pad_token_id: Token of padding.
        pad_to_multiple_of: Columns are filled up to a multiple of this number.
    """
    length = max(len(prompt.ids) for prompt in prompts)
    if pad_to_multiple_of:
        length = -(-length // pad_to_multiple_of) * pad_to_multiple_of
    ids = torch.full((len(prompts), length), pad_token_id)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, length - len(prompt.ids) :] = torch.tensor(prompt.ids)
        mask[row, length - len(prompt.ids) :] = 1
    shown = [prompt.shown for prompt in prompts]
    read = {"input_ids": ids, "attention_mask": mask}
    return read | model_inputs(shown, model) | token_types(shown, length, 0)


def model_inputs(rows: Sequence[Shown], model: Any) -> dict[str, torch.Tensor]:
    """Return what the model is given for the images of these rows; {} if none has an image.

    Args:
        rows: Of any prompts, also of several batches: images that a processor padded to different
            sizes are padded to the largest.
        model: The model without adapters. LLaVA-OneVision treats an image that is alone in its
            prompt otherwise, and is told here which are.
    """
    pictures = [row for row in rows if "pixel_values" in row]
    names = dict.fromkeys(name for row in pictures for name in row if name not in TOKEN_TYPES)
    inputs = {name: stacked([row[name] for row in pictures]) for name in names}
    if pictures and "batch_num_images" in inspect.signature(model.forward).parameters:
        counts = [len(row["pixel_values"]) for row in pictures]
        inputs["batch_num_images"] = torch.tensor(counts)
    return inputs


def token_types(rows: Sequence[Shown], prompt: int, completion: int) -> dict[str, torch.Tensor]:
    """Return [rows, tokens] which tokens stand for images; {} if the model is not told.

    Args:
        rows: Of prompts, in the order of the rows.
        prompt: Columns of the prompts, which are padded on the left.
        completion: Columns of the completions, in which no token stands for an image.
    """
    types = {}
    for name in dict.fromkeys(name for row in rows for name in row if name in TOKEN_TYPES):
        types[name] = torch.zeros(len(rows), prompt + completion, dtype=torch.long)
        for own, row in zip(types[name], rows, strict=True):
            own[prompt - len(row[name]) : prompt] = row[name]
    return types


def stacked(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return tensors one below the other, padded with zeros at the end of every other dimension."""
    largest = [max(sizes) for sizes in zip(*(part.shape[1:] for part in parts), strict=True)]
    padded = []
    for part in parts:
        missing = [size - own for size, own in zip(largest, part.shape[1:], strict=True)]
        # From the last dimension to the second.
        widths = [width for size in reversed(missing) for width in (0, size)]
        padded.append(pad(part, widths) if any(widths) else part)
    return torch.cat(padded)

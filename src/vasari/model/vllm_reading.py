"""Prompts with images as vLLM reads them: with one mark an image, whose tokens it writes itself."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence
from typing import Any

from PIL import Image

from vasari.core.errors import StateError
from vasari.model.template import tokenizer_of


def marked_ids(processor: Any, messages: Sequence[Any], **options: Any) -> list[int]:
    """Return a prompt's tokens with the one mark for each image that its chat template writes.

    Args:
        processor: A vision-language model's.
        messages: With the images in them.
        options: Of `apply_chat_template`.
    """
    (text,) = processor.apply_chat_template(
        [messages], add_generation_prompt=True, tokenize=False, **options
    )
    tokenizer = tokenizer_of(processor)
    begin = tokenizer.bos_token
    # As transformers' processors: what the template has begun is not begun twice.
    ids: list[int] = tokenizer(
        text, add_special_tokens=not (begin is not None and text.startswith(begin))
    )["input_ids"]
    return ids


def as_shown(image: Image.Image, processor: Any) -> Image.Image:
    """Return an image no larger than the processor shows it.

    Only processors that resize to an area (Qwen-VL, GLM-4V) are followed: theirs are the families
    whose images may be of any size. vLLM's own processor then leaves the image as it is.
    """
    images = processor.image_processor
    modules = [sys.modules[kind.__module__] for kind in type(images).__mro__]
    resize = next(filter(None, (getattr(own, "smart_resize", None) for own in modules)), None)
    most = (getattr(images, "size", None) or {}).get("longest_edge")
    if resize is None or most is None or not hasattr(images, "merge_size"):
        return image
    known = inspect.signature(resize).parameters
    factor = int(images.patch_size) * int(images.merge_size)
    size = {"height": image.height, "width": image.width, "factor": factor}
    frames = int(images.temporal_patch_size)
    times = {"num_frames": frames, "temporal_factor": frames} if "num_frames" in known else {}
    least = int((images.size or {}).get("shortest_edge") or 1)
    shown, free = (
        resize(**size, **times, min_pixels=least, max_pixels=limit) for limit in (int(most), 2**62)
    )
    if shown == free:
        return image
    return image.resize((shown[1], shown[0]), images.resample)


def require_same_tokens(ids: Sequence[int], read: Sequence[int]) -> None:
    """Raise if vLLM has read other tokens of a prompt than the model's own processor writes.

    Args:
        ids: Of the processor.
        read: What vLLM says to have read.

    Raises:
        StateError: They differ.
    """
    if list(ids) != list(read):
        raise StateError(
            f"vLLM read a prompt as {len(read)} tokens that the model reads as {len(ids)} others:"
            " what it would say is no rollout of this prompt. Its image processor and transformers'"
            " differ for this model; leave model.max_pixels out, or set `vllm` to off (in grpo:"
            " server or off)"
        )

"""Tokens of prompts as a model reads them, counted with its own processor."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vasari.core.errors import DataError
from vasari.core.records import Prompt
from vasari.data.images import check_header, open_image
from vasari.model.chat import chat_messages, user_text
from vasari.model.families import family_of
from vasari.model.processor import tokenizer_of

Size = tuple[int, int]
"""Width and height of an image."""

_OVERHEAD = 128
"""Tokens that a chat template adds to a prompt, at most: roles, marks, a system prompt of its
own."""


@dataclass(frozen=True, slots=True)
class PromptTokens:
    """Tokens of one prompt, up to where its answer begins."""

    text: int
    """Tokens of the text, with those of the chat template."""
    image: int
    """Tokens that stand for its images."""
    patches: int
    """Patches that the vision encoder reads."""

    @property
    def total(self) -> int:
        """Number of tokens of the prompt."""
        return self.text + self.image


class TokenCounter:
    """Counts the tokens of prompts with a model's processor, images included."""

    def __init__(self, processor: Any, config: Any, *, system: str) -> None:
        """Make a counter for a model.

        Args:
            processor: Of `load_processor`.
            config: Of transformers.
            system: The system prompt.
        """
        self._processor = processor
        self._tokenizer = tokenizer_of(processor)
        self._config = config
        self._system = system
        self._family = family_of(config)
        self._reads_images = self._family.layout != "none"
        self._most_image_tokens = 0

    def count(self, prompt: Prompt) -> PromptTokens:
        """Return the tokens of a prompt as it is encoded for a rollout.

        Raises:
            DataError: Its question marks another number of images than it has, or the processor
                refuses it.
            ImageError: An image cannot be read.
        """
        messages = chat_messages(prompt, system=self._system, with_images=self._reads_images)
        if not self._reads_images:
            for message in messages:
                message["content"] = "".join(part["text"] for part in message["content"])
        images = iter(prompt.images)
        for part in messages[-1]["content"] if self._reads_images else ():
            if part["type"] == "image":
                part["image"] = open_image(next(images), where=f"prompt {prompt.id!r}")
        try:
            encoded = self._processor.apply_chat_template(
                messages, add_generation_prompt=True, tokenize=True, return_dict=True
            )
        except (ValueError, IndexError, KeyError, TypeError) as error:
            reason = " ".join(str(error).split())
            raise DataError(f"prompt {prompt.id!r} cannot be encoded: {reason}") from error
        ids = encoded["input_ids"]
        ids = ids[0] if ids and isinstance(ids[0], list) else ids
        num_image = sum(token == self._image_id for token in ids) if prompt.images else 0
        if prompt.images:
            # With the text around them, such as the marks of rows and columns.
            self._most_image_tokens = max(self._most_image_tokens, len(ids) // len(prompt.images))
        return PromptTokens(
            text=len(ids) - num_image, image=num_image, patches=self._patches(encoded)
        )

    def target(self, text: str) -> int:
        """Return the tokens of an answer to learn, with those that end it."""
        return len(self._tokenizer(text, add_special_tokens=False)["input_ids"]) + 2

    def at_most(self, prompt: Prompt, sizes: Sequence[Size], *, target: str = "") -> int:
        """Return a number of tokens that a prompt with its answer does not exceed.

        A token is at least a byte of text.

        Args:
            prompt: The prompt.
            sizes: Widths and heights of its images, of `image_sizes`.
            target: The answer to learn; none for a prompt that is rolled out.
        """
        num_bytes = sum(len(t.encode()) for t in (user_text(prompt), self._system, target))
        images = sum(self._image_at_most(prompt, size) for size in sizes)
        return num_bytes + _OVERHEAD + images

    def markers(self) -> re.Pattern[str] | None:
        """Return a pattern of texts that this tokenizer reads as images; None if there are none.

        `<image>` is not among them: in a question it marks the place of an image.
        """
        found = sorted(
            (
                token
                for token in self._tokenizer.get_vocab()
                if any(re.fullmatch(marker, token) for marker in self._family.image_markers)
            ),
            key=len,
            reverse=True,
        )
        found = [token for token in found if token != "<image>"]  # noqa: S105
        return re.compile("|".join(map(re.escape, found))) if found else None

    @property
    def context(self) -> int | None:
        """Tokens that the model was made for, prompt and rollout together."""
        return getattr(self._config.get_text_config(), "max_position_embeddings", None)

    @property
    def reads_images(self) -> bool:
        """Whether the model reads images."""
        return self._reads_images

    @property
    def max_aspect_ratio(self) -> float:
        """Longest side by shortest of an image that the processor takes."""
        return self._family.max_aspect_ratio or math.inf

    @property
    def _image_id(self) -> int:
        for name in ("image_token_id", "image_token_index"):
            if getattr(self._config, name, None) is not None:
                return int(getattr(self._config, name))
        return -1

    def _image_at_most(self, prompt: Prompt, size: Size) -> int:
        width, height = size
        try:
            # What vLLM asks transformers for: no pixel is read.
            found = self._processor._get_num_multimodal_tokens(image_sizes=[(height, width)])
            return int(found["num_image_tokens"][0])
        except (AttributeError, NotImplementedError, KeyError, TypeError, ValueError):
            # As many as any image had that was encoded.
            if not self._most_image_tokens:
                self.count(prompt)
            return self._most_image_tokens

    def _patches(self, encoded: Any) -> int:
        if "image_grid_thw" in encoded:
            return sum(int(t * h * w) for t, h, w in encoded["image_grid_thw"])
        if "pixel_values" not in encoded:
            return 0
        return _num_values(encoded["pixel_values"]) // _values_per_patch(self._config.vision_config)


def image_sizes(prompt: Prompt) -> list[Size]:
    """Return width and height of each image of a prompt, from the headers of its files.

    Raises:
        ImageError: An image is missing, damaged or too large.
    """
    return [
        check_header(ref, where=f"prompt {prompt.id!r}, image {place}")
        for place, ref in enumerate(prompt.images, start=1)
    ]


def _num_values(values: Any) -> int:
    """Numbers in nested lists of arrays."""
    if hasattr(values, "shape"):
        size = 1
        for length in values.shape:
            size *= int(length)
        return size
    return sum(_num_values(value) for value in values)


def _values_per_patch(vision: Any) -> int:
    """Numbers of an image that make up one patch."""
    size = vision.patch_size
    height, width = size if isinstance(size, list | tuple) else (size, size)
    return 3 * int(height) * int(width)

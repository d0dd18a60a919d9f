"""Tokens of prompts as a model reads them, counted with its own processor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vasari.core.errors import DataError
from vasari.core.records import Prompt
from vasari.data.images import check_header, open_image
from vasari.model.chat import chat_messages, user_text
from vasari.model.config import one_line
from vasari.model.families import family_of
from vasari.model.prompt_checks import PromptChecker
from vasari.model.template import as_text, tokenizer_of

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
    """Counts the tokens of prompts with a model's processor, and checks that it takes them.

    Args:
        processor: Of `load_processor`.
        config: Of transformers.
        system: The system prompt.
    """

    def __init__(self, processor: Any, config: Any, *, system: str) -> None:
        self._processor = processor
        self._config = config
        self._system = system
        family = family_of(config)
        self._reads_images = family.layout != "none"
        self._checker = PromptChecker(processor, family)
        self._most_of_an_image = 0

    def count(self, prompt: Prompt) -> PromptTokens:
        """Return the tokens of a prompt as it is encoded for a rollout.

        Raises:
            DataError: Its question marks another number of images than it has, or the processor
                refuses it.
            ImageError: An image cannot be read.
        """
        messages = chat_messages(prompt, system=self._system, with_images=self._reads_images)
        images = iter(prompt.images)
        for part in messages[-1]["content"]:
            if part["type"] == "image":
                part["image"] = open_image(next(images), where=f"prompt {prompt.id!r}")
        turns = messages if self._reads_images else as_text(messages)
        try:
            encoded = self._processor.apply_chat_template(
                turns, add_generation_prompt=True, tokenize=True, return_dict=True
            )
        except (ValueError, IndexError, KeyError, TypeError) as error:
            raise DataError(f"prompt {prompt.id!r} cannot be encoded: {one_line(error)}") from error
        ids = encoded["input_ids"]
        ids = ids[0] if ids and isinstance(ids[0], list) else ids
        num_image = sum(token == self._image_id for token in ids) if prompt.images else 0
        if prompt.images:
            # With the text around them, such as the marks of rows and columns.
            self._most_of_an_image = max(self._most_of_an_image, len(ids) // len(prompt.images))
        return PromptTokens(
            text=len(ids) - num_image, image=num_image, patches=self._patches(encoded)
        )

    def tokens_of(self, answer: str) -> int:
        """Return the tokens of an answer to learn, with those that end it."""
        tokenizer = tokenizer_of(self._processor)
        return len(tokenizer(answer, add_special_tokens=False)["input_ids"]) + 2

    def check(self, prompt: Prompt, *, answer: str = "") -> int:
        """Raise if the model cannot be given a prompt; return the most tokens that it can have.

        Of images only the headers are read. A token is at least a byte of text.

        Args:
            prompt: The prompt.
            answer: What it teaches; none for a prompt that is rolled out.

        Raises:
            DataError: As `PromptChecker.check`; or the question marks another number of images
                than the prompt has, or the answer holds a token that stands for an image.
            ImageError: An image is missing, damaged or too large.
        """
        sizes = [
            check_header(ref, where=f"prompt {prompt.id!r}, image {place}")
            for place, ref in enumerate(prompt.images, start=1)
        ]
        chat_messages(prompt, system="")
        self._checker.check(prompt, sizes)
        if typed := self._checker.image_tokens_in(answer):
            raise DataError(
                f"prompt {prompt.id!r}: the answer holds {', '.join(typed)}, which the model takes"
                " for an image; take it out, or leave the prompt out"
            )
        num_bytes = sum(len(t.encode()) for t in (user_text(prompt), self._system, answer))
        return num_bytes + _OVERHEAD + sum(self._most_tokens(prompt, size) for size in sizes)

    @property
    def context(self) -> int | None:
        """Tokens that the model was made for, prompt and rollout together."""
        return getattr(self._config.get_text_config(), "max_position_embeddings", None)

    @property
    def _image_id(self) -> int:
        for name in ("image_token_id", "image_token_index"):
            if getattr(self._config, name, None) is not None:
                return int(getattr(self._config, name))
        return -1

    def _most_tokens(self, prompt: Prompt, size: tuple[int, int]) -> int:
        """Most tokens of an image of this width and height."""
        width, height = size
        try:
            # What vLLM asks transformers for: no pixel is read.
            found = self._processor._get_num_multimodal_tokens(image_sizes=[(height, width)])
            return int(found["num_image_tokens"][0])
        except (AttributeError, NotImplementedError, KeyError, TypeError, ValueError):
            # As many as any image had that was encoded.
            if not self._most_of_an_image:
                self.count(prompt)
            return self._most_of_an_image

    def _patches(self, encoded: Any) -> int:
        if "image_grid_thw" in encoded:
            return sum(int(t * h * w) for t, h, w in encoded["image_grid_thw"])
        if "pixel_values" not in encoded:
            return 0
        return _num_values(encoded["pixel_values"]) // _values_per_patch(self._config.vision_config)


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

"""What a model cannot be given of a prompt, found before it is loaded or anything is paid."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from vasari.core.errors import DataError
from vasari.core.records import Prompt
from vasari.model.chat import user_text
from vasari.model.families import Family
from vasari.model.template import tokenizer_of


class PromptChecker:
    """Refuses prompts that a model cannot be given.

    Args:
        processor: The model's processor, or the tokenizer of a text-only model.
        family: The model's family.
    """

    def __init__(self, processor: Any, family: Family) -> None:
        self._family = family
        self._tokens = image_tokens(tokenizer_of(processor), family)
        ratio = family.max_aspect_ratio
        self._longest = None if ratio is None else ratio(processor.image_processor)

    def check(self, prompt: Prompt, sizes: Sequence[tuple[int, int]]) -> None:
        """Raise if the model cannot be given a prompt.

        Args:
            prompt: The prompt.
            sizes: Width and height in pixels of the images that it is shown with.

        Raises:
            DataError: It has an image and the model reads text only, an image is too long for its
                width, or the text holds a token that stands for an image; names the prompt.
        """
        where = f"prompt {prompt.id!r}"
        name = self._family.name
        if sizes and self._family.layout == "none":
            raise DataError(f"{where} has an image, and a model of the family {name} reads none")
        for width, height in sizes:
            if self._longest and max(width, height) > self._longest * min(width, height):
                raise DataError(
                    f"{where}: an image has {width} x {height} pixels, and {name} takes images at"
                    f" most {self._longest:g} times as long as wide; crop or pad it, or leave the"
                    " prompt out"
                )
        typed = self.image_tokens_in(user_text(prompt))
        # One `<image>` for each image is no token: it says where the image is in the text.
        if prompt.images:
            typed = [token for token in typed if token != "<image>"]  # noqa: S105
        if typed:
            raise DataError(
                f"{where}: the text holds {', '.join(typed)}, which the model takes for an image;"
                " take it out, or leave the prompt out"
            )

    def image_tokens_in(self, text: str) -> list[str]:
        """Return the tokens for images and videos that a text holds, as if typed by hand."""
        return sorted(token for token in self._tokens if token in text)


def image_tokens(tokenizer: Any, family: Family) -> dict[str, int]:
    """Return the vocabulary entries that stand for images or videos, with their ids."""
    # All of them were added to the vocabulary, whose other entries are a hundred times as many.
    return {
        token: index
        for token, index in tokenizer.get_added_vocab().items()
        if any(re.fullmatch(pattern, token) for pattern in family.image_markers)
    }

"""Tokens of prompts and answers that memory and time are computed for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vasari.core.records import Prompt
from vasari.model.chat import target_text
from vasari.run.plan.stages import Lengths
from vasari.run.plan.tokens import TokenSummary
from vasari.run.recipe import Recipe

if TYPE_CHECKING:  # torch takes seconds to import
    from vasari.model.prompt_tokens import TokenCounter

_TEXT = 512
"""Tokens of a prompt's text, system prompt included, where they are not known: an assumption."""
_ANSWER = 2048
"""Tokens of a worked solution, where they are not known: an assumption."""
_PIXELS = 1_003_520
"""Pixels of an image, where neither the recipe nor the prompts say so: an assumption."""
_IMAGE = 1024
"""Tokens of an image of a model whose config does not say how many, where prompts are not known."""
_ENCODED = 16
"""Answers that are encoded, those of the most letters."""


def prompt_lengths(
    tokens: Mapping[str, TokenSummary],
    splits: Sequence[str],
    recipe: Recipe,
    config: Any,
    notes: list[str],
    *,
    answer: int = 0,
) -> Lengths:
    """Return the tokens of prompts of some splits, measured or, where none was, assumed.

    Args:
        tokens: Measured, by split.
        splits: Whose prompts.
        recipe: The recipe.
        config: Of the model.
        notes: Gets a line on what is assumed.
        answer: Tokens of the longest answer to learn.
    """
    known = [tokens[split] for split in splits if split in tokens]
    if known:
        return Lengths(
            prompt=max(own.longest for own in known),
            prompt_mean=known[0].mean,
            patches=max(own.patches_most for own in known),
            patches_mean=known[0].patches_mean,
            answer=answer,
        )
    image, patches = _assumed_image(config, recipe.model.max_pixels or _PIXELS)
    note = (
        f"tokens of prompts are not known: memory and time are for prompts of {_TEXT:,} tokens of"
        f" text and one image of {image:,}"
    )
    if note not in notes:
        notes.append(note)
    total = _TEXT + image
    return Lengths(
        prompt=total, prompt_mean=total, patches=patches, patches_mean=patches, answer=answer
    )


def longest_answer(counter: TokenCounter | None, prompts: Sequence[Prompt], recipe: Recipe) -> int:
    """Return the tokens of the longest answer to learn, or an assumption."""
    short = recipe.sft is not None and recipe.sft.target == "short"
    texts = sorted(
        (
            target_text(prompt, short=short)
            for prompt in prompts
            if short or prompt.solution is not None
        ),
        key=len,
    )
    if counter is None or not texts:
        return _ANSWER
    return max(counter.tokens_of(text) for text in texts[-_ENCODED:])


def _assumed_image(config: Any, pixels: int) -> tuple[int, int]:
    """Tokens and patches of one image of so many pixels."""
    vision = getattr(config, "vision_config", None)
    if vision is None:
        return 0, 0
    size = vision.patch_size
    patch = int(size[0] if isinstance(size, list | tuple) else size)
    if fixed := getattr(config, "mm_tokens_per_image", None):
        return int(fixed), (int(vision.image_size) // patch) ** 2
    merge = int(getattr(vision, "spatial_merge_size", 0) or 0)
    if not merge:
        return _IMAGE, pixels // patch**2
    return pixels // (patch * merge) ** 2, pixels // patch**2

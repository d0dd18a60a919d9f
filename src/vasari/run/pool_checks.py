"""Checks of all prompts of a training with the model's processor, before weights are loaded."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from vasari.core.errors import DataError
from vasari.core.records import Prompt

if TYPE_CHECKING:  # torch takes seconds to import
    from vasari.model.prompt_tokens import TokenCounter

Target = Callable[[Prompt], str]
"""Gives the answer that a prompt teaches."""

_SHOWN = 3
"""Prompts that a problem names."""
_MAX_ENCODED = 200
"""Prompts of a split whose tokens are counted, because they may be too long."""


def pool_problems(
    counter: TokenCounter,
    split: str,
    prompts: Sequence[Prompt],
    *,
    max_tokens: int,
    context: int | None,
    target: Target | None = None,
) -> Iterator[DataError]:
    """Yield an error for prompts that the model cannot be given, and one for those too long for it.

    Images of a shape that the processor refuses, text that the tokenizer takes for an image,
    another number of `<image>` marks than images, images for a model that reads none; and prompts
    that are longer, with what follows them, than the model was made for.

    Args:
        counter: Of the model.
        split: Name of the prompts, for the messages.
        prompts: All of them.
        max_tokens: Longest rollout of a prompt; 0 for supervised training.
        context: Most tokens of a prompt with its rollout or answer; None: any number.
        target: Gives the answer to learn, for supervised training.

    Raises:
        ImageError: An image is missing, damaged or too large.
    """
    room = math.inf if context is None else context - max_tokens
    refused: list[str] = []
    limits: list[tuple[int, int]] = []
    for place, prompt in enumerate(prompts):
        answer = target(prompt) if target else ""
        try:
            most = counter.check(prompt, answer=answer)
        except DataError as error:
            refused.append(str(error))
            continue
        if most > room:
            limits.append((most, place))
    if refused:
        yield DataError(
            f"{split}: {len(refused):,} of {len(prompts):,} prompts cannot be given to the model:"
            f" {named(refused)}"
        )
    largest = [prompts[place] for _, place in sorted(limits, reverse=True)[:_MAX_ENCODED]]
    lines = []
    for prompt in largest:
        tokens = counter.count(prompt).total
        more = counter.tokens_of(target(prompt)) if target else max_tokens
        if tokens + more > (context or 0):
            lines.append(f"{prompt.id!r}: {tokens:,} + {more:,}")
    if lines:
        least = "at least " if len(limits) > _MAX_ENCODED else ""
        what = "their answers" if target else f"a rollout of up to {max_tokens:,}"
        lower = "model.max_pixels" if target else "model.max_pixels or trl.max_completion_length"
        yield DataError(
            f"{split}: {least}{len(lines):,} of {len(prompts):,} prompts have with {what} more"
            f" tokens than the {context:,} that the model takes ({named(lines)}); shorten them, or"
            f" lower {lower}"
        )


def named(lines: Sequence[str]) -> str:
    """Return the first few of the lines as text, for an error message."""
    more = f" and {len(lines) - _SHOWN:,} more" if len(lines) > _SHOWN else ""
    return ", ".join(lines[:_SHOWN]) + more

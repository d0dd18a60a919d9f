"""Checks of all prompts of a training with the model's processor, before weights are loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vasari.core.errors import ConfigError, DataError, ImageError, VasariError
from vasari.core.records import Prompt
from vasari.model.chat import chat_messages, user_text

if TYPE_CHECKING:  # torch takes seconds to import
    from vasari.model.prompt_tokens import TokenCounter

Target = Callable[[Prompt], str]
"""Gives the answer that a prompt teaches."""

_SHOWN = 3
"""Prompts that a problem names."""
_MAX_ENCODED = 200
"""Prompts of a split whose tokens are counted, because they may be too long."""


@dataclass(slots=True)
class _Found:
    """What is wrong with prompts of a split, by kind, and which of them may be too long."""

    with_images: list[str] = field(default_factory=list)
    markers: list[str] = field(default_factory=list)
    shapes: list[str] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)
    limits: list[tuple[int, int]] = field(default_factory=list)
    """Most tokens that a prompt can have, and its place."""


def prompt_problems(
    counter: TokenCounter,
    split: str,
    prompts: Sequence[Prompt],
    *,
    max_tokens: int,
    target: Target | None = None,
) -> Iterator[VasariError]:
    """Yield what would end a training, or train on something else, one error for each kind.

    An image of a shape that the processor refuses, text that the tokenizer takes for an image,
    another number of `<image>` marks than images, images for a model that reads none, and prompts
    that are longer, with what follows them, than the model was made for.

    Args:
        counter: Of the model.
        split: Name of the prompts, for the messages.
        prompts: All of them.
        max_tokens: Longest rollout of a prompt; 0 for supervised training.
        target: Gives the answer to learn, for supervised training.
    """
    found = _look_through(counter, prompts, max_tokens=max_tokens, target=target)
    shapes = f"an image more than {counter.max_aspect_ratio:g} times as long as it is wide"
    texts = "text that the tokenizer reads as an image, not as text"
    kinds: list[tuple[list[str], type[VasariError], str, str]] = [
        (
            found.with_images,
            ConfigError,
            "images, which this model does not read",
            "choose a vision-language model, or leave them out",
        ),
        (
            found.marks,
            DataError,
            "another number of <image> marks in the question than images",
            "write one mark an image, or none",
        ),
        (found.shapes, ImageError, shapes, "crop it"),
        (found.markers, DataError, texts, "write it otherwise"),
    ]
    for lines, kind, what, remedy in kinds:
        if lines:
            yield kind(
                f"{split}: {len(lines):,} of {len(prompts):,} prompts have {what}"
                f" ({named(lines)}); {remedy}"
            )
    yield from _too_long(counter, split, prompts, found, max_tokens=max_tokens, target=target)


def _look_through(
    counter: TokenCounter, prompts: Sequence[Prompt], *, max_tokens: int, target: Target | None
) -> _Found:
    from vasari.model.prompt_tokens import image_sizes  # noqa: PLC0415  (torch takes seconds)

    found, markers = _Found(), counter.markers()
    room = (counter.context or 0) - max_tokens
    for place, prompt in enumerate(prompts):
        if prompt.images and not counter.reads_images:
            found.with_images.append(repr(prompt.id))
            continue
        try:
            chat_messages(prompt, system="")
        except DataError:
            found.marks.append(repr(prompt.id))
            continue
        learned = target(prompt) if target else ""
        literal = markers.search(f"{user_text(prompt)}\n{learned}") if markers else None
        if literal:
            found.markers.append(f"{prompt.id!r}: {literal[0]}")
        sizes = image_sizes(prompt)
        ratio = counter.max_aspect_ratio
        long = [f"{w} x {h}" for w, h in sizes if max(w, h) > ratio * min(w, h)]
        if long:
            found.shapes.append(f"{prompt.id!r}: {long[0]}")
        elif counter.context and not literal:
            limit = counter.at_most(prompt, sizes, target=learned)
            if limit > room:
                found.limits.append((limit, place))
    return found


def _too_long(
    counter: TokenCounter,
    split: str,
    prompts: Sequence[Prompt],
    found: _Found,
    *,
    max_tokens: int,
    target: Target | None,
) -> Iterator[VasariError]:
    """Yield an error if prompts exceed the context; only those that may are encoded."""
    context = counter.context or 0
    lines = []
    for _, place in sorted(found.limits, reverse=True)[:_MAX_ENCODED]:
        prompt = prompts[place]
        tokens = counter.count(prompt).total
        answer = counter.target(target(prompt)) if target else max_tokens
        if tokens + answer > context:
            lines.append(f"{prompt.id!r}: {tokens:,} + {answer:,}")
    if lines:
        least = "at least " if len(found.limits) > _MAX_ENCODED else ""
        what = "its answer" if target else f"a rollout of up to {max_tokens:,}"
        remedy = (
            "shorten them, or lower model.max_pixels"
            if target
            else "shorten them, or lower model.max_pixels or trl.max_completion_length"
        )
        yield DataError(
            f"{split}: {least}{len(lines):,} of {len(prompts):,} prompts have with {what} more"
            f" tokens than the {context:,} that the model was made for ({named(lines)}); {remedy}"
        )


def named(lines: Sequence[str]) -> str:
    """Return the first few of the lines as text, for an error message."""
    more = f" and {len(lines) - _SHOWN:,} more" if len(lines) > _SHOWN else ""
    return ", ".join(lines[:_SHOWN]) + more

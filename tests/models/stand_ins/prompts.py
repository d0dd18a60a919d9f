"""Mixed pools of prompts: without an image, with a small one, with a larger one, with both."""

from __future__ import annotations

import dataclasses
import functools
from typing import Literal

from vasari.data.tasks.pool import PoolSettings, make_pool
from vasari.records import Prompt

SYSTEM = "Think, then answer."
_SMALL, _LARGE = 56, 112
"""Sides of the images, in pixels."""


def mixed_pool(turns: int = 3, *, seed: int = 3) -> list[Prompt]:
    """Return four prompts a turn: without an image, a small one, a larger one, both in one."""
    return _pool(turns, seed, "train")


def held_out_pool(turns: int = 1, *, seed: int = 5) -> list[Prompt]:
    """Return prompts as `mixed_pool`, of pictures that no training prompt shows."""
    return _pool(turns, seed, "validation")


def _pool(turns: int, seed: int, split: Literal["train", "validation"]) -> list[Prompt]:
    small, large = (_pictures(turns * 2, seed, split, side) for side in (_SMALL, _LARGE))
    prompts = []
    for n in range(turns):
        first, second = small[n + turns], large[n + turns]
        text = Prompt(
            id=f"{split}-text-{n}",
            question=f"What is {n + seed} + 2?",
            answer=str(n + seed + 2),
            kind="number",
            solution=f"{n + seed} + 2 = {n + seed + 2}.",
        )
        pair = dataclasses.replace(
            first, id=f"{first.id}-pair", images=first.images + second.images
        )
        prompts += [text, small[n], large[n], pair]
    # No two questions are the same, so that a prompt is known by its tokens.
    return [
        dataclasses.replace(prompt, question=f"Task {place}: {prompt.question}")
        for place, prompt in enumerate(prompts)
    ]


@functools.cache
def _pictures(
    count: int, seed: int, split: Literal["train", "validation"], side: int
) -> list[Prompt]:
    settings = PoolSettings(families=("bars", "tables"), num_prompts=count, image_size=side)
    pool = make_pool(settings, split=split, seed=seed + side)
    return [dataclasses.replace(prompt, id=f"{prompt.id}-{side}") for prompt in pool]

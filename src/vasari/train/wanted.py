"""Drawing prompts that a gate wants, in place of those that it remembers and does not."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from vasari.core.records import Draw, Role
from vasari.sample import Gate, PromptSampler


def draw_wanted(
    sampler: PromptSampler,
    gate: Gate,
    num_prompts: int,
    *,
    batch: int,
    excluded: Collection[int] = (),
    fill_to: int | None = None,
    multiple_of: int = 1,
) -> Draw:
    """So many prompts that the gate wants, none for 0; fewer where the pool has no more.

    Prompts that are excluded or not wanted are left out and others drawn in their place, by ever
    larger draws: a sampler that ranks would name the same ones again.

    Args:
        sampler: Who draws.
        gate: Whose `wanted` decides.
        num_prompts: How many.
        batch: The present batch, by which a gate defers.
        excluded: Prompts not to draw.
        fill_to: Take prompts that the gate does not want where there are fewer others than this;
            None: than `num_prompts`.
        multiple_of: The number of prompts is cut to a multiple of this.
    """
    if num_prompts <= 0:
        return _draw_of([])
    found: list[tuple[int, Role]] = []
    unwanted: list[tuple[int, Role]] = []
    seen, asked = set(excluded), num_prompts
    while True:
        draw = sampler.draw(asked)
        fine = gate.wanted(draw.indices, batch)
        for index, role, wanted in zip(
            draw.indices.tolist(), draw.roles, fine.tolist(), strict=True
        ):
            if index not in seen:
                (found if wanted else unwanted).append((index, role))
        # Only now: a draw with replacement may hold a prompt twice, and means it.
        seen.update(draw.indices.tolist())
        if len(found) >= num_prompts or asked >= sampler.num_prompts:
            break
        asked = min(2 * asked, sampler.num_prompts)
    least = num_prompts if fill_to is None else fill_to
    found += unwanted[: max(0, least - len(found))]
    num = min(num_prompts, len(found))
    return _draw_of(found[: num - num % multiple_of])


def _draw_of(entries: Sequence[tuple[int, Role]]) -> Draw:
    return Draw(
        np.array([index for index, _ in entries], dtype=np.int64),
        tuple(role for _, role in entries),
    )

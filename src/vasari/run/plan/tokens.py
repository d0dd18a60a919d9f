"""Tokens of the prompts of a pool: means with intervals, quantiles, the longest."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vasari.core.errors import DataError
from vasari.core.records import Prompt

if TYPE_CHECKING:  # torch takes seconds to import
    from vasari.model.prompt_tokens import PromptTokens, TokenCounter

MAX_SECONDS = 60.0
"""Time for encoding the prompts of one split."""
_LARGEST = 16
"""Prompts encoded beside the sample, those that may have the most tokens."""
_QUANTILES = (0.5, 0.9, 0.99)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSummary:
    """Tokens a prompt of one split, measured on all of its prompts or on a sample."""

    num_prompts: int
    num_encoded: int
    """Prompts whose images and text were encoded; the sample, where these are not all."""
    mean: float
    """Tokens of a prompt."""
    margin: float
    """Half the width of the mean's 95% interval; 0 where all prompts were encoded."""
    image_mean: float
    """Tokens of a prompt that stand for images."""
    quantiles: tuple[int, ...]
    """Tokens at the quantiles 0.5, 0.9 and 0.99."""
    longest: int
    """Most tokens of the encoded prompts, among them those that may have the most of all."""
    longest_id: str
    patches_mean: float
    """Patches of a prompt that the vision encoder reads."""
    patches_most: int


def summarise_tokens(
    counter: TokenCounter, prompts: Sequence[Prompt], *, size: int, sample: int, seed: int
) -> TokenSummary | None:
    """Measure the tokens of prompts; None where none can be encoded.

    Args:
        counter: Of the model.
        prompts: At least one.
        size: Prompts of the split, more than `prompts` where these are some of them.
        sample: Prompts to encode, drawn at random; all where there are no more.
        seed: Of the draw.
    """
    drawn = np.arange(len(prompts))
    if len(prompts) > sample:
        drawn = np.random.default_rng(seed).choice(len(prompts), size=sample, replace=False)
    found = _count(counter, prompts, drawn.tolist())
    if not found:
        return None
    counts = list(found.values())
    totals = np.array([own.total for own in counts])
    everything = len(counts) == size
    margin = 0.0
    if not everything:
        spread = totals.std(ddof=1) if len(totals) > 1 else totals.mean()
        margin = 1.96 * float(spread) / math.sqrt(len(totals))
    if not everything:
        found = _count(counter, prompts, _largest(counter, prompts)) | found
    longest = max(found, key=lambda index: found[index].total)
    return TokenSummary(
        num_prompts=size,
        num_encoded=len(counts),
        mean=float(totals.mean()),
        margin=margin,
        image_mean=float(np.mean([own.image for own in counts])),
        quantiles=tuple(int(n) for n in np.quantile(totals, _QUANTILES, method="higher")),
        longest=found[longest].total,
        longest_id=prompts[longest].id,
        patches_mean=float(np.mean([own.patches for own in counts])),
        patches_most=max(own.patches for own in found.values()),
    )


def _count(
    counter: TokenCounter, prompts: Sequence[Prompt], places: Sequence[int]
) -> dict[int, PromptTokens]:
    """Tokens of prompts at these places, as far as the time goes, without those refused."""
    started = time.monotonic()
    found = {}
    for place in places:
        with contextlib.suppress(DataError):  # named among the plan's problems
            found[place] = counter.count(prompts[place])
        if time.monotonic() - started > MAX_SECONDS:
            break
    return found


def _largest(counter: TokenCounter, prompts: Sequence[Prompt]) -> list[int]:
    """Places of the prompts that may have the most tokens, by what bytes and images allow."""
    limits = np.zeros(len(prompts))
    for place, prompt in enumerate(prompts):
        with contextlib.suppress(DataError):
            limits[place] = counter.check(prompt)
    return np.argsort(-limits, kind="stable")[:_LARGEST].tolist()  # type: ignore[no-any-return]

"""Features of prompts known before any rollout: categories, difficulty, statistics of the text."""

from __future__ import annotations

import math
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import final

import numpy as np
from numpy.typing import NDArray

from vasari.core.errors import DataError
from vasari.core.records import Prompt


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PoolFeatures:
    """Features of a pool's prompts that are known before any rollout; each feature is optional."""

    categories: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """[prompts] index of each prompt's category in `category_names`; empty: all of one category."""
    category_names: tuple[str, ...] = ()
    """Names of the categories."""
    values: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    """[prompts, dims] numbers that may predict pass rates (lengths, embeddings), each column of
    mean 0 and standard deviation 1."""
    difficulty: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    """[prompts] prior difficulty in [0, 1], 1 = hardest, nan where unknown; or empty."""
    pass_rates: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    """[prompts] true pass rates in [0, 1], for the sampler "oracle"; or empty."""

    def __post_init__(self) -> None:
        if self.values.ndim != 2:
            raise DataError(
                f"values must be [prompts, dims], got an array of shape {self.values.shape}"
            )
        if not np.isfinite(self.values).all():
            raise DataError("values must be finite numbers")
        if len(self.categories) and not (
            self.categories.min() >= 0 and self.categories.max() < len(self.category_names)
        ):
            raise DataError(
                f"categories must be numbers from 0 to {len(self.category_names) - 1}, one for each"
                " name"
            )
        for name in ("difficulty", "pass_rates"):
            array = getattr(self, name)
            if ((array < 0) | (array > 1)).any():
                raise DataError(f"{name} must be in [0, 1]")

    def check(self, num_prompts: int) -> None:
        """Check that every given feature has one row for each of `num_prompts` prompts.

        Raises:
            DataError: A given feature has another number of rows.
        """
        for name in ("categories", "values", "difficulty", "pass_rates"):
            rows = len(getattr(self, name))
            if rows not in (0, num_prompts):
                raise DataError(f"{name} of {rows} prompts for a pool of {num_prompts}")


def prompt_features(
    prompts: Sequence[Prompt], extra: NDArray[np.float64] | None = None, *, text_dims: int = 32
) -> PoolFeatures:
    """Compute features of prompts: category, difficulty (rank of its label), text statistics.

    Difficulty labels are ranked as numbers where all are numbers, else by the alphabet.

    The columns of `values` are the standardised logarithms of the question's length in words and of
    the number of numbers in it, the numbers of images and of options, the question's words and
    pairs of words hashed into `text_dims` columns (arXiv:0902.2206), and the columns of `extra`.
    The wording is what tells a question of a form that is solved or hopeless before its first
    rollout.

    Args:
        prompts: The pool, in its order.
        extra: [prompts, dims] further columns, e.g. embeddings; standardised here.
        text_dims: Columns for the wording, 0 for none; each costs 12 bytes a prompt.

    Raises:
        DataError: `extra` has not one row a prompt, or holds a value that is not finite.
    """
    names = tuple(sorted({prompt.category for prompt in prompts}))
    number = {name: place for place, name in enumerate(names)}
    columns = np.array([_statistics(prompt) for prompt in prompts], dtype=np.float64).reshape(
        len(prompts), 4
    )
    if text_dims:
        columns = np.hstack(
            [columns, _hashed_words([prompt.question for prompt in prompts], text_dims)]
        )
    if extra is not None:
        if extra.ndim != 2 or len(extra) != len(prompts):
            raise DataError(f"extra features of shape {extra.shape} for {len(prompts)} prompts")
        columns = np.hstack([columns, extra.astype(np.float64)])
    spread = columns.std(axis=0)
    levels = _ordered({prompt.difficulty for prompt in prompts} - {""})
    rank = {level: (place + 0.5) / len(levels) for place, level in enumerate(levels)}
    return PoolFeatures(
        categories=np.array([number[prompt.category] for prompt in prompts], dtype=np.int64),
        category_names=names,
        values=((columns - columns.mean(axis=0)) / np.where(spread > 0, spread, 1.0)),
        difficulty=(
            np.array([rank.get(prompt.difficulty, math.nan) for prompt in prompts])
            if levels
            else np.zeros(0)
        ),
    )


def _ordered(levels: Collection[str]) -> list[str]:
    """Sort difficulty labels, easiest first: by number if all are numbers, else by the alphabet."""
    try:
        values = {level: float(level) for level in levels}
    except ValueError:
        return sorted(levels)
    if not all(map(math.isfinite, values.values())):
        return sorted(levels)
    return sorted(levels, key=lambda level: (values[level], level))


def _statistics(prompt: Prompt) -> tuple[float, float, float, float]:
    words = prompt.question.split()
    numbers = sum(any(letter.isdigit() for letter in word) for word in words)
    return (
        math.log1p(len(words)),
        math.log1p(numbers),
        float(len(prompt.images)),
        float(len(prompt.choices or ())),
    )


def _hashed_words(questions: Sequence[str], num_dims: int) -> NDArray[np.float64]:
    """Count words and word pairs, signed, in columns given by their hash: [questions, dims]."""
    counts = np.zeros((len(questions), num_dims))
    for row, question in zip(counts, questions, strict=True):
        words = question.lower().split()
        for term in (*words, *map(" ".join, pairwise(words))):
            found = zlib.crc32(
                term.encode(errors="surrogatepass")
            )  # a file may hold half a character
            row[(found >> 1) % num_dims] += 1.0 if found & 1 else -1.0
    return counts

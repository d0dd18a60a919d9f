"""What the published sampler took from the package, and the features that it was given."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vasari.records import GroupOutcome, Prompt
from vasari.sample import PoolFeatures

_EQUAL_DECIMALS = 9
_TEXT_DIMS = 32


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of correct and of verifiable rollouts of each prompt, summed over its groups."""

    prompts: NDArray[np.int64]
    """[seen] prompts with a verifiable rollout, ascending, each once."""
    num_correct: NDArray[np.float64]
    """[seen] number of correct rollouts of each prompt, over all its groups."""
    num_verifiable: NDArray[np.float64]
    """[seen] number of verifiable rollouts of each prompt, at least 1."""
    trained: NDArray[np.bool_]
    """[seen] whether a group of the prompt was rolled out to train on it."""

    @property
    def pass_rates(self) -> NDArray[np.float64]:
        """Pass rate of each prompt in `prompts`: correct over verifiable rollouts."""
        return self.num_correct / self.num_verifiable


def tally(groups: Sequence[GroupOutcome]) -> Tally:
    """Count each prompt's correct rollouts and its verifiable rollouts (those with a verdict).

    Groups of one prompt count as one; groups without a verifiable rollout do not count.
    """
    indices = np.array([group.index for group in groups], dtype=np.int64)
    correct = np.array([np.nansum(group.verdicts) for group in groups], dtype=np.float64)
    verifiable = np.array([(~np.isnan(group.verdicts)).sum() for group in groups], dtype=np.float64)
    training = np.array([group.purpose == "train" for group in groups], dtype=np.float64)
    prompts, place = np.unique(indices[verifiable > 0], return_inverse=True)
    sums = np.zeros((3, len(prompts)))
    for row, values in zip(sums, (correct, verifiable, training), strict=True):
        np.add.at(row, place, values[verifiable > 0])
    return Tally(prompts, sums[0], sums[1], sums[2] > 0)


def highest(scores: NDArray[np.float64], num: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the indices of the `num` highest scores, best first, ties at random: int64 [num].

    Scores that agree to nine decimals are equal. Nothing is sorted: 1.6 million scores take
    milliseconds.
    """
    if not num:
        return np.zeros(0, dtype=np.int64)
    scores = np.round(scores, _EQUAL_DECIMALS)
    if num < len(scores):
        least = _bound(scores, num)
        above = np.flatnonzero(scores > least)
        if len(above) > num:
            least = np.partition(scores[above], len(above) - num)[len(above) - num]
            above = above[scores[above] > least]
        tied = np.flatnonzero(scores == least)
        picked = np.concatenate([above, rng.choice(tied, size=num - len(above), replace=False)])
    else:
        picked = np.arange(len(scores))
    order = np.lexsort((rng.random(len(picked)), -scores[picked]))
    return picked[order].astype(np.int64)


def _bound(scores: NDArray[np.float64], num: int) -> float:
    """Return a number that is at most the `num`-th highest score, and close to it.

    It is the `num`-th highest of the maxima of blocks. A partition of the whole takes a quarter of
    a second where most of 1.6 million scores are equal.
    """
    width = max(1, len(scores) // (4 * num))
    maxima = scores[: len(scores) // width * width].reshape(-1, width).max(axis=1)
    return float(np.partition(maxima, len(maxima) - num)[len(maxima) - num])


def gumbel_top(
    rng: np.random.Generator, log_weights: NDArray[np.float64], num: int
) -> NDArray[np.int64]:
    """Draw `num` different indices of `log_weights`, in proportion to `exp(log_weights)`: int64.

    The `num` largest of `log_weights + Gumbel` follow exactly this law (Gumbel top-k,
    arXiv:1903.06059). Logarithms keep weights apart whose exponentials would all be 0. Indices of
    weight 0 (-inf) come last, uniformly.

    Args:
        rng: The caller's generator.
        log_weights: [indices], finite or -inf.
        num: How many, at most the number of indices.
    """
    running = np.flatnonzero(log_weights > -np.inf)
    keys = log_weights[running] + rng.gumbel(size=len(running))
    if num < len(running):
        first = np.argpartition(-keys, num - 1)[:num]
        running, keys = running[first], keys[first]
    chosen = running[np.argsort(-keys, kind="stable")]
    if len(chosen) < num:
        others = np.flatnonzero(log_weights == -np.inf)
        chosen = np.concatenate([chosen, rng.choice(others, size=num - len(chosen), replace=False)])
    return chosen.astype(np.int64)


def group_value(pass_rate: ArrayLike, num_rollouts: int) -> NDArray[np.float64]:
    """Return the expected `sqrt(k (n - k)) / n` of a group of n rollouts; shape of `pass_rate`.

    Args:
        pass_rate: p, in [0, 1].
        num_rollouts: n, at least 2; k of them are correct.
    """
    p = np.asarray(pass_rate, dtype=np.float64)
    n = num_rollouts
    counts = np.arange(n + 1, dtype=np.float64)
    table = np.sqrt(counts * (n - counts)) / n
    with np.errstate(divide="ignore"):
        log_p, log_q = np.log(p), np.log1p(-p)
    # k = 0 and k = n are worth nothing, so that no 0 * log(0) is met.
    value = np.zeros(p.shape)
    for k in range(1, n):
        choose = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
        value += table[k] * np.exp(choose + k * log_p + (n - k) * log_q)
    return value


def published_features(prompts: Sequence[Prompt]) -> PoolFeatures:
    """Return the prompts' categories, and the statistics and hashed wording of their questions."""
    names = tuple(sorted({prompt.category for prompt in prompts}))
    number = {name: place for place, name in enumerate(names)}
    columns = np.array([_statistics(prompt) for prompt in prompts], dtype=np.float64)
    columns = np.hstack([columns, _hashed_words([prompt.question for prompt in prompts])])
    spread = columns.std(axis=0)
    return PoolFeatures(
        categories=np.array([number[prompt.category] for prompt in prompts], dtype=np.int64),
        category_names=names,
        values=(columns - columns.mean(axis=0)) / np.where(spread > 0, spread, 1.0),
    )


def _statistics(prompt: Prompt) -> tuple[float, float, float, float]:
    words = prompt.question.split()
    numbers = sum(any(letter.isdigit() for letter in word) for word in words)
    return (
        math.log1p(len(words)),
        math.log1p(numbers),
        float(len(prompt.images)),
        float(len(prompt.choices or ())),
    )


def _hashed_words(questions: Sequence[str]) -> NDArray[np.float64]:
    """Count words and word pairs, signed, in columns given by their hash: [questions, columns]."""
    counts = np.zeros((len(questions), _TEXT_DIMS))
    for row, question in zip(counts, questions, strict=True):
        words = question.lower().split()
        for term in (*words, *map(" ".join, pairwise(words))):
            found = zlib.crc32(term.encode(errors="surrogatepass"))
            row[(found >> 1) % _TEXT_DIMS] += 1.0 if found & 1 else -1.0
    return counts

"""Trajectory diversity (TDS): how different the rollouts of one group are, in [0, 1]."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import chain, combinations
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vasari.core.errors import ConfigError, DataError
from vasari.score.ngrams import clipped_matches, longer, num_distinct, numbered, shared, unigrams

DiversityMetric = Literal["self_bleu", "distinct_n", "edit_distance"]
"""How diversity is measured."""

DIVERSITY_METRICS: tuple[DiversityMetric, ...] = get_args(DiversityMetric)

Tokens = Sequence[int] | Sequence[str] | NDArray[Any]
"""One rollout: token ids or words, up to and including the end token, no prompt and no padding."""

# Chen and Cherry (2014), method 1: what a precision without a match counts instead of 0.
_SMOOTHING_COUNT = 0.1


def trajectory_diversity(
    rollouts: Sequence[Tokens], metric: DiversityMetric = "self_bleu", n: int = 3
) -> float:
    """Diversity of one group's rollouts, in [0, 1]; 1 = most diverse.

    * `self_bleu`: one minus the mean BLEU of each rollout against all others, as in
      arXiv:2509.21268: uniform weights on 1..n-grams, smoothing method 1, closest-length brevity
      penalty; equal to NLTK's `sentence_bleu`. Identical rollouts of at least n tokens give 0;
      shorter ones follow the smoothing, and an empty one has BLEU 0.
    * `distinct_n`: different n-grams over all n-grams of the group; 0 when no rollout has n tokens.
      Identical rollouts do not give 0, and longer rollouts score lower.
    * `edit_distance`: mean over pairs of the squared edit distance divided by the longer length
        (appendix A.3).

    Args:
        rollouts: One unpadded sequence of token ids or words a rollout; at least two.
        metric: One of `DIVERSITY_METRICS`.
        n: Longest n-gram of `self_bleu`, and the n-gram of `distinct_n`.

    Raises:
        DataError: Fewer than two rollouts, a padded array, or a text in place of its tokens.
        ConfigError: An unknown metric, or n below 1.
    """
    if metric not in DIVERSITY_METRICS:
        raise ConfigError(
            f"diversity metric must be one of {', '.join(DIVERSITY_METRICS)}, got {metric!r}"
        )
    if n < 1:
        raise ConfigError(f"n-grams need n >= 1, got {n}")
    _check(rollouts)
    tokens, lengths = _token_ids(rollouts)
    if metric == "edit_distance":
        return _edit_diversity(np.split(tokens, np.cumsum(lengths)[:-1]))
    if metric == "distinct_n":
        return _distinct(tokens, lengths, n)
    return _self_bleu_diversity(tokens, lengths, n)


def _check(rollouts: Sequence[Tokens]) -> None:
    if isinstance(rollouts, str):
        raise DataError("diversity needs the rollouts of a group, got one text")
    if getattr(rollouts, "ndim", 1) != 1:
        raise DataError(
            "padding cannot be told from tokens: pass one unpadded sequence a rollout, not an array"
            " of the group"
        )
    if len(rollouts) < 2:
        raise DataError(f"diversity needs at least 2 rollouts, got {len(rollouts)}")
    for position, rollout in enumerate(rollouts):
        if isinstance(rollout, str | bytes):
            raise DataError(f"rollout {position} is a text: pass its token ids or its words")
        if getattr(rollout, "ndim", 1) != 1:
            raise DataError(f"rollout {position} is not one sequence of tokens")


def _token_ids(rollouts: Sequence[Tokens]) -> tuple[NDArray[np.integer], NDArray[np.int64]]:
    """Return a group's tokens as integers, rollout after rollout, and the rollouts' lengths."""
    lengths = np.array([len(rollout) for rollout in rollouts], dtype=np.int64)
    arrays = [_integers(rollout) for rollout in rollouts]
    known = [array for array in arrays if array is not None]
    if len(known) == len(arrays):
        return np.concatenate(known), lengths
    ids: dict[Any, int] = {}
    try:
        numbered_words = [ids.setdefault(word, len(ids)) for word in chain.from_iterable(rollouts)]
    except TypeError as error:
        raise DataError(f"a rollout must be a sequence of token ids or words: {error}") from error
    return np.array(numbered_words, dtype=np.int64), lengths


def _integers(rollout: Tokens) -> NDArray[np.integer] | None:
    """Return a rollout's token ids as uint32 or int64; None if it holds words or other numbers."""
    if isinstance(rollout, list):
        # Python's array takes a list many times as fast as NumPy, which asks what is in it, and
        # unsigned the fastest.
        for unsigned_then_signed in ("I", "q"):
            try:
                return np.asarray(array(unsigned_then_signed, rollout))
            except OverflowError:
                continue
            except TypeError:
                return None
        return None
    given = np.asarray(rollout)
    if not given.size:
        return np.zeros(0, dtype=np.int64)
    return (
        given.astype(np.int64, copy=False) if given.dtype.kind in "iu" and given.ndim == 1 else None
    )


def _self_bleu_diversity(tokens: NDArray[np.integer], lengths: NDArray[np.int64], n: int) -> float:
    log_precision = np.zeros(len(lengths))
    unmatched = np.zeros(len(lengths), dtype=np.bool_)
    ngrams = unigrams(tokens, lengths)
    for order in range(1, n + 1):
        if order > 1:
            ngrams = longer(ngrams)
        ngrams = numbered(ngrams)
        ngrams = shared(ngrams)  # no longer n-gram matches that holds one of the others
        matches = clipped_matches(ngrams, len(lengths))
        if order == 1:
            unmatched = matches == 0
        possible = np.maximum(1, lengths - order + 1)
        log_precision += np.log(np.where(matches == 0, _SMOOTHING_COUNT, matches) / possible) / n
    bleu = np.where(unmatched, 0.0, _brevity_penalty(lengths) * np.exp(log_precision))
    return float(np.clip(1.0 - bleu.mean(), 0.0, 1.0))


def _brevity_penalty(lengths: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return BLEU's brevity penalty against the other rollout of closest length: [rollouts]."""
    span = int(lengths.max(initial=0)) + 1
    closeness = np.abs(lengths[:, None] - lengths[None, :]) * span + lengths[None, :]
    np.fill_diagonal(closeness, span * (span + 1))
    closest = lengths[closeness.argmin(axis=1)]
    return np.where(lengths > closest, 1.0, np.exp(1.0 - closest / np.maximum(lengths, 1)))


def _distinct(tokens: NDArray[np.integer], lengths: NDArray[np.int64], n: int) -> float:
    ngrams = numbered(unigrams(tokens, lengths))
    for _ in range(n - 1):
        # One step a line: the order below is freed before the next is numbered.
        ngrams = longer(ngrams)
        ngrams = numbered(ngrams)
    if not ngrams.codes.size:
        return 0.0
    return num_distinct(ngrams) / len(ngrams.codes)


def _edit_diversity(rollouts: Sequence[NDArray[np.int64]]) -> float:
    sequences = [rollout.tolist() for rollout in rollouts]
    squares = [
        (_edit_distance(left, right) / max(len(left), len(right), 1)) ** 2
        for left, right in combinations(sequences, 2)
    ]
    return float(np.mean(squares))


def _edit_distance(left: list[int], right: list[int]) -> int:
    """Count the insertions, deletions and replacements that turn one sequence into the other.

    Bit-parallel (Myers 1999, in Hyyrö's form) on Python's long integers: one column of the table is
    one integer.
    """
    if left == right:
        return 0
    if not left or not right:
        return len(left) or len(right)
    places: dict[int, int] = {}
    for position, token in enumerate(left):
        places[token] = places.get(token, 0) | (1 << position)
    mask, last = (1 << len(left)) - 1, 1 << (len(left) - 1)
    up, down, distance = mask, 0, len(left)
    for token in right:
        equal = places.get(token, 0)
        vertical = equal | down
        horizontal = (((equal & up) + up) ^ up) | equal
        plus = down | (~(horizontal | up) & mask)
        minus = up & horizontal
        if plus & last:
            distance += 1
        elif minus & last:
            distance -= 1
        plus = ((plus << 1) | 1) & mask
        minus = (minus << 1) & mask
        up = minus | (~(vertical | plus) & mask)
        down = plus & vertical
    return distance

"""How different the rollouts of one group are: trajectory diversity (TDS), in [0, 1], 1 = most diverse."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import chain, combinations
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vasari.errors import ConfigError, DataError

DiversityMetric = Literal["self_bleu", "distinct_n", "edit_distance"]
"""How diversity is measured."""

DIVERSITY_METRICS: tuple[DiversityMetric, ...] = get_args(DiversityMetric)

Tokens = Sequence[int] | Sequence[str] | NDArray[Any]
"""One rollout: token ids or words, up to and including the end token, no prompt and no padding."""

_KEY_LIMIT = 2**62
_SMOOTHING_COUNT = 0.1  # Chen and Cherry (2014), method 1: what a precision without a match counts instead of 0.


def trajectory_diversity(rollouts: Sequence[Tokens], metric: DiversityMetric = "self_bleu", n: int = 3) -> float:
    """Diversity of one group's rollouts, in [0, 1]; 1 = most diverse.

    * `self_bleu`: one minus the mean BLEU of each rollout against all others, as in arXiv:2509.21268: uniform weights
      on 1..n-grams, smoothing method 1, closest-length brevity penalty; equal to NLTK's `sentence_bleu`. Identical
      rollouts of at least n tokens give 0; shorter ones follow the smoothing, and an empty one has BLEU 0.
    * `distinct_n`: different n-grams over all n-grams of the group; 0 when no rollout has n tokens. Identical rollouts
      do not give 0, and longer rollouts score lower.
    * `edit_distance`: mean over pairs of the squared edit distance divided by the longer length (appendix A.3).

    Args:
        rollouts: One unpadded sequence of token ids or words a rollout; at least two.
        metric: One of `DIVERSITY_METRICS`.
        n: Longest n-gram of `self_bleu`, and the n-gram of `distinct_n`.

    Raises:
        DataError: Fewer than two rollouts, a padded array, or a text in place of its tokens.
        ConfigError: An unknown metric, or n below 1.
    """
    if metric not in DIVERSITY_METRICS:
        raise ConfigError(f"diversity metric must be one of {', '.join(DIVERSITY_METRICS)}, got {metric!r}")
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
        raise DataError("padding cannot be told from tokens: pass one unpadded sequence a rollout, not an array of the group")
    if len(rollouts) < 2:
        raise DataError(f"diversity needs at least 2 rollouts, got {len(rollouts)}")
    for position, rollout in enumerate(rollouts):
        if isinstance(rollout, str | bytes):
            raise DataError(f"rollout {position} is a text: pass its token ids or its words")
        if getattr(rollout, "ndim", 1) != 1:
            raise DataError(f"rollout {position} is not one sequence of tokens")


def _token_ids(rollouts: Sequence[Tokens]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All tokens of the group, one rollout after the other, as small non-negative ids; and the rollouts' lengths."""
    lengths = np.array([len(rollout) for rollout in rollouts], dtype=np.int64)
    arrays = [_integers(rollout) for rollout in rollouts]
    known = [array for array in arrays if array is not None]
    if len(known) == len(arrays):
        tokens = np.concatenate(known)
        if tokens.size and (tokens.min() < 0 or tokens.max() >= 2**19):
            tokens = np.unique(tokens, return_inverse=True)[1].astype(np.int64).reshape(-1)
        return tokens, lengths
    ids: dict[Any, int] = {}
    try:
        numbered = [ids.setdefault(word, len(ids)) for word in chain.from_iterable(rollouts)]
    except TypeError as error:
        raise DataError(f"a rollout must be a sequence of token ids or words: {error}") from error
    return np.array(numbered, dtype=np.int64), lengths


def _integers(rollout: Tokens) -> NDArray[np.int64] | None:
    """The rollout's token ids; None for one of words or of other numbers."""
    if isinstance(rollout, list):
        try:
            return np.array(array("q", rollout))  # six times as fast as asking NumPy what is in the list
        except (TypeError, OverflowError):
            return None
    given = np.asarray(rollout)
    if not given.size:
        return np.zeros(0, dtype=np.int64)
    return given.astype(np.int64, copy=False) if given.dtype.kind in "iu" and given.ndim == 1 else None


class _NgramCounter:
    """Counts of the n-grams of a group, one order after the other."""

    def __init__(self, tokens: NDArray[np.int64], lengths: NDArray[np.int64]) -> None:
        self._tokens = tokens
        self._owner = np.repeat(np.arange(len(lengths), dtype=np.int64), lengths)
        self._num_rollouts = len(lengths)
        self._owner_bits = max(1, int(len(lengths) - 1).bit_length())
        self._num_tokens = int(tokens.max(initial=0)) + 1
        self._codes = np.zeros_like(tokens)
        self._num_codes = 1
        self._live = np.ones(len(tokens), dtype=np.bool_)  # where an n-gram of this order starts that still counts
        self._matched = tokens[:0]
        self.order = 0

    def next_order(self) -> NDArray[Any]:
        """Sorted keys `n-gram << owner_bits | rollout` of all n-grams of the next order, one per occurrence.

        After `clipped_matches` only of those whose tokens all stand in several rollouts.
        """
        if self._num_codes * self._num_tokens << self._owner_bits >= _KEY_LIMIT:
            self._renumber()
        self.order += 1
        size = max(0, len(self._tokens) - self.order + 1)
        self._codes = self._codes[:size] * self._num_tokens + self._tokens[self.order - 1 :]
        self._num_codes *= self._num_tokens
        owner = self._owner[:size]
        if self.order > 1:  # an n-gram ends in the rollout in which it starts, and is made of two of the order below
            self._live = self._live[:size] & self._live[1 : size + 1] & (owner == self._owner[self.order - 1 :])
        keys: NDArray[Any] = ((self._codes << self._owner_bits) | owner)[self._live]
        if self._num_codes << self._owner_bits < 2**31:
            keys = keys.astype(np.int32)  # half the bytes, two thirds of the time
        keys.sort()
        return keys

    def _drop_lone_tokens(self, matched: NDArray[Any]) -> None:
        """Forget tokens that stand in one rollout only: no longer n-gram that holds one can match.

        Fewer n-grams are left to sort, and of fewer tokens, so that they fit into smaller numbers.

        Args:
            matched: The other tokens, sorted.
        """
        number = np.zeros(self._num_tokens, dtype=np.int64)
        kept = matched[_run_starts(matched)]
        number[kept] = np.arange(1, len(kept) + 1)
        self._tokens = self._codes = number[self._tokens]
        self._num_tokens = self._num_codes = len(kept) + 1
        self._live = self._tokens > 0

    def _renumber(self) -> None:
        distinct, codes = np.unique(self._codes, return_inverse=True)
        self._codes, self._num_codes = codes.astype(np.int64).reshape(-1), max(1, len(distinct))
        if self._num_codes * self._num_tokens << self._owner_bits >= _KEY_LIMIT:
            distinct, tokens = np.unique(self._tokens, return_inverse=True)
            self._tokens, self._num_tokens = tokens.astype(np.int64).reshape(-1), max(1, len(distinct))

    def clipped_matches(self) -> NDArray[np.float64]:
        """[rollouts] matches of the next order: each n-gram counts at most as often as in the best other rollout."""
        if self.order == 1:
            self._drop_lone_tokens(self._matched)
        keys = self.next_order()
        starts = _run_starts(keys)
        held = keys[starts]  # which rollout holds which n-gram, each pair once
        counts = np.subtract(np.append(starts[1:], len(keys)), starts)
        grams = held >> self._owner_bits
        again = grams[1:] == grams[:-1]
        shared = np.zeros(len(held), dtype=np.bool_)  # n-grams of one rollout alone match nothing
        shared[1:] = again
        shared[:-1] |= again
        held, counts, grams = held[shared], counts[shared], grams[shared]
        self._matched = grams
        owners = held & ((1 << self._owner_bits) - 1)
        if counts.max(initial=0) > 1:
            counts = _limit_by_others(grams, counts)
        matches = np.bincount(owners, weights=counts, minlength=self._num_rollouts)
        return matches.astype(np.float64, copy=False)


def _limit_by_others(grams: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Each count, but at most the best count of the same n-gram in another rollout; `grams` are sorted."""
    starts = _run_starts(grams)
    sizes = np.subtract(np.append(starts[1:], len(grams)), starts)
    most = np.maximum.reduceat(counts, starts)
    is_most = counts == np.repeat(most, sizes)
    # The best count among the others is the best count, except for the only rollout that holds it: there, the next.
    second = np.maximum.reduceat(np.where(is_most, 0, counts), starts)
    tied = np.add.reduceat(is_most, starts, dtype=np.int64) > 1
    limited: NDArray[np.int64] = np.where(is_most, np.repeat(np.where(tied, most, second), sizes), counts)
    return limited


def _run_starts(ordered: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each run of equal values starts."""
    first = np.ones(len(ordered), dtype=np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return np.flatnonzero(first)


def _self_bleu_diversity(tokens: NDArray[np.int64], lengths: NDArray[np.int64], n: int) -> float:
    counter = _NgramCounter(tokens, lengths)
    log_precision = np.zeros(len(lengths))
    unmatched = np.zeros(len(lengths), dtype=np.bool_)
    for order in range(1, n + 1):
        matches = counter.clipped_matches()
        if order == 1:
            unmatched = matches == 0
        possible = np.maximum(1, lengths - order + 1)
        log_precision += np.log(np.where(matches == 0, _SMOOTHING_COUNT, matches) / possible) / n
    bleu = np.where(unmatched, 0.0, _brevity_penalty(lengths) * np.exp(log_precision))
    return float(np.clip(1.0 - bleu.mean(), 0.0, 1.0))


def _brevity_penalty(lengths: NDArray[np.int64]) -> NDArray[np.float64]:
    """[rollouts] penalty against the closest length among the others; the shorter one where two are equally close."""
    span = int(lengths.max(initial=0)) + 1
    closeness = np.abs(lengths[:, None] - lengths[None, :]) * span + lengths[None, :]
    np.fill_diagonal(closeness, span * (span + 1))
    closest = lengths[closeness.argmin(axis=1)]
    return np.where(lengths > closest, 1.0, np.exp(1.0 - closest / np.maximum(lengths, 1)))


def _distinct(tokens: NDArray[np.int64], lengths: NDArray[np.int64], n: int) -> float:
    counter = _NgramCounter(tokens, lengths)
    for _ in range(n - 1):
        counter.next_order()
    keys = counter.next_order()
    if not keys.size:
        return 0.0
    bits = max(1, int(len(lengths) - 1).bit_length())
    return len(_run_starts(keys >> bits)) / len(keys)


def _edit_diversity(rollouts: Sequence[NDArray[np.int64]]) -> float:
    sequences = [rollout.tolist() for rollout in rollouts]
    squares = [(_edit_distance(left, right) / max(len(left), len(right), 1)) ** 2 for left, right in combinations(sequences, 2)]
    return float(np.mean(squares))


def _edit_distance(left: list[int], right: list[int]) -> int:
    """Insertions, deletions and replacements that turn one sequence into the other.

    Bit-parallel (Myers 1999, in Hyyrö's form) on Python's long integers: one column of the table is one integer.
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

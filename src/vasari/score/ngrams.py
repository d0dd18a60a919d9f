"""N-grams of a group's rollouts, numbered by hashing; (n + 1)-grams are built from n-grams.

Sorting every order's n-grams costs most of self-BLEU's time. Here the codes of the n-grams go
through a table of slots; only the few whose slot belongs to another code are sorted, so the numbers
are exact whatever the hash does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# 2**64 over the golden ratio: spreads neighbouring codes (Knuth, 6.4).
_FIBONACCI = np.uint64(0x9E3779B97F4A7C15)
_SMALL_TABLE = 2**16  # cells


@dataclass(frozen=True, slots=True)
class Ngrams:
    """All n-gram occurrences in one group's rollouts, for one n, in text order."""

    codes: NDArray[np.int64]
    """[occurrence] equal where the n-grams are equal; any integers for `unigrams`, else below
    `num_codes`."""

    num_codes: int

    starts: NDArray[np.integer]
    """[occurrence] place of the first token in the group, rollouts one after the other with a gap
    of 1 between them."""

    owners: NDArray[np.unsignedinteger]
    """[occurrence] the rollout, from 0."""


def unigrams(tokens: NDArray[np.integer], lengths: NDArray[np.int64]) -> Ngrams:
    """Return the 1-grams of a group's concatenated rollouts, with the token ids as codes."""
    num_rollouts = len(lengths)
    owners = np.repeat(np.arange(num_rollouts, dtype=np.min_scalar_type(num_rollouts)), lengths)
    starts = np.arange(len(tokens), dtype=np.min_scalar_type(-len(tokens) - num_rollouts))
    np.add(starts, owners, out=starts)
    return Ngrams(tokens.astype(np.int64, copy=False), 0, starts, owners)


def numbered(ngrams: Ngrams) -> Ngrams:
    """Return the same n-grams, recoded as integers below about 4 times the number of n-grams.

    Equal n-grams have equal codes; not all codes below the bound are used.
    """
    codes = ngrams.codes.view(np.uint64)
    # 1.5 to 3 slots an occurrence: fewer collide too often, more leave the processor's cache.
    bits = max(1, (len(codes) * 3 // 2).bit_length())
    slots = codes * _FIBONACCI
    slots >>= np.uint64(64 - bits)
    places = slots.view(np.int64)
    tenants = np.empty(1 << bits, dtype=np.uint64)
    tenants[places] = codes
    num_codes = len(tenants)
    homeless = np.flatnonzero(tenants.take(places) != codes)
    if homeless.size:
        distinct, further = np.unique(codes.take(homeless), return_inverse=True)
        places[homeless] = num_codes + further
        num_codes += len(distinct)
    return Ngrams(places, num_codes, ngrams.starts, ngrams.owners)


def shared(ngrams: Ngrams) -> Ngrams:
    """Return only the n-grams that occur in two or more rollouts, recoded as 0, 1, 2 and so on.

    `ngrams` must come from `numbered`.
    """
    codes, owners = ngrams.codes, ngrams.owners
    # The last one written stays: the last rollout that holds the n-gram, and, written backwards,
    # the first.
    last, first = np.zeros((2, ngrams.num_codes), dtype=owners.dtype)
    last[codes] = owners
    first[codes[::-1].copy()] = owners[::-1].copy()
    several = last != first
    kept = np.flatnonzero(several)
    new_codes = np.empty(ngrams.num_codes, dtype=np.int32)
    new_codes[kept] = np.arange(len(kept))
    occurrences = np.flatnonzero(several.take(codes))
    codes = new_codes.take(codes.take(occurrences)).astype(np.int64)
    return Ngrams(codes, len(kept), ngrams.starts.take(occurrences), owners.take(occurrences))


def num_distinct(ngrams: Ngrams) -> int:
    """Count the different n-grams; `ngrams` must come from `numbered`."""
    seen = np.zeros(ngrams.num_codes, dtype=np.bool_)
    seen[ngrams.codes] = True
    return int(np.count_nonzero(seen))


def longer(ngrams: Ngrams) -> Ngrams:
    """Return the (n + 1)-grams, built from neighbouring n-grams; `numbered` must come next."""
    heads = np.flatnonzero(np.diff(ngrams.starts) == 1)  # the gap keeps them inside a rollout
    # Codes stay below 4 times the tokens of the group, so that their products fit below 2**29
    # tokens.
    codes = ngrams.codes.take(heads)
    codes *= ngrams.num_codes
    codes += ngrams.codes[1:].take(heads)
    return Ngrams(codes, 0, ngrams.starts.take(heads), ngrams.owners.take(heads))


def clipped_matches(ngrams: Ngrams, num_rollouts: int) -> NDArray[np.int64]:
    """Count each rollout's n-grams that another rollout has too, clipped as in BLEU: [rollouts].

    `ngrams` must come from `shared`. An n-gram counts at most as often as in the other rollout that
    has it most often. That is at most its second largest count over all rollouts: only the rollout
    with the largest has more than the best of its others, and theirs is the second.
    """
    cells = ngrams.codes * num_rollouts
    cells += ngrams.owners
    num_cells = ngrams.num_codes * num_rollouts
    if num_cells > max(_SMALL_TABLE, 4 * len(cells)):
        # Many rollouts, most of them without most of the n-grams.
        return _clipped_pairs(cells, num_rollouts)
    counts = np.bincount(cells, minlength=num_cells).astype(np.int32).reshape(-1, num_rollouts)
    second = np.partition(counts, -2, axis=1)[:, -2:-1]
    matches: NDArray[np.int64] = np.minimum(counts, second, out=counts).sum(axis=0, dtype=np.int64)
    return matches


def _clipped_pairs(cells: NDArray[np.int64], num_rollouts: int) -> NDArray[np.int64]:
    """Count clipped matches from pairs `n-gram * num_rollouts + rollout`, without a table."""
    cells.sort()
    starts = np.flatnonzero(np.diff(cells, prepend=-1))
    counts = np.diff(starts, append=len(cells))
    codes, owners = np.divmod(cells.take(starts), num_rollouts)
    ranked = codes * (len(cells) + 1)
    ranked += counts
    ranked.sort()
    # Every code from 0 has two pairs at least; sorted by their counts, the one before its last
    # holds the second largest.
    second = ranked[np.cumsum(np.bincount(codes)) - 2] % (len(cells) + 1)
    return np.bincount(
        owners, weights=np.minimum(counts, second[codes], out=counts), minlength=num_rollouts
    ).astype(np.int64)

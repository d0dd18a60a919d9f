"""Unions of intervals: their normal form, and whether two hold the same sampled numbers."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

from metamorphic.values import Piece, Region


def normal_form(region: Region) -> tuple[Piece, ...]:
    """Return the intervals in ascending order, empty ones dropped and touching ones joined."""
    pieces = sorted(
        (piece for piece in region.pieces if not _is_empty(piece)),
        key=lambda piece: (piece.low is not None, piece.low or Fraction(0), not piece.low_in),
    )
    joined: list[Piece] = []
    for piece in pieces:
        if joined and _touch(joined[-1], piece):
            joined[-1] = _join(joined[-1], piece)
        else:
            joined.append(piece)
    return tuple(joined)


def contains(region: Region, number: Fraction) -> bool:
    """Return whether a number is in the region."""
    return any(_holds(piece, number) for piece in region.pieces)


def same_members(left: Region, right: Region) -> bool:
    """Return whether two regions hold the same of all ends, numbers between and numbers beyond."""
    ends = sorted(
        {
            end
            for region in (left, right)
            for piece in region.pieces
            for end in (piece.low, piece.high)
            if end is not None
        }
    ) or [Fraction(0)]
    between = [(low + high) / 2 for low, high in pairwise(ends)]
    samples = [*ends, *between, ends[0] - 1, ends[-1] + 1]
    return all(contains(left, number) == contains(right, number) for number in samples)


def _holds(piece: Piece, number: Fraction) -> bool:
    above = piece.low is None or number > piece.low or (piece.low_in and number == piece.low)
    below = piece.high is None or number < piece.high or (piece.high_in and number == piece.high)
    return above and below


def _is_empty(piece: Piece) -> bool:
    if piece.low is None or piece.high is None:
        return False
    return piece.low > piece.high or (
        piece.low == piece.high and not (piece.low_in and piece.high_in)
    )


def _touch(left: Piece, right: Piece) -> bool:
    if left.high is None or right.low is None:
        return True
    return right.low < left.high or (right.low == left.high and (left.high_in or right.low_in))


def _join(left: Piece, right: Piece) -> Piece:
    if left.high is None or right.high is None:
        return Piece(left.low, left.low_in, None, False)
    if left.high == right.high:
        return Piece(left.low, left.low_in, left.high, left.high_in or right.high_in)
    last = left if left.high > right.high else right
    return Piece(left.low, left.low_in, last.high, last.high_in)

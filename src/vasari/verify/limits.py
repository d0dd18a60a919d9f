"""Limits on answers: one that is too large or too slow to check counts as wrong."""

from __future__ import annotations

import re

from vasari.core.errors import VasariError

MAX_RESPONSE_CHARS = 200_000
"""Longest response, in characters, that is read at all."""

MAX_NESTING = 64
"""Brackets open at once, in an answer."""

MAX_ARITHMETIC_CHARS = 512
"""Characters of an answer that the arithmetic parser reads; longer ones are no arithmetic."""

MAX_EXPRESSION_CHARS = 1_000
"""Characters of an answer that are sent to symbolic comparison."""

MAX_SYMBOLIC_NESTING = 8
"""Brackets open at once, in an answer that is sent to symbolic comparison."""

MAX_SYMBOLIC_DIGITS = 40
"""Digits in a row, in an answer that is sent to symbolic comparison."""

MAX_SET_ITEMS = 1_000
"""Items of an answer that is read as a set."""

MAX_BITS = 4_096
"""Bits of a numerator or a denominator."""

MAX_EXPONENT = 1_024
"""Size of an integer exponent, and of the exponent in scientific notation."""

SYMBOLIC_SECONDS = 2.0
"""Seconds of processor time for one symbolic comparison."""

SYMBOLIC_WALL_SECONDS = 10.0
"""Wall-clock seconds after which its worker is killed."""

WORKER_START_SECONDS = 120.0
"""Wall-clock seconds for the symbolic worker to load its libraries."""

WORKER_MEMORY_BYTES = 2 * 1024**3
"""Address space of the symbolic worker."""


class LimitExceededError(VasariError, ValueError):
    """An answer is longer, deeper or larger than the limits allow."""


_DIGITS = re.compile(rf"[0-9]{{{MAX_SYMBOLIC_DIGITS + 1}}}")
# A number to the power of a power, an exponent of five digits, a factorial of a factorial or of
# four digits.
_BOMB = re.compile(
    r"[0-9]\s?\^\s?\{?\s?[0-9]+\s?\}?\s?\^|\^\s?\{?\s?[0-9]{5}|(?:[0-9]{4}|[0-9]\}|\)|!)\s?!|[0-9]\s?[eE]\s?\+?[0-9]{4}"
)


def check_growth(formula: str) -> None:
    """Return if a formula has no power tower, huge exponent or huge factorial.

    Raises:
        LimitExceededError: It does.
    """
    if _BOMB.search(formula):
        raise LimitExceededError("a power tower, a huge exponent or a huge factorial")


def check_symbolic(formula: str) -> None:
    """Return if a formula is short, flat and plain enough for computer algebra.

    Raises:
        LimitExceededError: It is not.
    """
    if len(formula) > MAX_EXPRESSION_CHARS:
        raise LimitExceededError(f"an expression is longer than {MAX_EXPRESSION_CHARS} characters")
    if _DIGITS.search(formula):
        raise LimitExceededError(f"a number has more than {MAX_SYMBOLIC_DIGITS} digits")
    check_nesting(formula, MAX_SYMBOLIC_NESTING)
    check_growth(formula)


def check_nesting(text: str, deepest: int = MAX_NESTING) -> None:
    """Return if brackets nest no deeper than `deepest`; closers without opener are ignored.

    Raises:
        LimitExceededError: They do.
    """
    depth = 0
    for character in text:
        if character in "({[":
            depth += 1
            if depth > deepest:
                raise LimitExceededError(f"brackets nest deeper than {deepest}")
        elif character in ")}]" and depth:
            depth -= 1

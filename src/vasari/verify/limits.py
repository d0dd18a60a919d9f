"""Limits on answers; an answer that is too large or too slow to check counts as wrong."""

from __future__ import annotations

import re

from vasari.core.errors import VasariError

MAX_RESPONSE_CHARS = 200_000
"""Longest response, in characters, that is read at all."""

MAX_NESTING = 64
"""Most brackets open at the same time, in an answer."""

MAX_ARITHMETIC_CHARS = 512
"""Characters of an answer that the arithmetic parser reads; longer ones are no arithmetic."""

MAX_EXPRESSION_CHARS = 1_000
"""Longest answer, in characters, that is sent to symbolic comparison."""

MAX_SYMBOLIC_NESTING = 8
"""Most brackets open at the same time, in an answer that is sent to symbolic comparison."""

MAX_SYMBOLIC_DIGITS = 40
"""Most digits in a row, in an answer that is sent to symbolic comparison."""

MAX_SET_ITEMS = 1_000
"""Most items of an answer that is read as a set."""

MAX_BITS = 4_096
"""Most bits of a numerator or a denominator."""

MAX_EXPONENT = 1_024
"""Largest integer exponent, and largest exponent in scientific notation."""

SYMBOLIC_SECONDS = 2.0
"""Seconds of processor time for one symbolic comparison."""

SYMBOLIC_WALL_SECONDS = 10.0
"""Wall-clock seconds of one symbolic comparison, after which its worker process is killed."""

WORKER_START_SECONDS = 120.0
"""Wall-clock seconds for the symbolic worker to load its libraries."""

WORKER_MEMORY_BYTES = 2 * 1024**3
"""Address space of the symbolic worker, in bytes."""


class LimitExceededError(VasariError, ValueError):
    """Raised when an answer is longer, deeper or larger than the limits allow."""


_DIGITS = re.compile(rf"[0-9]{{{MAX_SYMBOLIC_DIGITS + 1}}}")
# A number to the power of a power, an exponent of five digits, a factorial of a factorial or of
# four digits.
_BOMB = re.compile(
    r"[0-9]\s?\^\s?\{?\s?[0-9]+\s?\}?\s?\^|\^\s?\{?\s?[0-9]{5}|(?:[0-9]{4}|[0-9]\}|\)|!)\s?!"
    r"|[0-9]\s?[eE]\s?\+?[0-9]{4}"
)


def check_growth(formula: str) -> None:
    """Raise LimitExceededError if a formula has a power tower, a huge exponent or a huge factorial.

    Raises:
        LimitExceededError: It does.
    """
    if _BOMB.search(formula):
        raise LimitExceededError("a power tower, a huge exponent or a huge factorial")


def check_symbolic(formula: str) -> None:
    """Raise LimitExceededError if a formula is too long, nested or large for computer algebra.

    Raises:
        LimitExceededError: It is.
    """
    if len(formula) > MAX_EXPRESSION_CHARS:
        raise LimitExceededError(f"an expression is longer than {MAX_EXPRESSION_CHARS} characters")
    if _DIGITS.search(formula):
        raise LimitExceededError(f"a number has more than {MAX_SYMBOLIC_DIGITS} digits")
    check_nesting(formula, MAX_SYMBOLIC_NESTING)
    check_growth(formula)


def check_nesting(text: str, deepest: int = MAX_NESTING) -> None:
    """Raise if brackets nest deeper than `deepest`; closing brackets without opener are ignored.

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

"""What a rollout may cost before it counts as wrong: a bomb must not escape the penalty."""

from __future__ import annotations

import re

from vasari.errors import VasariError

MAX_RESPONSE_CHARS = 200_000
"""Characters of a response that are read at all."""

MAX_NESTING = 64
"""Open brackets at once, in an answer."""

MAX_ARITHMETIC_CHARS = 512
"""Characters of an answer that the arithmetic parser reads; longer ones are no arithmetic."""

MAX_EXPRESSION_CHARS = 1_000
"""Characters of an answer that are sent to symbolic comparison."""

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

WORKER_START_SECONDS = 30.0
"""Wall-clock seconds for the symbolic worker to load its libraries."""

WORKER_MEMORY_BYTES = 2 * 1024**3
"""Address space of the symbolic worker."""


class LimitExceededError(VasariError, ValueError):
    """An answer is longer, deeper or larger than the limits allow."""


# A number to the power of a power, an exponent of five digits, a factorial of a factorial or of four digits.
_BOMB = re.compile(
    r"[0-9]\s?\^\s?\{?\s?[0-9]+\s?\}?\s?\^|\^\s?\{?\s?[0-9]{5}|(?:[0-9]{4}|[0-9]\}|\)|!)\s?!|[0-9]\s?[eE]\s?\+?[0-9]{4}"
)


def check_growth(formula: str) -> None:
    """Pass when a formula holds no power tower, huge exponent or huge factorial that a computer algebra would expand.

    Raises:
        LimitExceededError: It does.
    """
    if _BOMB.search(formula):
        raise LimitExceededError("a power tower, a huge exponent or a huge factorial")


def check_nesting(text: str) -> None:
    """Pass when brackets of all kinds never nest deeper than `MAX_NESTING`; closers without opener are ignored.

    Raises:
        LimitExceededError: They do.
    """
    depth = 0
    for character in text:
        if character in "({[":
            depth += 1
            if depth > MAX_NESTING:
                raise LimitExceededError(f"brackets nest deeper than {MAX_NESTING}")
        elif character in ")}]" and depth:
            depth -= 1

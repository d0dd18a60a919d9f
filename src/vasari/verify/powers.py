"""Powers, roots, logarithms and factorials of numbers, exact where they can be, within limits."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TypeVar

from vasari.verify.limits import MAX_BITS, MAX_EXPONENT, LimitExceededError
from vasari.verify.reals import Reals

Value = Fraction | float
"""Value of an expression: exact where every step was rational, else a real number."""

_Real = TypeVar("_Real", Fraction, float, Fraction | float)
_MAX_FACTORIAL = 100
_MAX_DEGREE = 12


class NotArithmeticError(ValueError):
    """Raised when a text is not arithmetic that Vasari's arithmetic parser can read."""


def checked(value: _Real) -> _Real:
    """Return a number that is neither too large nor too long to compute with.

    Raises:
        LimitExceededError: It is.
    """
    if isinstance(value, Fraction):
        if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
            raise LimitExceededError(f"a number has more than {MAX_BITS} bits")
        return value
    if not math.isfinite(float(value)):
        raise LimitExceededError("a number grows beyond what a float holds")
    return value


def power(base: Value, exponent: Value, reals: Reals) -> Value:
    """Return a power, exact where base and result are rational.

    Raises:
        NotArithmeticError: It is not real.
        LimitExceededError: It grows too large.
    """
    if not -MAX_EXPONENT <= exponent <= MAX_EXPONENT:
        raise LimitExceededError(f"an exponent is larger than {MAX_EXPONENT}")
    if isinstance(exponent, Fraction) and exponent.denominator == 1 and isinstance(base, Fraction):
        bits = max(base.numerator.bit_length(), base.denominator.bit_length()) * abs(
            exponent.numerator
        )
        if bits > MAX_BITS and abs(base) != 1:
            raise LimitExceededError(f"a power has more than {MAX_BITS} bits")
        return base**exponent.numerator
    if base < 0 and not (isinstance(exponent, Fraction) and exponent.denominator == 1):
        raise NotArithmeticError("a root of a negative number")
    if base == 0 and exponent < 0:
        raise NotArithmeticError("division by zero")
    if isinstance(exponent, Fraction) and 1 < exponent.denominator <= _MAX_DEGREE and base > 0:
        base = root(base, exponent.denominator, reals)
        return power(base, Fraction(exponent.numerator), reals)
    return checked(reals.power(base, exponent))


def root(value: Value, degree: int, reals: Reals) -> Value:
    """Return the real root of a number that is not negative, exact if it is rational.

    Raises:
        NotArithmeticError: The number is negative.
    """
    if value < 0:
        raise NotArithmeticError("a root of a negative number")
    if isinstance(value, Fraction) and degree <= _MAX_DEGREE:
        top, bottom = _whole_root(value.numerator, degree), _whole_root(value.denominator, degree)
        if top is not None and bottom is not None:
            return Fraction(top, bottom)
    return checked(reals.root(value, degree))


def _whole_root(value: int, degree: int) -> int | None:
    """The root of a whole number if it is whole, else None."""
    if degree == 2:
        root = math.isqrt(value)
    elif value.bit_length() > 900:
        return None
    else:
        root = round(value ** (1 / degree))
    return root if root**degree == value else None


def exact_logarithm(argument: Value, base: Value) -> Fraction | None:
    """Return the exponent of the base, if it is a whole number of at most two digits."""
    if not (isinstance(argument, Fraction) and isinstance(base, Fraction)):
        return None
    if base < 2 or base.denominator != 1 or argument <= 0:
        return None
    near = round(math.log(argument) / math.log(base)) if argument < 10**300 else 0
    return Fraction(near) if abs(near) < 100 and base**near == argument else None


def binomial(top: Value, bottom: Value) -> Value:
    """Return a binomial coefficient of small whole numbers.

    Raises:
        NotArithmeticError: They are others.
    """
    whole = [
        part.numerator if isinstance(part, Fraction) and part.denominator == 1 else -1
        for part in (top, bottom)
    ]
    if min(whole) < 0 or max(whole) > _MAX_FACTORIAL:
        raise NotArithmeticError("a binomial coefficient of other than small whole numbers")
    return Fraction(math.comb(*whole))


def factorial(value: Value) -> Value:
    """Return a factorial.

    Raises:
        NotArithmeticError: The number is negative or not whole.
        LimitExceededError: It is too large.
    """
    if not isinstance(value, Fraction) or value.denominator != 1 or value < 0:
        raise NotArithmeticError("a factorial of something else than a whole number")
    if value > _MAX_FACTORIAL:
        raise LimitExceededError(f"a factorial of a number above {_MAX_FACTORIAL}")
    return checked(Fraction(math.factorial(value.numerator)))

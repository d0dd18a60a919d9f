"""Whether two numbers or constants are the same quantity: exactness, rounding, units, percent."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from vasari.verify.answer import Answer
from vasari.verify.arithmetic import evaluate
from vasari.verify.limits import LimitExceededError
from vasari.verify.numbers import Number
from vasari.verify.powers import NotArithmeticError, Value
from vasari.verify.reals import precise
from vasari.verify.units import split_unit, unit_ratio

DECIMAL_TOLERANCE = Fraction(1, 10**6)
"""Relative tolerance where the reference is written as a decimal, or cannot be (1/3: 0.333 is wrong
and 0.33333333 right), and never more than half of the last decimal written; every other
reference must be met exactly."""

IRRATIONAL_TOLERANCE = 1e-6
"""Relative tolerance between an irrational reference and a decimal answer."""

_MIN_DECIMALS, _MIN_DIGITS = 1, 3
"""Decimals and significant digits that a rounded irrational number needs to be right."""

_SAME = 1e-12
_NEAR = 1e-9


@dataclass(frozen=True, slots=True)
class Decision:
    """What a comparison found: right or wrong, the rule's name, and why, in a sentence."""

    right: bool
    rule: str
    reason: str = ""


def quantities_equal(found: Answer, reference: Answer) -> Decision | None:
    """Compare two values with their units; None if one is no constant.

    A percentage is its hundredth: 5% equals 0.05 and not 5. A unit in only one of the two is
    ignored; equal quantities in two units (640 mm and 64 cm) are equal.
    """
    value, expected = found.constant, reference.constant
    if value is None or expected is None:
        return None
    ratio = unit_ratio(found.unit, reference.unit)
    if ratio is None:
        return Decision(False, "number", f"the unit is {found.unit}, not {reference.unit}")
    if ratio != 1:
        value = value * ratio if isinstance(value, Fraction) else value * float(ratio)
    right = (
        _as_exact(value, found, expected, reference)
        if isinstance(expected, Fraction)
        else _as_irrational(value, found, expected, reference)
    )
    return Decision(right, "number", "" if right else _why(found, reference, value, expected))


def _why(found: Answer, reference: Answer, value: Value, expected: Value) -> str:
    percent = found.number is not None and found.number.percent
    if percent and value * 100 == expected:
        return f"{found.text} is {float(value):g}, not {reference.text}"
    if abs(float(value) - float(expected)) <= 0.01 * abs(float(expected)):
        return f"{found.value_text} is near {reference.value_text}, and not equal to it"
    return f"{_shown(found.value_text)} is not {_shown(reference.value_text)}"


def _shown(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def _as_exact(value: Value, found: Answer, expected: Fraction, reference: Answer) -> bool:
    number, wanted = found.number, reference.number
    if isinstance(value, Fraction) and value == expected:
        return True
    decimals = wanted.decimals if wanted is not None and not wanted.percent else None
    gap = abs(value - expected) if isinstance(value, Fraction) else abs(value - float(expected))
    if decimals is not None:
        if _rounded_from(value, number, expected, decimals, wanted):
            return True
        if not isinstance(value, Fraction):
            return gap <= _NEAR * abs(float(expected)) and _same_text(found, reference)
        if number is None or number.decimals is None:
            return False
        # Half of the last decimal of the coarser of the two.
        written = number.decimals or decimals
        half = Fraction(1, 2 * 10 ** min(decimals, written))
        return gap <= DECIMAL_TOLERANCE * abs(expected) and gap <= half
    if not isinstance(value, Fraction):
        return gap <= _NEAR * abs(float(expected)) and _same_text(found, reference)
    if number is not None and number.decimals is not None and not _terminates(expected):
        return gap <= DECIMAL_TOLERANCE * abs(expected)
    return False


def _rounded_from(
    value: Value, number: Number | None, expected: Fraction, decimals: int, wanted: Number | None
) -> bool:
    """Whether an exact value, no decimal, rounds to the reference's two or more decimals."""
    is_decimal = number is not None and (number.decimals is not None or number.percent)
    if is_decimal or wanted is None or wanted.digits < 2 or decimals < 2:
        return False
    if isinstance(value, Fraction) and _terminates(value):
        return False
    return abs(float(value) - float(expected)) <= 0.5 * 10.0**-decimals * (1 + 1e-9)


def _as_irrational(value: Value, found: Answer, expected: float, reference: Answer) -> bool:
    number = found.number
    gap = abs(float(value) - float(expected))
    if number is None or not isinstance(value, Fraction):
        return gap <= _NEAR * abs(float(expected)) and _same_text(found, reference)
    if number.decimals is None:
        # A whole number or a fraction is not irrational, however near; 10^20/3 may be a rounding.
        return False
    if gap <= IRRATIONAL_TOLERANCE * abs(float(expected)):
        return True
    if number.percent or number.decimals < _MIN_DECIMALS or number.digits < _MIN_DIGITS:
        return False
    return gap <= 0.5 * 10.0**-number.decimals * (1 + 1e-9)


def _same_text(found: Answer, reference: Answer) -> bool:
    """Whether two constants that floats do not tell apart agree to fifty digits."""
    reals = precise()
    left, right = split_unit(found.value_text).body, split_unit(reference.value_text).body
    if reals is None:
        return _gap(float(found.constant or 0.0), float(reference.constant or 0.0)) <= _SAME
    try:
        one, other = evaluate(left, reals=reals), evaluate(right, reals=reals)
    except (NotArithmeticError, LimitExceededError, ValueError):
        return _gap(float(found.constant or 0.0), float(reference.constant or 0.0)) <= _SAME
    return bool(_gap(reals.real(one), reals.real(other)) <= 1e-40)


def _gap(left: float, right: float) -> float:
    return abs(left - right) / max(abs(left), abs(right), 1e-300)


def _terminates(value: Fraction) -> bool:
    """Whether a finite decimal can write the value."""
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return rest == 1

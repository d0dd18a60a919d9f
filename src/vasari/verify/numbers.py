r"""Numbers in answers, parsed exactly: `1,234`, `2 1/2`, `\frac{3}{4}`, `1.2e3`, `21 cm`, `5%`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from vasari.verify.arithmetic import NotArithmeticError, Value, evaluate
from vasari.verify.limits import MAX_ARITHMETIC_CHARS, MAX_EXPONENT, LimitExceededError
from vasari.verify.normalise import normalise
from vasari.verify.units import canonical_unit, split_unit

DECIMAL_TOLERANCE = Fraction(1, 10**6)
"""Relative tolerance where the reference is written as a decimal, or cannot be (1/3: 0.333 is wrong
and 0.33333333 right); every other reference must be met exactly."""

_MAX_NUMBER_CHARS = 256
_UNSIGNED = r"[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]*)?|\.[0-9]+"
_FRACTION = (
    r"[0-9]+\s?/\s?[0-9]+|\\frac\s?(?:\{\s?[-+]?[0-9]+\s?\}\s?\{\s?[0-9]+\s?\}|[0-9]\s?[0-9])"
)
_NUMBER = re.compile(
    rf"(?P<sign>[-+]?)\s?[€£¥]?\s?"
    rf"(?:(?P<whole>[0-9]+)\s?(?P<mixed>(?<=\s)[0-9]+\s?/\s?[0-9]+|\\frac\s?(?:\{{[0-9]+\}}\s?\{{[0-9]+\}}|[0-9]\s?[0-9]))"
    rf"|(?P<fraction>{_FRACTION})"
    rf"|(?P<plain>{_UNSIGNED})"
    rf"(?:[eE](?P<exponent>[-+]?[0-9]+)"
    rf"|\s?(?:\*|\u00d7|\\times|\\cdot)\s?10\s?\^\s?(?:\{{\s?(?P<braced>[-+]?[0-9]+)\s?\}}|(?P<power>[-+]?[0-9]+)))?)"
    rf"(?P<unit>.*)",
    re.DOTALL,
)
_INTEGER = re.compile(r"[-+]?[0-9]+")
_ASSIGNED = re.compile(
    r"(?:[a-zA-Z∠△\\].*)?(?:(?<![<>!:])=|≈|\\approx(?![a-zA-Z]))(?P<value>[^=≈]*)\Z", re.DOTALL
)
_RATIO = re.compile(r"([^:]{1,100}):([^:]{1,100})")
_TIME = re.compile(r"\d{1,2}:[0-5]\d")
_MAX_SIDES = 8
_SCALES = {
    "hundred": 10**2,
    "thousand": 10**3,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
    "dozen": 12,
}


@dataclass(frozen=True, slots=True)
class Number:
    """Number in an answer: its exact value, its unit, and how many digits were written."""

    value: Fraction
    """Exact. A percentage is kept as its hundredth: 5% is 1/20."""
    percent: bool = False
    unit: str = ""
    """Canonical unit, or empty."""
    decimals: int | None = None
    """Digits after the point of a plain decimal; None for integers, fractions and arithmetic."""
    digits: int = 0
    """Significant digits of a plain decimal or integer, leading zeros not counted."""


def parse_number(text: str) -> Number | None:
    r"""Return the number that a text consists of, a unit or `x =` in front allowed; else None.

    Raises:
        LimitExceededError: The number is too large to hold, such as 1e999999999.
    """
    text = _after_equals(normalise(text))
    if "=" in text:
        text = _last_of_equal(text)
    if not text or len(text) > _MAX_NUMBER_CHARS:
        return None
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    unit = match.group("unit").strip()
    scale, percent = 1, False
    if unit.casefold() in ("%", "percent", "per cent"):
        unit, percent = "", True
    elif unit:
        word, _, rest = unit.partition(" ")
        if word in _SCALES:
            scale, unit = _SCALES[word], rest
        canonical = canonical_unit(unit) if unit else ""
        if canonical is None:
            return None
        unit = canonical
    value = _value(match)
    if value is None:
        return None
    if match.group("sign") == "-":
        value = -value
    plain = (match.group("plain") or "").replace(",", "")
    decimals = len(plain.partition(".")[2]) if "." in plain and scale == 1 else None
    return Number(
        value * scale / (100 if percent else 1),
        percent,
        unit,
        decimals,
        len(plain.replace(".", "").lstrip("0")),
    )


def parse_constant(text: str) -> Value | None:
    """Return the value of a number or constant arithmetic, exact if rational; None for other text.

    Raises:
        LimitExceededError: It nests too deep or grows too large.
    """
    number = parse_number(text)
    if number is not None:
        return number.value
    text = _last_of_equal(_after_equals(normalise(text)))
    ratio = _RATIO.fullmatch(text)
    try:
        if ratio is None:
            return evaluate(text)
        if _TIME.fullmatch(text):
            return None
        bottom = evaluate(ratio.group(2))
        return evaluate(ratio.group(1)) / bottom if bottom else None
    except NotArithmeticError:
        return None


def is_value(text: str) -> bool:
    """Whether a text is a number or constant arithmetic, with or without a unit.

    True too where its value is too large to compute.
    """
    text = normalise(text)
    try:
        return parse_number(text) is not None or parse_constant(split_unit(text).body) is not None
    except LimitExceededError:
        return True


def _last_of_equal(text: str) -> str:
    """The last side of "24*24 = 576" if the sides are equal constants, else the text as it is."""
    sides = text.split("=")
    if not 2 <= len(sides) <= _MAX_SIDES or len(text) > MAX_ARITHMETIC_CHARS:
        return text
    try:
        values = [evaluate(side) for side in sides]
    except NotArithmeticError:
        return text
    same = all(
        abs(float(value) - float(values[-1])) <= 1e-9 * max(1.0, abs(float(values[-1])))
        for value in values
    )
    return sides[-1].strip() if same else text


def numbers_equal(found: Number, reference: Number) -> bool:
    """Whether an answer's number equals the reference number and their units do not differ.

    A percentage is its hundredth: 5% equals 0.05 and not 5. A unit in only one of the two is
    ignored, two different units are a difference (nothing is converted). Values must be equal, but
    for `DECIMAL_TOLERANCE`.
    """
    if found.unit and reference.unit and found.unit != reference.unit:
        return False
    return values_equal(found.value, reference, decimal=found.decimals is not None)


def values_equal(found: Value, reference: Number, *, decimal: bool = False) -> bool:
    """Whether a value equals the reference value; decimals may differ by `DECIMAL_TOLERANCE`.

    `DECIMAL_TOLERANCE` applies where the reference is a decimal, or the value is (`decimal`) and
    the reference cannot be written as one.
    """
    if isinstance(found, float):
        return abs(found - float(reference.value)) <= 1e-9 * abs(float(reference.value))
    tolerance = (
        DECIMAL_TOLERANCE
        if reference.decimals is not None or (decimal and not _terminates(reference.value))
        else 0
    )
    return abs(found - reference.value) <= tolerance * abs(reference.value)


def _terminates(value: Fraction) -> bool:
    """Whether a finite decimal can write the value."""
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return rest == 1


def _after_equals(text: str) -> str:
    match = _ASSIGNED.match(text) if len(text) <= MAX_ARITHMETIC_CHARS else None
    return match.group("value").strip() if match else text


def _value(match: re.Match[str]) -> Fraction | None:
    if match.group("whole"):
        part = _fraction(match.group("mixed"))
        return Fraction(match.group("whole")) + part if part is not None and 0 < part < 1 else None
    if match.group("fraction"):
        return _fraction(match.group("fraction"))
    value = Fraction(match.group("plain").replace(",", ""))
    exponent = match.group("exponent") or match.group("braced") or match.group("power")
    if exponent is None:
        return value
    if len(exponent) > 5 or abs(int(exponent)) > MAX_EXPONENT:
        raise LimitExceededError(f"an exponent is larger than {MAX_EXPONENT}")
    return value * Fraction(10) ** int(exponent)


def _fraction(text: str) -> Fraction | None:
    parts = _INTEGER.findall(text)
    if len(parts) == 1:  # \frac12
        parts = list(parts[0])
    top, bottom = int(parts[0]), int(parts[1])
    return Fraction(top, bottom) if bottom else None

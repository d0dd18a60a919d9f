"""Does an answer equal its reference? Decided on value objects, never on texts.

Knows nothing of the verifier under test. Numbers are compared as exact rationals, formulas by
computer algebra and, independently, at sampled points: where the two disagree the oracle raises.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

import sympy

from metamorphic.regions import normal_form, same_members
from metamorphic.units import UNITS
from metamorphic.values import (
    Assigned,
    Bag,
    Bound,
    Denied,
    Equation,
    Exact,
    Formula,
    Function,
    Grid,
    InBase,
    Money,
    NoAnswer,
    Percent,
    Quantity,
    Real,
    Region,
    Row,
    Several,
    Value,
)

_DIGITS = 60
_POINTS = ((2, 3, 5), (-7, 11, 4), (13, -2, 9), (-3, -5, 8), (17, 6, -11))


class OracleError(Exception):
    """Raised when a pair's label is not confirmed, or careful graders may differ on it."""


def answers(answer: Value, reference: Value) -> bool:
    """Return whether an answer's value is the reference's value.

    A reference without a unit or a currency takes an answer with one: the prompt asked for it.

    Raises:
        OracleError: Graders may differ (another unit of the same size, a percentage and a plain
            number, a missing unit), or two ways to compare disagree.
    """
    if isinstance(answer, Several | Bound | Denied | NoAnswer):
        return False
    if isinstance(reference, Real) and isinstance(answer, Quantity):
        return same_number(answer.number, reference.exact)
    if isinstance(reference, Real) and isinstance(answer, Money):
        return same_number(answer.amount, reference.exact)
    if type(answer) is not type(reference):
        return _of_other_type(answer, reference)
    return _same(answer, reference)


def _of_other_type(answer: Value, reference: Value) -> bool:
    left, right = _magnitude(answer), _magnitude(reference)
    if left is not None and right is not None and same_number(left, right):
        raise OracleError(f"graders may differ on {answer} for {reference}")
    return False


def _magnitude(value: Value) -> Exact | None:
    if isinstance(value, Real):
        return value.exact
    if isinstance(value, Quantity | Percent):
        return value.number
    if isinstance(value, Money):
        return value.amount
    if isinstance(value, InBase):
        return Fraction(int(value.digits, value.base))
    return None


def _same(answer: Value, reference: Value) -> bool:
    """Whether two values of one type are the same; each kind of formula has its own rule."""
    match answer, reference:
        case (Real(exact=left), Real(exact=right)):
            return same_number(left, right)
        case (Quantity(), Quantity()):
            return _same_quantity(answer, reference)
        case (Formula(expression=left), Formula(expression=right)):
            return same_formula(left, right)
        case (Function(), Function()):
            return answer.name == reference.name and same_formula(answer.body, reference.body)
        case (Equation(), Equation()):
            return same_equation(answer, reference)
        case (InBase(), InBase()):
            return _same_digits(answer, reference)
        case (Region(), Region()):
            return _same_region(answer, reference)
        case _:
            return _same_collection(answer, reference)


def _same_collection(answer: Value, reference: Value) -> bool:
    """Whether two values of one type, made of numbers or of nothing but names, are the same."""
    match answer, reference:
        case (Row(items=left), Row(items=right)):
            return _same_rows(left, right)
        case (Bag(items=left), Bag(items=right)):
            return _same_bags(left, right)
        case (Grid(rows=left), Grid(rows=right)):
            return len(left) == len(right) and all(map(_same_rows, left, right))
        case (Assigned(pairs=left), Assigned(pairs=right)):
            ours, theirs = dict(left), dict(right)
            return ours.keys() == theirs.keys() and all(
                same_number(ours[name], theirs[name]) for name in ours
            )
        case _:
            return answer == reference


def same_number(left: Exact, right: Exact) -> bool:
    """Return whether two exact numbers are equal.

    Raises:
        OracleError: Sixty digits agree, but computer algebra finds no proof of equality.
    """
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return left == right
    difference = as_sympy(left) - as_sympy(right)
    if difference == 0:
        return True
    if abs(sympy.N(difference, _DIGITS)) > sympy.Float("1e-40", _DIGITS):
        return False
    if sympy.radsimp(sympy.expand(difference)) == 0 or sympy.simplify(difference) == 0:
        return True
    raise OracleError(f"{left} and {right} agree in digits, not in algebra")


def as_sympy(number: Exact) -> sympy.Expr:
    """Return a number as computer algebra knows it."""
    if isinstance(number, Fraction):
        return sympy.Rational(number.numerator, number.denominator)
    return number


def same_formula(left: sympy.Expr, right: sympy.Expr) -> bool:
    """Return whether two polynomials are the same, by expansion and at sampled points.

    Raises:
        OracleError: The two ways disagree.
    """
    by_algebra = sympy.expand(left - right) == 0
    by_points = all(a == b for a, b in zip(_sampled(left), _sampled(right), strict=True))
    if by_algebra != by_points:
        raise OracleError(f"algebra and samples disagree on {left} and {right}")
    return bool(by_algebra)


def same_equation(left: Equation, right: Equation) -> bool:
    """Return whether one equation is the other times a number, by division and at sampled points.

    Raises:
        OracleError: The two ways disagree.
    """
    ours, theirs = left.left - left.right, right.left - right.right
    quotient = sympy.cancel(ours / theirs)
    by_algebra = bool(quotient.is_number and quotient != 0)
    a, b = _sampled(ours), _sampled(theirs)
    by_points = all(a[0] * y == b[0] * x for x, y in zip(a, b, strict=True)) and any(a)
    if by_algebra != by_points:
        raise OracleError(f"algebra and samples disagree on {left} and {right}")
    return by_algebra


def _sampled(expression: sympy.Expr) -> list[Fraction]:
    points = ({"x": Fraction(x), "y": Fraction(y), "z": Fraction(z)} for x, y, z in _POINTS)
    return [_at(expression, point) for point in points]


def _at(expression: sympy.Expr, point: Mapping[str, Fraction]) -> Fraction:
    """The value at a point, by walking the tree: no algebra is asked."""
    if expression.is_Symbol:
        return point[expression.name]
    if expression.is_Rational:
        return Fraction(int(expression.p), int(expression.q))
    parts = [_at(part, point) for part in expression.args]
    if expression.is_Add:
        return sum(parts, Fraction(0))
    if expression.is_Mul:
        return math.prod(parts, start=Fraction(1))
    if expression.is_Pow and parts[1].denominator == 1:
        return Fraction(parts[0] ** int(parts[1]))
    raise OracleError(f"{expression} is no polynomial")


def _same_quantity(answer: Quantity, reference: Quantity) -> bool:
    if answer.unit == reference.unit:
        return same_number(answer.number, reference.number)
    ours, theirs = UNITS[answer.unit], UNITS[reference.unit]
    converted = as_sympy(answer.number) * as_sympy(ours.size)
    if ours.dimension == theirs.dimension and same_number(
        converted, as_sympy(reference.number) * as_sympy(theirs.size)
    ):
        raise OracleError(f"graders may differ on {answer} for {reference}")
    return False


def _same_digits(answer: InBase, reference: InBase) -> bool:
    same = int(answer.digits, answer.base) == int(reference.digits, reference.base)
    if same and answer.base != reference.base:
        raise OracleError(f"graders may differ on {answer} for {reference}")
    return same


def _same_region(answer: Region, reference: Region) -> bool:
    by_form = normal_form(answer) == normal_form(reference)
    if by_form != same_members(answer, reference):
        raise OracleError(f"normal forms and members disagree on {answer} and {reference}")
    return by_form


def _same_rows(left: Sequence[Exact], right: Sequence[Exact]) -> bool:
    return len(left) == len(right) and all(map(same_number, left, right))


def _same_bags(left: Sequence[Exact], right: Sequence[Exact]) -> bool:
    rest = list(right)
    for item in left:
        place = next((i for i, other in enumerate(rest) if same_number(item, other)), None)
        if place is None:
            return False
        rest.pop(place)
    return not rest


def check(answer: Value, reference: Value, *, right: bool) -> None:
    """Raise unless the oracle gives the label.

    Raises:
        OracleError: It does not.
    """
    if answers(answer, reference) is not right:
        label = "equal" if right else "wrong"
        raise OracleError(f"not {label}: {answer} for {reference}")

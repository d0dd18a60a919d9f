"""Equations of lines and circles."""

from __future__ import annotations

from fractions import Fraction
from random import Random

import sympy

from metamorphic.drafts import Draft, Rule, Stated, equal, one_of, tex, wrong
from metamorphic.numerals import integer
from metamorphic.polynomials import Term, Terms, X, Y, coefficient, text, value
from metamorphic.values import Equation, Formula

_ZERO: Terms = (Term(Fraction(0)),)


def _equation(left: Terms, right: Terms, style: str = "plain") -> Stated:
    joint = "=" if style == "tight" else " = "
    written = text(left, style) + joint + text(right, style)
    return tex(written, Equation(value(left), value(right)))


def _line(rng: Random) -> tuple[Fraction, Fraction, Fraction]:
    """Coefficients of ax + by + c = 0, all different in size, the first positive."""
    while True:
        a, b, c = abs(coefficient(rng, 9)), coefficient(rng, 9), coefficient(rng, 15)
        if len({abs(a), abs(b), abs(c)}) == 3:
            return a, b, c


def _x(factor: Fraction) -> Term:
    return Term(factor, (("x", 1),))


def _y(factor: Fraction) -> Term:
    return Term(factor, (("y", 1),))


def _general(a: Fraction, b: Fraction, c: Fraction, style: str = "plain") -> Stated:
    return _equation((_x(a), _y(b), Term(c)), _ZERO, style)


def _slope(rng: Random) -> tuple[Fraction, Fraction]:
    while True:
        slope, start = coefficient(rng, 9), coefficient(rng, 15)
        if abs(slope) != abs(start):
            return slope, start


def _slope_form(slope: Fraction, start: Fraction, style: str = "plain") -> Stated:
    return _equation((_y(Fraction(1)),), (_x(slope), Term(start)), style)


def _line_as(form: str) -> Rule:
    def draft(rng: Random) -> Draft:
        a, b, c = _line(rng)
        slope, start = _slope(rng)
        general, explicit = _general(a, b, c), _slope_form(slope, start)
        one = Fraction(1)
        pairs = {
            "constant on the right": lambda: (general, _equation((_x(a), _y(b)), (Term(-c),))),
            "sides swapped": lambda: (explicit, _equation((_x(slope), Term(start)), (_y(one),))),
            "terms swapped": lambda: (explicit, _equation((_y(one),), (Term(start), _x(slope)))),
            "no spaces": lambda: (explicit, _slope_form(slope, start, "tight")),
            "general for slope form": lambda: (explicit, _general(slope, -one, start)),
            "slope for general form": lambda: (_general(slope, -one, start), explicit),
        }
        if form == "multiplied":
            factor = Fraction(rng.choice((2, 3, -1, -2, 5)))
            return Draft(general, _general(a * factor, b * factor, c * factor))
        return Draft(*pairs[form]())

    return equal("line", form, draft)


def _fractional_slope(rng: Random) -> Draft:
    bottom = rng.choice((2, 4, 5))
    top = rng.choice([top for top in range(1, 20) if top % bottom and (top % 2 or bottom == 5)])
    slope, start = Fraction(top, bottom), coefficient(rng)
    style = rng.choice(("decimal", "fraction around"))
    return Draft(_slope_form(slope, start), _slope_form(slope, start, style))


def _line_wrong(change: str) -> Rule:
    def draft(rng: Random) -> Draft:
        a, b, c = _line(rng)
        if change.startswith("slope form: "):
            return _slope_wrong(change.removeprefix("slope form: "), rng)
        other = {
            "another sign": (a, -b, c),
            "sign of the constant": (a, b, -c),
            "coefficients swapped": (b, a, c),
            "another constant": (a, b, c + (1 if c > 0 else -1)),
        }.get(change)
        if other:
            return Draft(_general(a, b, c), _general(*other))
        if change == "left side only":
            terms: Terms = (_x(a), _y(b), Term(c))
            return Draft(_general(a, b, c), tex(text(terms[:2]), Formula(value(terms[:2]))))
        return Draft(_general(a, b, c), integer(int(rng.choice((Fraction(0), c)))))

    return wrong("line", change, draft)


def _slope_wrong(change: str, rng: Random) -> Draft:
    slope, start = _slope(rng)
    if change == "a number":
        return Draft(_slope_form(slope, start), integer(int(rng.choice((slope, start)))))
    other = {
        "another slope": (slope + (1 if slope > 0 else -1), start),
        "another intercept": (slope, start + (1 if start > 0 else -1)),
        "sign of the slope": (-slope, start),
        "numbers swapped": (start, slope),
    }[change]
    return Draft(_slope_form(slope, start), _slope_form(*other))


_LINE_SIGNS = ("another sign", "sign of the constant", "slope form: sign of the slope")
_LINE_NUMBERS = ("another constant", "slope form: another slope", "slope form: another intercept")
_LINE_SWAPS = ("coefficients swapped", "slope form: numbers swapped")


def _circle(centre: tuple[int, int], square: int, form: str = "centre") -> Stated:
    """The circle around a centre with a squared radius, in a form of `_CIRCLE_FORMS`."""
    left = (X - centre[0]) ** 2 + (Y - centre[1]) ** 2
    brackets = [_shifted(name, shift) for name, shift in zip("xy", centre, strict=True)]
    if form in ("expanded", "expanded, constant on the right"):
        constant = Fraction(centre[0] ** 2 + centre[1] ** 2 - square)
        terms: Terms = (
            Term(Fraction(1), (("x", 2),)),
            Term(Fraction(1), (("y", 2),)),
            *(_x(Fraction(-2 * centre[0])) for _ in range(centre[0] != 0)),
            *(_y(Fraction(-2 * centre[1])) for _ in range(centre[1] != 0)),
        )
        if form == "expanded" and constant:
            return _equation((*terms, Term(constant)), _ZERO)
        return _equation(terms, (Term(-constant),))
    value_ = Equation(left, sympy.Integer(square))
    if form == "brackets swapped":
        return tex(f"{brackets[1]}^2 + {brackets[0]}^2 = {square}", value_)
    if form == "no spaces":
        return tex(f"{brackets[0]}^2+{brackets[1]}^2={square}".replace(" ", ""), value_)
    if form == "all on the left":
        return tex(
            f"{brackets[0]}^2 + {brackets[1]}^2 - {square} = 0",
            Equation(left - square, sympy.Integer(0)),
        )
    if form == "braces and sizes":
        sized = [b.replace("(", r"\left(").replace(")", r"\right)") for b in brackets]
        return tex(f"{sized[0]}^{{2}} + {sized[1]}^{{2}} = {square}", value_)
    return tex(f"{brackets[0]}^2 + {brackets[1]}^2 = {square}", value_)


def _shifted(name: str, shift: int) -> str:
    return name if shift == 0 else f"({name} {'-' if shift > 0 else '+'} {abs(shift)})"


def _circle_parts(rng: Random) -> tuple[tuple[int, int], int]:
    while True:
        centre = rng.randrange(-9, 10), rng.randrange(-9, 10)
        square = rng.choice((rng.randrange(2, 13) ** 2, rng.randrange(2, 60)))
        if abs(centre[0]) != abs(centre[1]) and centre[0] ** 2 + centre[1] ** 2 != square:
            return centre, square


_CIRCLE_FORMS = (
    "expanded", "expanded, constant on the right", "brackets swapped", "no spaces",
    "all on the left", "braces and sizes",
)  # fmt: skip


def _circle_as(form: str) -> Rule:
    def draft(rng: Random) -> Draft:
        centre, square = _circle_parts(rng)
        return Draft(_circle(centre, square), _circle(centre, square, form))

    return equal("circle", form, draft)


def _circle_wrong(change: str) -> Rule:
    def draft(rng: Random) -> Draft:
        (a, b), square = _circle_parts(rng)
        if change == "radius only":
            return Draft(_circle((a, b), square), integer(square))
        if change == "axes of an ellipse swapped":
            m, n = rng.sample([n**2 for n in range(2, 12)], 2)
            return Draft(_ellipse(m, n), _ellipse(n, m))
        other = {
            "centre mirrored": ((-a, -b), square),
            "centre swapped": ((b, a), square),
            "another radius": ((a, b), square + 1),
            "another centre": ((a + 1, b), square),
        }[change]
        form = rng.choice(("centre", "expanded", "all on the left"))
        return Draft(_circle((a, b), square), _circle(*other, form))

    return wrong("circle", change, draft)


def _ellipse(m: int, n: int) -> Stated:
    left = X**2 / sympy.Integer(m) + Y**2 / sympy.Integer(n)
    written = rf"\frac{{x^2}}{{{m}}} + \frac{{y^2}}{{{n}}} = 1"
    return tex(written, Equation(left, sympy.Integer(1)))


RULES = (
    one_of("layout", (_line_as(f) for f in ("sides swapped", "terms swapped", "no spaces"))),
    one_of(
        "another form",
        (
            _line_as(f)
            for f in (
                "constant on the right",
                "general for slope form",
                "slope for general form",
            )
        ),
    ),
    _line_as("multiplied"),
    equal("line", "slope as decimal or under the bar", _fractional_slope),
    one_of("another sign", (_line_wrong(c) for c in _LINE_SIGNS)),
    one_of("another number", (_line_wrong(c) for c in _LINE_NUMBERS)),
    one_of("numbers swapped", (_line_wrong(c) for c in _LINE_SWAPS)),
    one_of("a number for the line", (_line_wrong(c) for c in ("a number", "slope form: a number"))),
    _line_wrong("left side only"),
    one_of("expanded", (_circle_as(f) for f in _CIRCLE_FORMS if f.startswith("expanded"))),
    one_of("layout", (_circle_as(f) for f in _CIRCLE_FORMS if not f.startswith("expanded"))),
    one_of(
        "another centre",
        (_circle_wrong(c) for c in ("centre mirrored", "centre swapped", "another centre")),
    ),
    one_of("radius", (_circle_wrong(c) for c in ("another radius", "radius only"))),
    _circle_wrong("axes of an ellipse swapped"),
)

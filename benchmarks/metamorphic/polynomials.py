"""Polynomials as lists of terms: their text in several spellings, and their value."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from random import Random

import sympy

X, Y, Z = sympy.symbols("x y z")
_SYMBOLS = {"x": X, "y": Y, "z": Z}


@dataclass(frozen=True, slots=True)
class Term:
    """A coefficient times powers of variables."""

    factor: Fraction
    powers: tuple[tuple[str, int], ...] = ()
    """Variables with their exponents, each from 1."""

    def value(self) -> sympy.Expr:
        """Return the term as computer algebra knows it."""
        product: sympy.Expr = sympy.Rational(self.factor.numerator, self.factor.denominator)
        for name, power in self.powers:
            product *= _SYMBOLS[name] ** power
        return product

    def body(self, style: str = "plain") -> str:
        """Return the term's text without its sign."""
        letters = [_power(name, power, style) for name, power in self.powers]
        number = abs(self.factor)
        if not letters:
            return _number(number, style)
        joint = r" \cdot " if style == "cdot" else "*" if style == "star" else ""
        if style == "fraction around" and number.denominator > 1:
            top = ("" if number.numerator == 1 else str(number.numerator)) + "".join(letters)
            return rf"\frac{{{top}}}{{{number.denominator}}}"
        factors = ([] if number == 1 else [_number(number, style)]) + letters
        return joint.join(factors)


def _power(name: str, power: int, style: str) -> str:
    if power == 1:
        return name
    if style == "superscript":
        return name + "⁰¹²³⁴⁵⁶⁷⁸⁹"[power]
    return f"{name}^{{{power}}}" if style in ("braces", "cdot") else f"{name}^{power}"


def _number(number: Fraction, style: str) -> str:
    if number.denominator == 1:
        return str(number.numerator)
    if style == "decimal" and number.denominator in (2, 4, 5):
        return str(float(number))
    return rf"\frac{{{number.numerator}}}{{{number.denominator}}}"


Terms = tuple[Term, ...]


def value(terms: Terms) -> sympy.Expr:
    """Return the sum of the terms."""
    return sum((term.value() for term in terms), sympy.Integer(0))


def text(terms: Terms, style: str = "plain") -> str:
    """Return the terms in their order; styles are those of `STYLES`, and "plain" and "tight"."""
    plus, minus = ("+", "-") if style == "tight" else (" + ", " - ")
    written = ""
    for term in terms:
        sign = minus if term.factor < 0 else plus
        written += (sign if written else "-" if term.factor < 0 else "") + term.body(style)
    return written


STYLES = ("tight", "braces", "superscript", "cdot", "star")


def scaled(terms: Terms, factor: Fraction) -> Terms:
    """Return each term times a number."""
    return tuple(Term(term.factor * factor, term.powers) for term in terms)


def coefficient(rng: Random, largest: int = 12) -> Fraction:
    """Return a whole number that is not 0."""
    return Fraction(rng.choice((-1, 1, 1)) * rng.randrange(1, largest + 1))


def polynomial(rng: Random, num_terms: int | None = None) -> Terms:
    """Return two to four terms in x of falling degree, the first not negative."""
    degrees = sorted(rng.sample(range(5), num_terms or rng.choice((2, 3, 3, 4))), reverse=True)
    terms = tuple(Term(coefficient(rng), (("x", degree),) if degree else ()) for degree in degrees)
    return (Term(abs(terms[0].factor), terms[0].powers), *terms[1:])


def shuffled(terms: Terms, rng: Random) -> Terms:
    """Return the terms in another order."""
    while True:
        order = tuple(rng.sample(terms, len(terms)))
        if order != terms:
            return order


def monomial(rng: Random, num_letters: int) -> Term:
    """Return a number times different letters, with exponents of 1 to 3."""
    letters = sorted(rng.sample("xyz", num_letters))
    return Term(
        Fraction(rng.randrange(2, 30)), tuple((name, rng.choice((1, 1, 2, 3))) for name in letters)
    )

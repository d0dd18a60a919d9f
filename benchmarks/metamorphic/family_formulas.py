"""Polynomials, products and functions."""

from __future__ import annotations

from fractions import Fraction
from random import Random

import sympy

from metamorphic.drafts import Draft, Rule, Stated, equal, one_of, tex, wrong
from metamorphic.numerals import integer
from metamorphic.polynomials import (
    STYLES,
    Term,
    Terms,
    X,
    monomial,
    polynomial,
    shuffled,
    text,
    value,
)
from metamorphic.values import Formula, Function


def _formula(terms: Terms, style: str = "plain") -> Stated:
    return tex(text(terms, style), Formula(value(terms)))


def _polynomial_as(style: str) -> Rule:
    def draft(rng: Random) -> Draft:
        terms = polynomial(rng)
        if style == "another order":
            return Draft(_formula(terms), _formula(shuffled(terms, rng)))
        return Draft(_formula(terms), _formula(terms, style))

    return equal("polynomial", f"as {style}", draft)


def _fractional(rng: Random, style: str) -> Draft:
    bottom = rng.choice((2, 4, 5))
    top = rng.choice([top for top in range(1, 20) if top % bottom and (top % 2 or bottom == 5)])
    terms = (
        Term(Fraction(top, bottom), (("x", rng.choice((1, 2))),)),
        Term(Fraction(rng.randrange(1, 20))),
    )
    return Draft(_formula(terms), _formula(terms, style))


def changed(terms: Terms, change: str, rng: Random) -> Terms:
    """Return other terms: another sign, coefficient or exponent, a term more or less.

    The set of values differs, too, when a constant multiple of the terms is the same curve.
    """
    place = rng.randrange(1, len(terms))
    term = terms[place]
    if change == "a term less":
        return terms[:place] + terms[place + 1 :]
    if change == "a term more":
        return (*terms, Term(Fraction(rng.randrange(1, 9)), (("x", 6),)))
    if change == "another sign":
        new = Term(-term.factor, term.powers)
    elif change == "another coefficient":
        new = Term(term.factor + (1 if term.factor > 0 else -1), term.powers)
    else:
        place, term = 0, terms[0]
        new = Term(term.factor, (("x", dict(term.powers)["x"] + 5),))
    return (*terms[:place], new, *terms[place + 1 :])


_CHANGES = (
    "another sign", "another coefficient", "another exponent", "a term less", "a term more",
)  # fmt: skip


def _polynomial_wrong(change: str) -> Rule:
    def draft(rng: Random) -> Draft:
        terms = polynomial(rng)
        return Draft(_formula(terms), _formula(changed(terms, change, rng), rng.choice(STYLES)))

    return wrong("polynomial", change, draft)


def _constant_only(rng: Random) -> Draft:
    terms = (*polynomial(rng, 2)[:1], Term(Fraction(rng.randrange(2, 30))))
    if not terms[0].powers:
        terms = (Term(terms[0].factor, (("x", 2),)), terms[1])
    return Draft(_formula(terms), integer(int(terms[-1].factor)))


def _monomial_right(style: str) -> Rule:
    def draft(rng: Random) -> Draft:
        term = monomial(rng, rng.choice((2, 3)))
        reference = _formula((term,))
        if style == "another order":
            other = Term(term.factor, shuffled_powers(term, rng))
            return Draft(reference, _formula((other,)))
        return Draft(reference, _formula((term,), style))

    return equal("product", f"as {style}", draft)


def shuffled_powers(term: Term, rng: Random) -> tuple[tuple[str, int], ...]:
    """Return a term's letters in another order."""
    while True:
        powers = tuple(rng.sample(term.powers, len(term.powers)))
        if powers != term.powers:
            return powers


def _monomial_wrong(change: str) -> Rule:
    def draft(rng: Random) -> Draft:
        term = monomial(rng, rng.choice((2, 3)))
        if change == "number only":
            return Draft(_formula((term,)), integer(int(term.factor)))
        if change == "formula for a number":
            return Draft(integer(int(term.factor)), _formula((term,)))
        other = {
            "a letter less": Term(term.factor, term.powers[1:]),
            "another power": Term(
                term.factor, ((term.powers[0][0], term.powers[0][1] + 1), *term.powers[1:])
            ),
            "another factor": Term(term.factor + 1, term.powers),
        }[change]
        return Draft(_formula((term,)), _formula((other,), rng.choice(STYLES)))

    return wrong("product", change, draft)


def _brackets(roots: tuple[int, int], *, style: str = "plain") -> Stated:
    parts = [f"(x {'-' if root > 0 else '+'} {abs(root)})" for root in roots]
    joint = {"plain": "", "cdot": r" \cdot ", "times": r" \times "}.get(style, "")
    if style == "sized":
        parts = [part.replace("(", r"\left(").replace(")", r"\right)") for part in parts]
    if style == "other order":
        parts.reverse()
    expression: sympy.Expr = sympy.Integer(1)
    for root in roots:
        expression *= X - root
    return tex(joint.join(parts), Formula(expression))


def _roots(rng: Random) -> tuple[int, int]:
    first, second = rng.sample([n for n in range(-12, 13) if n], 2)
    return first, second


def _brackets_as(style: str) -> Rule:
    def draft(rng: Random) -> Draft:
        roots = _roots(rng)
        return Draft(_brackets(roots), _brackets(roots, style=style))

    return equal("product", f"brackets as {style}", draft)


def _brackets_wrong(rng: Random, *, mirrored: bool) -> Draft:
    roots = _roots(rng)
    other = (-roots[0], -roots[1]) if mirrored else (roots[0], roots[1] + 1 or 2)
    if sorted(other) == sorted(roots):
        other = (roots[0] + 13, roots[1])
    return Draft(_brackets(roots), _brackets(other, style=rng.choice(("plain", "cdot"))))


def _function(terms: Terms, style: str = "plain", name: str = "f") -> Stated:
    return tex(f"{name}(x) = {text(terms, style)}", Function(name, value(terms)))


def _function_as(style: str) -> Rule:
    def draft(rng: Random) -> Draft:
        terms, name = polynomial(rng), rng.choice("fgh")
        if style == "another order":
            return Draft(_function(terms, name=name), _function(shuffled(terms, rng), name=name))
        if style == "no spaces":
            answer = _function(terms, "tight", name)
            text_ = answer.text.replace(" ", "")
            return Draft(_function(terms, name=name), tex(text_, answer.value))
        return Draft(_function(terms, name=name), _function(terms, style, name))

    return equal("function", f"as {style}", draft)


def _function_wrong(change: str) -> Rule:
    def draft(rng: Random) -> Draft:
        terms, name = polynomial(rng), rng.choice("fgh")
        if change == "a number":
            return Draft(_function(terms, name=name), integer(int(terms[-1].factor)))
        other = changed(terms, change, rng)
        return Draft(_function(terms, name=name), _function(other, rng.choice(STYLES), name))

    return wrong("function", change, draft)


RULES = (
    one_of("spellings", (_polynomial_as(style) for style in STYLES)),
    _polynomial_as("another order"),
    one_of(
        "coefficients",
        (
            equal("polynomial", "decimal coefficient", lambda rng: _fractional(rng, "decimal")),
            equal("polynomial", "fraction around", lambda rng: _fractional(rng, "fraction around")),
        ),
    ),
    one_of("another term", (_polynomial_wrong(change) for change in _CHANGES[:3])),
    one_of(
        "a term less or more, a number",
        (
            *(_polynomial_wrong(change) for change in _CHANGES[3:]),
            wrong("polynomial", "its constant only", _constant_only),
        ),
    ),
    one_of("spellings", (_monomial_right(s) for s in ("another order", "cdot", "star", "braces"))),
    one_of("a number", (_monomial_wrong(c) for c in ("number only", "formula for a number"))),
    one_of(
        "another product",
        (_monomial_wrong(c) for c in ("a letter less", "another power", "another factor")),
    ),
    one_of("brackets", (_brackets_as(s) for s in ("cdot", "times", "sized", "other order"))),
    one_of(
        "other brackets",
        (
            wrong("product", "other signs", lambda rng: _brackets_wrong(rng, mirrored=True)),
            wrong("product", "another root", lambda rng: _brackets_wrong(rng, mirrored=False)),
        ),
    ),
    one_of("spellings", (_function_as(s) for s in ("no spaces", "braces", "superscript", "cdot"))),
    _function_as("another order"),
    one_of("another function", (_function_wrong(change) for change in _CHANGES)),
    _function_wrong("a number"),
)

"""Fractions, mixed numbers, roots, multiples of pi and e, percentages."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import gcd
from random import Random

import sympy

from metamorphic.drafts import Draft, Rule, Stated, equal, one_of, tex, wrong
from metamorphic.numerals import (
    CONSTANTS,
    FRACTIONS,
    MIXED,
    SURDS,
    braceless,
    decimal_text,
    fraction,
    fraction_words,
    integer,
    mixed,
    shortest_decimal,
    surd,
    times_constant,
    vulgar,
)
from metamorphic.values import Percent, Real


def lowest_terms(rng: Random, bottoms: tuple[int, ...] = tuple(range(2, 40))) -> tuple[int, int]:
    """Return a fraction's parts in lowest terms, no integer."""
    while True:
        top, bottom = rng.randrange(1, 60), rng.choice(bottoms)
        if gcd(top, bottom) == 1:
            return (-top if rng.random() < 0.2 else top), bottom


_FINITE = (2, 4, 5, 8, 10, 16, 20, 25, 40, 50)


def _fraction_as(style: str) -> Rule:
    def draft(rng: Random) -> Draft:
        top, bottom = lowest_terms(rng)
        return Draft(fraction(top, bottom, "frac" if style != "frac" else "slash"),
                     fraction(top, bottom, style))  # fmt: skip

    return equal("fraction", f"as {style}", draft)


def _as_decimal(rng: Random) -> Draft:
    top, bottom = lowest_terms(rng, _FINITE)
    value = Fraction(top, bottom)
    answer = Stated(shortest_decimal(value), Real(value))
    reference = fraction(top, bottom, rng.choice(("frac", "dfrac", "slash")))
    return Draft(reference, answer) if rng.random() < 0.5 else Draft(answer, reference)


def _sign_inside(rng: Random) -> Draft:
    top, bottom = lowest_terms(rng)
    value = Real(Fraction(-abs(top), bottom))
    text = rng.choice((rf"\frac{{-{abs(top)}}}{{{bottom}}}", rf"\frac{{{abs(top)}}}{{-{bottom}}}"))
    return Draft(fraction(-abs(top), bottom, "frac"), tex(text, value))


def _braceless(rng: Random) -> Draft:
    top, bottom = rng.randrange(1, 10), rng.randrange(2, 10)
    while gcd(top, bottom) > 1:
        top, bottom = rng.randrange(1, 10), rng.randrange(2, 10)
    return Draft(fraction(top, bottom, "frac"), braceless(top, bottom))


def _vulgar(rng: Random) -> Draft:
    top, bottom, sign = vulgar(rng)
    return Draft(fraction(top, bottom, rng.choice(("frac", "slash", "dfrac"))), sign)


def _fraction_words(rng: Random) -> Draft:
    bottom = rng.randrange(3, 9)
    top = rng.choice([top for top in range(1, 19) if gcd(top, bottom) == 1])
    return Draft(fraction(top, bottom, rng.choice(("frac", "slash"))), fraction_words(top, bottom))


def _repeating(rng: Random) -> Draft:
    top, bottom = rng.choice(
        [(t, b) for b in (3, 9, 11, 33) for t in range(1, b) if gcd(t, b) == 1]
    )
    length = 1 if bottom in (3, 9) else 2
    digits = str(top * (10**length - 1) // bottom).rjust(length, "0")
    value = Real(Fraction(int(digits), 10**length - 1))
    mark = rng.choice(("overline", "bar") if length == 1 else ("overline",))
    return Draft(fraction(top, bottom, "frac"), tex(rf"0.\{mark}{{{digits}}}", value))


def _fraction_by_x(rng: Random) -> Draft:
    top, bottom = lowest_terms(rng)
    answer = fraction(top, bottom, rng.choice(("frac", "dfrac")))
    return Draft(fraction(top, bottom, "frac"), tex(f"x = {answer.text}", answer.value))


def _fraction_wrong(change: str) -> Rule:
    def draft(rng: Random) -> Draft:
        top, bottom = lowest_terms(rng)
        while abs(top) == 1 and change == "upside down":
            top, bottom = lowest_terms(rng)
        style = rng.choice(("frac", "dfrac", "slash", "over"))
        answer = {
            "upside down": lambda: fraction(bottom if top > 0 else -bottom, abs(top), style),
            "another numerator": lambda: fraction(top + (1 if top > 0 else -1), bottom, style),
            "another denominator": lambda: fraction(top, bottom + 1, style),
            "other sign": lambda: fraction(-top, bottom, style),
            "numerator only": lambda: integer(top),
        }[change]()
        return Draft(fraction(top, bottom, "frac"), answer)

    return wrong("fraction", change, draft)


def _mixed_parts(rng: Random) -> tuple[int, int, int]:
    bottom = rng.choice((3, 4, 5, 6, 7, 8, 9, 11, 12))
    top = rng.choice([top for top in range(1, bottom) if gcd(top, bottom) == 1])
    return rng.randrange(1, 40), top, bottom


def _mixed_as(style: str) -> Rule:
    def draft(rng: Random) -> Draft:
        whole, top, bottom = _mixed_parts(rng)
        reference = mixed(whole, top, bottom, "frac" if style != "frac" else "plain")
        if style == "improper":
            return Draft(
                reference, fraction(whole * bottom + top, bottom, rng.choice(("frac", "slash")))
            )
        if style == "unwritten plus":
            value = Real(whole + Fraction(top, bottom))
            return Draft(reference, tex(rf"{whole} + \frac{{{top}}}{{{bottom}}}", value))
        return Draft(reference, mixed(whole, top, bottom, style))

    return equal("mixed number", f"as {style}", draft)


def _mixed_wrong(change: str) -> Rule:
    def draft(rng: Random) -> Draft:
        whole, top, bottom = _mixed_parts(rng)
        style = rng.choice(list(MIXED))
        answer = {
            "product": lambda: fraction(whole * top, bottom, "frac"),
            "whole part only": lambda: integer(whole),
            "fraction only": lambda: fraction(top, bottom, "frac"),
            "another whole part": lambda: mixed(whole + 1, top, bottom, style),
            "digits run together": lambda: fraction(int(f"{whole}{top}"), bottom, "slash"),
        }[change]()
        return Draft(mixed(whole, top, bottom, rng.choice(("frac", "plain"))), answer)

    return wrong("mixed number", change, draft)


_SQUARE_FREE = (2, 3, 5, 6, 7, 10, 11, 13, 14, 15, 17, 19, 21)


def _surd_parts(rng: Random) -> tuple[Fraction, int]:
    number = Fraction(rng.randrange(1, 20), rng.choice((1, 1, 2, 3, 5)))
    return (-number if rng.random() < 0.15 else number), rng.choice(_SQUARE_FREE)


def _surd_as(style: str) -> Rule:
    def draft(rng: Random) -> Draft:
        outside, inside = _surd_parts(rng)
        reference = surd(outside, inside)
        if style == "root sign":
            whole = Fraction(outside.numerator)
            text = "" if abs(whole) == 1 else str(abs(whole))
            text = ("-" if whole < 0 else "") + f"{text}√{inside}"
            return Draft(surd(whole, inside), Stated(text, surd(whole, inside).value))
        if style == "all under the root":
            whole = Fraction(abs(outside.numerator))
            value = Real(sympy.sqrt(whole.numerator**2 * inside))
            return Draft(
                surd(whole, inside), tex(rf"\sqrt{{{whole.numerator**2 * inside}}}", value)
            )
        if style == "root below":
            value = Real(sympy.Integer(abs(outside.numerator)) / sympy.sqrt(inside))
            text = rf"\frac{{{abs(outside.numerator)}}}{{\sqrt{{{inside}}}}}"
            return Draft(surd(Fraction(abs(outside.numerator), inside), inside), tex(text, value))
        return Draft(reference, surd(outside, inside, style))

    return equal("root", f"as {style}", draft)


def _sum_with_root(rng: Random, *, right: bool) -> Draft:
    whole, (outside, inside) = rng.randrange(1, 30), _surd_parts(rng)
    outside = Fraction(abs(outside.numerator))
    root = surd(outside, inside).text
    value = sympy.Integer(whole) + outside.numerator * sympy.sqrt(inside)
    reference = tex(f"{whole} + {root}", Real(value))
    if right:
        return Draft(reference, tex(f"{root}+{whole}", Real(value)))
    other = sympy.Integer(whole) - outside.numerator * sympy.sqrt(inside)
    return Draft(reference, tex(f"{whole} - {root}", Real(other)))


def _surd_wrong(change: str) -> Rule:
    def draft(rng: Random) -> Draft:
        outside, inside = _surd_parts(rng)
        if abs(outside) == 1:
            outside *= 2
        style = rng.choice(list(SURDS))
        answer = {
            "another radicand": lambda: surd(outside, inside + 12, style),
            "another factor": lambda: surd(outside + (1 if outside > 0 else -1), inside, style),
            "other sign": lambda: surd(-outside, inside, style),
            "without the root": lambda: integer(outside.numerator * inside),
            "root only": lambda: surd(Fraction(1), inside, style),
        }[change]()
        return Draft(surd(outside, inside), answer)

    return wrong("root", change, draft)


def _constant_parts(rng: Random) -> tuple[Fraction, str]:
    number = Fraction(rng.randrange(1, 60), rng.choice((1, 1, 2, 3, 4, 6)))
    return (-number if rng.random() < 0.1 else number), rng.choice(("pi", "pi", "pi", "e"))


def _constant_as(style: str) -> Rule:
    def draft(rng: Random) -> Draft:
        number, name = _constant_parts(rng)
        return Draft(times_constant(number, name, "frac" if style != "frac" else "slash"),
                     times_constant(number, name, style))  # fmt: skip

    return equal("constant", f"as {style}", draft)


def _constant_wrong(change: str) -> Rule:
    def draft(rng: Random) -> Draft:
        number, name = _constant_parts(rng)
        if abs(number) == 1:
            number *= 7
        style = rng.choice(list(CONSTANTS))
        answer = {
            "without the constant": lambda: Stated(
                str(number.numerator), Real(Fraction(number.numerator))
            ),
            "another factor": lambda: times_constant(
                number + 1 if number > 0 else number - 1, name, style
            ),
            "other sign": lambda: times_constant(-number, name, style),
            "the other constant": lambda: times_constant(
                number, "e" if name == "pi" else "pi", style
            ),
            "constant squared": lambda: _squared(number.numerator, name),
        }[change]()
        return Draft(times_constant(number, name, "frac"), answer)

    return wrong("constant", change, draft)


def _squared(number: int, name: str) -> Stated:
    symbol, text = (sympy.pi, r"\pi") if name == "pi" else (sympy.E, "e")
    return tex(rf"{number}{text}^2", Real(number * symbol**2))


def percent(scaled: int, places: int, style: str) -> Stated:
    """Return a percentage in a style of `_PERCENT`."""
    number = decimal_text(scaled, places)
    text = _PERCENT[style](number)
    value = Percent(Fraction(scaled, 10**places))
    language = "en" if style == "word" else ""
    return Stated(text, value, tex="\\" in text, language=language)  # type: ignore[arg-type]


_PERCENT: dict[str, Callable[[str], str]] = {
    "sign": lambda number: f"{number}%",
    "spaced sign": lambda number: f"{number} %",
    "escaped": lambda number: rf"{number}\%",
    "word": lambda number: f"{number} percent",
}


def _percent_parts(rng: Random) -> tuple[int, int]:
    places = rng.choice((0, 0, 1, 2))
    return rng.randrange(1, 100 * 10**places), places


def _percent_as(style: str) -> Rule:
    def draft(rng: Random) -> Draft:
        scaled, places = _percent_parts(rng)
        reference = percent(scaled, places, rng.choice(("sign", "escaped")))
        if style == "trailing zeros":
            return Draft(reference, percent(scaled * 10, places + 1, "sign"))
        return Draft(reference, percent(scaled, places, style))

    return equal("percent", f"as {style}", draft)


def _percent_wrong(change: str) -> Rule:
    def draft(rng: Random) -> Draft:
        scaled, places = _percent_parts(rng)
        answer = {
            "what is left of 100": lambda: percent(
                100 * 10**places - scaled + (scaled * 2 == 100 * 10**places), places, "sign"
            ),
            "point moved": lambda: percent(scaled, places + 1, "escaped"),
            "one more or less": lambda: percent(scaled + 10**places, places, "sign"),
            "other sign": lambda: percent(-scaled, places, "sign"),
        }[change]()
        return Draft(percent(scaled, places, rng.choice(("sign", "escaped"))), answer)

    return wrong("percent", change, draft)


RULES = (
    one_of("LaTeX spellings", (_fraction_as(style) for style in FRACTIONS if "slash" not in style)),
    one_of("with a slash", (_fraction_as(style) for style in ("slash", "spaced slash"))),
    equal("fraction", "decimal for fraction and back", _as_decimal),
    one_of(
        "sign inside, no braces",
        (
            equal("fraction", "sign inside", _sign_inside),
            equal("fraction", "without braces", _braceless),
        ),
    ),
    one_of(
        "one character, words",
        (
            equal("fraction", "one character", _vulgar),
            equal("fraction", "in words", _fraction_words),
        ),
    ),
    equal("fraction", "repeating decimal", _repeating),
    equal("fraction", "x =", _fraction_by_x),
    one_of("upside down, other sign", (_fraction_wrong(c) for c in ("upside down", "other sign"))),
    one_of(
        "another part",
        (
            _fraction_wrong(c)
            for c in ("another numerator", "another denominator", "numerator only")
        ),
    ),
    one_of("spellings", (_mixed_as(style) for style in MIXED)),
    one_of("as a fraction or sum", (_mixed_as(style) for style in ("improper", "unwritten plus"))),
    one_of("misread", (_mixed_wrong(c) for c in ("product", "digits run together"))),
    one_of(
        "another part",
        (_mixed_wrong(c) for c in ("whole part only", "fraction only", "another whole part")),
    ),
    one_of("spellings", (_surd_as(style) for style in (*SURDS, "root sign") if style != "sqrt")),
    one_of("another form", (_surd_as(style) for style in ("all under the root", "root below"))),
    equal("root", "sum in another order", lambda rng: _sum_with_root(rng, right=True)),
    wrong("root", "conjugate", lambda rng: _sum_with_root(rng, right=False)),
    one_of(
        "another number",
        (_surd_wrong(c) for c in ("another radicand", "another factor", "other sign")),
    ),
    one_of("a part only", (_surd_wrong(c) for c in ("without the root", "root only"))),
    one_of("spellings", (_constant_as(style) for style in CONSTANTS)),
    one_of("another factor", (_constant_wrong(c) for c in ("another factor", "other sign"))),
    one_of(
        "another constant",
        (
            _constant_wrong(c)
            for c in ("without the constant", "the other constant", "constant squared")
        ),
    ),
    one_of("spellings", (_percent_as(style) for style in (*_PERCENT, "trailing zeros"))),
    one_of(
        "another number",
        (_percent_wrong(c) for c in ("point moved", "one more or less", "other sign")),
    ),
    _percent_wrong("what is left of 100"),
)

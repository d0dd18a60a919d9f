"""Integers, decimals, grouped and scientific numbers, number words."""

from __future__ import annotations

from fractions import Fraction
from random import Random

from metamorphic.drafts import Draft, Rule, Stated, equal, one_of, sentence, tex, wrong
from metamorphic.numerals import (
    SCIENTIFIC,
    decimal,
    grouped,
    in_words,
    integer,
    number_words,
    scientific,
)
from metamorphic.units import COUNTED
from metamorphic.values import Real


def any_integer(rng: Random) -> int:
    """Return an integer of one to four digits, seldom negative, no 0 and no 1."""
    number = rng.randrange(2, 10 ** rng.choice((1, 2, 2, 3, 4)))
    return -number if rng.random() < 0.2 else number


def changed_digit(number: int, rng: Random) -> int:
    """Return a number with one digit changed, the first never to 0."""
    digits = str(abs(number))
    place = rng.randrange(len(digits))
    others = [d for d in "123456789" + ("0" if place else "") if d != digits[place]]
    changed = int(digits[:place] + rng.choice(others) + digits[place + 1 :])
    return -changed if number < 0 else changed


def _decimal_parts(rng: Random) -> tuple[int, int]:
    """A number's digits, the last not 0, and its decimals."""
    places = rng.choice((1, 1, 2, 3))
    scaled = rng.randrange(1, 400 * 10**places)
    scaled += scaled % 10 == 0
    return (-scaled if rng.random() < 0.15 else scaled), places


def _integer_as(make: str) -> Rule:
    def draft(rng: Random) -> Draft:
        number = any_integer(rng)
        value = Real(Fraction(number))
        if make == "same digits":
            answer = integer(number)
        elif make == "decimal zeros":
            places = rng.choice((1, 2))
            answer = decimal(number * 10**places, places)
        elif make == "x =":
            answer = tex(rng.choice(("x = {}", "x={}", "n = {}", "a={}")).format(number), value)
        elif make == "math fonts":
            answer = tex(
                rng.choice((r"\text{{{}}}", r"\mathbf{{{}}}", r"\mathrm{{{}}}")).format(number),
                value,
            )
        else:
            first = rng.randrange(1, 60)
            answer = tex(f"{number - first} + {first} = {number}", value)
        return Draft(integer(number), answer)

    return equal("integer", make, draft)


def _plus_sign(rng: Random) -> Draft:
    number = abs(any_integer(rng))
    return Draft(integer(number), Stated(f"+{number}", Real(Fraction(number))))


def _minus_character(rng: Random) -> Draft:
    number = -abs(any_integer(rng))
    return Draft(integer(number), Stated(f"\u2212{-number}", Real(Fraction(number))))


def _counted_sentence(rng: Random) -> Draft:
    number = rng.randrange(2, 300)
    things = rng.choice(COUNTED)
    text = rng.choice(
        (
            f"There are {number} {things} in the picture.",
            f"The picture shows {number} {things}.",
            f"So there are {number} {things} in total.",
            f"In total, we count {number} {things}.",
            f"The number of {things} is {number}.",
        )
    )
    return Draft(integer(number), sentence(text, Real(Fraction(number))))


def _other_integer(change: str) -> Rule:
    def draft(rng: Random) -> Draft:
        number = any_integer(rng)
        other = {
            "other sign": -number,
            "one more or less": number + rng.choice((-1, 1)),
            "another digit": changed_digit(number, rng),
            "a digit more": number * 10 + rng.randrange(10),
            "ten times": number * 10,
        }[change]
        return Draft(integer(number), integer(other))

    return wrong("integer", change, draft)


def _large_neighbour(rng: Random) -> Draft:
    number = rng.randrange(10**7, 10 ** rng.randrange(8, 13))
    if rng.random() < 0.5:
        return Draft(integer(number), integer(number + rng.choice((-1, 1))))
    return Draft(integer(number), decimal(number * 10 + rng.randrange(1, 10), 1))


def _trailing_zeros(rng: Random) -> Draft:
    scaled, places = _decimal_parts(rng)
    more = rng.choice((1, 2))
    return Draft(decimal(scaled, places), decimal(scaled * 10**more, places + more))


def _no_leading_zero(rng: Random) -> Draft:
    places = rng.choice((1, 2, 3))
    scaled = rng.randrange(1, 10**places)
    reference = decimal(scaled, places)
    return Draft(reference, Stated(reference.text[1:], reference.value))


def _decimal_comma(rng: Random) -> Draft:
    scaled = rng.randrange(11, 40_000)
    places = rng.choice((1, 2))
    scaled += scaled % 10 == 0
    return Draft(decimal(scaled, places), decimal(scaled, places, ","))


def _decimal_by_x(rng: Random) -> Draft:
    reference = decimal(*_decimal_parts(rng))
    return Draft(reference, tex(f"x = {reference.text}", reference.value))


def _other_decimal(change: str) -> Rule:
    def draft(rng: Random) -> Draft:
        scaled, places = _decimal_parts(rng)
        answer = {
            "point moved": lambda: decimal(scaled, places + 1),
            "another digit": lambda: decimal(changed_digit(scaled, rng), places),
            "point lost": lambda: integer(scaled),
            "other sign": lambda: decimal(-scaled, places),
            "whole part only": lambda: integer(int(Fraction(scaled, 10**places))),
        }[change]()
        return Draft(decimal(scaled, places), answer)

    return wrong("decimal", change, draft)


_EXPONENTS = ("another exponent", "sign of the exponent")
_SEPARATORS = {
    "comma": ",",
    "braced comma": "{,}",
    "thin space": r"\,",
    "no-break space": "\u202f",
    "comma and bang": r",\!",
}


def _grouped_as(style: str, right: bool = True) -> Rule:
    def draft(rng: Random) -> Draft:
        number = rng.randrange(1000, 10 ** rng.choice((5, 6, 8)))
        if style == "no comma":
            return Draft(grouped(number, ","), integer(number))
        if not right:
            other = changed_digit(number, rng)
            return Draft(grouped(number, rng.choice((",", "{,}"))), grouped(other, ","))
        return Draft(integer(number), grouped(number, _SEPARATORS[style]))

    return Rule("grouped number", style, right, draft)


def _group_lost(rng: Random) -> Draft:
    number = rng.randrange(10**6, 10**8)
    return Draft(grouped(number, ","), grouped(number // 1000, ","))


def _scientific_parts(rng: Random) -> tuple[int, int, int]:
    places = rng.choice((1, 2))
    scaled = rng.randrange(11, 99) if places == 1 else rng.randrange(101, 999)
    return scaled + (scaled % 10 == 0), places, rng.choice((-1, 1)) * rng.randrange(3, 9)


def _scientific_as(style: str) -> Rule:
    def draft(rng: Random) -> Draft:
        scaled, places, exponent = _scientific_parts(rng)
        reference = scientific(scaled, places, exponent, "times")
        if style == "digits":
            number = Fraction(scaled, 10**places) * Fraction(10) ** exponent
            if number.denominator == 1:
                return Draft(reference, integer(int(number)))
            return Draft(reference, decimal(scaled, places - exponent))
        return Draft(reference, scientific(scaled, places, exponent, style))

    return equal("scientific", style, draft)


def _scientific_wrong(change: str) -> Rule:
    def draft(rng: Random) -> Draft:
        scaled, places, exponent = _scientific_parts(rng)
        reference = scientific(scaled, places, exponent, "times")
        style = rng.choice(list(SCIENTIFIC))
        if change == "another exponent":
            exponent += rng.choice((-1, 1))
        elif change == "sign of the exponent":
            exponent = -exponent
        elif change == "another mantissa":
            scaled = changed_digit(scaled, rng)
        else:
            return Draft(reference, decimal(scaled, places))
        return Draft(reference, scientific(scaled, places, exponent, style))

    return wrong("scientific", change, draft)


def _words(rng: Random) -> Draft:
    number = rng.choice(
        (rng.randrange(2, 100), rng.randrange(21, 1000), rng.randrange(1000, 10**5))
    )
    return Draft(integer(number), in_words(number, hyphen=rng.choice("- ")))


def _words_other(rng: Random) -> Draft:
    number = rng.choice((rng.randrange(21, 100), rng.randrange(101, 10**4)))
    return Draft(integer(number), in_words(changed_digit(number, rng)))


def _words_cut(rng: Random) -> Draft:
    tens, ones = rng.randrange(2, 10) * 10, rng.randrange(1, 10)
    start = rng.choice((tens, ones))
    return Draft(integer(start), in_words(tens + ones, hyphen=rng.choice("- ")))


def _words_in_a_sentence(rng: Random) -> Draft:
    number, things = rng.randrange(2, 100), rng.choice(COUNTED)
    text = rng.choice(("There are {} {} in the picture.", "The picture shows {} {}."))
    words = number_words(number)
    return Draft(integer(number), sentence(text.format(words, things), Real(Fraction(number))))


def _words_multiplied(rng: Random) -> Draft:
    number = rng.randrange(2, 100)
    word, size = rng.choice((("thousand", 1000), ("million", 10**6), ("hundred", 100)))
    reference = integer(number) if rng.random() < 0.5 else integer(number * size)
    answer = Stated(f"{number} {word}", Real(Fraction(number * size)), language="en")
    if reference.value == answer.value:
        return Draft(integer(number * size * 10), answer)
    return Draft(reference, answer)


RULES = (
    *(_integer_as(make) for make in ("decimal zeros", "x =", "chain of equalities")),
    one_of(
        "spellings",
        (
            _integer_as("same digits"),
            _integer_as("math fonts"),
            equal("integer", "plus sign", _plus_sign),
            equal("integer", "minus character", _minus_character),
        ),
    ),
    equal("integer", "counted in a sentence", _counted_sentence),
    _other_integer("other sign"),
    _other_integer("one more or less"),
    one_of(
        "other digits",
        (_other_integer(change) for change in ("another digit", "a digit more", "ten times")),
    ),
    wrong("integer", "neighbour of a large number", _large_neighbour),
    one_of(
        "zeros",
        (
            equal("decimal", "trailing zeros", _trailing_zeros),
            equal("decimal", "no leading zero", _no_leading_zero),
        ),
    ),
    equal("decimal", "decimal comma", _decimal_comma),
    equal("decimal", "x =", _decimal_by_x),
    one_of("point moved or lost", (_other_decimal(c) for c in ("point moved", "point lost"))),
    one_of(
        "another number",
        (_other_decimal(c) for c in ("another digit", "other sign", "whole part only")),
    ),
    one_of("separators", (_grouped_as(style) for style in _SEPARATORS)),
    _grouped_as("no comma"),
    _grouped_as("another digit", right=False),
    wrong("grouped number", "a group lost", _group_lost),
    one_of("spellings", (_scientific_as(style) for style in SCIENTIFIC)),
    _scientific_as("digits"),
    one_of("another exponent", (_scientific_wrong(c) for c in _EXPONENTS)),
    one_of("mantissa", (_scientific_wrong(c) for c in ("another mantissa", "mantissa only"))),
    equal("number words", "words for digits", _words),
    equal("number words", "words in a sentence", _words_in_a_sentence),
    wrong("number words", "another number", _words_other),
    wrong("number words", "first or last word only", _words_cut),
    wrong("number words", "times a hundred, thousand, million", _words_multiplied),
)

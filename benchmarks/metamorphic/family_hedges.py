"""Wrong for any value: bounds, ranges, denials, several answers, and no answer at all.

The references are drawn from integers, decimals, fractions, percentages, money, units and
multiples of pi.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from random import Random

from metamorphic.drafts import Draft, Rule, Stated, one_of, said, sentence, tex, wrong
from metamorphic.family_fractions import lowest_terms, percent
from metamorphic.family_quantities import money, quantity
from metamorphic.numerals import decimal, fraction, integer, times_constant
from metamorphic.values import Bound, Denied, NoAnswer, Real, Several


def _integer(rng: Random) -> Callable[[int], Stated]:
    start = rng.randrange(2, 400)
    return lambda more: integer(start + more)


def _decimal(rng: Random) -> Callable[[int], Stated]:
    start = rng.randrange(11, 999) * 2 + 1
    return lambda more: decimal(start + 10 * more, 1)


def _percent(rng: Random) -> Callable[[int], Stated]:
    start = rng.randrange(2, 90)
    return lambda more: percent(start + more, 0, "sign")


def _money(rng: Random) -> Callable[[int], Stated]:
    start, currency = rng.randrange(2, 900), rng.choice(("dollar", "euro", "pound"))
    return lambda more: money(100 * (start + more), currency, "sign")


def _unit(rng: Random) -> Callable[[int], Stated]:
    start, unit = rng.randrange(2, 300), rng.choice(("cm", "m", "kg", "km", "min", "km/h"))
    return lambda more: quantity(start + more, 0, unit)


def _fraction(rng: Random) -> Callable[[int], Stated]:
    top, bottom = lowest_terms(rng)
    return lambda more: fraction(abs(top) + more * bottom, bottom, "slash")


def _constant(rng: Random) -> Callable[[int], Stated]:
    start = rng.randrange(2, 60)
    return lambda more: times_constant(Fraction(start + more), "pi", "letter")


_ANY = (_integer, _integer, _integer, _decimal, _percent, _money, _unit, _fraction, _constant)


def any_value(rng: Random) -> Callable[[int], Stated]:
    """Return a function from 0 to a reference, and from other whole numbers to other answers."""
    return rng.choice(_ANY)(rng)


_MORE = ("more than {}", "greater than {}", "over {}", "above {}", "larger than {}")
_LESS = ("less than {}", "fewer than {}", "under {}", "below {}", "smaller than {}")
_MORE_SENTENCES = (
    "The value must be greater than {}.", "So it is more than {}.", "The result exceeds {}.",
    "Therefore, the answer is larger than {}.",
)  # fmt: skip
_LESS_SENTENCES = (
    "The value must be less than {}.", "So it is below {}.",
    "Therefore, the answer is smaller than {}.", "The result stays under {}.",
)  # fmt: skip
_NOT = ("not {}", "anything but {}", "not equal to {}")
_NOT_SENTENCES = (
    "The answer is not {}.", "Therefore, it is not equal to {}.", "It cannot be {}.",
    "So the value isn't {}.",
)  # fmt: skip
_OR = ("{} or {}", "either {} or {}", "{}, or maybe {}", "{} or possibly {}")
_RANGE = ("between {} and {}", "from {} to {}", "{} to {}", "somewhere between {} and {}")
_ECHO = (
    "The prompt gives {} and {}, but the answer cannot be determined from the picture.",
    "We are told {} and {}; without more information no answer is possible.",
    "I see the values {} and {} but I am unable to find the result.",
    "There is not enough information: only {} and {} are given.",
)
_STOPPED = (
    "We start with {} and then have to add the rest, which gives",
    "The first step gives {}, and next we need to",
    "Let us begin with {}. Then",
)


def _hedge(name: str, make: Callable[[Callable[[int], Stated], Random], Stated]) -> Rule:
    def draft(rng: Random) -> Draft:
        value = any_value(rng)
        return Draft(value(0), make(value, rng))

    return wrong("any value", name, draft)


def _bound(relation: str, patterns: tuple[str, ...], *, whole: bool) -> Callable[..., Stated]:
    def make(value: Callable[[int], Stated], rng: Random) -> Stated:
        written = rng.choice(patterns).format(value(0).text)
        meaning = Bound(relation, value(0).value)
        return sentence(written, meaning) if whole else said(written, meaning)

    return make


def _denied(patterns: tuple[str, ...], *, whole: bool) -> Callable[..., Stated]:
    def make(value: Callable[[int], Stated], rng: Random) -> Stated:
        written, meaning = rng.choice(patterns).format(value(0).text), Denied(value(0).value)
        return sentence(written, meaning) if whole else said(written, meaning)

    return make


def _two(patterns: tuple[str, ...]) -> Callable[..., Stated]:
    def make(value: Callable[[int], Stated], rng: Random) -> Stated:
        low, high = value(0), value(rng.randrange(1, 9))
        first, second = (low, high) if "between" in patterns[0] else rng.sample((low, high), 2)
        if "between" in patterns[0] and rng.random() < 0.5:
            return _range_down(value, rng, patterns)
        meaning = Several((first.value, second.value))
        return said(rng.choice(patterns).format(first.text, second.text), meaning)

    return make


def _range_down(value: Callable[[int], Stated], rng: Random, patterns: tuple[str, ...]) -> Stated:
    """A range whose upper end is the reference."""
    high, low = value(0), value(-1)
    meaning = Several((low.value, high.value))
    return said(rng.choice(patterns).format(low.text, high.text), meaning)


def _signed(signs: tuple[str, ...]) -> Rule:
    def draft(rng: Random) -> Draft:
        number = rng.randrange(2, 400)
        sign = rng.choice(signs)
        variable = rng.choice(("", "x ", "x ", "n "))
        meaning = Bound(sign, Real(Fraction(number)))
        return Draft(integer(number), tex(f"{variable}{sign} {number}", meaning))

    return wrong("integer", f"with {' or '.join(signs)} before it", draft)


def _dash(rng: Random) -> Draft:
    low = rng.randrange(2, 300)
    high = low + rng.randrange(1, 20)
    number = rng.choice((low, high))
    written = f"{low}{rng.choice(('-', '–', ' - '))}{high}"
    meaning = Several((Real(Fraction(low)), Real(Fraction(high))))
    return Draft(integer(number), Stated(written, meaning))


def _other_range(rng: Random) -> Draft:
    """A range of years or ages for another one that is as long."""
    low, length = rng.randrange(10, 2000), rng.randrange(2, 30)
    other = low + rng.randrange(1, 40)

    def span(start: int) -> Stated:
        ends = (Real(Fraction(start)), Real(Fraction(start + length)))
        return Stated(f"{start}-{start + length}", Several(ends))

    return Draft(span(low), span(other))


def _echo(value: Callable[[int], Stated], rng: Random) -> Stated:
    first, second = rng.sample((value(0), value(rng.randrange(1, 9))), 2)
    return sentence(rng.choice(_ECHO).format(first.text, second.text), NoAnswer())


def _stopped(value: Callable[[int], Stated], rng: Random) -> Stated:
    return sentence(rng.choice(_STOPPED).format(value(0).text), NoAnswer())


def _step_only(value: Callable[[int], Stated], rng: Random) -> Stated:
    right, other = value(0), value(rng.randrange(1, 9))
    written = rng.choice(
        (
            "First we get {}. Then we correct for the rest, so the answer is {}.",
            "One part is {}; with the other part the final answer is {}.",
            "At first sight it is {}, but the answer is {}.",
        )
    )
    return sentence(written.format(right.text, other.text), other.value)


def _listed(value: Callable[[int], Stated], rng: Random) -> Stated:
    """Several possible values in a sentence, none of them chosen."""
    shown = [value(more) for more in (0, *rng.sample(range(1, 12), 2))]
    rng.shuffle(shown)
    written = rng.choice(
        (
            "The possible values are {}, {} and {}.",
            "It could be {}, {} or {}.",
            "The answer may be {}, {}, or {}.",
        )
    ).format(*(stated.text for stated in shown))
    return sentence(written, Several(tuple(stated.value for stated in shown)))


RULES = (
    *(
        one_of(
            name,
            (
                _hedge("in words", _bound(relation, words, whole=False)),
                _hedge("in a sentence", _bound(relation, sentences, whole=True)),
            ),
        )
        for name, relation, words, sentences in (
            ("more than", ">", _MORE, _MORE_SENTENCES),
            ("less than", "<", _LESS, _LESS_SENTENCES),
        )
    ),
    one_of(
        "denied",
        (
            _hedge("in words", _denied(_NOT, whole=False)),
            _hedge("in a sentence", _denied(_NOT_SENTENCES, whole=True)),
        ),
    ),
    _hedge("one or another", _two(_OR)),
    _hedge("range in words", _two(_RANGE)),
    one_of("another relation before it", (_signed((">", "<")), _signed((r"\neq", r"\ne")))),
    wrong("integer", "range with a dash", _dash),
    wrong("range", "another range", _other_range),
    _hedge("the prompt's numbers", _echo),
    _hedge("unfinished sentence", _stopped),
    _hedge("a step before another answer", _step_only),
    _hedge("possible values", _listed),
)

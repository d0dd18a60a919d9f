"""Notations of numbers: each function makes a text and its value from the same parts."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from random import Random

import sympy

from metamorphic.drafts import Stated, said, tex
from metamorphic.values import Exact, Real

_BELOW_TWENTY = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
    " sixteen seventeen eighteen nineteen"
)
_TIMES_TEN = "- - twenty thirty forty fifty sixty seventy eighty ninety"
_ONES, _TENS = _BELOW_TWENTY.split(), _TIMES_TEN.split()
_PARTS = {2: "half", 3: "third", 4: "quarter", 5: "fifth", 6: "sixth", 7: "seventh", 8: "eighth"}
_VULGAR = {
    (1, 2): "½", (1, 3): "⅓", (2, 3): "⅔", (1, 4): "¼", (3, 4): "¾", (1, 5): "⅕", (2, 5): "⅖",
    (3, 5): "⅗", (4, 5): "⅘", (1, 6): "⅙", (5, 6): "⅚", (1, 8): "⅛", (3, 8): "⅜", (5, 8): "⅝",
    (7, 8): "⅞",
}  # fmt: skip


def integer(number: int) -> Stated:
    """Return digits, "-12"."""
    return Stated(str(number), Real(Fraction(number)))


def grouped(number: int, separator: str) -> Stated:
    r"""Return digits in groups of three; separators with a backslash or brace need math mode."""
    text = f"{number:,}".replace(",", separator)
    return Stated(text, Real(Fraction(number)), tex=not set(separator).isdisjoint("\\{"))


def decimal(scaled: int, places: int, point: str = ".") -> Stated:
    """Return `scaled` hundredths, thousandths, ... in decimals, trailing zeros kept."""
    return Stated(decimal_text(scaled, places, point), Real(Fraction(scaled, 10**places)))


def decimal_text(scaled: int, places: int, point: str = ".") -> str:
    """Return the digits of `scaled / 10**places` with all places."""
    sign, digits = ("-" if scaled < 0 else ""), str(abs(scaled)).rjust(places + 1, "0")
    return f"{sign}{digits[:-places]}{point}{digits[-places:]}" if places else f"{sign}{digits}"


def exact_text(number: Fraction) -> str:
    r"""Return an integer, or a fraction as `\frac{p}{q}`, sign first."""
    if number.denominator == 1:
        return str(number.numerator)
    sign = "-" if number < 0 else ""
    return rf"{sign}\frac{{{abs(number.numerator)}}}{{{number.denominator}}}"


def shortest_decimal(number: Fraction) -> str:
    """Return a finite decimal without trailing zeros.

    Raises:
        ValueError: The number has no finite decimal.
    """
    for places in range(8):
        scaled = number * 10**places
        if scaled.denominator == 1:
            return decimal_text(scaled.numerator, places)
    raise ValueError(f"{number} has no short decimal")


def scientific(scaled: int, places: int, exponent: int, style: str) -> Stated:
    """Return a mantissa times a power of ten, in a style of `SCIENTIFIC`."""
    mantissa = decimal_text(scaled, places)
    value = Real(Fraction(scaled, 10**places) * Fraction(10) ** exponent)
    text = SCIENTIFIC[style](mantissa, exponent)
    return Stated(text, value, tex="\\" in text)


SCIENTIFIC: dict[str, Callable[[str, int], str]] = {
    "times": lambda mantissa, exponent: rf"{mantissa} \times 10^{{{exponent}}}",
    "times, close": lambda mantissa, exponent: rf"{mantissa}\times10^{{{exponent}}}",
    "cdot": lambda mantissa, exponent: rf"{mantissa} \cdot 10^{{{exponent}}}",
    "sign": lambda mantissa, exponent: f"{mantissa} × 10^{exponent}",
    "letter x": lambda mantissa, exponent: f"{mantissa} x 10^{exponent}",
    "star": lambda mantissa, exponent: f"{mantissa}*10^{exponent}",
    "e": lambda mantissa, exponent: f"{mantissa}e{exponent}",
    "superscript": lambda mantissa, exponent: f"{mantissa} × 10" + superscript(exponent),
}


def superscript(number: int) -> str:
    """Return raised digits."""
    return str(number).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def fraction(top: int, bottom: int, style: str) -> Stated:
    """Return a fraction in a style of `FRACTIONS`; the sign of `top` stands before the whole."""
    sign = "-" if top < 0 else ""
    text = sign + FRACTIONS[style](abs(top), bottom)
    return Stated(text, Real(Fraction(top, bottom)), tex="\\" in text)


FRACTIONS: dict[str, Callable[[int, int], str]] = {
    "frac": lambda top, bottom: rf"\frac{{{top}}}{{{bottom}}}",
    "dfrac": lambda top, bottom: rf"\dfrac{{{top}}}{{{bottom}}}",
    "tfrac": lambda top, bottom: rf"\tfrac{{{top}}}{{{bottom}}}",
    "over": lambda top, bottom: rf"{{{top} \over {bottom}}}",
    "spaced": lambda top, bottom: rf"\frac {{ {top} }} {{ {bottom} }}",
    "slash": lambda top, bottom: f"{top}/{bottom}",
    "spaced slash": lambda top, bottom: f"{top} / {bottom}",
    "text": lambda top, bottom: rf"\frac{{\text{{{top}}}}}{{\text{{{bottom}}}}}",
    "displaystyle": lambda top, bottom: rf"\displaystyle \frac{{{top}}}{{{bottom}}}",
}


def braceless(top: int, bottom: int) -> Stated:
    r"""Return `\frac12`, of one digit each."""
    return tex(rf"\frac{top}{bottom}", Real(Fraction(top, bottom)))


def vulgar(rng: Random) -> tuple[int, int, Stated]:
    """Return the parts of a fraction with a sign of its own, and the sign."""
    (top, bottom), sign = rng.choice(list(_VULGAR.items()))
    return top, bottom, Stated(sign, Real(Fraction(top, bottom)))


def mixed(whole: int, top: int, bottom: int, style: str) -> Stated:
    """Return a mixed number, all parts positive, in a style of `MIXED`."""
    text = MIXED[style](whole, top, bottom)
    return Stated(text, Real(whole + Fraction(top, bottom)), tex="\\" in text)


MIXED: dict[str, Callable[[int, int, int], str]] = {
    "plain": lambda whole, top, bottom: f"{whole} {top}/{bottom}",
    "frac": lambda whole, top, bottom: rf"{whole}\frac{{{top}}}{{{bottom}}}",
    "dfrac": lambda whole, top, bottom: rf"{whole} \dfrac{{{top}}}{{{bottom}}}",
    "and": lambda whole, top, bottom: f"{whole} and {top}/{bottom}",
}


def number_words(number: int, *, hyphen: str = "-") -> str:
    """Return the English words of an integer from 0 to 999,999."""
    if number < 20:
        return _ONES[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        return _TENS[tens] + (f"{hyphen}{_ONES[ones]}" if ones else "")
    size, name = (100, "hundred") if number < 1000 else (1000, "thousand")
    head, rest = divmod(number, size)
    words = f"{number_words(head, hyphen=hyphen)} {name}"
    return f"{words} {number_words(rest, hyphen=hyphen)}" if rest else words


def in_words(number: int, *, hyphen: str = "-") -> Stated:
    """Return an integer from 0 to 999,999 in English words."""
    return said(number_words(number, hyphen=hyphen), Real(Fraction(number)))


def fraction_words(top: int, bottom: int) -> Stated:
    """Return "two-thirds", of a numerator below 20 and a denominator from 3 to 8."""
    part = _PARTS[bottom] + ("s" if top > 1 else "")
    return said(f"{_ONES[top]}-{part}", Real(Fraction(top, bottom)))


def surd(outside: Fraction, inside: int, style: str = "sqrt") -> Stated:
    r"""Return a rational times a root, in a style of `SURDS`."""
    value: Exact = sympy.Rational(outside.numerator, outside.denominator) * sympy.sqrt(inside)
    sign = "-" if outside < 0 else ""
    top, bottom = abs(outside.numerator), outside.denominator
    text = sign + SURDS[style]("" if top == 1 else str(top), inside, bottom)
    return Stated(text, Real(value), tex=True)


def _fractional(text: str, bottom: int, command: str = "frac") -> str:
    return text if bottom == 1 else rf"\{command}{{{text}}}{{{bottom}}}"


SURDS: dict[str, Callable[[str, int, int], str]] = {
    "sqrt": lambda top, inside, bottom: _fractional(rf"{top}\sqrt{{{inside}}}", bottom),
    "dfrac": lambda top, inside, bottom: _fractional(rf"{top}\sqrt{{{inside}}}", bottom, "dfrac"),
    "cdot": lambda top, inside, bottom: _fractional(
        (rf"{top} \cdot " if top else "") + rf"\sqrt{{{inside}}}", bottom
    ),
    "spaced": lambda top, inside, bottom: _fractional(rf"{top} \sqrt {{ {inside} }}", bottom),
    "half power": lambda top, inside, bottom: _fractional(
        (rf"{top} \cdot " if top else "") + rf"{inside}^{{1/2}}", bottom
    ),
    "before": lambda top, inside, bottom: (
        rf"\frac{{{top or 1}}}{{{bottom}}}\sqrt{{{inside}}}"
        if bottom > 1
        else rf"{top}\sqrt{{{inside}}}"
    ),
}


def times_constant(number: Fraction, constant: str, style: str) -> Stated:
    """Return a rational times pi or e, in a style of `CONSTANTS`."""
    symbol = sympy.pi if constant == "pi" else sympy.E
    value = sympy.Rational(number.numerator, number.denominator) * symbol
    sign, top = ("-" if number < 0 else ""), abs(number.numerator)
    text = CONSTANTS[style]("" if top == 1 else str(top), _NAMES[constant], number.denominator)
    return Stated(sign + text, Real(value), tex="\\" in text)


_NAMES = {"pi": r"\pi", "e": "e"}

CONSTANTS: dict[str, Callable[[str, str, int], str]] = {
    "frac": lambda top, name, bottom: _fractional(f"{top}{name}", bottom),
    "dfrac": lambda top, name, bottom: _fractional(f"{top} {name}".strip(), bottom, "dfrac"),
    "before": lambda top, name, bottom: (
        rf"\frac{{{top or 1}}}{{{bottom}}}{name}" if bottom > 1 else f"{top}{name}"
    ),
    "slash": lambda top, name, bottom: f"{top}{name}" + (f"/{bottom}" if bottom > 1 else ""),
    "cdot": lambda top, name, bottom: _fractional(rf"{top} \cdot {name}" if top else name, bottom),
    "letter": lambda top, name, bottom: (
        f"{top}{'π' if name != 'e' else 'e'}" + (f"/{bottom}" if bottom > 1 else "")
    ),
}

"""Units of measurement in one spelling, without conversion between units."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vasari.verify.limits import MAX_ARITHMETIC_CHARS

# No Greek letters but the two of units: 65π has no unit.
_LETTERS = r"[a-zA-Z\u00b5\u03bc\u03a9\u4e00-\u9fff]+"
_POWER = r"\s?\^\s?(?:\{\s?)?-?[1-4](?:\s?\})?"
_UNIT = re.compile(
    rf"{_LETTERS}(?:[ /·.]{_LETTERS}){{0,3}}(?:{_POWER})?(?:/{_LETTERS}(?:{_POWER})?)?|°\s?[CFKcf]?"
)
_TRAILING = re.compile(
    r"(?P<body>.*(?:[0-9π)}]|(?<![a-zA-Z])pi))\s?(?P<unit>(?:(?:square|sq|cubic)"
    rf" )?(?:°|{_LETTERS})(?:{_POWER})?)",
    re.DOTALL,
)
_SYMBOLS = (
    "m g s h l L N J W V A K C F Ω cm mm km dm nm in ft yd mi kg mg lb oz ml mL hr Hz kHz Pa kPa kW"
    " mA mW MW kJ eV mol sq cu"
)
_ARITHMETIC_WORDS = (
    "and or nor to not but if no than either neither maybe is are was the of by about approximately"
    " through between plus minus times over divided multiplied less more squared cubed factorial pi"
    " sqrt sin cos tan log ln exp frac half halves third thirds quarter quarters fourth fourths"
    " fifth fifths sixth sixths eighth eighths tenth tenths hundredth hundredths thousandth"
    " thousandths"
)
_SHORT_UNITS = frozenset(_SYMBOLS.split())
_NO_UNIT = frozenset(_ARITHMETIC_WORDS.split())
_UNIT_SYNONYMS = {
    "centimeter": "cm", "centimetre": "cm", "millimeter": "mm", "millimetre": "mm",
    "meter": "m", "metre": "m", "kilometer": "km", "kilometre": "km",
    "inch": "in", "inche": "in", "foot": "ft", "feet": "ft", "yard": "yd", "mile": "mi",
    "gram": "g", "kilogram": "kg",
    "second": "s", "sec": "s", "minute": "min", "hour": "h", "hr": "h",
    "liter": "l", "litre": "l", "L": "l", "mL": "ml", "degree": "°", "deg": "°",
    "米": "m", "厘米": "cm", "毫米": "mm", "千米": "km", "度": "°", "元": "",
    "dollar": "", "euro": "", "usd": "", "unit": "",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Measured:
    """A formula and its unit of measurement in canonical spelling ("" if it has no unit)."""

    body: str
    unit: str


def canonical_unit(text: str) -> str | None:
    """Return the canonical spelling of a unit, "" for e.g. "dollars"; None if it is not a unit.

    Known short symbols, degrees, and up to four words of three letters or more that carry no
    arithmetic: "21 apples".
    """
    text = text.strip().removesuffix(".")
    if not _UNIT.fullmatch(text):
        return None
    if text.startswith("°"):
        return text.replace(" ", "").upper()
    body, _, power = text.replace("{", "").replace("}", "").replace(" ^", "^").partition("^")
    words = [word for word in re.split(r"[ /·.]", body) if word]
    if any(
        word.casefold() in _NO_UNIT
        or (len(word) < 3 and word.isascii() and word not in _SHORT_UNITS)
        for word in words
    ):
        return None
    if words[0].casefold() in ("square", "sq", "cubic", "cu") and not power:
        power, words = ("2" if words[0].casefold().startswith("sq") else "3"), words[1:]
    named = [_canonical_word(word) for word in words]
    return "/".join(word for word in named if word) + (f"^{power}" if power and any(named) else "")


def _canonical_word(word: str) -> str:
    if word in _SHORT_UNITS:
        return _UNIT_SYNONYMS.get(word, word)
    word = word.casefold()
    word = word.removesuffix("s") if len(word) > 3 else word
    return _UNIT_SYNONYMS.get(word, word)


def split_unit(text: str) -> Measured:
    """Split a normalised formula such as `9π cm^2` into the formula and its unit, if any."""
    match = _TRAILING.fullmatch(text) if len(text) <= MAX_ARITHMETIC_CHARS else None
    unit = canonical_unit(match.group("unit")) if match else None
    if match is None or unit is None:
        return Measured(text, "")
    return Measured(match.group("body").strip(), unit)

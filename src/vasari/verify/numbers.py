r"""Numbers in answers, parsed exactly: `1,234`, `2 1/2`, `\frac{3}{4}`, `1.2e3`, `21 cm`, `5%`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction

from vasari.verify.arithmetic import evaluate
from vasari.verify.limits import MAX_ARITHMETIC_CHARS, MAX_EXPONENT, LimitExceededError
from vasari.verify.normalise import DOLLAR, normalise
from vasari.verify.powers import NotArithmeticError, Value
from vasari.verify.ranges import parse_range
from vasari.verify.units import canonical_unit, split_unit
from vasari.verify.words import (
    CARDINAL,
    CHINESE_COUNTED,
    CHINESE_LARGE,
    CHINESE_NUMBER,
    NUMBER_WORDS,
    SCALES,
    part_of,
    words_value,
)

_MAX_NUMBER_CHARS = 256
_UNSIGNED = (
    r"[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?"
    r"|[0-9]{1,2}(?:,[0-9]{2})+,[0-9]{3}(?:\.[0-9]+)?|[0-9]{1,3}(?:[ '][0-9]{3})+(?:\.[0-9]+)?"
    r"|[0-9]{1,3}(?:\.[0-9]{3})+,[0-9]+|[0-9]{1,3}(?:\.[0-9]{3}){2,}"
    r"|[0-9]+(?:\.[0-9]*)?|\.[0-9]+"
)
_FRACTION = (
    r"[0-9]+\s?/\s?[0-9]+|\\frac\s?(?:\{\s?[-+]?[0-9]+\s?\}\s?\{\s?[0-9]+\s?\}|[0-9]\s?[0-9])"
)
_CURRENCY = (
    rf"(?:(?:US|A|C|HK|R|NT|S)?{DOLLAR}|[€£¥₹₩₽฿₫₺₦₿]"
    r"|(?:Rs\.?|USD|EUR|GBP|INR|CNY|RMB|JPY|CAD|AUD|CHF|RM|kr\.?|Nu\.?)(?![a-zA-Z]))"
)
_NUMBER = re.compile(
    rf"(?P<sign>[-+]?)\s?(?P<currency>{_CURRENCY})?\s?(?P<inner>(?<=[^-+\s])-)?"
    rf"(?:(?P<whole>[0-9]+)\s?(?:and\s)?(?P<mixed>(?<=\s)[0-9]+\s?/\s?[0-9]+"
    rf"|\\frac\s?(?:\{{[0-9]+\}}\s?\{{[0-9]+\}}|[0-9]\s?[0-9]))"
    rf"|(?P<fraction>{_FRACTION})"
    r"|(?P<before>[0-9]*)\.(?P<between>[0-9]*)\s?(?:\\(?:overline|bar"
    r"|dot)\s?\{?\s?(?P<repeated>[0-9]+)\s?\}?|\((?P<again>[0-9]+)\))"
    rf"|(?P<plain>{_UNSIGNED})(?P<on>\s?(?:…|\.\.\.|\\[lc]?dots))?"
    rf"(?:[eE](?P<exponent>[-+]?[0-9]+)"
    rf"|\s?(?:\*|\u00d7|x|\\times|\\cdot|·)\s?10\s?\^\s?(?:\{{\s?(?P<braced>[-+]?[0-9]+)\s?\}}"
    rf"|(?P<power>[-+]?[0-9]+)))?)"
    rf"(?P<unit>.*)",
    re.DOTALL,
)
_WORD_NUMBER = re.compile(
    rf"(?P<number>(?:(?:minus|negative)\s)?(?:{CARDINAL}|an?\s(?:dozen|hundred|thousand"
    rf"|million))(?:\s(?:and\s)?(?:a\s)?[a-z-]*(?:half|halves|thirds?|quarters?|[a-z]+ths?))?)"
    r"(?:\s(?P<unit>.*))?",
    re.DOTALL | re.IGNORECASE,
)
_CHINESE_COUNT = re.compile(rf"({CHINESE_NUMBER})({CHINESE_COUNTED}\D*)")
_INTEGER = re.compile(r"[-+]?[0-9]+")
_PLAIN_DECIMAL = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?")
_DIGIT = re.compile("[0-9]")
_LATIN_WORD = re.compile("[a-z]+")
_VALUE_NAMES = NUMBER_WORDS | {"e", "pi"}
_ABOUT = re.compile(
    r"(?:(?:in|at|on|by|is|are|was|approximately|approx\.?|about|around|roughly|exactly|only|just"
    r"|precisely|a total of|in total|(?:none|no) other than|nothing (?:but|other than))(?![a-z])\s?"
    r"|(?:约为?|大约|一?共有?)\s?|[~≈∼≃]\s?|\\approx\s?)+",
    re.IGNORECASE,
)
_MINUS = re.compile(r"(?:minus|negative|负)\s?(?=[0-9.\\])", re.IGNORECASE)
_WHOLE_AND_PART = re.compile(r"([0-9]{1,9}) and (an? [a-z]+|[a-z]+[- ][a-z]+)", re.IGNORECASE)
_RESTATED = re.compile(r"(?P<first>.*[^\s(])\s?\((?P<again>[^()]{1,60})\)", re.DOTALL)
_ABSOLUTE = re.compile(r"\|([^|]{1,200})\||\\l(floor|ceil)(.{1,200})\\r(?:floor|ceil)")
_RATIO = re.compile(r"([^:]{1,100}):([^:]{1,100})")
_TIME = re.compile(r"\d{1,2}:[0-5]\d")
_DEGREES_AND_MINUTES = re.compile(r"(-?)(\d+)°\s?(\d{1,2})'(?:\s?(\d{1,2}(?:\.\d+)?)(?:''|\"))?")
_TWO_UNITS = re.compile(
    r"(\d+)\s?(hours?|hrs?|h|minutes?|mins?|min|feet|foot|ft)\s?(?:and\s"
    r"|,\s)?(\d+(?:\.\d+)?)\s?(minutes?|mins?|min|m|seconds?|secs?|s|inches|inch|in)"
)
_PERCENT_NAMES = frozenset(
    ["%", "percent", "per cent", "pct", "percentage points", "percentage point", "个百分点"]
)
_SCALE_NAMES = {
    "tens": 10,
    "hundreds": 100,
    "thousands": 1000,
    "millions": 10**6,
    "dozens": 12,
    "lakh": 10**5,
    "crore": 10**7,
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


def parse_number(text: str, *, decimal_comma: bool = True) -> Number | None:
    r"""Return the number that a text consists of, a unit or a currency allowed; else None.

    Figures, mixed numbers, fractions, repeating decimals, scientific notation, number words, and
    measures of two units ("5 hours 30 minutes"). With `decimal_comma`, a comma that cannot group
    thousands is one.

    Raises:
        LimitExceededError: The number is too large to hold, such as 1e999999999.
    """
    text = normalise(text)
    if not text or len(text) > _MAX_NUMBER_CHARS:
        return None
    if (plain := plain_number(text)) is not None:
        return plain
    text = _ABOUT.sub("", text, count=1) if _ABOUT.match(text) else text
    text = _MINUS.sub("-", text, count=1)
    if decimal_comma:
        text = _decimal_comma(text)
    return _figures(text) or _compound(text) or _in_words(text) or _restated(text)


def may_hold_value(text: str) -> bool:
    """Whether a text holds a digit, a number's name, or a sign that is not ASCII.

    What holds none is no number and no constant arithmetic; that is found at a glance.
    """
    if not text.isascii() or _DIGIT.search(text):
        return True
    return not _VALUE_NAMES.isdisjoint(_LATIN_WORD.findall(text.lower()))


def plain_number(text: str) -> Number | None:
    """Return the number of figures such as "12" or "-0.50"; None for all else.

    `parse_number` reads them alike; this is faster, and they are the most frequent answers.
    """
    if _PLAIN_DECIMAL.fullmatch(text) is None:
        return None
    whole, point, decimals = text.partition(".")
    if not point:
        return Number(Fraction(int(text)), digits=len(text.lstrip("-0")))
    value = Fraction(int(whole + decimals), 10 ** len(decimals))
    return Number(value, decimals=len(decimals), digits=len((whole + decimals).lstrip("-0")))


def _figures(text: str) -> Number | None:
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    named = _unit_of(match.group("unit"), match.group("currency") or "")
    value = _value(match) if named is not None else None
    if named is None or value is None:
        return None
    scale, percent, unit = named
    if (match.group("sign") == "-") != bool(match.group("inner")):
        value = -value
    plain = _ungrouped(match.group("plain") or "")
    exact = scale != 1 or (match.group("on") and _going_on(plain) is not None)
    decimals = len(plain.partition(".")[2]) if "." in plain and not exact else None
    return Number(
        value * scale / (100 if percent else 1),
        percent,
        unit,
        decimals,
        len(plain.replace(".", "").lstrip("0")),
    )


def _decimal_comma(text: str) -> str:
    """A text whose only comma cannot group thousands, with a point in its place."""
    if text.count(",") != 1:
        return text
    match = re.match(r"[-+]?\s?[^\d\s,]{0,4}\s?(?:\d{1,3}(?:[ ']\d{3})+|\d+)(,)(\d+)(?!\d)", text)
    if match is None or (len(match.group(2)) == 3 and re.match(r"\D*[1-9]\d{0,2},", text)):
        return text
    return text[: match.start(1)] + "." + text[match.end(1) :]


def _ungrouped(plain: str) -> str:
    """A plain number without signs between thousands, with a point for the decimals."""
    if re.fullmatch(r"[0-9]{1,3}(?:\.[0-9]{3})+,[0-9]+|[0-9]{1,3}(?:\.[0-9]{3}){2,}", plain):
        plain = plain.replace(".", "").replace(",", ".")
    return plain.replace(",", "").replace(" ", "").replace("'", "")


def _unit_of(text: str, currency: str) -> tuple[Fraction, bool, str] | None:
    """Scale, whether it is percent, and the unit of what stands behind a number; None for others.

    "million dollars" is (10^6, no, the dollar).
    """
    spaced = text[:1] in (" ", "-", "")
    text = text.strip().removeprefix("-").strip()
    scale, percent = Fraction(1), False
    for _ in range(3):
        word, _, rest = text.partition(" ")
        folded = word.casefold()
        if bottom := part_of(folded) if folded not in {"second", "seconds"} else None:
            scale, text = scale / bottom, rest.removeprefix("of a ").removeprefix("of an ")
        elif folded in SCALES or folded in _SCALE_NAMES:
            scale, text = scale * (SCALES.get(folded) or _SCALE_NAMES[folded]), rest
        elif word[:1] in CHINESE_LARGE:
            scale, text = scale * CHINESE_LARGE[word[:1]], text[1:].strip()
        elif word == "‰" or (folded == "per" and rest.casefold() in ("mille", "mil", "thousand")):
            scale, text = scale / 1000, ""
    if text.casefold() in _PERCENT_NAMES:
        text, percent = "", True
    unit = canonical_unit(text, spaced=spaced) if text else ""
    if currency:
        name = currency.removesuffix(".")
        name = name if name == "USD" else name.removeprefix("US")
        money = (canonical_unit(name.casefold()) or name) if name.isalpha() else name
        unit = money if unit in ("", money) else None
    return None if unit is None else (scale, percent, unit)


def _compound(text: str) -> Number | None:
    """A measure of two units: 5 hours 30 minutes, 5 ft 6 in, 50° 30'."""
    if angle := _DEGREES_AND_MINUTES.fullmatch(text):
        sign, degrees, minutes, seconds = angle.groups()
        value = Fraction(degrees) + Fraction(minutes) / 60 + Fraction(seconds or 0) / 3600
        return Number(-value if sign else value, unit="°")
    match = _TWO_UNITS.fullmatch(text.casefold())
    if match is None:
        return None
    large, small = canonical_unit(match.group(2)), canonical_unit(match.group(4))
    sizes = {("h", "min"): 60, ("h", "m"): 60, ("min", "s"): 60, ("ft", "in"): 12}
    size = sizes.get((large or "", small or ""))
    if size is None or Fraction(match.group(3)) >= size:
        return None
    return Number(Fraction(match.group(1)) + Fraction(match.group(3)) / size, unit=large or "")


def _in_words(text: str) -> Number | None:
    if mixed := _WHOLE_AND_PART.fullmatch(text):
        part = words_value(mixed.group(2))
        if part is not None and 0 < part < 1:
            return Number(Fraction(mixed.group(1)) + part)
    if text[:1].isdigit() or len(text) > 120:
        return None
    value = words_value(text)
    if value is not None:
        return Number(value)
    if not text.isascii():
        match = _CHINESE_COUNT.fullmatch(text)
        chinese = words_value(match.group(1)) if match else None
        unit = canonical_unit(match.group(2)) if match else None
        return Number(chinese, unit=unit) if chinese is not None and unit is not None else None
    found = _WORD_NUMBER.fullmatch(text)
    value = words_value(found.group("number")) if found else None
    named = _unit_of(" " + (found.group("unit") or ""), "") if found else None
    if value is None or named is None:
        return None
    scale, percent, unit = named
    return Number(value * scale / (100 if percent else 1), percent, unit)


def _restated(text: str) -> Number | None:
    """The number of "5 (five)" or "5 (cm)", where the bracket says nothing else."""
    match = _RESTATED.fullmatch(text)
    if match is None:
        return None
    first, again = parse_number(match.group("first")), match.group("again")
    if first is None:
        return None
    second = parse_number(again)
    if second is not None:
        return first if second.value == first.value else None
    unit = canonical_unit(again)
    return first if unit is not None and not first.unit and unit else None


def parse_constant(text: str) -> Value | None:
    """Return the value of a number or constant arithmetic, exact if rational; None for other text.

    Raises:
        LimitExceededError: It nests too deep or grows too large.
    """
    number = parse_number(text)
    return parse_arithmetic(text) if number is None else number.value


def parse_arithmetic(text: str) -> Value | None:
    """As `parse_constant`, for a text that is no number on its own (`parse_number`)."""
    text = normalise(text)
    if not may_hold_value(text) or parse_range(text) is not None:
        return None
    ratio = _RATIO.fullmatch(text)
    try:
        if around := _ABSOLUTE.fullmatch(text):
            inside = evaluate(around.group(1) or around.group(3))
            if around.group(1):
                return -inside if inside < 0 else inside
            return Fraction(math.floor(inside) if around.group(2) == "floor" else math.ceil(inside))
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
        if parse_number(text) is not None:
            return True
        measured = split_unit(text)
        read = parse_constant if measured.unit else parse_arithmetic
        return read(measured.body) is not None
    except LimitExceededError:
        return True


def _value(match: re.Match[str]) -> Fraction | None:
    if match.group("whole"):
        part = _fraction(match.group("mixed"))
        return Fraction(match.group("whole")) + part if part is not None and 0 < part < 1 else None
    if match.group("fraction"):
        return _fraction(match.group("fraction"))
    repeated = match.group("repeated") or match.group("again")
    if repeated:
        return _repeating(match.group("before"), match.group("between"), repeated)
    plain = _ungrouped(match.group("plain"))
    if match.group("on") and (endless := _going_on(plain)) is not None:
        return endless
    value = Fraction(plain)
    exponent = match.group("exponent") or match.group("braced") or match.group("power")
    if exponent is None:
        return value
    if len(exponent) > 5 or abs(int(exponent)) > MAX_EXPONENT:
        raise LimitExceededError(f"an exponent is larger than {MAX_EXPONENT}")
    return value * Fraction(10) ** int(exponent)


def _repeating(before: str, between: str, repeated: str) -> Fraction | None:
    if len(before) + len(between) + len(repeated) > MAX_ARITHMETIC_CHARS // 4:
        return None
    start = Fraction(int(before + between or "0"), 10 ** len(between))
    return start + Fraction(int(repeated), (10 ** len(repeated) - 1) * 10 ** len(between))


def _going_on(plain: str) -> Fraction | None:
    """The value of 0.333... or 0.1666...: the last digit repeats, if it stands three times."""
    whole, point, decimals = plain.partition(".")
    if not point or len(decimals) < 3 or len(set(decimals[-3:])) != 1:
        return None
    kept = decimals.rstrip(decimals[-1])
    return _repeating(whole, kept, decimals[-1])


def _fraction(text: str) -> Fraction | None:
    parts = _INTEGER.findall(text)
    if len(parts) == 1:  # \frac12
        parts = list(parts[0])
    top, bottom = int(parts[0]), int(parts[1])
    return Fraction(top, bottom) if bottom else None

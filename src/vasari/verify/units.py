"""Units of measurement and currencies: one spelling each, and exact conversion between some."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from fractions import Fraction

from vasari.verify.limits import MAX_ARITHMETIC_CHARS
from vasari.verify.normalise import DOLLAR
from vasari.verify.words import CHINESE_DIGITS, ONES, SCALES, TENS, part_of

# No Greek letters but the two of units: 65π has no unit.
_LETTERS = r"[a-zA-Z\u00b5\u03bc\u03a9\u4e00-\u9fff]+"
_POWER = r"\s?\^\s?(?:\{\s?)?-?[1-4](?:\s?\})?"
_UNIT = re.compile(
    rf"{_LETTERS}\.?(?:[ /·.*]{{1,3}}{_LETTERS}){{0,4}}\.?(?:{_POWER})?"
    rf"(?:\s?/\s?{_LETTERS}(?:{_POWER})?)?|°\s?[CFKcf]?|[¢'\"]|''|\\mu\s?m|\\Omega"
)
_TRAILING = re.compile(
    r"(?P<body>.*(?:[0-9π)}]|(?<![a-zA-Z])pi))\s?(?P<unit>(?:(?:square|sq\.?|cubic|cu\.?|平方|立方)"
    rf" ?)?(?:°|{_LETTERS})(?:{_POWER})?(?:\s?/\s?{_LETTERS}(?:{_POWER})?)?)",
    re.DOTALL,
)
# No degree sign behind these: it belongs to their argument.
_OF_ANGLES = re.compile(r"sin|cos|tan|cot|sec|csc")
_SYMBOLS = (
    "m g s h l L N J W V A K C F Ω cm mm km dm nm in ft yd mi kg mg lb oz ml mL hr Hz kHz MHz GHz"
    " Pa kPa MPa GPa hPa kN MN atm bar kcal cal MJ GJ kWh kW mA"
    " mW MW kJ eV mol sq cu dl cl μm rad min sec mph kph gal pt qt t d mo yr ms dB"
)
_ARITHMETIC_WORDS = (
    "and or nor to not but if no than either neither maybe is are was the of by about approximately"
    " through between plus minus times over divided multiplied less more squared cubed factorial pi"
    " sqrt sin cos tan log ln exp frac negative positive below above under fewer greater smaller"
    " larger lower higher off short behind tens pairwise power root mod modulo choose with without"
    " percentile percentiles permille mil mille lakh lakhs crore crores million billion quadrillion"
    " zillion gazillion versus per point inverse score gross myriad kilo mega giga milli double"
    " triple twice wrong loss base nines west east north south"
)
_SHORT_UNITS = frozenset(_SYMBOLS.split())
_NO_UNIT = (
    frozenset(_ARITHMETIC_WORDS.split())
    | frozenset(SCALES)
    | frozenset(f"{scale}s" for scale in SCALES)
    | frozenset({*ONES, *TENS})
)
_NO_CHINESE_UNIT = frozenset(
    CHINESE_DIGITS + "十百千万亿以但更不没或与和比于是吗呢约余几多少也都很"
)
_SHORT_NOUNS = (
    "age ant bag bee bit box boy bus can car cat cop cow cup day dog egg ewe fox gym hat hen"
    " inn jar job key kid lap man men mph old pen pie pig ram row run set spy tea tin ton toy"
    " win"
)
_SHORT_NAMES = frozenset(_SHORT_NOUNS.split())
_SYNONYMS = {
    "centimeter": "cm", "centimetre": "cm", "millimeter": "mm", "millimetre": "mm",
    "decimeter": "dm", "decimetre": "dm", "micrometer": "μm", "micrometre": "μm", "micron": "μm",
    "nanometer": "nm", "nanometre": "nm",
    "meter": "m", "metre": "m", "kilometer": "km", "kilometre": "km", "kilo": "kg",
    "inch": "in", "inche": "in", "foot": "ft", "feet": "ft", "yard": "yd", "mile": "mi",
    "yds": "yd", "lbs": "lb", "kgs": "kg", "hrs": "h", "mins": "min", "secs": "s",
    "gram": "g", "gramme": "g", "kilogram": "kg", "kilogramme": "kg", "milligram": "mg",
    "tonne": "t", "ounce": "oz", "pint": "pt", "quart": "qt", "gallon": "gal",
    "second": "s", "sec": "s", "minute": "min", "hour": "h", "hr": "h", "day": "d",
    "yr": "year", "mo": "month", "wk": "week", "millisecond": "ms",
    "liter": "l", "litre": "l", "L": "l", "mL": "ml", "milliliter": "ml", "millilitre": "ml",
    "degree": "°", "deg": "°", "radian": "rad", "newton": "N", "joule": "J", "watt": "W",
    "volt": "V", "ampere": "A", "amp": "A", "hertz": "Hz", "pascal": "Pa", "ohm": "Ω",
    "米": "m", "厘米": "cm", "毫米": "mm", "分米": "dm", "千米": "km", "公里": "km", "度": "°",
    "克": "g", "千克": "kg", "公斤": "kg", "毫克": "mg", "吨": "t", "升": "l", "毫升": "ml",
    "秒": "s", "分钟": "min", "小时": "h", "天": "d", "年": "year", "月": "month", "周": "week",
    "元": "yuan", "块": "yuan", "圆": "yuan", "元人民币": "yuan", "人民币": "yuan",
    "美元": DOLLAR, "欧元": "€",
    "cc": "cm^3", "kwh": "kWh", "wh": "Wh",
    "dollar": DOLLAR, "usd": DOLLAR, "buck": DOLLAR, "euro": "€", "eur": "€", "gbp": "£",
    "pound": "pound", "sterling": "£", "yen": "yen", "jpy": "yen", "yuan": "yuan", "rmb": "yuan",
    "cny": "yuan", "chf": "CHF", "franc": "CHF", "ringgit": "RM", "baht": "฿",
    "rupee": "₹", "inr": "₹", "rs": "₹", "won": "₩", "krw": "₩", "ruble": "₽",
    "cent": "¢", "penny": "pence", "pennie": "pence", "pence": "pence", "unit": "",
    "people": "person", "children": "child", "men": "man", "women": "woman", "inches": "in",
    "mice": "mouse", "geese": "goose", "teeth": "tooth",
}  # fmt: skip
_ABBREVIATED = {"mph": "mi/h", "kph": "km/h", "kmh": "km/h", "kmph": "km/h", "mps": "m/s",
                "bpm": "beat/min", "rpm": "revolution/min", "psi": "lb/in^2"}  # fmt: skip
CURRENCIES = frozenset(
    {DOLLAR, *"€£¥₹₩₽¢฿₫₺₦₿", "pence", "yen", "yuan", "CHF", "RM", "kr"}
    | {prefix + DOLLAR for prefix in ("A", "C", "HK", "R", "NT", "S")}
)
_SIGNS = {
    "'": "ft",
    '"': "in",
    "''": "in",
    **{sign: sign for sign in DOLLAR + "€£¥₹₩₽¢฿₫₺₦₿"},
}
_INVERSE = re.compile(r"(\S+)[ ·*]+([a-zA-ZμΩ]+)\s?\^\s?-\s?([1-4])")
_POWERS = {"square": "2", "sq": "2", "squared": "2", "cubic": "3", "cu": "3", "cubed": "3"}
# Exact, by dimension: what a unit is in the dimension's first unit.
_SIZES: dict[str, tuple[str, Fraction]] = {
    "m": ("length", Fraction(1)), "cm": ("length", Fraction(1, 100)),
    "mm": ("length", Fraction(1, 1000)), "dm": ("length", Fraction(1, 10)),
    "km": ("length", Fraction(1000)), "μm": ("length", Fraction(1, 10**6)),
    "nm": ("length", Fraction(1, 10**9)), "in": ("length", Fraction(254, 10**4)),
    "ft": ("length", Fraction(3048, 10**4)), "yd": ("length", Fraction(9144, 10**4)),
    "mi": ("length", Fraction(1609344, 1000)),
    "g": ("mass", Fraction(1)), "kg": ("mass", Fraction(1000)), "mg": ("mass", Fraction(1, 1000)),
    "t": ("mass", Fraction(10**6)), "lb": ("mass", Fraction(45359237, 10**5)),
    "oz": ("mass", Fraction(45359237, 16 * 10**5)),
    "s": ("time", Fraction(1)), "min": ("time", Fraction(60)), "h": ("time", Fraction(3600)),
    "d": ("time", Fraction(86400)), "week": ("time", Fraction(7 * 86400)),
    "ms": ("time", Fraction(1, 1000)),
    "l": ("volume", Fraction(1)), "ml": ("volume", Fraction(1, 1000)),
    "dl": ("volume", Fraction(1, 10)), "cl": ("volume", Fraction(1, 100)),
    DOLLAR: ("dollars", Fraction(1)), "¢": ("dollars", Fraction(1, 100)),
    "£": ("pounds", Fraction(1)), "pence": ("pounds", Fraction(1, 100)),
}  # fmt: skip
_ALSO = {
    "pound": ("lb", "£"), "lb": ("pound",), "£": ("pound",),
    "¥": ("yen", "yuan"), "yen": ("¥",), "yuan": ("¥",),
}  # fmt: skip
_CENTS = {("¢", "€"): Fraction(1, 100), ("€", "¢"): Fraction(100)}


@dataclass(frozen=True, slots=True)
class Measured:
    """A formula and its unit of measurement in canonical spelling ("" if it has no unit)."""

    body: str
    unit: str


def canonical_unit(text: str, *, spaced: bool = True) -> str | None:
    """Return the canonical spelling of a unit or currency, "" for "units"; None if it is none.

    Known symbols and names, degrees, and up to five words of three letters or more that carry no
    arithmetic: "21 apples".

    Args:
        text: What stands behind a number.
        spaced: Whether a space stands between: "2abc" is a product, "2 balls" is not.
    """
    text = text.strip()
    if text in _SIGNS:
        return _SIGNS[text]
    if not _UNIT.fullmatch(text):
        return None
    if text.startswith("°"):
        return text.replace(" ", "").upper()
    return _canonical(text, spaced)


@functools.lru_cache(maxsize=4096)
def _canonical(text: str, spaced: bool) -> str | None:
    text = text.replace("\\mu", "μ").replace("μ m", "μm").replace("\u00b5", "μ")
    text = text.replace("\\Omega", "Ω").replace("\\cdot", "·")
    text = re.sub(
        r"\s(?:per|an?)\s|每", "/", text.replace("{", "").replace("}", "").replace(" ^", "^")
    )
    if inverse := _INVERSE.fullmatch(text):
        power = "" if inverse.group(3) == "1" else f"^{inverse.group(3)}"
        text = f"{inverse.group(1)}/{inverse.group(2)}{power}"
    top, slash, bottom = text.partition("/")
    parts = [_one_side(part, spaced) for part in ([top, bottom] if slash else [top])]
    if any(part is None for part in parts):
        return None
    named = [part for part in parts if part]
    return "/".join(named)


def _one_side(text: str, spaced: bool) -> str | None:
    body, _, power = text.strip().partition("^")
    for chinese, number in (("平方", "2"), ("立方", "3")):
        if body.startswith(chinese):
            body, power = body.removeprefix(chinese), number
    words = [word for word in re.split(r"[ ·.*]", body) if word]
    if not words:
        return None
    if words[0].casefold() in _POWERS and not power and len(words) > 1:
        power, words = _POWERS[words[0].casefold()], words[1:]
    elif words[-1].casefold() in ("squared", "cubed") and not power and len(words) > 1:
        power, words = _POWERS[words[-1].casefold()], words[:-1]
    if not all(_is_unit_word(word, spaced) for word in words):
        return None
    named = [word for word in (_canonical_word(word) for word in words) if word]
    if len(named) == 2 and named[0] == "°" and named[1] in ("celsiu", "celsius", "fahrenheit"):
        return "°" + named[1][0].upper()
    return " ".join(named) + (f"^{power}" if power and named else "")


def _is_unit_word(word: str, spaced: bool) -> bool:
    if word in _SHORT_UNITS:
        return True
    folded = word.casefold()
    if folded in _NO_UNIT or part_of(folded):
        return False
    if not word.isascii():
        return word in _SYNONYMS or _NO_CHINESE_UNIT.isdisjoint(word)
    if folded in _SYNONYMS or folded.removesuffix("s") in _SYNONYMS or folded in _ABBREVIATED:
        return len(word) > 1
    if len(word) < 4:
        return spaced and folded in _SHORT_NAMES
    return spaced and bool(re.search("[aeiouyAEIOU]", word))


def _canonical_word(word: str) -> str:
    if word in _SHORT_UNITS:
        return _ABBREVIATED.get(word, _SYNONYMS.get(word, word))
    word = word.casefold()
    if word in _ABBREVIATED or word in _SYNONYMS:
        return _ABBREVIATED.get(word) or _SYNONYMS.get(word, word)
    word = word.removesuffix("s") if len(word) > 3 and not word.endswith("ss") else word
    return _SYNONYMS.get(word, word)


def is_measure(unit: str) -> bool:
    """Whether a canonical unit is one of measurement or money, and not the name of a thing."""
    return bool(unit) and (_size(unit) is not None or unit in CURRENCIES or unit[:1] == "°")


@functools.lru_cache(maxsize=4096)
def unit_ratio(found: str, reference: str) -> Fraction | None:
    """Return how many of the reference's unit one of the answer's is; None if they do not compare.

    1 for equal units, 1/10 for mm and cm. Where one has no unit, 1: the question says it.
    """
    if not found or not reference or found == reference or reference in _ALSO.get(found, ()):
        return Fraction(1)
    if (found, reference) in _CENTS:
        return _CENTS[found, reference]
    left, right = _size(found), _size(reference)
    if left is not None and right is not None:
        return left[1] / right[1] if left[0] == right[0] else None
    if left is not None or right is not None or {found, reference} & CURRENCIES:
        return None
    # "5 red apples" are 5 apples.
    ours, theirs = set(found.split()), set(reference.split())
    return Fraction(1) if ours <= theirs or theirs <= ours else None


def _size(unit: str) -> tuple[tuple[tuple[str, int], ...], Fraction] | None:
    """The dimension of a unit and its size in the dimension's first units, if all is known."""
    dimensions: dict[str, int] = {}
    size = Fraction(1)
    for side, sign in zip(unit.split("/"), (1, -1), strict=False):
        body, _, power = side.partition("^")
        known = _SIZES.get(body)
        if known is None or unit.count("/") > 1:
            return None
        exponent = sign * (int(power) if power else 1)
        dimensions[known[0]] = dimensions.get(known[0], 0) + exponent
        size *= known[1] ** exponent
    if dimensions == {"volume": 1}:  # A litre is a cubic decimetre.
        dimensions, size = {"length": 3}, size / 1000
    return tuple(sorted(dimensions.items())), size


def split_unit(text: str) -> Measured:
    """Split a normalised formula such as `9π cm^2` into the formula and its unit, if any."""
    match = _TRAILING.fullmatch(text) if len(text) <= MAX_ARITHMETIC_CHARS else None
    if match is None or (match.group("unit") == "°" and _OF_ANGLES.search(match.group("body"))):
        return Measured(text, "")
    spaced = text[match.end("body") : match.start("unit")] != "" or "\\" in match.group("body")
    unit = canonical_unit(match.group("unit"), spaced=spaced)
    if unit is None:
        return Measured(text, "")
    return Measured(match.group("body").strip(), unit)

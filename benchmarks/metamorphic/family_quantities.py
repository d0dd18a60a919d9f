"""Money, units, angles, times of day, dates, ratios."""

from __future__ import annotations

import datetime
from fractions import Fraction
from math import gcd
from random import Random

from metamorphic.drafts import Draft, Rule, Stated, equal, one_of, said, sentence, tex, wrong
from metamorphic.numerals import decimal_text, integer
from metamorphic.units import CURRENCIES, UNITS
from metamorphic.values import Clock, Day, Money, Quantity, Ratio, Real


def money(cents: int, currency: str, style: str) -> Stated:
    """Return an amount in the style "sign", "escaped", "words", "sign behind" or "number"."""
    places = 0 if cents % 100 == 0 else 2
    number = decimal_text(cents // 100 if places == 0 else cents, places)
    unit = CURRENCIES[currency]
    value = Money(Fraction(cents, 100), currency)
    if style == "words":
        return said(f"{number} {unit.words}", value)
    if style == "number":
        return Stated(number, Real(Fraction(cents, 100)))
    if style == "sign behind":
        return Stated(f"{number} {unit.sign}", value)
    if style == "grouped":
        head, _, tail = number.partition(".")
        return Stated(f"{unit.sign}{int(head):,}" + (f".{tail}" if tail else ""), value)
    if style == "escaped":
        return tex(rf"\{unit.sign}{number}" if unit.sign == "$" else f"{unit.sign}{number}", value)
    return Stated(f"{unit.sign}{number}", value)


def _cents(rng: Random) -> int:
    return rng.randrange(2, 3000) * rng.choice((1, 100, 100)) + 200


def _money_as(style: str) -> Rule:
    def draft(rng: Random) -> Draft:
        cents, currency = _cents(rng), rng.choice(list(CURRENCIES))
        if style == "sign behind":
            currency = "euro"
        if style == "for a bare number":
            answer = money(cents, currency, rng.choice(("sign", "words")))
            return Draft(money(cents, currency, "number"), answer)
        if style == "sign":
            return Draft(money(cents, currency, "words"), money(cents, currency, "sign"))
        return Draft(money(cents, currency, "sign"), money(cents, currency, style))

    return equal("money", f"as {style}", draft)


def _money_wrong(change: str) -> Rule:
    def draft(rng: Random) -> Draft:
        cents, currency = _cents(rng), rng.choice(list(CURRENCIES))
        other = rng.choice([name for name in CURRENCIES if name != currency])
        style = rng.choice(("sign", "words"))
        reference = money(cents, currency, rng.choice(("sign", "words")))
        if change == "cents":
            number = cents // 100
            answer = said(
                f"{number} {CURRENCIES[currency].cents}", Money(Fraction(number, 100), currency)
            )
            return Draft(money(number * 100, currency, "sign"), answer)
        if change == "another currency":
            return Draft(reference, money(cents, other, style))
        more = {"another amount": rng.choice((-1, 1)) * 100, "a hundred times": 99 * cents}[change]
        return Draft(reference, money(cents + more, currency, style))

    return wrong("money", change, draft)


def quantity(scaled: int, places: int, unit: str, spelling: int = 0) -> Stated:
    """Return a number and a unit in the spelling of that place in `Unit.plain`."""
    plain = UNITS[unit].plain
    text = f"{decimal_text(scaled, places)} {plain[spelling % len(plain)]}"
    return Stated(text, Quantity(Fraction(scaled, 10**places), unit), language="en")


def _measured(rng: Random) -> tuple[int, int]:
    places = rng.choice((0, 0, 1, 2))
    scaled = rng.randrange(2, 300 * 10**places)
    return scaled + (scaled % 10 == 0 and places > 0), places


def _unit_as(style: str) -> Rule:
    def draft(rng: Random) -> Draft:
        (scaled, places), unit = _measured(rng), rng.choice(list(UNITS))
        reference = quantity(scaled, places, unit)
        spellings = len(UNITS[unit].plain)
        value = Quantity(Fraction(scaled, 10**places), unit)
        number = decimal_text(scaled, places)
        if style == "another spelling":
            return Draft(reference, quantity(scaled, places, unit, rng.randrange(1, spellings)))
        if style == "in LaTeX":
            return Draft(reference, tex(number + rng.choice(UNITS[unit].tex), value))
        if style == "for a bare number":
            answer = quantity(scaled, places, unit, rng.randrange(spellings))
            return Draft(Stated(number, Real(value.number)), answer)
        if style == "without a space":
            symbol = rng.choice(("mm", "cm", "km", "kg", "g", "km/h", "m/s"))
            answer = Stated(f"{number}{symbol}", Quantity(value.number, symbol))
            return Draft(quantity(scaled, places, symbol), answer)
        what = rng.choice(("length", "value", "result", "quantity that we need"))
        words = quantity(scaled, places, unit, rng.randrange(spellings)).text
        return Draft(reference, sentence(f"The {what} is {words}.", value))

    return equal("unit", style, draft)


_SAME_DIMENSION = {
    key: [other for other in UNITS if UNITS[other].dimension == unit.dimension and other != key]
    for key, unit in UNITS.items()
}


def _unit_wrong(change: str) -> Rule:
    def draft(rng: Random) -> Draft:
        (scaled, places), unit = _measured(rng), rng.choice(list(UNITS))
        if change == "another size of unit":
            unit = rng.choice([key for key, others in _SAME_DIMENSION.items() if others])
            other = rng.choice(_SAME_DIMENSION[unit])
        elif change == "another power":
            unit, other = rng.choice(
                (("cm2", "cm"), ("cm", "cm2"), ("cm3", "cm2"), ("m2", "m"), ("m2", "m3"))
            )
        elif change == "another dimension":
            other = rng.choice([k for k in UNITS if UNITS[k].dimension != UNITS[unit].dimension])
        else:
            return Draft(
                quantity(scaled, places, unit),
                quantity(scaled + 10**places, places, unit, rng.randrange(2)),
            )
        number = decimal_text(scaled, places)
        value = Quantity(Fraction(scaled, 10**places), other)
        if rng.random() < 0.5:
            answer = tex(number + rng.choice(UNITS[other].tex), value)
        else:
            answer = quantity(scaled, places, other, rng.randrange(2))
        return Draft(quantity(scaled, places, unit), answer)

    return wrong("unit", change, draft)


_DEGREES = (r"{}^\circ", r"{}^{{\circ}}", r"{}°", r"{}^{{\circ }}", "{} degrees", r"{}\degree")


def _angle(number: int, spelling: str) -> Stated:
    text = spelling.format(number)
    value = Real(Fraction(number))
    return Stated(text, value, tex="\\" in text, language="en" if "degrees" in text else "")


def _angle_as(spelling: str) -> Rule:
    def draft(rng: Random) -> Draft:
        number = rng.randrange(2, 360)
        other = rng.choice([other for other in _DEGREES[:3] if other != spelling])
        return Draft(_angle(number, other), _angle(number, spelling))

    return equal("angle", f"as {spelling.format('n')}", draft)


def _angle_wrong(rng: Random) -> Draft:
    number = rng.randrange(2, 180)
    other = rng.choice((180 - number, 90 - number, number + 1, 360 - number))
    if other == number:
        other += 10
    return Draft(_angle(number, rng.choice(_DEGREES)), _angle(other, rng.choice(_DEGREES)))


_HALVES = {
    "p.m.": ("a.m.", "p.m."), "PM": ("AM", "PM"), "pm": ("am", "pm"), "P.M.": ("A.M.", "P.M."),
}  # fmt: skip


def _clock(minutes: int, style: str) -> Stated:
    hour, minute = divmod(minutes, 60)
    half = _HALVES[style.removesuffix(", close")][hour >= 12]
    space = "" if style.endswith("close") else " "
    return Stated(f"{(hour - 1) % 12 + 1}:{minute:02}{space}{half}", Clock(minutes), language="en")


def _clock_as(style: str) -> Rule:
    def draft(rng: Random) -> Draft:
        minutes = rng.randrange(24 * 60)
        others = [other for other in _HALVES if other != style.removesuffix(", close")]
        return Draft(_clock(minutes, rng.choice(others)), _clock(minutes, style))

    return equal("time", f"as {style}", draft)


def _clock_wrong(change: str) -> Rule:
    def draft(rng: Random) -> Draft:
        minutes = rng.randrange(24 * 60)
        other = {
            "other half of the day": minutes + 12 * 60,
            "another hour": minutes + 60,
            "other minutes": minutes + rng.choice((5, -5, 1, 30)),
        }[change] % (24 * 60)
        style = rng.choice(list(_HALVES))
        return Draft(_clock(minutes, style), _clock(other, rng.choice((style, "PM", "p.m."))))

    return wrong("time", change, draft)


_MONTH_NAMES = (
    "January February March April May June July August September October November December"
)
_MONTHS = _MONTH_NAMES.split()


def _day(date: datetime.date, style: str) -> Stated:
    month = _MONTHS[date.month - 1]
    ending = {1: "st", 2: "nd", 3: "rd"}.get(date.day % 10 if date.day // 10 != 1 else 0, "th")
    text = {
        "month first": f"{month} {date.day}, {date.year}",
        "day first": f"{date.day} {month} {date.year}",
        "short month": f"{month[:3]} {date.day}, {date.year}",
        "ordinal": f"{month} {date.day}{ending}, {date.year}",
        "the day of": f"the {date.day}{ending} of {month} {date.year}",
    }[style]
    return said(text, Day(date))


_DAYS = ("month first", "day first", "short month", "ordinal", "the day of")


def _date(rng: Random) -> datetime.date:
    return datetime.date(1700, 1, 1) + datetime.timedelta(days=rng.randrange(320 * 365))


def _day_as(style: str) -> Rule:
    def draft(rng: Random) -> Draft:
        date = _date(rng)
        other = "day first" if style == "month first" else "month first"
        return Draft(_day(date, other), _day(date, style))

    return equal("date", f"as {style}", draft)


def _day_wrong(change: str) -> Rule:
    def draft(rng: Random) -> Draft:
        date = _date(rng).replace(day=rng.randrange(1, 28))
        other = {
            "another day": lambda: date.replace(day=date.day % 28 + 1),
            "another month": lambda: date.replace(month=date.month % 12 + 1),
            "another year": lambda: date.replace(year=date.year + rng.choice((-1, 1, 10))),
        }[change]()
        style = rng.choice(_DAYS[:2])
        return Draft(_day(date, style), _day(other, rng.choice(_DAYS)))

    return wrong("date", change, draft)


def _ratio(parts: tuple[int, ...], style: str) -> Stated:
    text = {"close": ":", "spaced": " : ", "words": " to ", "tex": r"\!:\!"}[style].join(
        map(str, parts)
    )
    language = "en" if style == "words" else ""
    return Stated(text, Ratio(parts), tex=style == "tex", language=language)  # type: ignore[arg-type]


def _ratio_parts(rng: Random) -> tuple[int, ...]:
    while True:
        parts = tuple(rng.randrange(1, 40) for _ in range(rng.choice((2, 2, 3))))
        if gcd(*parts) == 1 and len(set(parts)) == len(parts):
            return parts


def _ratio_as(style: str) -> Rule:
    def draft(rng: Random) -> Draft:
        parts = _ratio_parts(rng)
        return Draft(_ratio(parts, "close" if style != "close" else "spaced"), _ratio(parts, style))

    return equal("ratio", f"as {style}", draft)


def _ratio_wrong(change: str) -> Rule:
    def draft(rng: Random) -> Draft:
        parts = _ratio_parts(rng)
        other = {
            "other order": parts[::-1],
            "another part": (*parts[:-1], parts[-1] + 1),
            "a part more": (*parts, parts[-1] + 2),
        }[change]
        style = rng.choice(("close", "spaced", "words"))
        return Draft(_ratio(parts, "close"), _ratio(other, style))

    return wrong("ratio", change, draft)


def _ratio_part_only(rng: Random) -> Draft:
    parts = _ratio_parts(rng)
    return Draft(_ratio(parts, "close"), integer(rng.choice(parts)))


RULES = (
    one_of(
        "spellings",
        (_money_as(style) for style in ("sign", "escaped", "words", "sign behind", "grouped")),
    ),
    _money_as("for a bare number"),
    _money_wrong("another currency"),
    _money_wrong("cents"),
    one_of("another amount", (_money_wrong(c) for c in ("another amount", "a hundred times"))),
    *(
        _unit_as(style)
        for style in (
            "another spelling",
            "in LaTeX",
            "for a bare number",
            "without a space",
            "in a sentence",
        )
    ),
    *(
        _unit_wrong(change)
        for change in (
            "another size of unit",
            "another power",
            "another dimension",
            "another number",
        )
    ),
    one_of("spellings", (_angle_as(spelling) for spelling in _DEGREES)),
    wrong("angle", "another angle", _angle_wrong),
    one_of(
        "spellings",
        (_clock_as(style) for style in ("p.m.", "PM", "pm", "P.M.", "PM, close", "pm, close")),
    ),
    _clock_wrong("other half of the day"),
    one_of("another time", (_clock_wrong(c) for c in ("another hour", "other minutes"))),
    one_of("spellings", (_day_as(style) for style in _DAYS)),
    one_of(
        "another date", (_day_wrong(c) for c in ("another day", "another month", "another year"))
    ),
    one_of("spellings", (_ratio_as(style) for style in ("close", "spaced", "words", "tex"))),
    _ratio_wrong("other order"),
    one_of(
        "other parts",
        (
            _ratio_wrong("another part"),
            _ratio_wrong("a part more"),
            wrong("ratio", "one part only", _ratio_part_only),
        ),
    ),
)

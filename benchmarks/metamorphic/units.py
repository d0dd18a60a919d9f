"""Units and currencies with their spellings, and how large each is."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of measurement."""

    dimension: str
    size: Fraction
    """In the dimension's base unit."""
    plain: tuple[str, ...]
    """Spellings after a number and a space; the first is how references write it."""
    tex: tuple[str, ...]
    """Spellings in math mode, after the number."""


def _unit(dimension: str, size: Fraction | int, *plain: str, symbol: str, power: int = 1) -> Unit:
    mark = f"^{power}" if power > 1 else ""
    braced = f"^{{{power}}}" if power > 1 else ""
    tex = (
        rf"\text{{ {symbol}}}{mark}",
        rf"\ \mathrm{{{symbol}}}{mark}",
        rf"\,\text{{{symbol}}}{braced}",
        rf"~\mathrm{{{symbol}}}{braced}",
    )
    return Unit(dimension, Fraction(size), plain, tex)


UNITS = {
    "mm": _unit("length", Fraction(1, 1000), "mm", "millimeters", "millimetres", symbol="mm"),
    "cm": _unit("length", Fraction(1, 100), "cm", "centimeters", "centimetres", symbol="cm"),
    "m": _unit("length", 1, "m", "meters", "metres", symbol="m"),
    "km": _unit("length", 1000, "km", "kilometers", "kilometres", symbol="km"),
    "g": _unit("mass", Fraction(1, 1000), "g", "grams", symbol="g"),
    "kg": _unit("mass", 1, "kg", "kilograms", symbol="kg"),
    "lb": _unit("mass", Fraction(45359237, 10**8), "pounds", "lbs", "lb", symbol="lb"),
    "s": _unit("time", 1, "seconds", "s", symbol="s"),
    "min": _unit("time", 60, "minutes", "min", symbol="min"),
    "h": _unit("time", 3600, "hours", "h", symbol="h"),
    "cm2": _unit(
        "area", Fraction(1, 10**4), "cm^2", "cm²", "square centimeters", "square centimetres",
        symbol="cm", power=2,
    ),
    "m2": _unit("area", 1, "m^2", "m²", "square meters", "square metres", symbol="m", power=2),
    "cm3": _unit(
        "volume", Fraction(1, 10**6), "cm^3", "cm³", "cubic centimeters", symbol="cm", power=3
    ),
    "m3": _unit("volume", 1, "m^3", "m³", "cubic meters", symbol="m", power=3),
    "L": _unit("volume", Fraction(1, 1000), "liters", "litres", "L", symbol="L"),
    "km/h": _unit(
        "speed", Fraction(5, 18), "km/h", "km per hour", "kilometers per hour", symbol="km/h"
    ),
    "m/s": _unit("speed", 1, "m/s", "m per second", "meters per second", symbol="m/s"),
    "mph": _unit("speed", Fraction(1397, 3125), "miles per hour", "mph", symbol="mph"),
    "N": _unit("force", 1, "N", "newtons", symbol="N"),
    "J": _unit("energy", 1, "J", "joules", symbol="J"),
    "V": _unit("voltage", 1, "V", "volts", symbol="V"),
}  # fmt: skip

COUNTED = ("apples", "birds", "students", "people", "books", "cars", "red balls", "squares")
"""Things that are counted: a number of them is the number."""


@dataclass(frozen=True, slots=True)
class Currency:
    """A currency."""

    sign: str
    words: str
    cents: str


CURRENCIES = {
    "dollar": Currency("$", "dollars", "cents"),
    "euro": Currency("€", "euros", "euro cents"),
    "pound": Currency("£", "pounds", "pence"),
    "rupee": Currency("₹", "rupees", "paise"),
}

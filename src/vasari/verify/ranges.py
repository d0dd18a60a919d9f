"""Ranges such as 1985-1990, and figures with dashes that may be no subtraction, such as 6-0."""

from __future__ import annotations

import re
from fractions import Fraction

from vasari.verify.normalise import DOLLAR, normalise
from vasari.verify.units import canonical_unit

CURRENCY_SIGNS = DOLLAR + "€£¥₹"
_CODE = re.compile(r"[0-9][0-9:./]*(?:-[0-9][0-9:./]*)+|[0-9]{4}/[0-9]{2}")
_RANGE = re.compile(
    r"(?:(?:pp?\.|pages?|from)\s?)?"
    rf"(?:(?P<money>[{CURRENCY_SIGNS}])\s?)?"
    r"(?P<low>[0-9]+(?:\.[0-9]+)?)(?P<first>%|\s?[a-zA-Z]+)?(?:-|\s-\s|\s?to\s|\s?~\s?)"
    r"(?(money)(?:(?P=money)\s?)?)(?P<high>[0-9]+(?:\.[0-9]+)?)(?P<unit>%|\s?[a-zA-Z]+)?"
)


def parse_range(text: str) -> tuple[Fraction, Fraction] | None:
    """Return the ends of a range such as "1985-1990" or "$30-$39"; None for other text.

    It is no subtraction: both ends are plain, and the second is larger.
    """
    match = _RANGE.fullmatch(normalise(text))
    if match is None:
        return None
    first = (match.group("first") or "").strip()
    if first and (first != (match.group("unit") or "").strip() or not _is_unit(first)):
        return None
    low, high = Fraction(match.group("low")), Fraction(match.group("high"))
    if low >= 1000 and 0 <= high < 100 and re.fullmatch(r"\d{4}-\d{2}", match.group()):
        high += low // 100 * 100  # The years 1990-91.
    return (low, high) if low < high else None


def _is_unit(text: str) -> bool:
    return text == "%" or canonical_unit(text) is not None


def parse_code(text: str) -> str | None:
    """Return a text such as "6-0", "1-2-3" or "8:00-9:00" that may be no subtraction, else None."""
    text = text.strip()
    return text if _CODE.fullmatch(text) else None

"""Times of day and dates in answers."""

from __future__ import annotations

import re
from dataclasses import dataclass

_MAX_CHARS = 40
_DIGIT = re.compile(r"\d")
_TIME = re.compile(
    r"(?P<hour>\d{1,2})(?::(?P<minute>[0-5]\d))?(?::(?P<second>[0-5]\d))?\s?(?P<half>[ap]\.?\s?m\.?)?(?:\s?(?:o'clock|h))?",
    re.IGNORECASE,
)
_TIME_IN_TEXT = re.compile(
    r"(?<![\d:])\d{1,2}:[0-5]\d(?::[0-5]\d)?(?![:.]?\d)(?:\s?[ap]\.?\s?m\b\.?)?"
    r"|(?<![\d:])\d{1,2}\s?[ap]\.?\s?m\b\.?",
    re.IGNORECASE,
)
_MONTHS = [
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
]  # fmt: skip
_MONTH = r"(?P<month>[A-Za-z]{3,9})\.?"
_DATES = (
    re.compile(rf"(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?: of)? {_MONTH},? ?(?P<year>\d{{4}})?"),
    re.compile(rf"{_MONTH} (?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?:,? (?P<year>\d{{4}}))?"),
    re.compile(r"(?P<year>\d{4})[-/.](?P<month>\d{1,2})[-/.](?P<day>\d{1,2})"),
    re.compile(r"(?P<year>\d{4})年(?P<month>\d{1,2})月(?P<day>\d{1,2})日"),
)
# Whether 3/5/2021 is in March or in May nobody can tell: it equals itself alone.
_SLASHED = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{2,4})|(\d{1,2})\.(\d{1,2})\.(\d{4})")


@dataclass(frozen=True, slots=True)
class Moment:
    """A time of day or a date: "time" with hour, minute, second; "date" with year, month, day."""

    kind: str
    parts: tuple[int, ...]
    half: str = ""
    """"a" or "p" where a time says which half of the day."""

    def equals(self, other: Moment) -> bool:
        """Whether two are the same; a time that says no half of the day may be in either."""
        if self.kind != other.kind:
            return False
        if self.kind != "time":
            left, right = self.parts, other.parts
            return left[1:] == right[1:] and (left[0] == right[0] or 0 in (left[0], right[0]))
        if self.half and other.half:
            return (self.parts, self.half) == (other.parts, other.half)
        return bool(self._hours() & other._hours()) and self.parts[1:] == other.parts[1:]

    def _hours(self) -> set[int]:
        hour = self.parts[0]
        if self.half:
            return {hour % 12 + (12 if self.half == "p" else 0)}
        return {hour}


def parse_moment(text: str) -> Moment | None:
    """Return the time of day or the date that a normalised text is, else None."""
    if len(text) > _MAX_CHARS or not _DIGIT.search(text):
        return None
    text = text.removeprefix("the ")
    match = _TIME.fullmatch(text)
    if match is not None and (match.group("minute") or match.group("half")):
        hour = int(match.group("hour"))
        parts = (hour, int(match.group("minute") or 0), int(match.group("second") or 0))
        half = (match.group("half") or "")[:1].casefold()
        return Moment("time", parts, half) if hour <= (12 if half else 24) else None
    for pattern in _DATES:
        match = pattern.fullmatch(text)
        month = _month(match.group("month")) if match else 0
        if match is not None and month:
            return Moment("date", (int(match.group("year") or 0), month, int(match.group("day"))))
    slashed = _SLASHED.fullmatch(text)
    if slashed is not None:
        return Moment("slashed", tuple(int(part) for part in slashed.groups() if part))
    return None


def moments_in(text: str) -> list[Moment]:
    """Return the dates in a sentence, else its times of day with minutes or halves of the day."""
    if not _DIGIT.search(text):
        return []
    for pattern in (*_DATES[:2], _TIME_IN_TEXT):
        found = [parse_moment(match.group().strip()) for match in pattern.finditer(text[:400])]
        if moments := [moment for moment in found if moment is not None]:
            return moments
    return []


def _month(text: str) -> int:
    if text.isdigit():
        return int(text) if 1 <= int(text) <= 12 else 0
    found = [place for place, name in enumerate(_MONTHS, 1) if name.startswith(text.casefold())]
    return found[0] if len(found) == 1 else 0

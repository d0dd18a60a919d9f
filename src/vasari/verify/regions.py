"""Inequalities, intervals and unions of them, as sets of real numbers."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction

from vasari.verify.lists import parse_list
from vasari.verify.numbers import parse_constant
from vasari.verify.powers import Value

_NAME = re.compile(r"\\?[a-zA-Zα-ωΑ-Ω]+(?:_(?:\w|\{\w{1,12}\}))?'*(?:\([a-z]\))?")
_RELATION = re.compile(r"([<>≤≥≠])")
_FLIPPED = {"<": ">", ">": "<", "≤": "≥", "≥": "≤"}
_ALL = re.compile(
    r"(?:(?:all|any|every) (?:of the )?real(?: numbers?| values?)?s?|reals|ℝ|全体实数"
    r"|任意实数)(?: numbers)?",
    re.IGNORECASE,
)
_NONE = re.compile(r"∅|\{\s?\}|(?:the )?empty set|no (?:real )?solutions?|空集", re.IGNORECASE)
_BUILDER = re.compile(r"\{\s?(?P<name>\S{1,12})\s?(?:∈\s?ℝ\s?)?(?:\||:)\s?(?P<condition>.+)\}")
_MEMBER = re.compile(r"(?P<name>\S{1,12})\s?∈\s?(?P<rest>.+)")
_UNION = re.compile(r"\s?∪\s?|(?<=[)\]])\s?(?:U|or|and)\s?(?=[(\[])")
_OR, _AND = (
    re.compile(r"\s(?:or|∨)\s|\s?或\s?|\s?∨\s?"),
    re.compile(r"\s(?:and|∧)\s|\s?且\s?|\s?∧\s?"),
)
_MORE = r"(?:is )?(?:more|greater|larger|bigger|higher|longer) than "
_LESS = r"(?:is )?(?:less|smaller|fewer|lower|shorter) than "
_BOUND_WORDS = tuple(
    (re.compile(pattern), sign)
    for pattern, sign in (
        (r"(?:is )?(?:at least|no less than|not less than|minimum of|至少|不少于|不小于) ?", "≥"),
        (r"(?:is )?(?:at most|no more than|not more than|up to|maximum of) ?", "≤"),
        (r"(?:至多|不超过|不大于) ?", "≤"),
        (_MORE + "or equal to ", "≥"),
        (_LESS + "or equal to ", "≤"),
        (_MORE + "|over |above |(?:大于|超过|多于) ?", ">"),
        (_LESS + "|under |below |(?:小于|少于|低于) ?", "<"),
        (r"(?:is )?not (?:equal to )?|不等于 ?|不是 ?", "≠"),
    )
)
_BETWEEN = re.compile(
    r"(?:(?P<name>\S{1,12}) (?:is|lies) )?(?:somewhere |anything )?(?:between"
    r"|from) (?P<low>.+?) (?:and|to) (?P<high>.+)",
    re.IGNORECASE,
)
_MAX_PARTS = 16


@dataclass(frozen=True, slots=True)
class Interval:
    """Real numbers between two ends; an end is a number or an infinity."""

    low: Value
    high: Value
    closed_low: bool
    closed_high: bool

    @property
    def is_empty(self) -> bool:
        """Whether it holds no number."""
        if self.low > self.high:
            return True
        return self.low == self.high and not (self.closed_low and self.closed_high)


@dataclass(frozen=True, slots=True)
class Region:
    """A union of intervals, in order and apart, and the variable that it is of ("" if unnamed)."""

    intervals: tuple[Interval, ...]
    name: str = ""


def parse_region(text: str, *, brackets: bool) -> Region | None:
    """Return the real numbers that an inequality, an interval or a union describes; else None.

    Args:
        text: Normalised, with one character a sign.
        brackets: Whether a pair in brackets is an interval: "(1, 2)" is a point as well.

    Raises:
        LimitExceededError: A bound nests too deep or grows too large.
    """
    text = text.strip()
    if _ALL.fullmatch(text):
        return Region((Interval(-math.inf, math.inf, False, False),))
    if _NONE.fullmatch(text):
        return Region(())
    if built := _BUILDER.fullmatch(text):
        inside = parse_region(built.group("condition"), brackets=brackets)
        return inside if inside is not None and inside.name in ("", built.group("name")) else None
    if member := _MEMBER.fullmatch(text):
        inside = parse_region(member.group("rest"), brackets=True)
        return Region(inside.intervals, member.group("name")) if inside is not None else None
    if between := _BETWEEN.fullmatch(text):
        ends = _end(between.group("low")), _end(between.group("high"))
        if ends[0] is not None and ends[1] is not None:
            return Region(_within(ends[0], True, ends[1], True), between.group("name") or "")
        return None
    if len(parts := _UNION.split(text)) > 1 and len(parts) <= _MAX_PARTS:
        return _joined([parse_region(part, brackets=True) for part in parts])
    for words, meet in ((_OR, False), (_AND, True)):
        parts = words.split(text)
        if 1 < len(parts) <= _MAX_PARTS:
            found = [parse_region(part, brackets=False) for part in parts]
            return _met(found) if meet else _joined(found)
    return _chain(text) or (_bracketed(text) if brackets else None)


def regions_equal(found: Region, reference: Region) -> bool:
    """Whether two regions hold the same numbers, and do not name different variables."""
    if found.name and reference.name and found.name != reference.name:
        return False
    left, right = found.intervals, reference.intervals
    return len(left) == len(right) and all(
        _same_end(one.low, other.low)
        and _same_end(one.high, other.high)
        and (one.closed_low, one.closed_high) == (other.closed_low, other.closed_high)
        for one, other in zip(left, right, strict=True)
    )


def _same_end(left: Value, right: Value) -> bool:
    if isinstance(left, Fraction) and isinstance(right, Fraction):
        return left == right
    if math.isinf(left) or math.isinf(right):
        return left == right
    return abs(float(left) - float(right)) <= 1e-12 * max(abs(float(left)), abs(float(right)))


def _chain(text: str) -> Region | None:
    """The region of x < 3, 3 > x, 1 < x ≤ 2 or x ≠ 1."""
    parts = [part.strip() for part in _RELATION.split(text)]
    if len(parts) == 1:
        parts = _spoken(text)
    if len(parts) == 3:
        left, sign, right = parts
        if _is_name(right) and not _is_name(left) and sign != "≠":
            left, sign, right = right, _FLIPPED[sign], left
        bound = _end(right) if left == "" or _is_name(left) else None
        return None if bound is None else Region(_half(sign, bound), left)
    if len(parts) == 5 and _is_name(parts[2]):
        low, first, name, second, high = parts
        if first in "><≤≥" and second in "<>≤≥" and (first in "<≤") == (second in "<≤"):
            ends = _end(low), _end(high)
            if ends[0] is None or ends[1] is None:
                return None
            if first in ">≥":
                return Region(_within(ends[1], second == "≥", ends[0], first == "≥"), name)
            return Region(_within(ends[0], first == "≤", ends[1], second == "≤"), name)
    return None


def _spoken(text: str) -> list[str]:
    """The parts of "more than 5", "x is at least 3" as those of an inequality."""
    for words, sign in _BOUND_WORDS:
        match = words.search(text.casefold())
        if match is None:
            continue
        before, after = text[: match.start()].strip(), text[match.end() :].strip()
        if not before or _is_name(before):
            return [before, sign, after]
    return []


def _within(low: Value, closed_low: bool, high: Value, closed_high: bool) -> tuple[Interval, ...]:
    found = Interval(low, high, closed_low, closed_high)
    return () if found.is_empty else (found,)


def _half(sign: str, bound: Value) -> tuple[Interval, ...]:
    below = Interval(-math.inf, bound, False, sign == "≤")
    above = Interval(bound, math.inf, sign == "≥", False)
    if sign == "≠":
        return below, above
    return (below,) if sign in "<≤" else (above,)


def _is_name(text: str) -> bool:
    return bool(_NAME.fullmatch(text)) and parse_constant(text) is None


def _end(text: str) -> Value | None:
    bare = text.strip().removeprefix("+").strip()
    if bare.removeprefix("-").strip() == "∞":
        return -math.inf if bare.startswith("-") else math.inf
    return parse_constant(bare) if bare else None


def _bracketed(text: str) -> Region | None:
    listed = parse_list(text)
    if listed is None or len(listed.items) != 2 or listed.brackets not in ("()", "[]", "(]", "[)"):
        return None
    low, high = _end(listed.items[0]), _end(listed.items[1])
    if low is None or high is None or low > high:
        return None
    return Region(_within(low, listed.brackets[0] == "[", high, listed.brackets[1] == "]"))


def _name_of(parts: list[Region | None]) -> str | None:
    names = {part.name for part in parts if part is not None and part.name}
    return None if len(names) > 1 else next(iter(names), "")


def _joined(parts: list[Region | None]) -> Region | None:
    """The union of regions of one variable, merged where they touch."""
    name = _name_of(parts)
    if name is None or any(part is None for part in parts):
        return None
    intervals = sorted(
        (interval for part in parts if part is not None for interval in part.intervals),
        key=lambda interval: (float(interval.low), not interval.closed_low),
    )
    merged: list[Interval] = []
    for one in intervals:
        last = merged[-1] if merged else None
        touches = last is not None and (
            one.low < last.high or (one.low == last.high and (one.closed_low or last.closed_high))
        )
        if last is None or not touches:
            merged.append(one)
            continue
        higher = max((last, one), key=lambda part: (float(part.high), part.closed_high))
        merged[-1] = Interval(last.low, higher.high, last.closed_low, higher.closed_high)
    return Region(tuple(merged), name)


def _met(parts: list[Region | None]) -> Region | None:
    """The intersection of regions of one variable."""
    name = _name_of(parts)
    if name is None or any(part is None for part in parts):
        return None
    found: tuple[Interval, ...] = (Interval(-math.inf, math.inf, False, False),)
    for part in parts:
        met = [
            _intersected(one, other)
            for one in found
            for other in (part.intervals if part is not None else ())
        ]
        found = tuple(interval for interval in met if not interval.is_empty)
    return Region(found, name)


def _intersected(one: Interval, other: Interval) -> Interval:
    low = max((one, other), key=lambda part: (float(part.low), not part.closed_low))
    high = min((one, other), key=lambda part: (float(part.high), part.closed_high))
    return Interval(low.low, high.high, low.closed_low, high.closed_high)

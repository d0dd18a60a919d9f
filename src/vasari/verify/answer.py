"""One answer or reference, read once: its number, equation, list, region or matrix."""

from __future__ import annotations

import functools
import re
from fractions import Fraction

from vasari.verify.arithmetic import evaluate
from vasari.verify.lazily import lazily
from vasari.verify.limits import MAX_ARITHMETIC_CHARS, LimitExceededError
from vasari.verify.lists import Listed, parse_list, parse_matrix
from vasari.verify.moments import Moment, parse_moment
from vasari.verify.normalise import normalise
from vasari.verify.numbers import (
    Number,
    may_hold_value,
    parse_arithmetic,
    parse_constant,
    parse_number,
    plain_number,
)
from vasari.verify.powers import NotArithmeticError, Value
from vasari.verify.ranges import parse_code, parse_range
from vasari.verify.regions import Region, parse_region
from vasari.verify.signs import with_signs
from vasari.verify.units import split_unit

_EQUALS = re.compile(r"(?<![<>!:=])=(?!=)|≈|(?<=[^\s])\s?:=\s?")
_ASSIGNED_BY_WORDS = re.compile(
    r"(?P<name>[a-zA-Z][\w ]{0,40}?) (?:is equal to|equals|等于) (?P<value>.+)"
)
_LEADING = re.compile(r"(?:[∴⇒⇔→]|=(?!=)|so\b|hence\b|thus\b|therefore\b,?)\s*", re.IGNORECASE)
_BASED = re.compile(r"\(?([0-9A-Za-z]{1,64})\)?_\{?\(?([0-9]{1,2})\)?\}?")
_BASED_IN_WORDS = re.compile(
    r"([0-9A-Fa-f]{1,64}) (?:in |\()?base[ -]?([0-9]{1,2}|two|eight|ten|sixteen)\)?"
)
_BASES = {"two": 2, "eight": 8, "ten": 10, "sixteen": 16}
_RATIO = re.compile(r"[^:]{1,60}(?::[^:]{1,60}){1,7}")
_RATIO_IN_WORDS = re.compile(r"[0-9.]+(?: to [0-9.]+){1,4}|[0-9.]+(?:比[0-9.]+){1,4}")
_ROUNDED_BEHIND = re.compile(r"\s?\((?:≈|about|approximately|approx\.?|roughly)[^()]*\)\s*\Z")
_NAMED_TUPLE = re.compile(r"\A\([a-z](?:,\s?[a-z])+\)\s?=\s?(?=\()")
_LOGICAL = re.compile(r"\s*[∨∧]\s*")
_FUNCTION = re.compile(r"\\?(?:sin|cos|tan|cot|sec|csc|log|ln|lg|exp|sqrt)\b")
_MAX_SIDES = 8
_SIMPLE_NAME = re.compile(
    # One way to match each text: a second makes long names exponential.
    r"(?:\\[a-zA-Z]{1,20}(?![a-zA-Z])|[a-zA-Z]|[α-ωΑ-Ω∠△⊙°|]|\s|'"
    r"|_(?:\{[^{}_]{1,20}\}|[a-zA-Z0-9])|\([a-zA-Z0-9,]{1,6}\))+"
)
_CROSS = re.compile(r"(?<=[0-9)])\s?x\s?(?=[0-9(])")


class Answer:
    """One answer, normalised once; what it can be read as is computed when it is first asked for.

    Reading raises `LimitExceededError` for what nests too deep or grows too large.
    """

    def __init__(self, text: str, *, decimal_comma: bool = True) -> None:
        self.text = normalise(text)
        """Normalised (`normalise`), with LaTeX's commands."""
        self._decimal_comma = decimal_comma

    @lazily
    def signs(self) -> str:
        """The text with one character a sign, and without "therefore" in front."""
        text = with_signs(self.text)
        if "(" in text:
            text = _ROUNDED_BEHIND.sub("", _NAMED_TUPLE.sub("", text, count=1))
        if "⇒" in text and "=" in (last := text.rpartition("⇒")[2]):
            text = last.strip()
        return _LEADING.sub("", text, count=1).strip() if _LEADING.match(text) else text

    @lazily
    def sides(self) -> tuple[str, ...]:
        """What stands between the equals signs: one side if there are none."""
        named = _ASSIGNED_BY_WORDS.fullmatch(self.signs)
        if named is not None:
            return named.group("name").strip(), named.group("value").strip()
        sides = tuple(side.strip() for side in _EQUALS.split(self.signs))
        if len(sides) == 2 and _is_name(sides[1]) and _constant(sides[0]) is not None:
            return sides[::-1]  # "5 = x"
        return sides

    @lazily
    def name(self) -> str:
        """What a value is assigned to: "x" in "x = 5", "AB" in "AB = 2x = 10"; else ""."""
        if len(self.sides) < 2 or len(self.sides) > _MAX_SIDES:
            return ""
        first = self.sides[0]
        return first if _is_name(first) else ""

    @lazily
    def number(self) -> Number | None:
        """The number that it is, a unit allowed, exact; None if it is no rational number."""
        if not may_hold_value(self.text):
            return None
        plain = plain_number(self.text) or parse_number(
            self.value_text, decimal_comma=self._decimal_comma
        )
        if plain is not None:
            return plain
        found = self._arithmetic
        if found is None or not isinstance(found[0], Fraction):
            return None
        return Number(found[0], unit=found[1])

    @lazily
    def constant(self) -> Value | None:
        """The value of a number or of constant arithmetic; None for what is neither."""
        if self.number is not None:
            return self.number.value
        return self._arithmetic[0] if self._arithmetic is not None else None

    @lazily
    def unit(self) -> str:
        """The unit of its number or constant, in canonical spelling; "" if it has none."""
        if self.number is not None:
            return self.number.unit
        return self._arithmetic[1] if self._arithmetic is not None else ""

    @lazily
    def value_text(self) -> str:
        """What a single value is read from: the last of equal sides, else the whole text."""
        if len(self.sides) == 1:
            return self.signs
        if len(self.sides) > _MAX_SIDES or len(self.signs) > MAX_ARITHMETIC_CHARS:
            return self.signs
        last = self.sides[-1]
        if parse_list(self.signs) is not None and parse_number(last) is None:
            return self.signs
        if _LOGICAL.search(self.signs) or not self._says_one_value():
            return self.signs
        return self._exact_side(last)

    def _says_one_value(self) -> bool:
        """Whether the sides before the last are formulas of letters, or constants equal to it."""
        last = _constant(self.sides[-1])
        if last is None:
            return False
        if len(set(self.sides)) == 1:
            return False  # "0 = 0"
        for side in self.sides[:-1]:
            if not side or ((listed := parse_list(side)) is not None and listed.brackets == ""):
                return False
            value = _constant(side)
            if value is not None and not _near(value, last, self.sides[-1]):
                return False
        # "2x = 10" says no value: the first side must be a name, or constant.
        return bool(self.name) or _constant(self.sides[0]) is not None

    def _exact_side(self, last: str) -> str:
        """The exact side of "12π ≈ 37.7", where the last is its rounding."""
        if "≈" not in self.signs:
            return last
        before = self.sides[-2]
        return before if _constant(before) is not None else last

    @lazily
    def _arithmetic(self) -> tuple[Value, str] | None:
        if not may_hold_value(self.text):
            return None
        text = _CROSS.sub("×", self.value_text)
        if parse_range(text) is not None or self.moment is not None:
            return None
        measured = split_unit(text)
        # It is asked for where the text as it stands is no number.
        known = self._decimal_comma and measured.body == self.value_text
        value = parse_arithmetic(text) if known else parse_constant(measured.body)
        return None if value is None else (value, measured.unit)

    @lazily
    def is_equation(self) -> bool:
        """Whether it relates sides and assigns no single name a constant value."""
        return len(self.sides) == 2 and not (self.name and _constant(self.sides[1]) is not None)

    @lazily
    def listed(self) -> Listed | None:
        """Its items, if it is a tuple, a set or several items in a row."""
        if self.matrix is not None:
            return None
        text = self.signs
        if "=" in text:
            text = _LOGICAL.sub(", ", text)
        if (member := re.fullmatch(r"\S{1,12}\s?(?:∈|=)\s?(\{.*\})", text)) is not None:
            text = member.group(1)
        found = parse_list(text)
        if found is None and "±" in text:
            return _both_signs(text)
        if found is not None and any("±" in item for item in found.items):
            split = [_both_signs(item) for item in found.items]
            items = [
                item
                for both, one in zip(split, found.items, strict=True)
                for item in (both.items if both is not None else (one,))
            ]
            return Listed(found.brackets, tuple(items))
        return found

    @lazily
    def items(self) -> tuple[Answer, ...]:
        """The items of `listed`, each read; empty where it is no list."""
        return tuple(Answer(item) for item in self.listed.items) if self.listed else ()

    @lazily
    def matrix(self) -> tuple[tuple[str, ...], ...] | None:
        """The rows of a matrix, else None."""
        if "\\begin" in self.text or self.signs[:1] in "[(":
            return parse_matrix(_without_name(self.signs))
        return None

    @lazily
    def region(self) -> Region | None:
        """The real numbers that an inequality or a union of intervals describes, else None."""
        return parse_region(self.signs, brackets=False)

    @lazily
    def interval(self) -> Region | None:
        """As `region`, and a pair in brackets as an interval."""
        return parse_region(self.signs, brackets=True)

    @lazily
    def based(self) -> tuple[int, int] | None:
        """Value and base of a number such as 101_2, else None."""
        text = self.value_text
        match = _BASED.fullmatch(text) or _BASED_IN_WORDS.fullmatch(text)
        if match is None:
            return None
        base = _BASES.get(match.group(2)) or int(match.group(2))
        if not re.search(r"[0-9]", match.group(1)) and base <= 10:
            return None
        try:
            return int(match.group(1), base), base
        except ValueError:
            return None

    @lazily
    def range(self) -> tuple[Fraction, Fraction] | None:
        """Both ends of a range such as 1985-1990, else None."""
        return parse_range(self.signs)

    @lazily
    def code(self) -> str | None:
        """Figures that may be no subtraction, such as 6-0 or 8:00-9:00, else None."""
        return parse_code(self.signs)

    @lazily
    def moment(self) -> Moment | None:
        """The time of day or the date that it is, else None."""
        return parse_moment(self.value_text)

    @lazily
    def ratio(self) -> tuple[Value, ...] | None:
        """The parts of a ratio such as 1:2:3, else None."""
        text = self.value_text
        if _RATIO_IN_WORDS.fullmatch(text):
            text = text.replace(" to ", ":").replace("比", ":")
        if not _RATIO.fullmatch(text):
            return None
        parts = [_constant(part) for part in text.split(":")]
        return (
            None
            if any(part is None for part in parts)
            else tuple(p for p in parts if p is not None)
        )


@functools.lru_cache(maxsize=8192)
def read_reference(text: str) -> Answer:
    """Return the reading of a reference, in which "3,5" is a list and no decimal.

    It is kept, as it is asked for again and again.
    """
    return Answer(text, decimal_comma=False)


def _constant(text: str) -> Value | None:
    text = _CROSS.sub("×", text)
    try:
        value = parse_constant(text)
    except LimitExceededError:
        return None
    if value is None:
        measured = split_unit(text)
        value = parse_constant(measured.body) if measured.unit else None
    return value


def _near(value: Value, last: Value, written: str) -> bool:
    """Whether a side of a chain equals the last one, which may be its rounding."""
    gap = abs(float(value) - float(last))
    if gap <= 1e-9 * max(1.0, abs(float(last))):
        return True
    decimals = len(written.partition(".")[2]) if re.fullmatch(r"-?\d+\.\d+", written) else 0
    return decimals > 0 and gap <= 0.5 * 10.0**-decimals


def _is_name(text: str) -> bool:
    """Whether a side is a name: x, x_1, AB, f(2), "the area"; not a product with a number."""
    if len(text) > 60 or not _SIMPLE_NAME.fullmatch(text) or _FUNCTION.search(text):
        return False
    if "|" in text and not re.fullmatch(r"\|[A-Z]{2}\||\|\S{1,3}\|\Z", text):
        return False
    bare = text.replace(" ", "")
    if re.fullmatch(r"[a-z]{2}", bare) or re.fullmatch(r"\|[a-z]\|", bare):
        return False  # A product, or an absolute value.
    try:
        evaluate(text)
    except NotArithmeticError:
        return True
    except LimitExceededError:
        return False
    return False


def _without_name(text: str) -> str:
    name, equals, rest = text.partition("=")
    return rest.strip() if equals and len(name.strip()) <= 3 else text


def _both_signs(text: str) -> Listed | None:
    """The two values of "±3" or "1 ± √2"; the name of "x = ±3" stays with both."""
    if text.count("±") != 1:
        return None
    return Listed(
        "", (text.replace("±", "+").replace("=+", "=").replace("= +", "= "), text.replace("±", "-"))
    )

"""Answers that are sets: equal if they have the same items in any order, none repeated."""

from __future__ import annotations

import re
from fractions import Fraction

from vasari.verify.limits import MAX_SET_ITEMS, LimitExceededError
from vasari.verify.normalise import loosen, normalise
from vasari.verify.numbers import parse_constant, parse_number

_SEPARATOR = re.compile(r"\s*[,;&]\s*(?:and\s+)?|\s+and\s+|\s*\n\s*", re.IGNORECASE)
_BRACKETS = (("\\{", "\\}"), ("{", "}"), ("[", "]"), ("(", ")"))


class DuplicateItemError(ValueError):
    """Raised when an answer that is a set, such as "{1, 2}", names an item twice."""


def parse_set(text: str) -> frozenset[str]:
    """Return the items of a set such as "{red, blue}", each spelled so that equal items are equal.

    Numbers are equal by value ("1/2" and "0.5"), with their unit; everything else by its words. A
    comma always separates, so numbers in a set have no thousands separator.

    Raises:
        DuplicateItemError: An item occurs twice.
        LimitExceededError: There are more than `MAX_SET_ITEMS` items, or one is too large.
    """
    text = normalise(text)
    for opener, closer in _BRACKETS:
        if (
            text.startswith(opener)
            and text.endswith(closer)
            and len(text) >= len(opener) + len(closer)
        ):
            text = text[len(opener) : -len(closer)]
            break
    items = [item for item in _SEPARATOR.split(text) if item.strip()]
    if len(items) > MAX_SET_ITEMS:
        raise LimitExceededError(f"a set has more than {MAX_SET_ITEMS} items")
    keys = [_key(item) for item in items]
    found = frozenset(keys)
    if len(found) < len(keys):
        raise DuplicateItemError(f"a set of {len(keys)} items has {len(found)} different ones")
    return found


def _key(item: str) -> str:
    number = parse_number(item)
    if number is not None:
        return f"number {number.value} {number.unit}"
    value = parse_constant(item)
    if value is not None:
        return f"number {value} " if isinstance(value, Fraction) else f"about {value:.9g}"
    return "text " + (loosen(normalise(item)) or item.strip())

r"""Lists, tuples, sets and matrices in answers, taken apart at their outermost separators."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vasari.verify.limits import MAX_SET_ITEMS, LimitExceededError

_OPENERS, _CLOSERS = "([{⟨", ")]}⟩"
_AND = re.compile(r"\s+(?:and|or|und|oder|et|ou)\s+|\s*(?:和|或|与|以及|&)\s*", re.IGNORECASE)
_LEADING_AND = re.compile(r"(?:and|or)\s+", re.IGNORECASE)
_MATRIX = re.compile(
    r"[(\[|]?\s*\\begin\s?\{(?:[pbvBV]?(?:small)?matrix\*?|array)\}\s*(?:\{[lcr| ]*\}"
    r"|\[[lcr]\])?(?P<rows>.*?)\\end\s?\{(?:[pbvBV]?(?:small)?matrix\*?|array)\}\s*[)\]|]?",
    re.DOTALL,
)
_ROW_BREAK = re.compile(r"\\cr(?![a-z])")
_RULE = re.compile(r"\\hline")
_THOUSANDS = re.compile(r"(?<![\d.])[1-9]\d{0,2}(?:,\d{3})+(?![\d])")


@dataclass(frozen=True, slots=True)
class Listed:
    """The items of a list, in order, and its brackets."""

    brackets: str
    """Two characters, such as "()" or "[)"; empty for items in a row."""
    items: tuple[str, ...]

    @property
    def in_order(self) -> bool:
        """Whether the order of the items counts: in tuples, points, vectors, not in sets."""
        return self.brackets not in ("", "{}")


def parse_list(text: str) -> Listed | None:
    """Return the items of a text that is a tuple, a set or several items in a row; else None.

    Args:
        text: Normalised, with one character a sign.

    Raises:
        LimitExceededError: There are more than `MAX_SET_ITEMS` items.
    """
    text = text.strip()
    inside, brackets = text, ""
    if len(text) >= 2 and text[0] in _OPENERS and text[-1] in _CLOSERS and _is_closed(text):
        inside, brackets = text[1:-1], text[0] + text[-1]
    items = split_items(inside, thousands=not brackets)
    if len(items) > MAX_SET_ITEMS:
        raise LimitExceededError(f"a list has more than {MAX_SET_ITEMS} items")
    if len(items) < 2 and brackets not in ("{}", "⟨⟩"):
        return None
    return Listed(brackets, tuple(items))


def split_items(text: str, *, thousands: bool = True) -> list[str]:
    """Return the parts of a text between its outermost commas, semicolons, "and" and "or".

    Args:
        text: Normalised.
        thousands: Whether the comma of "1,234" groups thousands.
    """
    kept = set()
    if thousands and "," in text:
        kept = {
            match.start() + place
            for match in _THOUSANDS.finditer(text)
            for place, character in enumerate(match.group())
            if character == ","
        }
    words = {match.start(): match.end() for match in _AND.finditer(text)}
    items, depth, start, place = [], 0, 0, 0
    semicolons = _has_outer(text, ";")
    separators = ";；" if semicolons else ",、，"
    while place < len(text):
        character = text[place]
        if character in _OPENERS:
            depth += 1
        elif character in _CLOSERS:
            depth -= 1
        elif depth <= 0 and character in separators and place not in kept:
            items.append(text[start:place])
            start = place + 1
        elif depth <= 0 and place in words:
            items.append(text[start:place])
            start = place = words[place]
            continue
        place += 1
    items.append(text[start:])
    return [_LEADING_AND.sub("", item.strip(), count=1) for item in items if item.strip()]


def _has_outer(text: str, wanted: str) -> bool:
    if wanted not in text:
        return False
    depth = 0
    for character in text:
        depth += (character in _OPENERS) - (character in _CLOSERS)
        if character == wanted and depth <= 0:
            return True
    return False


def _is_closed(text: str) -> bool:
    """Whether the first bracket is closed by the last character, and not before."""
    depth = 0
    for place, character in enumerate(text):
        depth += (character in _OPENERS) - (character in _CLOSERS)
        if depth == 0:
            return place == len(text) - 1
    return False


def parse_matrix(text: str) -> tuple[tuple[str, ...], ...] | None:
    r"""Return the rows of a matrix in any of LaTeX's environments, or as [[1, 2], [3, 4]]; or None.

    Raises:
        LimitExceededError: There are more than `MAX_SET_ITEMS` entries.
    """
    match = _MATRIX.fullmatch(text.strip())
    if match is not None:
        body = _RULE.sub("", match.group("rows"))
        rows = tuple(
            tuple(entry.strip() for entry in row.split("&"))
            for row in _ROW_BREAK.split(body)
            if row.strip()
        )
    else:
        rows = _nested_rows(text)
    if not rows or len({len(row) for row in rows}) != 1:
        return None
    if sum(len(row) for row in rows) > MAX_SET_ITEMS:
        raise LimitExceededError(f"a matrix has more than {MAX_SET_ITEMS} entries")
    return rows


def _nested_rows(text: str) -> tuple[tuple[str, ...], ...]:
    if not text.startswith(("[[", "[ [", "((", "( (")):
        return ()
    outer = parse_list(text)
    inner = [parse_list(item) for item in outer.items] if outer is not None else []
    if not inner or any(row is None or row.brackets not in ("[]", "()") for row in inner):
        return ()
    return tuple(row.items for row in inner if row is not None)

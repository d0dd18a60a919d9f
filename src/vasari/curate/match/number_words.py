"""Numbers in one form: "1,200.0", "twelve hundred" and 1200 are "1200"."""

from __future__ import annotations

import math

from vasari.verify.words import ONES, TENS

_SCALES = {"thousand": 1000, "million": 10**6, "billion": 10**9}

NUMBER_WORDS = frozenset(ONES) | frozenset(TENS) | {"hundred"} | frozenset(_SCALES)
"""Words that are numbers, in small letters."""

_PART_NAMES = ["third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"]
PARTS = {name + end: value for value, name in enumerate(_PART_NAMES, 3) for end in ("", "s")} | {
    "half": 2,
    "halves": 2,
    "quarter": 4,
    "quarters": 4,
}
"""Names of the parts of a whole, such as "thirds", with their number."""

SPELLED = "\ue000"
"""Stands, while a text is read, before a number that was written in words."""

_LONGEST = 30  # digits of a number that is computed with


def canonical(number: str) -> list[str]:
    """Numbers that a run of digits, commas and a point holds, each in its shortest form.

    Commas part thousands where the digits stand in threes, else they part numbers.
    """
    whole, point, decimals = number.partition(".")
    groups = whole.split(",")
    if len(groups) > 1 and not (
        0 < len(groups[0]) <= 3 and all(len(group) == 3 for group in groups[1:])
    ):
        head = [group.lstrip("0") or "0" for group in groups[:-1]]
        return head + canonical(groups[-1] + point + decimals)
    decimals = decimals.rstrip("0")
    return [("".join(groups).lstrip("0") or "0") + (f".{decimals}" if decimals else "")]


def fraction(top: int, bottom: int) -> str:
    """Token of a fraction: a decimal number where it is one in lowest terms, else as it stands.

    6/3 and 8/4 stay two: to compute them is a task, and they are other tasks than "2".
    """
    rest = bottom
    for prime in (2, 5):
        while rest > 1 and rest % prime == 0:
            rest //= prime
    if bottom < 2 or rest != 1 or math.gcd(top, bottom) != 1:
        return f"{top}/{bottom}"
    places = bottom.bit_length()
    scaled = str(top * 10**places // bottom).rjust(places + 1, "0")
    return canonical(f"{scaled[:-places]}.{scaled[-places:]}")[0]


def compose(tokens: list[str]) -> list[str]:
    """Tokens with numbers in words as digits, each after `SPELLED`."""
    found: list[str] = []
    place = 0
    while place < len(tokens):
        value, end = _number(tokens, place)
        part = tokens[end].lower() if value is not None and end < len(tokens) else ""
        # "two thirds" and "one third", but not "two third graders".
        if value is not None and part in PARTS and _is_plural(part) == (value > 1):
            found.append(SPELLED + fraction(value, PARTS[part]))
            place = end + 1
        elif value is not None and (end > place + 1 or not tokens[place].isdigit()):
            found.append(SPELLED + str(value))
            place = end
        else:
            found.append(tokens[place])
            place += 1
    return found


def _is_plural(part: str) -> bool:
    return part.endswith("s")


def _number(tokens: list[str], place: int) -> tuple[int | None, int]:
    """Value of the number that begins at a place, and where it ends."""
    total, part, seen, start = 0, 0, "", place
    while place < len(tokens):
        word = tokens[place].lower()
        if word.isdecimal() and not seen and len(word) <= _LONGEST:
            part, seen = int(word), "digits"
        elif word in TENS and seen in ("", "hundred", "thousand"):
            part, seen = part + TENS[word], "tens"
        elif word in ONES and (
            seen in ("", "hundred", "thousand") or (seen == "tens" and 0 < ONES[word] < 10)
        ):
            part, seen = part + ONES[word], "ones"
        elif word == "hundred" and (seen in ("", "ones", "tens", "digits")):
            part, seen = (part or 1) * 100, "hundred"
        elif word in _SCALES and seen and total % (1000 * _SCALES[word]) == 0:
            total, part, seen = total + (part or 1) * _SCALES[word], 0, "thousand"
        elif word == "and" and seen == "hundred" and _goes_on(tokens, place + 1):
            pass
        else:
            break
        place += 1
    return (total + part if seen else None), (place if seen else start)


def _goes_on(tokens: list[str], place: int) -> bool:
    """Whether "and five" ends a number: "two hundred and five", not "... and five hundred"."""
    if place >= len(tokens) or tokens[place].lower() not in ONES.keys() | TENS.keys():
        return False
    after = [word.lower() for word in tokens[place + 1 : place + 3]]
    return "hundred" not in after and _SCALES.keys().isdisjoint(after)

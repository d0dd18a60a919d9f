"""Sets, lists of solutions, plus-minus, points, and values of several variables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from random import Random

import sympy

from metamorphic.drafts import Draft, Rule, Stated, equal, one_of, sentence, tex, wrong
from metamorphic.numerals import exact_text, integer, shortest_decimal
from metamorphic.values import Assigned, Bag, Row, Value

Numbers = tuple[Fraction, ...]


def _numbers(rng: Random, count: int) -> Numbers:
    """Different integers, none of them another's opposite."""
    sizes = rng.sample(range(1, 40), count)
    return tuple(Fraction(rng.choice((-1, 1, 1, 1)) * size) for size in sizes)


def _shuffled(numbers: Numbers, rng: Random) -> Numbers:
    while True:
        order = tuple(rng.sample(numbers, len(numbers)))
        if order != numbers:
            return order


def _texts(numbers: Sequence[Fraction]) -> list[str]:
    return [exact_text(number) for number in numbers]


def _joined(numbers: Numbers) -> str:
    return ", ".join(_texts(numbers))


def _with_and(numbers: Numbers, word: str = "and") -> str:
    *first, last = _texts(numbers)
    return f"{', '.join(first)} {word} {last}"


def _each_x(numbers: Numbers, joint: str) -> str:
    return joint.join(f"x = {text}" for text in _texts(numbers))


_TEXT_AND = r"\text{ and }"
_BAGS: dict[str, Callable[[Numbers], Stated]] = {
    "braces": lambda n: tex(rf"\{{{_joined(n)}\}}", Bag(n)),
    "sized braces": lambda n: tex(rf"\left\{{{_joined(n)}\right\}}", Bag(n)),
    "commas": lambda n: Stated(_joined(n), Bag(n)),
    "no spaces": lambda n: Stated(_joined(n).replace(" ", ""), Bag(n)),
    "and": lambda n: Stated(_with_and(n), Bag(n), language="en"),
    "each x =": lambda n: tex(_each_x(n, ", "), Bag(n)),
    "x = ... or x = ...": lambda n: tex(_each_x(n, r" \text{ or } "), Bag(n)),
    "x in braces": lambda n: tex(rf"x \in \{{{_joined(n)}\}}", Bag(n)),
    "or": lambda n: Stated(_with_and(n, "or"), Bag(n), language="en"),
    "numbered x": lambda n: tex(
        ", ".join(f"x_{place} = {text}" for place, text in enumerate(_texts(n), 1)), Bag(n)
    ),
    _TEXT_AND: lambda n: tex(r" \text{ and } ".join(_texts(n)), Bag(n)),
}
_TWO_BOXES = "The solutions are \\boxed{{{}}} and \\boxed{{{}}}."


def _bag_as(kind: str, reference: str, style: str) -> Rule:
    def draft(rng: Random) -> Draft:
        numbers = _numbers(rng, rng.choice((2, 3) if kind == "list" else (2, 3, 4)))
        order = _shuffled(numbers, rng) if style == "other order" else numbers
        make = reference if style == "other order" else style
        return Draft(_BAGS[reference](numbers), _BAGS[make](order))

    return equal(kind, f"as {style}", draft)


def _two_boxes(rng: Random) -> Draft:
    numbers = _numbers(rng, 2)
    text = rng.choice((_TWO_BOXES, "We get $\\boxed{{{}}}$ and $\\boxed{{{}}}$."))
    answer = sentence(text.format(*_texts(numbers)), Bag(numbers))
    return Draft(_BAGS["commas"](numbers), answer, raw=True)


def changed(numbers: Numbers, change: str, rng: Random) -> Numbers:
    """Return other numbers: one more, one less, one another, one with another sign."""
    place = rng.randrange(len(numbers))
    if change == "one more":
        return (*numbers, Fraction(rng.randrange(41, 60)))
    if change == "one less":
        return numbers[:place] + numbers[place + 1 :]
    new = -numbers[place] if change == "another sign" else Fraction(rng.randrange(41, 60))
    return (*numbers[:place], new, *numbers[place + 1 :])


def _bag_wrong(kind: str, reference: str, change: str) -> Rule:
    styles = ("braces", "sized braces") if kind == "set" else ("commas", "and", "each x =")

    def draft(rng: Random) -> Draft:
        numbers = _numbers(rng, 3 if change == "one less" else rng.choice((2, 3)))
        if change == "a number for all":
            answer = integer(int(rng.choice(numbers)))
        elif change == "their sum":
            answer = integer(int(sum(numbers)))
        else:
            answer = _BAGS[rng.choice(styles)](changed(numbers, change, rng))
        return Draft(_BAGS[reference](numbers), answer)

    return wrong(kind, change, draft)


_BAG_CHANGES = ("one more", "one less", "one another", "another sign", "a number for all")


def _one_of_several(rng: Random) -> Draft:
    first, second = _numbers(rng, 2)
    pair = (first, second) if rng.random() < 0.5 else (second, first)
    text = rng.choice((_each_x(pair, ", "), _each_x(pair, r" \text{ or } ")))
    return Draft(integer(int(first)), tex(text, Bag(pair)))


def _plus_minus(middle: int, size: sympy.Expr, text: str, *, prefix: str = "") -> Stated:
    low, high = sympy.Integer(middle) - size, sympy.Integer(middle) + size
    head = f"{middle} " if middle else ""
    return tex(rf"{prefix}{head}\pm {text}", Bag((low, high)))


def _pm_parts(rng: Random) -> tuple[int, sympy.Expr, str]:
    if rng.random() < 0.5:
        size = rng.randrange(2, 60)
        return 0, sympy.Integer(size), str(size)
    inside = rng.choice((2, 3, 5, 6, 7, 10, 11, 13))
    return rng.choice((0, rng.randrange(1, 20))), sympy.sqrt(inside), rf"\sqrt{{{inside}}}"


def _two_values(middle: int, size: sympy.Expr, text: str) -> tuple[str, str, Bag]:
    head = str(middle) if middle else ""
    value = Bag((sympy.Integer(middle) - size, sympy.Integer(middle) + size))
    return f"{head}-{text}", f"{head}+{text}" if head else text, value


def _pm_as(style: str) -> Rule:
    def draft(rng: Random) -> Draft:
        parts = _pm_parts(rng)
        reference = _plus_minus(*parts)
        low, high, value = _two_values(*parts)
        if style == "for two values":
            return Draft(tex(f"{low}, {high}", value), reference)
        text = {
            "two values": f"{low}, {high}",
            "two values, falling": f"{high}, {low}",
            "and": rf"{high} \text{{ and }} {low}",
            "x = plus-minus": _plus_minus(*parts, prefix="x = ").text,
            "x = each": rf"x = {high} \text{{ or }} x = {low}",
            "braces": rf"\{{{low}, {high}\}}",
        }[style]
        return Draft(reference, tex(text, value))

    return equal("plus-minus", f"as {style}", draft)


def _pm_wrong(change: str) -> Rule:
    def draft(rng: Random) -> Draft:
        middle, size, text = _pm_parts(rng)
        reference = _plus_minus(middle, size, text)
        low, high, value = _two_values(middle, size, text)
        if change == "one value":
            # One value is a bag of one: it answers the same question, incompletely.
            place = rng.randrange(2)
            return Draft(reference, tex((low, high)[place], Bag((value.items[place],))))
        if change == "another size":
            return Draft(reference, _plus_minus(middle, size**2 + 1, str(size**2 + 1)))
        return Draft(reference, _plus_minus(middle + 1, size, text))

    return wrong("plus-minus", change, draft)


def _point(numbers: Numbers, style: str = "plain") -> Stated:
    texts = [shortest_decimal(n) for n in numbers] if style == "decimals" else _texts(numbers)
    inner = ", ".join(texts)
    text = {
        "sized": rf"\left({inner}\right)",
        "no spaces": f"({inner})".replace(" ", ""),
        "thin spaces": "(" + r",\ ".join(texts) + ")",
        "big": rf"\bigl({inner}\bigr)",
        "spaced": f"( {inner} )",
    }.get(style, f"({inner})")
    return tex(text, Row(numbers))


def _point_numbers(rng: Random) -> Numbers:
    numbers = list(_numbers(rng, rng.choice((2, 2, 3))))
    if rng.random() < 0.3:
        numbers[0] += Fraction(1, 2)
    return tuple(numbers)


def _point_as(style: str) -> Rule:
    def draft(rng: Random) -> Draft:
        numbers = _point_numbers(rng)
        if style == "decimals":
            numbers = (numbers[0] + Fraction(rng.choice((1, 3)), 4), *numbers[1:])
        if style == "in a sentence":
            text = rng.choice(("They meet at ${}$.", "The point is ${}$.", "The vertex is ${}$."))
            return Draft(_point(numbers), sentence(text.format(_point(numbers).text), Row(numbers)))
        return Draft(_point(numbers), _point(numbers, style))

    return equal("point", f"as {style}", draft)


def _point_wrong(change: str) -> Rule:
    def draft(rng: Random) -> Draft:
        numbers = _point_numbers(rng)
        if change == "a coordinate only":
            return Draft(_point(numbers), tex(exact_text(numbers[0]), Row(numbers[:1])))
        other = numbers[::-1] if change == "swapped" else changed(numbers, change, rng)
        if change == "one less":
            numbers = (*numbers, Fraction(rng.randrange(41, 50)))
            other = numbers[:-1]
        return Draft(_point(numbers), _point(other, rng.choice(("plain", "sized"))))

    return wrong("point", change, draft)


_NAMES = (("x", "y"), ("a", "b"), ("a", "b", "c"), ("x", "y", "z"), ("m", "n"))


def _assigned(names: Sequence[str], numbers: Numbers, joint: str = ", ") -> Stated:
    text = joint.join(f"{name} = {n}" for name, n in zip(names, _texts(numbers), strict=True))
    value: Value = Assigned(tuple(zip(names, numbers, strict=True)))
    return tex(text, value)


def _assigned_as(style: str) -> Rule:
    def draft(rng: Random) -> Draft:
        names = rng.choice(_NAMES)
        numbers = _numbers(rng, len(names))
        reference = _assigned(names, numbers)
        if style == "other order":
            return Draft(reference, _assigned(names[::-1], numbers[::-1]))
        joint = {"and": r" \text{ and } ", "spaces": r",\ ", "wide": r", \quad "}.get(style, ", ")
        answer = _assigned(names, numbers, joint)
        if style == "no spaces":
            answer = tex(answer.text.replace(" ", ""), answer.value)
        return Draft(reference, answer)

    return equal("several variables", f"as {style}", draft)


def _assigned_wrong(change: str) -> Rule:
    def draft(rng: Random) -> Draft:
        names = rng.choice(_NAMES)
        numbers = _numbers(rng, len(names))
        reference = _assigned(names, numbers)
        if change == "values swapped":
            return Draft(reference, _assigned(names, numbers[::-1]))
        if change == "one variable only":
            place = rng.randrange(len(names))
            return Draft(reference, _assigned(names[place : place + 1], numbers[place : place + 1]))
        place = 0 if change == "first another" else len(names) - 1
        other = [*numbers]
        other[place] += rng.choice((-1, 1)) * 50
        joint = rng.choice((", ", r" \text{ and } "))
        return Draft(reference, _assigned(names, tuple(other), joint))

    return wrong("several variables", change, draft)


RULES = (
    one_of(
        "spellings",
        (
            _bag_as("set", "braces", style)
            for style in ("sized braces", "commas", "and", "x in braces")
        ),
    ),
    _bag_as("set", "braces", "other order"),
    one_of("one more or less", (_bag_wrong("set", "braces", c) for c in _BAG_CHANGES[:2])),
    one_of("one another", (_bag_wrong("set", "braces", c) for c in _BAG_CHANGES[2:])),
    _bag_as("list", "commas", "other order"),
    one_of("spellings", (_bag_as("list", "commas", s) for s in ("no spaces", "braces"))),
    one_of("joined by words", (_bag_as("list", "commas", s) for s in ("and", "or", _TEXT_AND))),
    one_of(
        "each x =",
        (
            _bag_as("list", "commas", style)
            for style in ("each x =", "x = ... or x = ...", "numbered x")
        ),
    ),
    equal("list", "two boxes", _two_boxes),
    one_of("one more or less", (_bag_wrong("list", "commas", c) for c in _BAG_CHANGES[:2])),
    one_of("one another", (_bag_wrong("list", "commas", c) for c in _BAG_CHANGES[2:4])),
    one_of(
        "a number", (_bag_wrong("list", "commas", c) for c in ("a number for all", "their sum"))
    ),
    wrong("integer", "one of two solutions", _one_of_several),
    one_of(
        "two values",
        (
            _pm_as(style)
            for style in ("two values", "two values, falling", "and", "x = each", "braces")
        ),
    ),
    one_of("plus-minus", (_pm_as(style) for style in ("x = plus-minus", "for two values"))),
    _pm_wrong("one value"),
    one_of("other values", (_pm_wrong(c) for c in ("another size", "another middle"))),
    one_of(
        "spellings",
        (_point_as(s) for s in ("sized", "no spaces", "thin spaces", "big", "spaced", "decimals")),
    ),
    _point_as("in a sentence"),
    _point_wrong("swapped"),
    one_of("another coordinate", (_point_wrong(c) for c in ("another sign", "one another"))),
    one_of(
        "more or fewer", (_point_wrong(c) for c in ("one more", "one less", "a coordinate only"))
    ),
    one_of("spellings", (_assigned_as(s) for s in ("and", "spaces", "wide", "no spaces"))),
    _assigned_as("other order"),
    *(
        _assigned_wrong(change)
        for change in ("values swapped", "one variable only", "first another", "last another")
    ),
)

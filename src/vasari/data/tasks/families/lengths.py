"""Rectangles, notched figures and segments with numbers: perimeter, area, side, diagonal."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from vasari.data.tasks.families.base import LeveledFamily, pick
from vasari.data.tasks.problem import Fact, Problem
from vasari.data.tasks.scene import Disc, Line, Mark, Polygon, Scene, Text, rectangle
from vasari.data.tasks.thinker import Thinker

FILLS = ("yellow", "cyan", "pink", "orange")
"""Light enough for black numbers."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A drawn figure with its dimensions, a question about the figure, and the solution's steps."""

    kind: str
    marks: list[Mark]
    numbers: dict[str, int]
    """Numbers written in the figure, by their place."""
    question: str
    think: Callable[[Thinker], str]
    answer: str


def _box(width: int, height: int) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of a rectangle, with room for labels left and beneath."""
    unit = min(0.72 / width, 0.72 / height)
    left, top = 0.58 - unit * width / 2, 0.43 - unit * height / 2
    return left, top, left + unit * width, top + unit * height


def _rectangle(width: int, height: int, labels: tuple[str, str], fill: str) -> list[Mark]:
    left, top, right, bottom = _box(width, height)
    return [
        rectangle(left, top, right, bottom, fill=fill, outline="ink"),
        Text(((left + right) / 2, bottom + 0.09), labels[0], 0.12),
        Text((left - 0.1, (top + bottom) / 2), labels[1], 0.12),
    ]


def _sides(rng: np.random.Generator, low: int = 2, high: int = 9) -> tuple[int, int]:
    """Two sides of which neither is over three times the other."""
    while True:
        width, height = (int(n) for n in rng.integers(low, high + 1, size=2))
        if max(width, height) <= 3 * min(width, height):
            return width, height


def _perimeter_or_area(rng: np.random.Generator) -> Drawn:
    (width, height), area = _sides(rng), bool(rng.random() < 0.5)

    def think(t: Thinker) -> str:
        w, h = t.read("bottom", width, low=1), t.read("left", height, low=1)
        return str(t.multiply(w, h) if area else t.multiply(2, t.add(w, h)))

    question = (
        "What is the area of the rectangle?"
        if area
        else "How long is the way around the rectangle?"
    )
    answer = sum([width] * height) if area else width + height + width + height
    fill = pick(rng, FILLS)
    marks = _rectangle(width, height, (str(width), str(height)), fill)
    return Drawn(
        f"rectangle {fill}", marks, {"bottom": width, "left": height}, question, think, str(answer)
    )


def _segment(parts: list[int], labels: list[str], whole: int | None) -> list[Mark]:
    """Points A, B, ... on a line with a label over each part and the whole beneath."""
    xs = [0.06 + 0.88 * sum(parts[:i]) / sum(parts) for i in range(len(parts) + 1)]
    marks: list[Mark] = [Line((xs[0], 0.5), (xs[-1], 0.5), width=0.02)]
    for letter, x in zip("ABCDE", xs, strict=False):
        marks += [Disc((x, 0.5), 0.03, fill="red"), Text((x, 0.62), letter, 0.11)]
    marks += [
        Text(((a + b) / 2, 0.39), label, 0.12)
        for a, b, label in zip(xs[:-1], xs[1:], labels, strict=True)
    ]
    if whole is not None:
        marks += [Line((xs[0], 0.76), (xs[-1], 0.76)), Text((0.5, 0.87), str(whole), 0.12)]
        marks += [Line((x, 0.72), (x, 0.8)) for x in (xs[0], xs[-1])]
    return marks


def _segment_sum(rng: np.random.Generator) -> Drawn:
    parts = [int(n) for n in rng.integers(2, 10, size=3)]
    names = ("AB", "BC", "CD")

    def think(t: Thinker) -> str:
        return str(
            t.total([t.read(name, part, low=1) for name, part in zip(names, parts, strict=True)])
        )

    marks = _segment(parts, [str(p) for p in parts], None)
    return Drawn(
        "segment",
        marks,
        dict(zip(names, parts, strict=True)),
        "How long is the line from A to D?",
        think,
        str(sum(parts)),
    )


def _segment_gap(rng: np.random.Generator) -> Drawn:
    parts, hidden = [int(n) for n in rng.integers(3, 10, size=3)], int(rng.integers(3))
    names = ("AB", "BC", "CD")
    numbers = {
        name: part for i, (name, part) in enumerate(zip(names, parts, strict=True)) if i != hidden
    }
    labels = ["?" if i == hidden else str(p) for i, p in enumerate(parts)]

    def think(t: Thinker) -> str:
        known = t.add(*(t.read(name, value, low=1) for name, value in numbers.items()))
        return str(t.difference(t.read("whole", sum(parts), low=1), known))

    marks = _segment(parts, labels, sum(parts))
    return Drawn(
        "gap",
        marks,
        numbers | {"whole": sum(parts)},
        f"How long is {names[hidden]}?",
        think,
        str(parts[hidden]),
    )


def _missing_side(rng: np.random.Generator) -> Drawn:
    (width, height), area = _sides(rng, 3, 9), bool(rng.random() < 0.5)
    inside, fill = width * height if area else 2 * (width + height), pick(rng, FILLS)
    marks = _rectangle(width, height, (str(width), "?"), fill)
    left, top, right, bottom = _box(width, height)
    marks.append(Text(((left + right) / 2, (top + bottom) / 2), str(inside), 0.12, "black"))

    def think(t: Thinker) -> str:
        whole, w = t.read("inside", inside, low=1), t.read("bottom", width, low=1)
        if area:
            return str(t.divide(whole, w))
        return str(t.difference(t.divide(whole, 2), w))

    what = "area" if area else "way around it"
    question = f"The number inside the rectangle is its {what}. How long is the left side?"
    return Drawn(
        f"side {what[:4]} {fill}",
        marks,
        {"bottom": width, "inside": inside},
        question,
        think,
        str(height),
    )


def _notched(rng: np.random.Generator) -> Drawn:
    """A rectangle without its upper right corner: its area, or the way around it."""
    width, height = (int(n) for n in rng.integers(5, 10, size=2))
    cut_w, cut_h = int(rng.integers(2, width - 2)), int(rng.integers(2, height - 2))
    area, fill = bool(rng.random() < 0.6), pick(rng, FILLS)
    left, top, right, bottom = _box(width, height)
    unit = (right - left) / width
    x, y = right - unit * cut_w, top + unit * cut_h
    marks: list[Mark] = [
        Polygon(
            ((left, top), (x, top), (x, y), (right, y), (right, bottom), (left, bottom)),
            fill=fill,
            outline="ink",
        ),
        Text(((left + right) / 2, bottom + 0.09), str(width), 0.12),
        Text((left - 0.1, (top + bottom) / 2), str(height), 0.12),
        Text(((x + right) / 2, y + 0.075), str(cut_w), 0.11, "black"),
        Text((x - 0.06, (top + y) / 2), str(cut_h), 0.11, "black"),
    ]

    def think(t: Thinker) -> str:
        w, h = t.read("bottom", width, low=1), t.read("left", height, low=1)
        if not area:
            t.say("the corner cut off keeps the way around")
            return str(t.multiply(2, t.add(w, h)))
        whole = t.multiply(w, h)
        return str(
            t.difference(whole, t.multiply(t.read("cut", cut_w, low=1), t.read("by", cut_h, low=1)))
        )

    question = (
        "What is the area of the figure?" if area else "How long is the way around the figure?"
    )
    answer = (
        (width - cut_w) * height + cut_w * (height - cut_h)
        if area
        else width + height + (width - cut_w) + cut_h + cut_w + height - cut_h
    )
    numbers = {"bottom": width, "left": height, "cut's width": cut_w, "cut's height": cut_h}
    return Drawn(f"notched {fill}", marks, numbers, question, think, str(answer))


def root_text(square: int) -> str:
    """Return the square root of a number in simplest form: "5", "sqrt(13)", "3*sqrt(2)"."""
    factor = max(f for f in range(1, math.isqrt(square) + 1) if square % (f * f) == 0)
    rest = square // factor**2
    if rest == 1:
        return str(factor)
    return f"sqrt({rest})" if factor == 1 else f"{factor}*sqrt({rest})"


def _diagonal(rng: np.random.Generator) -> Drawn:
    """The diagonal of a square, or of a rectangle of two or three squares, as an expression."""
    ratio = int(rng.integers(1, 4))
    short = int(rng.integers(2, {1: 9, 2: 5, 3: 4}[ratio] + 1))
    width, height = (short * ratio, short) if rng.random() < 0.7 else (short, short * ratio)
    left, top, right, bottom = _box(width, height)
    rising, fill = bool(rng.random() < 0.5), pick(rng, FILLS)
    stroke = Line(
        (left, bottom if rising else top), (right, top if rising else bottom), "red", 0.02
    )
    marks = [*_rectangle(width, height, (str(width), str(height)), fill), stroke]

    def think(t: Thinker) -> str:
        w, h = t.read("bottom", width, low=2), t.read("left", height, low=2)
        square = t.add(t.multiply(w, w), t.multiply(h, h))
        t.say(f"sqrt({square})={root_text(square)}")
        return root_text(square)

    answer = f"{short}*sqrt({1 + ratio * ratio})"
    question = "How long is the red diagonal? Answer as a root in lowest terms, like 3*sqrt(7)."
    return Drawn(
        f"diagonal {'rising' if rising else 'falling'} {fill}",
        marks,
        {"bottom": width, "left": height},
        question,
        think,
        answer,
    )


Kind = Callable[[np.random.Generator], Drawn]
KINDS: dict[str, tuple[Kind, ...]] = {
    "1": (_perimeter_or_area, _segment_sum),
    "2": (_missing_side, _segment_gap),
    "3": (_notched, _diagonal),
}


def _sample(kinds: tuple[Kind, ...], rng: np.random.Generator) -> Problem:
    drawn = pick(rng, kinds)(rng)
    return Problem(
        scene=Scene(tuple(drawn.marks)),
        scene_key=f"lengths {drawn.kind} "
        + " ".join(f"{where}:{n}" for where, n in drawn.numbers.items()),
        question=drawn.question,
        kind="expression" if "sqrt" in drawn.answer else "number",
        think=drawn.think,
        answer=drawn.answer,
        facts=tuple(
            Fact(f"What number is written for {where}?", str(n))
            for where, n in drawn.numbers.items()
        ),
    )


LENGTHS = LeveledFamily(
    "lengths", {level: partial(_sample, kinds) for level, kinds in KINDS.items()}
)
"""Lengths and areas: one formula, then a formula turned round, then composite figures and
diagonals."""

"""Angle geometry: angle sums, angles on a line, exterior angles, isosceles triangles."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from vasari.data.tasks.families.base import COLOURS, LeveledFamily, pick, shuffled
from vasari.data.tasks.problem import Fact, Problem
from vasari.data.tasks.scene import Line, Mark, Point, Scene, Text, Wedge, around
from vasari.data.tasks.thinker import Thinker


@dataclass(frozen=True, slots=True)
class Corner:
    """A coloured angle of a figure, at point `vertex`, between the lines to two other points."""

    colour: str
    vertex: str
    towards: str
    degrees: int
    asked: bool = False


@dataclass(frozen=True, slots=True)
class Figure:
    """A geometry figure of named points, lines and coloured angles, with the solution's steps."""

    points: dict[str, Point]
    strokes: tuple[str, ...]
    corners: tuple[Corner, ...]
    think: Callable[[Thinker], int]
    equal: tuple[str, ...] = ()
    hint: str = ""
    tick_at: float = 0.5
    """Where along an equal stroke its mark stands, clear of the numbers."""


def _ray(start: Point, degrees: float, length: float) -> Point:
    turn = math.radians(degrees)
    return start[0] + length * math.cos(turn), start[1] - length * math.sin(turn)


def _meet(first: Point, degrees: float, second: Point, other_degrees: float) -> Point:
    """Where two rays meet, of directions counted counterclockwise from the right."""
    one, two = np.radians(degrees), np.radians(other_degrees)
    directions = np.array([[np.cos(one), -np.cos(two)], [-np.sin(one), np.sin(two)]])
    run = np.linalg.solve(directions, np.subtract(second, first))[0]
    return _ray(first, degrees, float(run))


def _triangle(at_p: float, at_q: float) -> dict[str, Point]:
    """P and Q on a base of length 1, R above it."""
    return {"P": (0.0, 0.0), "Q": (1.0, 0.0), "R": _meet((0.0, 0.0), at_p, (1.0, 0.0), 180 - at_q)}


def _read_angle(t: Thinker, corner: Corner) -> int:
    """Read an angle; a deliberate mistake is off by five degrees."""
    near = (corner.degrees - 5, corner.degrees + 5)
    return t.look_number(corner.colour, corner.degrees, near)


def _three_angles(rng: np.random.Generator) -> tuple[int, int, int]:
    """Three multiples of five from 35 on that add up to 180."""
    while True:
        a, b = (5 * int(n) for n in rng.integers(7, 21, size=2))
        if 180 - a - b >= 35:
            return a, b, 180 - a - b


def _sum_triangle(rng: np.random.Generator, colours: tuple[str, ...]) -> Figure:
    a, b, c = _three_angles(rng)
    red, blue, green = (
        Corner(colours[0], "P", "QR", a),
        Corner(colours[1], "Q", "PR", b),
        Corner(colours[2], "R", "PQ", c, asked=True),
    )
    return Figure(
        _triangle(a, b),
        ("PQ", "QR", "RP"),
        (red, blue, green),
        lambda t: t.difference(180, t.add(_read_angle(t, red), _read_angle(t, blue))),
    )


def _sum_line(rng: np.random.Generator, colours: tuple[str, ...]) -> Figure:
    a, b, c = _three_angles(rng)
    points = {
        "O": (0.0, 0.0),
        "P": (1.0, 0.0),
        "S": (-1.0, 0.0),
        "Q": _ray((0, 0), a, 1.0),
        "R": _ray((0, 0), a + b, 1.0),
    }
    red, blue, green = (
        Corner(colours[0], "O", "PQ", a),
        Corner(colours[1], "O", "QR", b),
        Corner(colours[2], "O", "RS", c, asked=True),
    )
    return Figure(
        points,
        ("SP", "OQ", "OR"),
        (red, blue, green),
        lambda t: t.difference(180, t.add(_read_angle(t, red), _read_angle(t, blue))),
    )


def _exterior(rng: np.random.Generator, colours: tuple[str, ...]) -> Figure:
    while True:
        a, b, c = _three_angles(rng)
        points = _triangle(a, b) | {"E": (1.4, 0.0)}
        if points["R"][1] < -0.68:
            break
    forward = bool(rng.random() < 0.5)
    first = Corner(colours[0], "P", "QR", a)
    far, outside = (
        Corner(colours[1], "R", "PQ", c, asked=not forward),
        Corner(colours[2], "Q", "RE", 180 - b, asked=forward),
    )

    def think(t: Thinker) -> int:
        t.say("the outside angle is the sum of the far two")
        return (
            t.add(_read_angle(t, first), _read_angle(t, far))
            if forward
            else t.difference(_read_angle(t, outside), _read_angle(t, first))
        )

    return Figure(points, ("PE", "QR", "RP"), (first, far, outside), think)


def _isosceles(rng: np.random.Generator, colours: tuple[str, ...]) -> Figure:
    base, from_top = 5 * int(rng.integers(9, 15)), bool(rng.random() < 0.5)
    bottom, top = (
        Corner(colours[0], "P", "QR", base, asked=from_top),
        Corner(colours[1], "R", "PQ", 180 - 2 * base, asked=not from_top),
    )

    def think(t: Thinker) -> int:
        if not from_top:
            return t.difference(180, t.multiply(2, _read_angle(t, bottom)))
        return t.divide(t.difference(180, _read_angle(t, top)), 2)

    return Figure(
        _triangle(base, base),
        ("PQ", "QR", "RP"),
        (bottom, top),
        think,
        ("QR", "RP"),
        "The marked sides are equal. ",
    )


def _quadrilateral(rng: np.random.Generator, colours: tuple[str, ...]) -> Figure:
    while True:
        a, b, c = (5 * int(n) for n in rng.integers(12, 25, size=3))
        last, p, q = 360 - a - b - c, (0.0, 0.0), (1.0, 0.0)
        s = _ray(p, a, 0.85)
        if 60 <= last <= 120 and (a + last - b) % 180:
            r = _meet(s, a + last - 180, q, 180 - b)
            if 0.6 < math.dist(r, s) < 1.3 and 0.6 < math.dist(r, q) < 1.3 and r[1] < -0.5:
                break
    points = {"P": p, "Q": q, "R": r, "S": s}
    first, second, third = (
        Corner(colours[0], "P", "QS", a),
        Corner(colours[1], "Q", "PR", b),
        Corner(colours[3], "R", "QS", c),
    )
    asked = Corner(colours[2], "S", "PR", last, asked=True)

    def think(t: Thinker) -> int:
        return t.difference(
            360, t.add(t.add(_read_angle(t, first), _read_angle(t, second)), _read_angle(t, third))
        )

    return Figure(points, ("PQ", "QR", "RS", "SP"), (first, second, third, asked), think)


def _isosceles_outside(rng: np.random.Generator, colours: tuple[str, ...]) -> Figure:
    base = 5 * int(rng.integers(10, 15))
    outside, top = (
        Corner(colours[0], "Q", "RE", 180 - base),
        Corner(colours[2], "R", "PQ", 180 - 2 * base, asked=True),
    )

    def think(t: Thinker) -> int:
        return t.difference(180, t.multiply(2, t.difference(180, _read_angle(t, outside))))

    points = _triangle(base, base) | {"E": (1.4, 0.0)}
    return Figure(
        points,
        ("PE", "QR", "RP"),
        (outside, top),
        think,
        ("QR", "RP"),
        "The marked sides are equal. ",
    )


def _cut_triangle(rng: np.random.Generator, colours: tuple[str, ...]) -> Figure:
    while True:
        near, far = 5 * int(rng.integers(7, 10)), 5 * int(rng.integers(8, 14))
        points = _triangle(near, far)
        if 180 - 2 * near - far >= 35 and points["R"][1] < -0.47:
            break
    points["D"] = (math.dist(points["R"], (0, 0)) / (2 * math.cos(math.radians(near))), 0.0)
    red, blue = Corner(colours[0], "P", "QR", near), Corner(colours[1], "Q", "PR", far)
    green = Corner(colours[2], "R", "DQ", 180 - 2 * near - far, asked=True)

    def think(t: Thinker) -> int:
        t.say(f"the middle angle is twice {red.colour}")
        return t.difference(180, t.add(t.multiply(2, _read_angle(t, red)), _read_angle(t, blue)))

    return Figure(
        points,
        ("PQ", "QR", "RP", "RD"),
        (red, blue, green),
        think,
        ("PD", "RD"),
        "The marked lines are equal. ",
        0.74,
    )


_MAKERS: dict[str, Callable[[np.random.Generator, tuple[str, ...]], Figure]] = {
    "sum_triangle": _sum_triangle,
    "sum_line": _sum_line,
    "exterior": _exterior,
    "isosceles": _isosceles,
    "quadrilateral": _quadrilateral,
    "isosceles_outside": _isosceles_outside,
    "split": _cut_triangle,
}
"""Kind of figure, as scene keys name it, to what makes it."""
_KINDS: dict[str, tuple[str, ...]] = {
    "1": ("sum_triangle", "sum_line"),
    "2": ("exterior", "isosceles"),
    "3": ("quadrilateral", "isosceles_outside", "split"),
}


def _fit(points: dict[str, Point], *, mirror: bool) -> dict[str, Point]:
    """The points, mirrored or not, scaled into the picture without distortion."""
    xs = [(-x if mirror else x) for x, _ in points.values()]
    ys = [y for _, y in points.values()]
    scale = min(0.82 / (max(xs) - min(xs)), 0.82 / (max(ys) - min(ys)))
    left, top = 0.5 - scale * (max(xs) + min(xs)) / 2, 0.5 - scale * (max(ys) + min(ys)) / 2
    return {
        name: (left + scale * x, top + scale * y) for name, x, y in zip(points, xs, ys, strict=True)
    }


def _heading(start: Point, end: Point) -> float:
    """Degrees clockwise from twelve o'clock."""
    return math.degrees(math.atan2(end[0] - start[0], start[1] - end[1]))


def _draw(figure: Figure, points: dict[str, Point]) -> Scene:
    marks: list[Mark] = []
    labels: list[Mark] = []
    for corner in figure.corners:
        vertex = points[corner.vertex]
        first, last = (_heading(vertex, points[name]) for name in corner.towards)
        if (last - first) % 360 > 180:
            first, last = last, first
        sweep = (last - first) % 360
        marks.append(Wedge(vertex, 0.09, first, first + sweep, fill=corner.colour))
        clear = 0.19 if corner.degrees < 100 else 0.22
        away = min(0.3, max(clear, 0.075 / math.sin(math.radians(sweep / 2))))
        at = around(vertex, away, first + sweep / 2)
        labels.append(Text(at, "?" if corner.asked else str(corner.degrees), 0.11))
    marks += [Line(points[s[0]], points[s[1]]) for s in figure.strokes]
    for stroke in figure.equal:
        start, end = points[stroke[0]], points[stroke[1]]
        turn = math.radians(_heading(start, end))
        x, y = (start[i] + figure.tick_at * (end[i] - start[i]) for i in (0, 1))
        across = 0.04 * math.cos(turn), 0.04 * math.sin(turn)
        marks.append(
            Line((x - across[0], y - across[1]), (x + across[0], y + across[1]), width=0.02)
        )
    return Scene(tuple(marks + labels))


def _sample(kinds: tuple[str, ...], rng: np.random.Generator) -> Problem:
    kind = pick(rng, kinds)
    figure = _MAKERS[kind](rng, shuffled(rng, COLOURS))
    mirror = bool(rng.random() < 0.5)
    asked = next(c for c in figure.corners if c.asked)
    given = [c for c in figure.corners if not c.asked]
    return Problem(
        scene=_draw(figure, _fit(figure.points, mirror=mirror)),
        scene_key=f"angles {kind} {'mirrored ' if mirror else ''}"
        + " ".join(f"{c.colour}{'?' if c.asked else c.degrees}" for c in figure.corners),
        question=f"{figure.hint}How many degrees has the {asked.colour} angle?",
        kind="number",
        think=lambda t: str(figure.think(t)),
        answer=str(asked.degrees),
        facts=(
            *(
                Fact(f"Which number is written at the {c.colour} angle?", str(c.degrees))
                for c in given
            ),
            Fact("Which angle has a question mark?", asked.colour),
        ),
    )


ANGLES = LeveledFamily(
    "angles", {level: partial(_sample, kinds) for level, kinds in _KINDS.items()}
)
"""Angle geometry: one angle sum, then one theorem, then theorems combined."""

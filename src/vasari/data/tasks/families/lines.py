"""Line charts: differences, rises, the largest jump, the gap between two lines."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from vasari.data.tasks.families.base import LeveledFamily
from vasari.data.tasks.problem import Fact, Problem
from vasari.data.tasks.scene import Disc, Line, Mark, Point, Scene, Text
from vasari.data.tasks.thinker import Thinker

LETTERS = "ABCDE"
TOP = 6
"""Largest value of a chart that is read off its grid."""


def _columns(count: int, left: float) -> list[float]:
    return [left + (0.92 - left) * i / (count - 1) for i in range(count)]


def _stroke(points: list[Point], colour: str) -> list[Mark]:
    segments: list[Mark] = [Line(a, b, colour, 0.022) for a, b in pairwise(points)]
    return segments + [Disc(p, 0.032, fill=colour) for p in points]


def _names(xs: list[float]) -> list[Mark]:
    return [Text((x, 0.94), letter, 0.11) for letter, x in zip(LETTERS, xs, strict=False)]


def _written_chart(values: list[int]) -> Scene:
    """A line in blue with each value written beside its point."""
    xs = _columns(len(values), 0.12)
    points = [(x, 0.76 - 0.56 * v / 9) for x, v in zip(xs, values, strict=True)]
    marks: list[Mark] = [Line((0.04, 0.86), (0.96, 0.86)), *_stroke(points, "blue"), *_names(xs)]
    for i, (x, y) in enumerate(points):
        neighbours = [values[j] for j in (i - 1, i + 1) if 0 <= j < len(values)]
        beneath = min(neighbours) >= values[i] and max(neighbours) > values[i] and values[i] > 1
        marks.append(Text((x, y + 0.1 if beneath else y - 0.1), str(values[i]), 0.12))
    return Scene(tuple(marks))


def _grid_chart(series: dict[str, list[int]]) -> Scene:
    """One or two lines before a grid with every second value named."""
    xs = _columns(len(next(iter(series.values()))), 0.24)
    heights = [0.84 - 0.78 * v / TOP for v in range(TOP + 1)]
    marks: list[Mark] = [Line((0.17, y), (0.98, y), "gray", 0.006) for y in heights]
    marks += [Text((0.08, heights[v]), str(v), 0.11) for v in range(0, TOP + 1, 2)]
    marks += [
        Line((0.17, heights[0]), (0.98, heights[0])),
        Line((0.17, heights[0]), (0.17, heights[-1])),
    ]
    for colour, values in series.items():
        marks += _stroke([(x, heights[v]) for x, v in zip(xs, values, strict=True)], colour)
    return Scene(tuple(marks + _names(xs)))


def _key(series: dict[str, list[int]]) -> str:
    return "lines " + " ".join(
        f"{colour}:" + ",".join(map(str, values)) for colour, values in series.items()
    )


def _facts(series: dict[str, list[int]]) -> tuple[Fact, ...]:
    several = len(series) > 1
    return tuple(
        Fact(
            (
                f"What is the {colour} value at {letter}?"
                if several
                else f"What is the value at {letter}?"
            ),
            str(value),
        )
        for colour, values in series.items()
        for letter, value in zip(LETTERS, values, strict=False)
    )


def _rises(values: list[int]) -> int:
    return sum(b > a for a, b in pairwise(values))


def _level_1(rng: np.random.Generator) -> Problem:
    """Two values that are written on the chart: their difference or their sum."""
    values = [int(v) for v in rng.choice(np.arange(1, 10), size=4, replace=False)]
    first, second = sorted(int(i) for i in rng.choice(4, size=2, replace=False))
    together = bool(rng.random() < 0.4)

    def think(t: Thinker) -> str:
        a = t.read(LETTERS[first], values[first], low=1, high=9)
        b = t.read(LETTERS[second], values[second], low=1, high=9)
        return str(t.add(a, b) if together else t.difference(a, b))

    pair = f"{LETTERS[first]} and {LETTERS[second]}"
    return Problem(
        scene=_written_chart(values),
        scene_key=_key({"written": values}),
        question=(
            f"What do the values at {pair} add up to?"
            if together
            else f"How far apart are the values at {pair}?"
        ),
        kind="number",
        think=think,
        answer=str(
            sum(values[i] for i in (first, second))
            if together
            else abs(values[first] - values[second])
        ),
        facts=_facts({"blue": values}),
    )


def _level_2(rng: np.random.Generator) -> Problem:
    """One line of five points, read off the grid: how often it rises, or its range."""
    count_rises = bool(rng.random() < 0.5)
    target = int(rng.integers(0, 5))
    values = [int(v) for v in rng.integers(0, TOP + 1, size=5)]
    while (_rises(values) if count_rises else max(values) - min(values) - 2) != target:
        values = [int(v) for v in rng.integers(0, TOP + 1, size=5)]

    def think(t: Thinker) -> str:
        seen = [
            t.read(letter, value, low=0, high=TOP)
            for letter, value in zip(LETTERS, values, strict=True)
        ]
        if not count_rises:
            return str(t.difference(max(seen), min(seen)))
        ups = [LETTERS[i : i + 2] for i in range(4) if seen[i] < seen[i + 1]]
        t.say("up " + (" ".join(ups) or "never"))
        return str(t.read("rises", len(ups), low=0, high=4))

    return Problem(
        scene=_grid_chart({"blue": values}),
        scene_key=_key({"grid": values}),
        question=(
            "How often does the line go up from one letter to the next?"
            if count_rises
            else "What is the highest value minus the lowest value?"
        ),
        kind="number",
        think=think,
        answer=str(target if count_rises else target + 2),
        facts=_facts({"blue": values}),
    )


def _level_3(rng: np.random.Generator) -> Problem:
    """Two lines: the widest gap, two gaps together, or the steepest rise."""
    task = str(rng.choice(["gap", "gaps", "jump"]))
    while True:
        red, blue = ([int(v) for v in row] for row in rng.integers(0, TOP + 1, size=(2, 4)))
        gaps = [abs(r - b) for r, b in zip(red, blue, strict=True)]
        jumps = [b - a for a, b in pairwise(red)]
        settled = gaps.count(max(gaps)) == 1 and jumps.count(max(jumps)) == 1 and max(jumps) > 0
        if settled and min(gaps) > 0:
            break
    first, second = sorted(int(i) for i in rng.choice(4, size=2, replace=False))

    def gap_at(t: Thinker, i: int) -> int:
        near = [
            f"{r} {b}"
            for r in range(TOP + 1)
            for b in range(TOP + 1)
            if abs(r - red[i]) + abs(b - blue[i]) == 1
        ]
        r, b = t.look(LETTERS[i], f"{red[i]} {blue[i]}", near).split()
        return t.difference(int(r), int(b))

    def think(t: Thinker) -> str:
        if task == "gap":
            found = [gap_at(t, i) for i in range(4)]
            return LETTERS[found.index(max(found))]
        if task == "gaps":
            return str(t.add(gap_at(t, first), gap_at(t, second)))
        seen = [t.read(f"{LETTERS[i]} red", red[i], low=0, high=TOP) for i in range(4)]
        steps = [
            t.difference(seen[i + 1], seen[i]) if seen[i + 1] > seen[i] else 0 for i in range(3)
        ]
        best = steps.index(max(steps))
        return LETTERS[best : best + 2]

    question = {
        "gap": "At which letter are the red and the blue line furthest apart?",
        "gaps": (
            f"What is the gap of red and blue at {LETTERS[first]} plus the gap at"
            f" {LETTERS[second]}?"
        ),
        "jump": "Between which neighbouring letters does red rise most? Answer like AB.",
    }[task]
    widest, steepest = int(np.argmax(gaps)), int(np.argmax(jumps))
    answer = {
        "gap": LETTERS[widest],
        "gaps": str(gaps[first] + gaps[second]),
        "jump": LETTERS[steepest : steepest + 2],
    }[task]
    series = {"red": red, "blue": blue}
    return Problem(
        scene=_grid_chart(series),
        scene_key=_key(series),
        question=question,
        kind="number" if task == "gaps" else "text",
        think=think,
        answer=answer,
        facts=_facts(series),
    )


LINES = LeveledFamily("lines", {"1": _level_1, "2": _level_2, "3": _level_3})
"""Line charts: values written at the points, then read off a grid, then two lines."""

"""Grid transformations: see in examples what was done to a grid, and do it to another one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from vasari.data.tasks.families.base import LeveledFamily, pick
from vasari.data.tasks.problem import Fact, Problem
from vasari.data.tasks.scene import Line, Mark, Polygon, Scene, Text, rectangle
from vasari.data.tasks.thinker import Thinker

COLOURS = {"r": "red", "b": "blue", "g": "green", "y": "yellow"}

Rows = tuple[str, ...]
"""A grid as rows of colour letters."""


def _swap(one: str, two: str) -> Callable[[Rows], Rows]:
    table = str.maketrans(one + two, two + one)
    return lambda rows: tuple(row.translate(table) for row in rows)


SWAPS: dict[str, Callable[[Rows], Rows]] = {
    f"swap {one} and {two}": _swap(one, two)
    for i, one in enumerate("rbgy")
    for two in "rbgy"[i + 1 :]
}
RULES: dict[str, Callable[[Rows], Rows]] = {
    "flip left-right": lambda rows: tuple(row[::-1] for row in rows),
    "flip top-bottom": lambda rows: rows[::-1],
    "turn right": lambda rows: tuple(
        "".join(row[c] for row in rows[::-1]) for c in range(len(rows[0]))
    ),
    "turn left": lambda rows: tuple(
        "".join(row[-1 - c] for row in rows) for c in range(len(rows[0]))
    ),
    "half turn": lambda rows: tuple(row[::-1] for row in rows[::-1]),
    "shift right": lambda rows: tuple(row[-1] + row[:-1] for row in rows),
    "shift down": lambda rows: (rows[-1], *rows[:-1]),
    "fill rows from the left": lambda rows: tuple(row[0] * len(row) for row in rows),
    "fill columns from the top": lambda rows: (rows[0],) * len(rows),
} | SWAPS
"""Every transformation of a square grid, by the name it has in the reasoning."""

ON_ARRAYS: dict[str, Callable[[NDArray[np.int64]], NDArray[np.int64]]] = {
    "flip left-right": lambda g: g[:, ::-1],
    "flip top-bottom": lambda g: g[::-1],
    "turn right": lambda g: np.rot90(g, -1),
    "turn left": np.rot90,
    "half turn": lambda g: g[::-1, ::-1],
    "shift right": lambda g: np.roll(g, 1, axis=1),
    "shift down": lambda g: np.roll(g, 1, axis=0),
    "fill rows from the left": lambda g: np.repeat(g[:, :1], g.shape[1], axis=1),
    "fill columns from the top": lambda g: np.repeat(g[:1], g.shape[0], axis=0),
}
"""The same transformations but the swaps, on arrays of colour numbers."""

LEVEL_RULES: dict[str, tuple[str, ...]] = {
    "1": ("flip left-right", "flip top-bottom", *SWAPS),
    "2": ("flip left-right", "flip top-bottom", "turn right", "turn left", "half turn", *SWAPS),
    "3": tuple(RULES),
}
PLACES: tuple[tuple[str, int, int], ...] = (
    ("top left", 0, 0),
    ("top right", 0, -1),
    ("bottom left", -1, 0),
    ("bottom right", -1, -1),
)


@dataclass(frozen=True, slots=True)
class Puzzle:
    """A grid puzzle: pairs of example grids, the query grid, and the transformation to apply."""

    rule: str
    examples: tuple[tuple[Rows, Rows], ...]
    query: Rows


def _grid(rng: np.random.Generator, side: int) -> Rows:
    return tuple(
        "".join("rbgy"[int(n)] for n in row) for row in rng.integers(0, 4, size=(side, side))
    )


def _fits(rule: str, examples: tuple[tuple[Rows, Rows], ...]) -> bool:
    return all(RULES[rule](before) == after for before, after in examples)


def _puzzle(rng: np.random.Generator, level: str) -> Puzzle:
    """Return a puzzle whose examples admit one result only, which differs from the query grid."""
    side, num_examples = (3, 2) if level == "3" else (2, 1)
    group = pick(rng, ("move", "swap")) if level == "1" else pick(rng, ("move", "move", "swap"))
    rule = pick(rng, [name for name in LEVEL_RULES[level] if (name in SWAPS) == (group == "swap")])
    while True:
        inputs = [_grid(rng, side) for _ in range(num_examples)]
        examples = tuple((grid, RULES[rule](grid)) for grid in inputs)
        query = _grid(rng, side)
        result = RULES[rule](query)
        named = [name for name in LEVEL_RULES[level] if _fits(name, examples)]
        if (
            named == [rule]
            and result != query
            and all(RULES[n](query) == result for n in RULES if _fits(n, examples))
        ):
            return Puzzle(rule, examples, query)


def _draw_grid(rows: Rows, left: float, top: float, size: float) -> list[Mark]:
    cell = size / len(rows)
    return [
        rectangle(
            left + cell * c,
            top + cell * r,
            left + cell * (c + 1),
            top + cell * (r + 1),
            fill=COLOURS[letter],
            outline="ink",
            width=0.01,
        )
        for r, row in enumerate(rows)
        for c, letter in enumerate(row)
    ]


def _arrow(y: float) -> list[Mark]:
    return [
        Line((0.44, y), (0.52, y), width=0.025),
        Polygon(((0.51, y - 0.05), (0.58, y), (0.51, y + 0.05)), fill="ink"),
    ]


def _scene(puzzle: Puzzle) -> Scene:
    bands = len(puzzle.examples) + 1
    height = 0.96 / bands
    size = min(0.37, height - 0.04)
    left, right = 0.4 - size, 0.62
    marks: list[Mark] = []
    for i, (before, after) in enumerate((*puzzle.examples, (puzzle.query, None))):
        top = 0.02 + height * i + (height - size) / 2
        marks += [*_draw_grid(before, left, top, size), *_arrow(top + size / 2)]
        marks += (
            _draw_grid(after, right, top, size)
            if after
            else [Text((right + size / 2, top + size / 2), "?", 0.2)]
        )
    marks.append(
        Line((0.02, 0.02 + height * (bands - 1)), (0.98, 0.02 + height * (bands - 1)), width=0.008)
    )
    return Scene(tuple(marks))


def _near(row: str) -> list[str]:
    """Return all readings of a row of colours that are wrong in exactly one cell."""
    return [
        row[:i] + letter + row[i + 1 :]
        for i in range(len(row))
        for letter in "rbgy"
        if letter != row[i]
    ]


def _think(t: Thinker, puzzle: Puzzle, level: str) -> Rows:
    before, after = puzzle.examples[0]
    t.say(f"example {'/'.join(before)} becomes {'/'.join(after)}")
    rule = t.choose("this is", puzzle.rule, LEVEL_RULES[level])
    query = tuple(t.look(f"row {i + 1}", row, _near(row)) for i, row in enumerate(puzzle.query))
    result = RULES[rule](query)
    t.say(f"result {'/'.join(result)}")
    return result


def transformed(rule: str, rows: Rows) -> Rows:
    """Return the grid `rows` after the transformation that is called `rule`.

    It is computed on an array of colour numbers.
    """
    grid = np.array([["rbgy".index(letter) for letter in row] for row in rows])
    if rule.startswith("swap"):
        one, two = "rbgy".index(rule[5]), "rbgy".index(rule[-1])
        after = np.where(grid == one, two, np.where(grid == two, one, grid))
    else:
        after = ON_ARRAYS[rule](grid)
    return tuple("".join("rbgy"[n] for n in row) for row in after)


def _sample(level: str, rng: np.random.Generator) -> Problem:
    puzzle = _puzzle(rng, level)
    where, row, column = pick(rng, PLACES)
    result = transformed(puzzle.rule, puzzle.query)

    def think(t: Thinker) -> str:
        found = _think(t, puzzle, level)
        return COLOURS[found[row][column]] if level == "1" else "/".join(found)

    return Problem(
        scene=_scene(puzzle),
        scene_key="grids "
        + " ".join(f"{'/'.join(a)}>{'/'.join(b)}" for a, b in puzzle.examples)
        + f" {'/'.join(puzzle.query)}>?",
        question="Do the same to the lowest grid. "
        + (
            f"Which colour is at the {where}?"
            if level == "1"
            else "Write the result in letters, like rb/gy."
        ),
        kind="text",
        think=think,
        answer=COLOURS[result[row][column]] if level == "1" else "/".join(result),
        facts=(
            *(
                Fact(
                    f"Which colour is at the {n} of the lowest grid?",
                    COLOURS[puzzle.query[r][c]],
                )
                for n, r, c in PLACES
            ),
            Fact("Which colours has the lowest grid, by rows?", "/".join(puzzle.query)),
            Fact("Which colours has the first grid, by rows?", "/".join(puzzle.examples[0][0])),
            Fact("Which colours has the first result, by rows?", "/".join(puzzle.examples[0][1])),
        ),
    )


GRIDS = LeveledFamily("grids", {level: partial(_sample, level) for level in LEVEL_RULES})
"""Grid transformations: one cell of the result, then a whole grid, then a larger one and more
transformations."""

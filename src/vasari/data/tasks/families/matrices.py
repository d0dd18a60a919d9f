"""Matrices of three by three pictures: find the rule of each attribute, complete the last row."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from vasari.data.tasks.families.base import LETTERS, LeveledFamily, pick, shuffled
from vasari.data.tasks.problem import Fact, Problem
from vasari.data.tasks.scene import Disc, Line, Mark, Polygon, Scene, Text, rectangle
from vasari.data.tasks.thinker import Thinker

VALUES: dict[str, tuple[str, ...]] = {
    "count": ("1", "2", "3", "4"),
    "size": ("small", "medium", "large"),
    "colour": ("red", "blue", "green", "yellow"),
    "shape": ("disc", "square", "triangle"),
}
RULES: dict[str, tuple[str, ...]] = {
    "count": ("same", "grows", "mixes"),
    "size": ("same", "grows", "mixes"),
    "colour": ("same", "mixes"),
    "shape": ("same", "mixes"),
}
"""Along a row an attribute stays the same, grows step by step, or mixes three values in any
order."""

Cell = dict[str, str]
"""Attribute to value."""
Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Puzzle:
    """A 3 x 3 matrix of pictures, the rules it follows, and the options for its last picture."""

    cells: tuple[tuple[Cell, ...], ...]
    rules: dict[str, str]
    options: tuple[Cell, ...]


def _columns(rng: np.random.Generator, attribute: str, rule: str) -> list[list[str]]:
    """Three rows of three values that obey the rule."""
    values = VALUES[attribute]
    if rule == "grows":
        starts = [0, 0, 0]
        if len(values) > 3:
            # Two unlike rows: 1 2 3 twice would also fit a mix of three, and then 2 3 could be
            # followed by 1.
            starts = [*(int(n) for n in rng.permutation(2)), int(rng.integers(2))]
        return [list(values[s : s + 3]) for s in starts]
    three = shuffled(rng, values, 3)
    if rule == "same":
        return [[value] * 3 for value in three]
    turn = 1 if rng.random() < 0.5 else 2
    return [[three[(turn * row + column) % 3] for column in range(3)] for row in range(3)]


def _puzzle(rng: np.random.Generator, num_rules: int) -> Puzzle:
    active = shuffled(rng, (pick(rng, ("count", "size")), "colour", "shape"), num_rules)
    rules = {attribute: pick(rng, RULES[attribute]) for attribute in active}
    table = {
        a: _columns(rng, a, rules[a]) if a in rules else [[pick(rng, v)] * 3] * 3
        for a, v in VALUES.items()
    }
    if "size" in rules:
        table["count"] = [["1"] * 3] * 3
    else:
        table["size"] = [["medium"] * 3] * 3
    cells = tuple(tuple({a: table[a][r][c] for a in VALUES} for c in range(3)) for r in range(3))
    # Two attributes with two values each: no option is recognised by sharing most with the others.
    second = (
        active[1]
        if num_rules > 1
        else pick(rng, [a for a in ("colour", "shape") if a not in active])
    )
    missing = cells[2][2]
    twin = {a: pick(rng, [v for v in VALUES[a] if v != missing[a]]) for a in (active[0], second)}
    options = [
        missing | {a: v for a, v in twin.items() if a in changed}
        for changed in ((), (active[0],), (second,), tuple(twin))
    ]
    order = rng.permutation(4)
    return Puzzle(cells, rules, tuple(options[int(i)] for i in order))


def describe(cell: Cell, *, sized: bool) -> str:
    """Return a matrix cell's picture in words: "2 red discs", or "small red disc" if `sized`."""
    lead = cell["size"] if sized else cell["count"]
    return f"{lead} {cell['colour']} {cell['shape']}" + ("s" if cell["count"] != "1" else "")


def _shape(cell: Cell, x: float, y: float, radius: float) -> Mark:
    if cell["shape"] == "disc":
        return Disc((x, y), radius, fill=cell["colour"])
    if cell["shape"] == "square":
        half = radius * 0.88
        return rectangle(x - half, y - half, x + half, y + half, fill=cell["colour"])
    return Polygon(
        (
            (x, y - radius * 1.1),
            (x + radius * 1.1, y + radius * 0.9),
            (x - radius * 1.1, y + radius * 0.9),
        ),
        fill=cell["colour"],
    )


def _picture(cell: Cell, x: float, y: float, half: float) -> list[Mark]:
    frame = rectangle(x - half, y - half, x + half, y + half, outline="ink", width=0.01)
    places = {
        "1": [(0.0, 0.0)],
        "2": [(-0.45, 0.0), (0.45, 0.0)],
        "3": [(0.0, -0.45), (-0.45, 0.42), (0.45, 0.42)],
        "4": [(-0.45, -0.45), (0.45, -0.45), (-0.45, 0.45), (0.45, 0.45)],
    }[cell["count"]]
    radius = half * (
        {"small": 0.28, "medium": 0.52, "large": 0.8}[cell["size"]]
        if cell["count"] == "1"
        else 0.36
    )
    return [frame, *(_shape(cell, x + half * dx, y + half * dy, radius) for dx, dy in places)]


def _scene(puzzle: Puzzle) -> Scene:
    half, marks = 0.12, list[Mark]()
    for r, row in enumerate(puzzle.cells):
        for c, cell in enumerate(row):
            x, y = 0.5 + 2 * half * (c - 1), 0.02 + half * (2 * r + 1)
            marks += [Text((x, y), "?", 0.16)] if (r, c) == (2, 2) else _picture(cell, x, y, half)
    marks.append(Line((0.02, 0.77), (0.98, 0.77), width=0.008))
    for i, option in enumerate(puzzle.options):
        marks.append(Text((0.045 + 0.25 * i, 0.89), LETTERS[i], 0.1))
        marks += _picture(option, 0.165 + 0.25 * i, 0.89, 0.08)
    return Scene(tuple(marks))


def _complete(rule: str, values: tuple[str, ...], row: list[str], known: list[str]) -> str:
    """The third value of a row, from its first two and from the three values of another row."""
    if rule == "same":
        return row[1]
    if rule == "grows":
        return values[min(values.index(row[1]) + 1, len(values) - 1)]
    left = [v for v in known if v not in row]
    return left[0] if left else known[0]


def _think(t: Thinker, puzzle: Puzzle) -> str:
    found: Cell = {}
    for attribute, rule in puzzle.rules.items():
        values, known = VALUES[attribute], [cell[attribute] for cell in puzzle.cells[0]]
        sentences = {
            name: f"{name} {' '.join(known)}" if name == "mixes" else name
            for name in RULES[attribute]
        }
        chosen = t.choose(attribute, sentences[rule], list(sentences.values())).split()[0]
        pair = [cell[attribute] for cell in puzzle.cells[2][:2]]
        near = [f"{a} {b}" for a in values for b in values if (a == pair[0]) != (b == pair[1])]
        row = t.look("last", " ".join(pair), near).split()
        found[attribute] = t.choose("so", _complete(chosen, values, row, known), values)
    fits = [sum(option[a] == v for a, v in found.items()) for option in puzzle.options]
    plain = [
        sum(option[a] == puzzle.cells[0][0][a] for a in VALUES if a not in found)
        for option in puzzle.options
    ]
    best = max(range(4), key=lambda i: (fits[i], plain[i]))
    t.say(f"{describe(puzzle.options[best], sized='size' in puzzle.rules)} is {LETTERS[best]}")
    return LETTERS[best]


def _sample(num_rules: int, rng: np.random.Generator) -> Problem:
    puzzle = _puzzle(rng, num_rules)
    sized = "size" in puzzle.rules
    texts = tuple(describe(option, sized=sized) for option in puzzle.options)
    rows = [[describe(cell, sized=sized) for cell in row] for row in puzzle.cells]
    rows[2][2] = "?"
    names = (("top", 0), ("middle", 1), ("bottom", 2))
    return Problem(
        scene=_scene(puzzle),
        scene_key="matrices "
        + " / ".join(", ".join(row) for row in rows)
        + " options "
        + ", ".join(texts),
        question=("Every row follows the same rules. Which picture belongs at the question mark?"),
        kind="choice",
        think=lambda t: _think(t, puzzle),
        answer=LETTERS[puzzle.options.index(puzzle.cells[2][2])],
        choices=texts,
        facts=tuple(
            Fact(f"What is in the {side} cell of the {name} row?", rows[r][c])
            for name, r in names
            for c, side in enumerate(("left", "middle", "right"))
            if (r, c) != (2, 2)
        ),
    )


MATRICES = LeveledFamily("matrices", {str(num): partial(_sample, num) for num in (1, 2, 3)})
"""Matrices with one, two or three attributes that follow a rule."""

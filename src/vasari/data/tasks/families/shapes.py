"""Shapes in a grid: count by colour, by shape and by place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from vasari.data.tasks.families.base import (
    CELL,
    COLOURS,
    LeveledFamily,
    Numbers,
    Question,
    pick,
    shuffled,
    sometimes_with_choices,
    with_question,
)
from vasari.data.tasks.problem import Fact, Problem
from vasari.data.tasks.scene import Disc, Line, Mark, Polygon, Scene, Text, rectangle
from vasari.data.tasks.thinker import Thinker

_KINDS = ("disc", "square", "triangle")
_ROWS = ("A", "B", "C")
_COLUMNS = ("X", "Y", "Z")
_ANCHOR = "black"

_MOST = 9

Place = tuple[str, str]
"""Row letter and column letter, as drawn beside the grid."""
Thing = tuple[str, str]
"""Colour and kind of shape."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A grid of coloured shapes: which cell holds which shape."""

    things: dict[Place, Thing]
    plain: bool
    """Questions about places ask for any shape, not for a colour or a kind."""

    def num(self, wanted: str, line: str | None = None) -> int:
        """Return how many shapes of a colour or kind the grid, or one row or column of it, holds.

        The kind "shape" counts all shapes.
        """
        return sum(
            (wanted == "shape" or wanted in thing) and (line is None or line in place)
            for place, thing in self.things.items()
        )

    @property
    def totals(self) -> Numbers:
        """Number of shapes of each colour in the grid, as `Numbers` named by colour."""
        return Numbers({colour: self.num(colour) for colour in COLOURS}, low=0, high=_MOST)


def _plural(wanted: str) -> str:
    return f"{wanted} shapes" if wanted in COLOURS else f"{wanted}s"


def _axis(line: str) -> str:
    return "row" if line in _ROWS else "column"


def _count_beside(rng: np.random.Generator, grid: Grid) -> Question | None:
    """How many shapes lie above or left of the one black shape."""
    lines, word = pick(rng, ((_ROWS, "above"), (_COLUMNS, "left of")))
    wanted = "shape" if grid.plain else pick(rng, (*COLOURS, *_KINDS))
    anchor = next(place for place, thing in grid.things.items() if thing[0] == _ANCHOR)
    here = next(letter for letter in anchor if letter in lines)
    axis = _axis(here)

    def think(thinker: Thinker) -> str:
        found = thinker.look(f"{_ANCHOR} {axis}", here, lines)
        counts = [
            thinker.read(f"{axis} {line}", grid.num(wanted, line), low=0, high=len(_ROWS))
            for line in lines[: lines.index(found)]
        ]
        answer = thinker.total(counts)
        if found == lines[0]:
            thinker.say("none")
        return str(answer)

    before = [thing for place, thing in grid.things.items() if place[int(lines is _COLUMNS)] < here]
    answer = (
        len(before)
        if wanted == "shape"
        else Counter(part for thing in before for part in thing)[wanted]
    )
    if answer == 0 and rng.random() < 0.7:
        return None
    facts = (
        Fact(f"Which {axis} is the {_ANCHOR} shape in?", here),
        *(
            Fact(f"How many {_plural(wanted)} are in {axis} {line}?", str(grid.num(wanted, line)))
            for line in lines
        ),
    )
    question = f"How many {_plural(wanted)} are {word} the {_ANCHOR} shape?"
    return Question(question, str(answer), think, facts=facts)


def _either(rng: np.random.Generator, grid: Grid) -> Question:
    one, two = shuffled(rng, COLOURS, 2)
    return grid.totals.sum_of(f"How many shapes are {one} or {two}?", (one, two))


def _others(rng: np.random.Generator, grid: Grid) -> Question:
    wanted = pick(rng, COLOURS)
    rest = tuple(colour for colour in COLOURS if colour != wanted)
    return grid.totals.sum_of(f"How many shapes are not {wanted}?", rest)


def _three_terms(rng: np.random.Generator, grid: Grid) -> Question | None:
    one, two, less = shuffled(rng, COLOURS, 3)
    text = f"How many more shapes are {one} or {two} than {less}?"
    return grid.totals.sum_minus(text, (one, two), less, read_first=True)


def _more(rng: np.random.Generator, grid: Grid) -> Question | None:
    one, two = shuffled(rng, COLOURS, 2)
    text = f"Are there more {one} or {two} shapes?"
    return grid.totals.best(text, (one, two), word="more", largest=True)


def _gap(rng: np.random.Generator, grid: Grid) -> Question | None:
    one, two = shuffled(rng, COLOURS, 2)
    return grid.totals.minus(f"How many more {one} than {two} shapes are there?", one, two)


def _most(_: np.random.Generator, grid: Grid) -> Question | None:
    text = "Which colour has the most shapes?"
    return grid.totals.best(text, COLOURS, word="more", largest=True)


def _exactly_two(_: np.random.Generator, grid: Grid) -> Question | None:
    text = "Which colours have exactly two shapes?"
    return grid.totals.subset(text, word="exactly", fits=lambda count: count == 2)


_QUESTIONS: dict[str, tuple[Callable[[np.random.Generator, Grid], Question | None], ...]] = {
    "1": (_either, _gap),
    "2": (_others, _three_terms, _more),
    "3": (_three_terms, _others, _most, _exactly_two),
    "4": (_count_beside,),
}


def _sample(level: str, rng: np.random.Generator) -> Problem:
    ask = pick(rng, _QUESTIONS[level])
    grid, question = with_question(
        lambda: _grid(rng, full=level in ("3", "4"), anchored=ask is _count_beside),
        lambda grid: ask(rng, grid),
    )
    inside = (
        " ".join(grid.things.get((row, column), ("nothing",)))
        for row in _ROWS
        for column in _COLUMNS
    )
    problem = question.about(
        _draw(grid),
        "shapes " + ", ".join(inside),
        tuple(
            Fact(f"How many {_plural(colour)} are there?", str(count))
            for colour, count in grid.totals.values.items()
        ),
    )
    return sometimes_with_choices(rng, problem)


def _grid(rng: np.random.Generator, *, full: bool, anchored: bool) -> Grid:
    """Four to six shapes on nine cells, or seven to nine, with colours of uneven shares."""
    num = int(rng.integers(7, 10)) if full else int(rng.integers(4, 7))
    shares = rng.dirichlet(np.full(len(COLOURS), 1.5))
    things: dict[Place, Thing] = {}
    for cell in rng.permutation(len(_ROWS) * len(_COLUMNS))[:num]:
        colour = COLOURS[int(rng.choice(len(COLOURS), p=shares))]
        things[_ROWS[int(cell) // len(_COLUMNS)], _COLUMNS[int(cell) % len(_COLUMNS)]] = (
            colour,
            pick(rng, _KINDS),
        )
    if anchored:
        place = next(iter(things))
        things[place] = _ANCHOR, things[place][1]
    return Grid(things, plain=not full)


def _draw(grid: Grid) -> Scene:
    """One shape a cell under and beside the letters, laid out as in tables."""
    end = (len(_ROWS) + 1) * CELL
    marks: list[Mark] = []
    for edge in range(1, len(_ROWS) + 1):
        marks.append(Line((edge * CELL, 0.0), (edge * CELL, end), colour="gray", width=0.01))
        marks.append(Line((0.0, edge * CELL), (end, edge * CELL), colour="gray", width=0.01))
    for place, letter in enumerate(_COLUMNS, start=1):
        marks.append(Text(((place + 0.5) * CELL, 0.5 * CELL), letter, size=0.16, colour="ink"))
    for place, letter in enumerate(_ROWS, start=1):
        marks.append(Text((0.5 * CELL, (place + 0.5) * CELL), letter, size=0.16, colour="ink"))
    for (row, column), (colour, kind) in grid.things.items():
        centre = ((_COLUMNS.index(column) + 1.5) * CELL, (_ROWS.index(row) + 1.5) * CELL)
        marks.append(_mark(centre, colour, kind))
    return Scene(tuple(marks))


def _mark(centre: tuple[float, float], colour: str, kind: str) -> Mark:
    x, y = centre
    if kind == "disc":
        return Disc(centre, 0.095, fill=colour)
    if kind == "square":
        return rectangle(x - 0.085, y - 0.085, x + 0.085, y + 0.085, fill=colour)
    return Polygon(((x, y - 0.1), (x + 0.105, y + 0.085), (x - 0.105, y + 0.085)), fill=colour)


SHAPES = LeveledFamily("shapes", {level: partial(_sample, level) for level in _QUESTIONS})
"""A grid of nine cells under letters, with discs, squares and triangles; at most one is black."""

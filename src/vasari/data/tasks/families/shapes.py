"""Shapes in a grid: count by colour, by shape and by place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from vasari.core.records import AnswerKind
from vasari.data.tasks.families.common import (
    CELL,
    COLOURS,
    add,
    check_level,
    difference,
    near_numbers,
    pick,
    shuffled,
    total,
    with_choices,
)
from vasari.data.tasks.problem import Fact, Problem
from vasari.data.tasks.scene import Disc, Line, Mark, Polygon, Scene, Text, rectangle
from vasari.data.tasks.steps import braces, running_best, running_set
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
    """Where the shapes are."""

    things: dict[Place, Thing]
    plain: bool
    """Questions about places ask for any shape, not for a colour or a kind."""

    def num(self, wanted: str, line: str | None = None) -> int:
        """How many shapes of this colour or kind ("shape": any) lie in the row or column of this
        letter.
        """
        return sum(
            (wanted == "shape" or wanted in thing) and (line is None or line in place)
            for place, thing in self.things.items()
        )

    def anchor(self) -> Place | None:
        """Where the one black shape is."""
        return next((place for place, thing in self.things.items() if thing[0] == _ANCHOR), None)


@dataclass(frozen=True, slots=True)
class Drafted:
    """A question about a grid."""

    question: str
    answer: str
    think: Callable[[Thinker], str]
    facts: tuple[Fact, ...] = ()
    """What is to be seen beside the totals, which every grid has."""
    kind: AnswerKind = "number"


def _plural(wanted: str) -> str:
    return f"{wanted} shapes" if wanted in COLOURS else f"{wanted}s"


def _axis(line: str) -> str:
    return "row" if line in _ROWS else "column"


def _line_facts(grid: Grid, wanted: str, lines: tuple[str, ...]) -> tuple[Fact, ...]:
    return tuple(
        Fact(f"How many {_plural(wanted)} are in {_axis(i)} {i}?", str(grid.num(wanted, i)))
        for i in lines
    )


def _read_lines(thinker: Thinker, grid: Grid, wanted: str, lines: tuple[str, ...]) -> int:
    """The count over these rows or columns, one after the other."""
    return total(
        thinker,
        [
            thinker.read(f"{_axis(i)} {i}", grid.num(wanted, i), low=0, high=len(_ROWS))
            for i in lines
        ],
    )


def _count_beside(rng: np.random.Generator, grid: Grid) -> Drafted | None:
    anchor = grid.anchor()
    lines, word = ((_ROWS, "above"), (_COLUMNS, "left of"))[int(rng.integers(2))]
    wanted = "shape" if grid.plain else pick(rng, (*COLOURS, *_KINDS))
    if anchor is None:
        return None
    here = next(letter for letter in anchor if letter in lines)
    axis = _axis(here)

    def think(thinker: Thinker) -> str:
        found = thinker.look(f"{_ANCHOR} {axis}", here, lines)
        answer = _read_lines(thinker, grid, wanted, lines[: lines.index(found)])
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
    fact = Fact(f"Which {axis} is the {_ANCHOR} shape in?", here)
    question = f"How many {_plural(wanted)} are {word} the {_ANCHOR} shape?"
    return Drafted(question, str(answer), think, (fact, *_line_facts(grid, wanted, lines)))


def _read_total(thinker: Thinker, grid: Grid, colour: str) -> int:
    return thinker.read(colour, grid.num(colour), low=0, high=_MOST)


def _read_totals(thinker: Thinker, grid: Grid, colours: tuple[str, ...]) -> dict[str, int]:
    return {colour: _read_total(thinker, grid, colour) for colour in colours}


def _best(thinker: Thinker, grid: Grid, colours: tuple[str, ...]) -> str:
    return running_best(
        thinker, partial(_read_total, thinker, grid), colours, word="more", largest=True
    )


def _either(rng: np.random.Generator, grid: Grid) -> Drafted:
    one, two = shuffled(rng, COLOURS, 2)

    def think(thinker: Thinker) -> str:
        return str(total(thinker, list(_read_totals(thinker, grid, (one, two)).values())))

    return Drafted(
        f"How many shapes are {one} or {two}?", str(grid.num(one) + grid.num(two)), think
    )


def _others(rng: np.random.Generator, grid: Grid) -> Drafted:
    wanted = pick(rng, COLOURS)
    rest = tuple(colour for colour in COLOURS if colour != wanted)

    def think(thinker: Thinker) -> str:
        return str(total(thinker, list(_read_totals(thinker, grid, rest).values())))

    return Drafted(
        f"How many shapes are not {wanted}?", str(sum(grid.num(colour) for colour in rest)), think
    )


def _three_terms(rng: np.random.Generator, grid: Grid) -> Drafted | None:
    one, two, less = shuffled(rng, COLOURS, 3)
    answer = grid.num(one) + grid.num(two) - grid.num(less)
    if answer < 0:
        return None

    def think(thinker: Thinker) -> str:
        seen = _read_totals(thinker, grid, (one, two, less))
        return str(difference(thinker, add(thinker, seen[one], seen[two]), seen[less]))

    return Drafted(f"How many more shapes are {one} or {two} than {less}?", str(answer), think)


def _more(rng: np.random.Generator, grid: Grid) -> Drafted | None:
    colours = shuffled(rng, COLOURS, 2)
    answer = _winner(grid, colours)
    if answer is None:
        return None

    def think(thinker: Thinker) -> str:
        return _best(thinker, grid, colours)

    question = f"Are there more {colours[0]} or {colours[1]} shapes?"
    return Drafted(question, answer, think, kind="text")


def _gap(rng: np.random.Generator, grid: Grid) -> Drafted | None:
    colours = shuffled(rng, COLOURS, 2)
    answer = grid.num(colours[0]) - grid.num(colours[1])
    if answer < 0:
        return None

    def think(thinker: Thinker) -> str:
        seen = _read_totals(thinker, grid, colours)
        return str(difference(thinker, seen[colours[0]], seen[colours[1]]))

    question = f"How many more {colours[0]} than {colours[1]} shapes are there?"
    return Drafted(question, str(answer), think)


def _most(_: np.random.Generator, grid: Grid) -> Drafted | None:
    answer = _winner(grid, COLOURS)
    if answer is None:
        return None

    def think(thinker: Thinker) -> str:
        return _best(thinker, grid, COLOURS)

    return Drafted("Which colour has the most shapes?", answer, think, kind="text")


def _winner(grid: Grid, colours: tuple[str, ...]) -> str | None:
    """The colour with the most shapes; None on a tie."""
    counts = Counter(
        colour for colour, _ in grid.things.values() if colour in colours
    ).most_common()
    tied = not counts or (len(counts) > 1 and counts[0][1] == counts[1][1])
    return None if tied else counts[0][0]


def _exactly_two(_: np.random.Generator, grid: Grid) -> Drafted | None:
    counts = Counter(colour for colour, _ in grid.things.values() if colour != _ANCHOR)
    members = [colour for colour, count in counts.items() if count == 2]
    if not members:
        return None

    def think(thinker: Thinker) -> str:
        return running_set(
            thinker,
            partial(_read_total, thinker, grid),
            COLOURS,
            word="exactly",
            fits=lambda count: count == 2,
        )

    question = "Which colours have exactly two shapes?"
    return Drafted(question, braces(members), think, kind="set")


_Draft = Callable[[np.random.Generator, Grid], Drafted | None]
_DRAFTS: dict[str, tuple[_Draft, ...]] = {
    "1": (_either, _gap),
    "2": (_others, _three_terms, _more),
    "3": (_three_terms, _others, _most, _exactly_two),
    "4": (_count_beside,),
}


class Shapes:
    """A grid of nine cells under letters, with discs, squares and triangles; at most one is
    black.
    """

    name: str = "shapes"
    levels: tuple[str, ...] = ("1", "2", "3", "4")

    def sample(self, rng: np.random.Generator, level: str) -> Problem:
        """A problem of this level; the same generator state gives the same problem."""
        check_level(self.name, level, self.levels)
        draft = _DRAFTS[level][int(rng.integers(len(_DRAFTS[level])))]
        drafted = None
        while drafted is None:
            grid = _grid(rng, full=level in ("3", "4"), anchored=draft is _count_beside)
            drafted = draft(rng, grid)
        inside = (
            " ".join(grid.things.get((row, column), ("nothing",)))
            for row in _ROWS
            for column in _COLUMNS
        )
        problem = Problem(
            scene=_draw(grid),
            scene_key="shapes " + ", ".join(inside),
            question=drafted.question,
            kind=drafted.kind,
            think=drafted.think,
            answer=drafted.answer,
            facts=(*drafted.facts, *_total_facts(grid)),
        )
        if problem.kind == "number" and rng.random() < 0.2:
            problem = with_choices(rng, problem, near_numbers(rng, int(problem.answer)))
        return problem


def _total_facts(grid: Grid) -> tuple[Fact, ...]:
    return tuple(
        Fact(f"How many {_plural(wanted)} are there?", str(grid.num(wanted))) for wanted in COLOURS
    )


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

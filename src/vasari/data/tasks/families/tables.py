"""Tables of one-digit numbers, a colour to each row: look up cells, then add, subtract, compare."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vasari.data.tasks.families.common import (
    CELL,
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
from vasari.data.tasks.scene import Disc, Line, Mark, Scene, Text
from vasari.data.tasks.thinker import Thinker

_ROWS = ("red", "blue", "green")
_COLUMNS = ("X", "Y", "Z")
_MAX = 9

Cell = tuple[str, str]
"""Colour of the row, letter of the column."""
Table = dict[Cell, int]
"""The numbers, row by row."""
Drafted = tuple[str, str, Callable[[Thinker], str]]
"""Question, reference answer, reasoning."""


def _rows(table: Table) -> tuple[str, ...]:
    return tuple(dict.fromkeys(row for row, _ in table))


def _columns(table: Table) -> tuple[str, ...]:
    return tuple(dict.fromkeys(column for _, column in table))


def _line(table: Table, name: str) -> list[Cell]:
    """The cells of the row or the column of this name."""
    return [cell for cell in table if name in cell]


def _word(name: str) -> str:
    return f"the {name} row" if name in _ROWS else f"column {name}"


def _read_cell(thinker: Thinker, table: Table, cell: Cell) -> int:
    return thinker.read(f"{cell[0]} {cell[1]}", table[cell], low=0, high=_MAX)


def _read_line(thinker: Thinker, table: Table, name: str) -> list[int]:
    return [_read_cell(thinker, table, cell) for cell in _line(table, name)]


def _two_cells(rng: np.random.Generator, table: Table) -> Drafted:
    cells = list(table)
    one, two = (cells[int(i)] for i in rng.permutation(len(cells))[:2])
    if rng.random() < 0.5:
        if table[one] < table[two]:
            one, two = two, one

        def think_difference(thinker: Thinker) -> str:
            return str(
                difference(
                    thinker, _read_cell(thinker, table, one), _read_cell(thinker, table, two)
                )
            )

        return (
            f"What is {' '.join(one)} minus {' '.join(two)}?",
            str(table[one] - table[two]),
            think_difference,
        )

    def think_sum(thinker: Thinker) -> str:
        return str(add(thinker, _read_cell(thinker, table, one), _read_cell(thinker, table, two)))

    return f"What is {' '.join(one)} plus {' '.join(two)}?", str(table[one] + table[two]), think_sum


def _sum_of_line(rng: np.random.Generator, table: Table) -> Drafted:
    name = pick(rng, (*_rows(table), *_columns(table)))

    def think(thinker: Thinker) -> str:
        return str(total(thinker, _read_line(thinker, table, name)))

    return (
        f"What is the sum of {_word(name)}?",
        str(sum(table[cell] for cell in _line(table, name))),
        think,
    )


def _extreme(rng: np.random.Generator, table: Table) -> Drafted:
    name, word = pick(rng, _columns(table)), pick(rng, ("largest", "smallest"))

    def think(thinker: Thinker) -> str:
        values = _read_line(thinker, table, name)
        found = max(values) if word == "largest" else min(values)
        return str(thinker.read(word, found, low=0, high=_MAX))

    values = sorted(table[cell] for cell in _line(table, name))
    return (
        f"What is the {word} number in {_word(name)}?",
        str(values[-1 if word == "largest" else 0]),
        think,
    )


def _spread(rng: np.random.Generator, table: Table) -> Drafted:
    name = pick(rng, _columns(table))

    def think(thinker: Thinker) -> str:
        values = _read_line(thinker, table, name)
        largest = thinker.read("largest", max(values), low=0, high=_MAX)
        return str(
            difference(thinker, largest, thinker.read("smallest", min(values), low=0, high=_MAX))
        )

    values = sorted(table[cell] for cell in _line(table, name))
    return (
        f"What is the largest minus the smallest number in {_word(name)}?",
        str(values[-1] - values[0]),
        think,
    )


def _larger_row(rng: np.random.Generator, table: Table) -> Drafted | None:
    names = sorted(shuffled(rng, _rows(table), 2))
    sums = [sum(table[cell] for cell in _line(table, name)) for name in names]
    if sums[0] == sums[1]:
        return None

    def think(thinker: Thinker) -> str:
        found = [total(thinker, _read_line(thinker, table, name)) for name in names]
        return thinker.choose("larger", names[0] if found[0] >= found[1] else names[1], names)

    return (
        f"Which row has the larger sum, {names[0]} or {names[1]}?",
        names[sums.index(max(sums))],
        think,
    )


def _sum_minus_cell(rng: np.random.Generator, table: Table) -> Drafted | None:
    name, other = shuffled(rng, _rows(table), 2)
    cell = other, pick(rng, _columns(table))
    answer = sum(table[each] for each in _line(table, name)) - table[cell]
    if answer < 0:
        return None

    def think(thinker: Thinker) -> str:
        found = total(thinker, _read_line(thinker, table, name))
        return str(difference(thinker, found, _read_cell(thinker, table, cell)))

    return f"What is the sum of {_word(name)} minus {' '.join(cell)}?", str(answer), think


def _two_largest(rng: np.random.Generator, table: Table) -> Drafted:
    names = sorted(shuffled(rng, _rows(table), 2))

    def think(thinker: Thinker) -> str:
        largest = [
            thinker.read("largest", max(_read_line(thinker, table, name)), low=0, high=_MAX)
            for name in names
        ]
        return str(add(thinker, largest[0], largest[1]))

    answer = sum(sorted(table[cell] for cell in _line(table, name))[-1] for name in names)
    return (
        f"What is the largest of {_word(names[0])} plus the largest of {_word(names[1])}?",
        str(answer),
        think,
    )


_Draft = Callable[[np.random.Generator, Table], Drafted | None]
_DRAFTS: dict[str, tuple[tuple[_Draft, tuple[tuple[int, int], ...]], ...]] = {
    "1": ((_two_cells, ((2, 2),)), (_sum_of_line, ((2, 2),))),
    "2": (
        (_extreme, ((3, 2), (3, 3))),
        (_spread, ((3, 2), (3, 3))),
        (_sum_of_line, ((3, 2), (3, 3))),
    ),
    "3": ((_larger_row, ((3, 2),)), (_sum_minus_cell, ((3, 3),)), (_two_largest, ((3, 2), (3, 3)))),
}
"""Level to its questions, each with the table sizes (rows, columns) it is asked of."""


class Tables:
    """Two or three columns of one-digit numbers under letters, each row written in a colour."""

    name: str = "tables"
    levels: tuple[str, ...] = ("1", "2", "3")

    def sample(self, rng: np.random.Generator, level: str) -> Problem:
        """A problem of this level; the same generator state gives the same problem."""
        check_level(self.name, level, self.levels)
        drafts = _DRAFTS[level]
        draft, sizes = drafts[int(rng.integers(len(drafts)))]
        num_rows, num_columns = sizes[int(rng.integers(len(sizes)))]
        drafted = None
        while drafted is None:
            rows = shuffled(rng, _ROWS, num_rows)
            table = {
                (r, c): int(rng.integers(_MAX + 1)) for r in rows for c in _COLUMNS[:num_columns]
            }
            drafted = draft(rng, table)
        question, answer, think = drafted
        problem = Problem(
            scene=_draw(table),
            scene_key="tables " + ", ".join(f"{r} {c} {value}" for (r, c), value in table.items()),
            question=question,
            kind="number" if answer.isdigit() else "text",
            think=think,
            answer=answer,
            facts=_facts(table),
        )
        if problem.kind == "number" and rng.random() < 0.2:
            problem = with_choices(rng, problem, near_numbers(rng, int(answer)))
        return problem


def _facts(table: Table) -> tuple[Fact, ...]:
    """Every number by its cell, and the numbers of every row and column in order."""
    cells = [Fact(f"What is {row} {column}?", str(value)) for (row, column), value in table.items()]
    lines = [
        Fact(
            f"What is in {_word(name)}?", " ".join(str(table[cell]) for cell in _line(table, name))
        )
        for name in (*_rows(table), *_columns(table))
    ]
    return (*cells, *lines)


def _draw(table: Table) -> Scene:
    """A disc in the colour of its row in the first column of cells, column letters in the first
    row.
    """
    rows, columns = _rows(table), _columns(table)
    right, bottom = (len(columns) + 1) * CELL, (len(rows) + 1) * CELL
    marks: list[Mark] = [
        _rule((edge * CELL, 0.0), (edge * CELL, bottom), edge)
        for edge in range(1, len(columns) + 2)
    ]
    marks += [
        _rule((0.0, edge * CELL), (right, edge * CELL), edge) for edge in range(1, len(rows) + 2)
    ]
    marks += [Disc((0.5 * CELL, (i + 1.5) * CELL), 0.06, fill=row) for i, row in enumerate(rows)]
    marks += [
        _text((j + 1.5) * CELL, 0.5 * CELL, column, 0.17, "ink") for j, column in enumerate(columns)
    ]
    for (row, column), value in table.items():
        place = (columns.index(column) + 1.5) * CELL, (rows.index(row) + 1.5) * CELL
        marks.append(_text(*place, str(value), 0.22, row))
    return Scene(tuple(marks))


def _rule(start: tuple[float, float], end: tuple[float, float], edge: int) -> Line:
    return Line(
        start, end, colour="ink" if edge == 1 else "gray", width=0.02 if edge == 1 else 0.01
    )


def _text(x: float, y: float, text: str, size: float, colour: str) -> Mark:
    return Text((x, y), text, size=size, colour=colour)

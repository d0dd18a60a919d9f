"""Tables of one-digit numbers, a colour to each row: look up cells, then add, subtract, compare."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from vasari.data.tasks.families.base import (
    CELL,
    LeveledFamily,
    Numbers,
    Question,
    pick,
    shuffled,
    sometimes_with_choices,
    with_question,
)
from vasari.data.tasks.problem import Fact, Problem
from vasari.data.tasks.scene import Disc, Line, Mark, Point, Scene, Text
from vasari.data.tasks.thinker import Thinker

_ROWS = ("red", "blue", "green")
_COLUMNS = ("X", "Y", "Z")
_MAX = 9


class Table(Numbers):
    """A table of numbers; each number is named after its row (a colour) and column, as "red X"."""

    @property
    def rows(self) -> tuple[str, ...]:
        """Names of the table's rows, which are colours, from the top."""
        return tuple(dict.fromkeys(name.split()[0] for name in self.values))

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the table's columns, which are letters, from the left."""
        return tuple(dict.fromkeys(name.split()[1] for name in self.values))

    def cells(self, line: str) -> list[str]:
        """Return the names, such as "red X", of the cells in the row or column called `line`."""
        return [name for name in self.values if line in name.split()]

    def numbers(self, line: str) -> list[int]:
        """Return the numbers in the row or column called `line`."""
        return [self.values[name] for name in self.cells(line)]

    def read_line(self, thinker: Thinker, line: str) -> list[int]:
        """Read the numbers in the row or column `line` one by one, and return the numbers."""
        return self.read_all(thinker, self.cells(line))

    def read_extreme(self, thinker: Thinker, line: str, word: str) -> int:
        """Read the row or column `line`; return its "largest" or "smallest" number, noted again."""
        found = (max if word == "largest" else min)(self.read_line(thinker, line))
        return thinker.read(word, found, low=self.low, high=self.high)


def _word(name: str) -> str:
    return f"the {name} row" if name in _ROWS else f"column {name}"


def _two_cells(rng: np.random.Generator, table: Table) -> Question | None:
    one, two = shuffled(rng, list(table.values), 2)
    if rng.random() < 0.5:
        one, two = sorted((one, two), key=lambda name: -table.values[name])
        return table.minus(f"What is {one} minus {two}?", one, two)
    return table.sum_of(f"What is {one} plus {two}?", (one, two))


def _sum_of_line(rng: np.random.Generator, table: Table) -> Question:
    name = pick(rng, (*table.rows, *table.columns))
    return table.sum_of(f"What is the sum of {_word(name)}?", table.cells(name))


def _extreme(rng: np.random.Generator, table: Table) -> Question:
    name, word = pick(rng, table.columns), pick(rng, ("largest", "smallest"))

    def think(thinker: Thinker) -> str:
        return str(table.read_extreme(thinker, name, word))

    answer = sorted(table.numbers(name))[-1 if word == "largest" else 0]
    return Question(f"What is the {word} number in {_word(name)}?", str(answer), think)


def _spread(rng: np.random.Generator, table: Table) -> Question:
    name = pick(rng, table.columns)
    text = f"What is the largest minus the smallest number in {_word(name)}?"
    return table.spread(text, table.cells(name), words=("largest", "smallest"), place=-1)


def _larger_row(rng: np.random.Generator, table: Table) -> Question | None:
    names = sorted(shuffled(rng, table.rows, 2))
    sums = [sum(table.numbers(name)) for name in names]
    if sums[0] == sums[1]:
        return None

    def think(thinker: Thinker) -> str:
        found = [thinker.total(table.read_line(thinker, name)) for name in names]
        return thinker.choose("larger", names[0] if found[0] >= found[1] else names[1], names)

    text = f"Which row has the larger sum, {names[0]} or {names[1]}?"
    return Question(text, names[sums.index(max(sums))], think)


def _sum_minus_cell(rng: np.random.Generator, table: Table) -> Question | None:
    name, other = shuffled(rng, table.rows, 2)
    cell = f"{other} {pick(rng, table.columns)}"
    text = f"What is the sum of {_word(name)} minus {cell}?"
    return table.sum_minus(text, table.cells(name), cell, read_first=False)


def _two_largest(rng: np.random.Generator, table: Table) -> Question:
    names = sorted(shuffled(rng, table.rows, 2))

    def think(thinker: Thinker) -> str:
        return str(thinker.add(*(table.read_extreme(thinker, name, "largest") for name in names)))

    answer = sum(sorted(table.numbers(name))[-1] for name in names)
    text = f"What is the largest of {_word(names[0])} plus the largest of {_word(names[1])}?"
    return Question(text, str(answer), think)


_Ask = Callable[[np.random.Generator, Table], Question | None]
_QUESTIONS: dict[str, tuple[tuple[_Ask, tuple[tuple[int, int], ...]], ...]] = {
    "1": ((_two_cells, ((2, 2),)), (_sum_of_line, ((2, 2),))),
    "2": (
        (_extreme, ((3, 2), (3, 3))),
        (_spread, ((3, 2), (3, 3))),
        (_sum_of_line, ((3, 2), (3, 3))),
    ),
    "3": ((_larger_row, ((3, 2),)), (_sum_minus_cell, ((3, 3),)), (_two_largest, ((3, 2), (3, 3)))),
}
"""Level to its questions, each with the table sizes (rows, columns) it is asked of."""


def _table(rng: np.random.Generator, num_rows: int, num_columns: int) -> Table:
    rows = shuffled(rng, _ROWS, num_rows)
    names = [f"{row} {column}" for row in rows for column in _COLUMNS[:num_columns]]
    return Table({name: int(rng.integers(_MAX + 1)) for name in names}, low=0, high=_MAX)


def _sample(level: str, rng: np.random.Generator) -> Problem:
    ask, sizes = pick(rng, _QUESTIONS[level])
    size = pick(rng, sizes)
    table, question = with_question(lambda: _table(rng, *size), lambda table: ask(rng, table))
    cells = (Fact(f"What is {name}?", str(value)) for name, value in table.values.items())
    lines = (
        Fact(f"What is in {_word(name)}?", " ".join(map(str, table.numbers(name))))
        for name in (*table.rows, *table.columns)
    )
    problem = question.about(
        _draw(table),
        "tables " + ", ".join(f"{name} {n}" for name, n in table.values.items()),
        (*cells, *lines),
    )
    return sometimes_with_choices(rng, problem)


def _draw(table: Table) -> Scene:
    """Draw a table: a disc in its row's colour first, column letters at the top."""
    right, bottom = (len(table.columns) + 1) * CELL, (len(table.rows) + 1) * CELL
    marks: list[Mark] = [
        _rule((edge * CELL, 0.0), (edge * CELL, bottom), edge)
        for edge in range(1, len(table.columns) + 2)
    ]
    marks += [
        _rule((0.0, edge * CELL), (right, edge * CELL), edge)
        for edge in range(1, len(table.rows) + 2)
    ]
    marks += [
        Disc((0.5 * CELL, (i + 1.5) * CELL), 0.06, fill=row) for i, row in enumerate(table.rows)
    ]
    marks += [
        Text(((j + 1.5) * CELL, 0.5 * CELL), column, size=0.17)
        for j, column in enumerate(table.columns)
    ]
    for name, value in table.values.items():
        row, column = name.split()
        place = (table.columns.index(column) + 1.5) * CELL, (table.rows.index(row) + 1.5) * CELL
        marks.append(Text(place, str(value), size=0.22, colour=row))
    return Scene(tuple(marks))


def _rule(start: Point, end: Point, edge: int) -> Line:
    return Line(
        start, end, colour="ink" if edge == 1 else "gray", width=0.02 if edge == 1 else 0.01
    )


TABLES = LeveledFamily("tables", {level: partial(_sample, level) for level in _QUESTIONS})
"""Two or three columns of one-digit numbers under letters, each row written in a colour."""

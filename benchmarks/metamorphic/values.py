"""What a text means: value objects that the grammar builds and the oracle compares.

No value is parsed from a text. A notation (`numerals.py` and the families) makes the text and the
value from the same parts.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import sympy

Exact: TypeAlias = Fraction | sympy.Expr
"""A rational number, or an exact formula of computer algebra for what is not rational."""


@dataclass(frozen=True, slots=True)
class Real:
    """A real number."""

    exact: Exact


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with a unit; `unit` is a key of `units.UNITS`."""

    number: Exact
    unit: str


@dataclass(frozen=True, slots=True)
class Percent:
    """So many hundredths."""

    number: Fraction


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in the currency's main unit: 5 cents are 1/20 of a dollar."""

    amount: Fraction
    currency: str


@dataclass(frozen=True, slots=True)
class Ratio:
    """Parts in the order in which they are said."""

    parts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Clock:
    """A time of day, in minutes after midnight."""

    minutes: int


@dataclass(frozen=True, slots=True)
class Day:
    """A calendar day."""

    date: datetime.date


@dataclass(frozen=True, slots=True)
class Formula:
    """An expression with variables."""

    expression: sympy.Expr


@dataclass(frozen=True, slots=True)
class Equation:
    """Left side equals right side, a relation between variables."""

    left: sympy.Expr
    right: sympy.Expr


@dataclass(frozen=True, slots=True)
class Function:
    """A named function of x."""

    name: str
    body: sympy.Expr


@dataclass(frozen=True, slots=True)
class Piece:
    """One interval; an infinite end is None and never included."""

    low: Fraction | None
    low_in: bool
    high: Fraction | None
    high_in: bool


@dataclass(frozen=True, slots=True)
class Region:
    """A set of real numbers, the union of intervals."""

    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """Numbers whose order counts: a point, a vector."""

    items: tuple[Exact, ...]


@dataclass(frozen=True, slots=True)
class Bag:
    """Numbers whose order does not count: a set, a list of solutions."""

    items: tuple[Exact, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """A matrix, row by row."""

    rows: tuple[tuple[Exact, ...], ...]


@dataclass(frozen=True, slots=True)
class Assigned:
    """A value for each of several variables; the order of the variables does not count."""

    pairs: tuple[tuple[str, Exact], ...]


@dataclass(frozen=True, slots=True)
class InBase:
    """Digits in a base."""

    digits: str
    base: int


@dataclass(frozen=True, slots=True)
class Options:
    """Letters of the options that are chosen; a text that is no option has the letter "-"."""

    letters: frozenset[str]


@dataclass(frozen=True, slots=True)
class Word:
    """A thing, person, place or yes/no, under one name for all its spellings."""

    concept: str


@dataclass(frozen=True, slots=True)
class Several:
    """Different answers, of which none is chosen."""

    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Bound:
    """A bound on a value ("more than 5"), not the value."""

    relation: str
    value: Value


@dataclass(frozen=True, slots=True)
class Denied:
    """A value that is said not to be the answer."""

    value: Value


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Nothing is stated as the answer."""


Value = (
    Real
    | Quantity
    | Percent
    | Money
    | Ratio
    | Clock
    | Day
    | Formula
    | Equation
    | Function
    | Region
    | Row
    | Bag
    | Grid
    | Assigned
    | InBase
    | Options
    | Word
    | Several
    | Bound
    | Denied
    | NoAnswer
)

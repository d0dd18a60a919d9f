"""Dice of different colours: read their pips, then add, subtract, compare."""

from __future__ import annotations

from collections.abc import Callable
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
from vasari.data.tasks.scene import Disc, Mark, Scene, rectangle
from vasari.data.tasks.steps import braces, running_best, running_set
from vasari.data.tasks.thinker import Thinker

_PIPS = 6
_SIDE = 4
"""The dice lie on a grid of this many cells a side."""

Dice = dict[str, int]
"""Colour to pips."""
Drafted = tuple[str, str, AnswerKind, Callable[[Thinker], str]]
"""Question, reference answer, its kind, reasoning."""


def _read(thinker: Thinker, dice: Dice, colour: str) -> int:
    return thinker.read(colour, dice[colour], low=1, high=_PIPS)


def _read_all(thinker: Thinker, dice: Dice) -> Dice:
    return {colour: _read(thinker, dice, colour) for colour in dice}


def _sum_of_two(rng: np.random.Generator, dice: Dice) -> Drafted:
    one, two = shuffled(rng, list(dice), 2)

    def think(thinker: Thinker) -> str:
        return str(add(thinker, _read(thinker, dice, one), _read(thinker, dice, two)))

    return f"What is {one} plus {two}?", str(dice[one] + dice[two]), "number", think


def _gap_of_two(rng: np.random.Generator, dice: Dice) -> Drafted:
    one, two = sorted(shuffled(rng, list(dice), 2), key=lambda colour: -dice[colour])

    def think(thinker: Thinker) -> str:
        return str(difference(thinker, _read(thinker, dice, one), _read(thinker, dice, two)))

    return f"What is {one} minus {two}?", str(dice[one] - dice[two]), "number", think


def _total(_: np.random.Generator, dice: Dice) -> Drafted:
    def think(thinker: Thinker) -> str:
        return str(total(thinker, list(_read_all(thinker, dice).values())))

    return "What is the sum of all numbers?", str(sum(dice.values())), "number", think


def _best(rng: np.random.Generator, dice: Dice) -> Drafted | None:
    word, better, extreme = (("largest", "larger", max), ("smallest", "smaller", min))[
        int(rng.integers(2))
    ]
    ends = [colour for colour, pips in dice.items() if pips == extreme(dice.values())]
    if len(ends) > 1:
        return None

    def think(thinker: Thinker) -> str:
        return running_best(
            thinker,
            partial(_read, thinker, dice),
            list(dice),
            word=better,
            largest=word == "largest",
        )

    return f"Which colour has the {word} number?", ends[0], "text", think


def _without(rng: np.random.Generator, dice: Dice) -> Drafted:
    left_out = pick(rng, list(dice))
    rest = [colour for colour in dice if colour != left_out]

    def think(thinker: Thinker) -> str:
        return str(total(thinker, [_read(thinker, dice, colour) for colour in rest]))

    answer = sum(dice[colour] for colour in rest)
    return f"What is the sum of all numbers that are not {left_out}?", str(answer), "number", think


def _three_terms(rng: np.random.Generator, dice: Dice) -> Drafted | None:
    one, two, less = shuffled(rng, list(dice), 3)
    answer = dice[one] + dice[two] - dice[less]
    if answer < 0:
        return None

    def think(thinker: Thinker) -> str:
        both = add(thinker, _read(thinker, dice, one), _read(thinker, dice, two))
        return str(difference(thinker, both, _read(thinker, dice, less)))

    return f"What is {one} plus {two} minus {less}?", str(answer), "number", think


def _gap_of_pairs(rng: np.random.Generator, dice: Dice) -> Drafted:
    colours = shuffled(rng, list(dice), 4)
    pairs = colours[:2], colours[2:]

    def think(thinker: Thinker) -> str:
        read = [[_read(thinker, dice, colour) for colour in pair] for pair in pairs]
        first, second = (total(thinker, numbers) for numbers in read)
        return str(difference(thinker, first, second))

    first, second = (sum(dice[colour] for colour in pair) for pair in pairs)
    question = (
        f"How far apart are {pairs[0][0]} plus {pairs[0][1]} and {pairs[1][0]} plus {pairs[1][1]}?"
    )
    return question, str(abs(first - second)), "number", think


def _above(rng: np.random.Generator, dice: Dice) -> Drafted | None:
    limit = int(rng.integers(2, 5))
    above = [colour for colour, pips in dice.items() if pips > limit]
    if not above:
        return None

    def think(thinker: Thinker) -> str:
        return running_set(
            thinker,
            partial(_read, thinker, dice),
            list(dice),
            word=f"more than {limit}",
            fits=lambda pips: pips > limit,
        )

    return f"Which colours have more than {limit}?", braces(above), "set", think


_Draft = Callable[[np.random.Generator, Dice], Drafted | None]
_DRAFTS: dict[str, tuple[_Draft, ...]] = {
    "1": (_sum_of_two, _gap_of_two),
    "2": (_three_terms, _without, _best),
    "3": (_three_terms, _three_terms, _total, _gap_of_pairs, _above),
}


class ColouredDice:
    """Three or four dice, each of its own colour, somewhere on the table."""

    name: str = "dice"
    levels: tuple[str, ...] = ("1", "2", "3")

    def sample(self, rng: np.random.Generator, level: str) -> Problem:
        """A problem of this level; the same generator state gives the same problem."""
        check_level(self.name, level, self.levels)
        draft = _DRAFTS[level][int(rng.integers(len(_DRAFTS[level])))]
        drafted = None
        while drafted is None:
            there = shuffled(rng, COLOURS, 3 if level == "1" else 4)
            # They are named in one order, because nothing in the picture gives them another.
            dice: Dice = {
                colour: int(rng.integers(1, _PIPS + 1)) for colour in COLOURS if colour in there
            }
            drafted = draft(rng, dice)
        question, answer, kind, think = drafted
        places = [int(place) for place in rng.permutation(_SIDE**2)[: len(dice)]]
        problem = Problem(
            scene=_draw(dice, places),
            scene_key="dice "
            + ", ".join(
                f"{c} {n} at {at}" for (c, n), at in zip(dice.items(), places, strict=True)
            ),
            question=question,
            kind=kind,
            think=think,
            answer=answer,
            facts=tuple(Fact(f"What is {colour}?", str(pips)) for colour, pips in dice.items()),
        )
        if kind == "number" and rng.random() < 0.2:
            problem = with_choices(rng, problem, near_numbers(rng, int(answer)))
        return problem


_AT = {"centre": (0.0, 0.0), "left": (-1.0, 0.0), "right": (1.0, 0.0)} | {
    f"{row}{column}": (float(x), float(y))
    for row, y in (("upper ", -1), ("lower ", 1))
    for column, x in (("left", -1), ("right", 1))
}
_FACES: dict[int, tuple[str, ...]] = {
    1: ("centre",),
    2: ("upper left", "lower right"),
    3: ("upper left", "centre", "lower right"),
    4: ("upper left", "upper right", "lower left", "lower right"),
    5: ("upper left", "upper right", "centre", "lower left", "lower right"),
    6: ("upper left", "upper right", "left", "right", "lower left", "lower right"),
}
"""Where the pips of a face lie."""


def _draw(dice: Dice, places: list[int]) -> Scene:
    """One die a cell: a filled square with light pips."""
    marks: list[Mark] = []
    for (colour, pips), place in zip(dice.items(), places, strict=True):
        x, y = (place % _SIDE + 0.5) * CELL, (place // _SIDE + 0.5) * CELL
        marks.append(rectangle(x - 0.115, y - 0.115, x + 0.115, y + 0.115, fill=colour))
        marks += [
            Disc((x + 0.062 * _AT[at][0], y + 0.062 * _AT[at][1]), 0.026, fill="paper")
            for at in _FACES[pips]
        ]
    return Scene(tuple(marks))

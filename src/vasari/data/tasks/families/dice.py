"""Dice of different colours: read their pips, then add, subtract, compare."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from vasari.data.tasks.families.base import (
    CELL,
    COLOURS,
    LeveledFamily,
    Numbers,
    Question,
    difference_of_two,
    pick,
    shuffled,
    sometimes_with_choices,
    sum_of_two,
    with_question,
)
from vasari.data.tasks.problem import Fact, Problem
from vasari.data.tasks.scene import Disc, Mark, Scene, rectangle
from vasari.data.tasks.thinker import Thinker

_PIPS = 6
_SIDE = 4
"""The dice lie on a grid of this many cells a side."""


def _total(_: np.random.Generator, dice: Numbers) -> Question:
    return dice.sum_of("What is the sum of all numbers?", list(dice.values))


def _best(rng: np.random.Generator, dice: Numbers) -> Question | None:
    word, better = pick(rng, (("largest", "larger"), ("smallest", "smaller")))
    text = f"Which colour has the {word} number?"
    return dice.best(text, list(dice.values), word=better, largest=word == "largest")


def _without(rng: np.random.Generator, dice: Numbers) -> Question:
    left_out = pick(rng, list(dice.values))
    rest = [colour for colour in dice.values if colour != left_out]
    return dice.sum_of(f"What is the sum of all numbers that are not {left_out}?", rest)


def _three_terms(rng: np.random.Generator, dice: Numbers) -> Question | None:
    one, two, less = shuffled(rng, list(dice.values), 3)
    text = f"What is {one} plus {two} minus {less}?"
    return dice.sum_minus(text, (one, two), less, read_first=False)


def _gap_of_pairs(rng: np.random.Generator, dice: Numbers) -> Question:
    a, b, c, d = colours = shuffled(rng, list(dice.values), 4)

    def think(thinker: Thinker) -> str:
        seen = dice.read_all(thinker, colours)
        return str(thinker.difference(thinker.total(seen[:2]), thinker.total(seen[2:])))

    answer = abs(
        sum(dice.values[name] for name in (a, b)) - sum(dice.values[name] for name in (c, d))
    )
    return Question(f"How far apart are {a} plus {b} and {c} plus {d}?", str(answer), think)


def _above(rng: np.random.Generator, dice: Numbers) -> Question | None:
    limit = int(rng.integers(2, 5))
    asked = f"more than {limit}"
    return dice.subset(f"Which colours have {asked}?", word=asked, fits=lambda pips: pips > limit)


_QUESTIONS: dict[str, tuple[Callable[[np.random.Generator, Numbers], Question | None], ...]] = {
    "1": (sum_of_two, difference_of_two),
    "2": (_three_terms, _without, _best),
    "3": (_three_terms, _three_terms, _total, _gap_of_pairs, _above),
}


def _throw(rng: np.random.Generator, num_dice: int) -> Numbers:
    there = shuffled(rng, COLOURS, num_dice)
    # They are named in one order, because nothing in the picture gives them another.
    pips = {colour: int(rng.integers(1, _PIPS + 1)) for colour in COLOURS if colour in there}
    return Numbers(pips, low=1, high=_PIPS)


def _sample(level: str, rng: np.random.Generator) -> Problem:
    ask = pick(rng, _QUESTIONS[level])
    dice, question = with_question(
        lambda: _throw(rng, 3 if level == "1" else 4), lambda dice: ask(rng, dice)
    )
    places = [int(place) for place in rng.permutation(_SIDE**2)[: len(dice.values)]]
    placed = ", ".join(
        f"{colour} {pips} at {place}"
        for (colour, pips), place in zip(dice.values.items(), places, strict=True)
    )
    problem = question.about(
        _draw(dice.values, places),
        f"dice {placed}",
        tuple(Fact(f"What is {name}?", str(pips)) for name, pips in dice.values.items()),
    )
    return sometimes_with_choices(rng, problem)


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


def _draw(dice: Mapping[str, int], places: list[int]) -> Scene:
    """Draw one die a cell: a filled square with light pips."""
    marks: list[Mark] = []
    for (colour, pips), place in zip(dice.items(), places, strict=True):
        x, y = (place % _SIDE + 0.5) * CELL, (place // _SIDE + 0.5) * CELL
        marks.append(rectangle(x - 0.115, y - 0.115, x + 0.115, y + 0.115, fill=colour))
        marks += [
            Disc((x + 0.062 * _AT[at][0], y + 0.062 * _AT[at][1]), 0.026, fill="paper")
            for at in _FACES[pips]
        ]
    return Scene(tuple(marks))


DICE = LeveledFamily("dice", {level: partial(_sample, level) for level in _QUESTIONS})
"""Three or four dice, each of its own colour, somewhere on the table."""

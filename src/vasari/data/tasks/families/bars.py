"""Bar charts: read heights, then add, subtract, compare."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

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
from vasari.data.tasks.scene import Line, Mark, Scene, Text, rectangle
from vasari.data.tasks.steps import running_best, running_count
from vasari.data.tasks.thinker import Thinker

_BASE = 0.97
_UNIT = 0.1
_MAX = 9

Bars = dict[str, int]
"""Colour to height, left to right."""
Drafted = tuple[str, str, Callable[[Thinker], str]]
"""Question, reference answer, reasoning."""


def _read(thinker: Thinker, bars: Bars, colour: str) -> int:
    return thinker.read(colour, bars[colour], low=1, high=_MAX)


def _read_all(thinker: Thinker, bars: Bars) -> Bars:
    return {colour: _read(thinker, bars, colour) for colour in bars}


def _sum_of_two(rng: np.random.Generator, bars: Bars) -> Drafted:
    one, two = shuffled(rng, list(bars), 2)

    def think(thinker: Thinker) -> str:
        return str(add(thinker, _read(thinker, bars, one), _read(thinker, bars, two)))

    return f"What is {one} plus {two}?", str(bars[one] + bars[two]), think


def _difference_of_two(rng: np.random.Generator, bars: Bars) -> Drafted:
    one, two = sorted(shuffled(rng, list(bars), 2), key=lambda colour: -bars[colour])

    def think(thinker: Thinker) -> str:
        return str(difference(thinker, _read(thinker, bars, one), _read(thinker, bars, two)))

    return f"What is {one} minus {two}?", str(bars[one] - bars[two]), think


def _ranked(rng: np.random.Generator, bars: Bars) -> Drafted:
    word, better, extreme = (("tallest", "taller", max), ("shortest", "shorter", min))[
        int(rng.integers(2))
    ]

    def think(thinker: Thinker) -> str:
        return running_best(
            thinker,
            partial(_read, thinker, bars),
            list(bars),
            word=better,
            largest=word == "tallest",
        )

    return f"Which bar is the {word}?", extreme(bars, key=lambda colour: bars[colour]), think


def _spread(rng: np.random.Generator, bars: Bars) -> Drafted:
    word = pick(rng, ("shortest", "second tallest"))
    place = {"shortest": -1, "second tallest": 1}[word]

    def think(thinker: Thinker) -> str:
        heights = sorted(_read_all(thinker, bars).values(), reverse=True)
        tallest = thinker.read("tallest", heights[0], low=1, high=_MAX)
        return str(
            difference(thinker, tallest, thinker.read(word, heights[place], low=1, high=_MAX))
        )

    rest = sorted(bars.values())
    answer = rest[-1] - (rest[0] if word == "shortest" else rest[-2])
    return f"What is the tallest bar minus the {word} bar?", str(answer), think


def _three_terms(rng: np.random.Generator, bars: Bars) -> Drafted:
    one, two, three = shuffled(rng, list(bars), 3)
    if bars[one] + bars[two] < bars[three]:
        two, three = three, two

    def think(thinker: Thinker) -> str:
        first, second, third = (_read(thinker, bars, colour) for colour in (one, two, three))
        return str(difference(thinker, add(thinker, first, second), third))

    return (
        f"What is {one} plus {two} minus {three}?",
        str(bars[one] + bars[two] - bars[three]),
        think,
    )


def _num_taller(rng: np.random.Generator, bars: Bars) -> Drafted:
    mark = pick(rng, list(bars))

    def think(thinker: Thinker) -> str:
        limit = _read(thinker, bars, mark)

        others = [colour for colour in bars if colour != mark]
        return str(running_count(thinker, partial(_read, thinker, bars), others, limit=limit))

    answer = sorted(bars.values(), reverse=True).index(bars[mark])
    return f"How many bars are taller than the {mark} bar?", str(answer), think


def _total(_: np.random.Generator, bars: Bars) -> Drafted:
    def think(thinker: Thinker) -> str:
        return str(total(thinker, list(_read_all(thinker, bars).values())))

    return "What is the sum of all bars?", str(sum(bars.values())), think


_DRAFTS: dict[str, tuple[Callable[[np.random.Generator, Bars], Drafted], ...]] = {
    "1": (_sum_of_two, _difference_of_two),
    "2": (_three_terms, _total, _spread),
    "3": (_three_terms, _total, _total, _num_taller, _ranked),
}


class BarCharts:
    """Three or four bars, one to nine units tall, each of its own colour and height."""

    name: str = "bars"
    levels: tuple[str, ...] = ("1", "2", "3")

    def sample(self, rng: np.random.Generator, level: str) -> Problem:
        """A problem of this level; the same generator state gives the same problem."""
        check_level(self.name, level, self.levels)
        colours = shuffled(rng, COLOURS, 3 if level == "1" else 4)
        bars: Bars = {
            colour: int(height)
            for colour, height in zip(colours, rng.permutation(_MAX) + 1, strict=False)
        }
        drafts = _DRAFTS[level]
        question, answer, think = drafts[int(rng.integers(len(drafts)))](rng, bars)
        problem = Problem(
            scene=_draw(bars),
            scene_key="bars " + ", ".join(f"{colour} {height}" for colour, height in bars.items()),
            question=question,
            kind="number" if answer.isdigit() else "text",
            think=think,
            answer=answer,
            facts=tuple(
                Fact(f"How tall is the {colour} bar?", str(height))
                for colour, height in bars.items()
            ),
        )
        if problem.kind == "number" and rng.random() < 0.2:
            problem = with_choices(rng, problem, near_numbers(rng, int(answer)))
        return problem


def _draw(bars: Bars) -> Scene:
    """Bars in columns of a cell each; a scale at the left, with numbers where a column is free for
    it.
    """
    first = 4 - len(bars)
    marks: list[Mark] = [Line((0.02, _BASE), (0.99, _BASE), width=0.015)]
    for height in range(1, _MAX + 1):
        y = _BASE - height * _UNIT
        labelled = height % 3 == 0
        if first:
            marks.append(Line((0.19 if labelled else 0.22, y), (0.26, y), width=0.012))
            if labelled:
                marks.append(Text((0.1, y), str(height), size=0.13))
        else:
            marks.append(Line((0.0, y), (0.06 if labelled else 0.035, y), width=0.012))
    for place, (colour, height) in enumerate(bars.items()):
        left = (first + place) * CELL
        marks.append(
            rectangle(left + 0.07, _BASE - height * _UNIT, left + 0.23, _BASE, fill=colour)
        )
    return Scene(tuple(marks))

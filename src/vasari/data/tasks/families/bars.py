"""Bar charts: read heights, then add, subtract, compare."""

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
from vasari.data.tasks.scene import Line, Mark, Scene, Text, rectangle
from vasari.data.tasks.thinker import Thinker

_BASE = 0.97
_UNIT = 0.1
_MAX = 9


def _ranked(rng: np.random.Generator, bars: Numbers) -> Question | None:
    word, better = pick(rng, (("tallest", "taller"), ("shortest", "shorter")))
    text = f"Which bar is the {word}?"
    return bars.best(text, list(bars.values), word=better, largest=word == "tallest")


def _spread(rng: np.random.Generator, bars: Numbers) -> Question:
    word, place = pick(rng, (("shortest", -1), ("second tallest", 1)))
    text = f"What is the tallest bar minus the {word} bar?"
    return bars.spread(text, list(bars.values), words=("tallest", word), place=place)


def _three_terms(rng: np.random.Generator, bars: Numbers) -> Question | None:
    one, two, less = shuffled(rng, list(bars.values), 3)
    if bars.values[one] + bars.values[two] < bars.values[less]:
        two, less = less, two
    text = f"What is {one} plus {two} minus {less}?"
    return bars.sum_minus(text, (one, two), less, read_first=True)


def _num_taller(rng: np.random.Generator, bars: Numbers) -> Question:
    mark = pick(rng, list(bars.values))
    others = [colour for colour in bars.values if colour != mark]

    def think(thinker: Thinker) -> str:
        limit = bars.read(thinker, mark)
        return str(thinker.count_above(partial(bars.read, thinker), others, limit=limit))

    answer = sorted(bars.values.values(), reverse=True).index(bars.values[mark])
    return Question(f"How many bars are taller than the {mark} bar?", str(answer), think)


def _total(_: np.random.Generator, bars: Numbers) -> Question:
    return bars.sum_of("What is the sum of all bars?", list(bars.values))


_QUESTIONS: dict[str, tuple[Callable[[np.random.Generator, Numbers], Question | None], ...]] = {
    "1": (sum_of_two, difference_of_two),
    "2": (_three_terms, _total, _spread),
    "3": (_three_terms, _total, _total, _num_taller, _ranked),
}


def _sample(level: str, rng: np.random.Generator) -> Problem:
    colours = shuffled(rng, COLOURS, 3 if level == "1" else 4)
    heights = (int(height) for height in rng.permutation(_MAX) + 1)
    bars = Numbers(dict(zip(colours, heights, strict=False)), low=1, high=_MAX)
    ask = pick(rng, _QUESTIONS[level])
    _, question = with_question(lambda: bars, lambda bars: ask(rng, bars))
    problem = question.about(
        draw_bars(bars.values),
        "bars " + ", ".join(f"{name} {height}" for name, height in bars.values.items()),
        tuple(
            Fact(f"How tall is the {colour} bar?", str(height))
            for colour, height in bars.values.items()
        ),
    )
    return sometimes_with_choices(rng, problem)


def draw_bars(bars: Mapping[str, int]) -> Scene:
    """Return the scene of bars in columns of a cell each, with a scale at the left.

    The scale has numbers where a column is free for them.
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


BARS = LeveledFamily("bars", {level: partial(_sample, level) for level in _QUESTIONS})
"""Three or four bars, one to nine units tall, each of its own colour and height."""

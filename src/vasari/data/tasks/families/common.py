"""Steps and answers that the families share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vasari.core.errors import ConfigError
from vasari.data.tasks.problem import Problem
from vasari.data.tasks.steps import running_match
from vasari.data.tasks.thinker import Thinker

LETTERS = ("A", "B", "C", "D")
"""Names of the options of a multiple-choice problem."""

COLOURS = ("red", "blue", "green", "yellow")
"""Colours that are named in questions; far apart in every drawing style."""

CELL = 0.25
"""Side of a layout cell: 28 of 112 pixels, one image token of the small model."""


def check_level(name: str, level: str, levels: Sequence[str]) -> None:
    """Refuse a level that the family does not have."""
    if level not in levels:
        raise ConfigError(f"family {name!r} has levels {', '.join(levels)}, got {level!r}")


def pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    """One of the options, all equally likely."""
    return options[int(rng.integers(len(options)))]


def shuffled(
    rng: np.random.Generator, options: Sequence[str], num: int | None = None
) -> tuple[str, ...]:
    """`num` (default all) of the options in random order."""
    return tuple(options[int(i)] for i in rng.permutation(len(options))[:num])


def add(thinker: Thinker, left: int, right: int) -> int:
    """The sum, written as an equation; nothing plus nothing never goes wrong, so that no slip turns
    it negative.
    """
    if left + right == 0:
        thinker.say(f"{left}+{right}=0")
        return 0
    return thinker.add(left, right)


def difference(thinker: Thinker, left: int, right: int) -> int:
    """How far apart two numbers are, written as larger minus smaller, so that no misread value
    turns it negative.
    """
    if left == right:
        thinker.say(f"{left}-{right}=0")
        return 0
    return thinker.subtract(max(left, right), min(left, right))


def total(thinker: Thinker, values: Sequence[int]) -> int:
    """The sum of the values, written as one addition after the other."""
    if not values:
        return 0
    running = values[0]
    for value in values[1:]:
        running = add(thinker, running, value)
    return running


def near_numbers(rng: np.random.Generator, value: int) -> tuple[str, ...]:
    """Three other numbers that a small mistake could have led to, none negative."""
    offsets = [o for o in (-3, -2, -1, 1, 2, 3) if value + o >= 0]
    return tuple(str(value + offsets[int(i)]) for i in rng.permutation(len(offsets))[:3])


def with_choices(rng: np.random.Generator, problem: Problem, distractors: Sequence[str]) -> Problem:
    """The same problem with four options; its reasoning ends by comparing its value with one after
    the other.

    "7 A 9 no. 7 B 7 yes" leads to B. A value that is no option gives way to the nearest one.
    """
    options = shuffled(rng, (problem.answer, *distractors[:3]))
    inner = problem.think

    def think(thinker: Thinker) -> str:
        found = inner(thinker)
        option = _nearest(found, options)
        if option != found:
            thinker.say(f"near {option}")
        return running_match(thinker, option, dict(zip(LETTERS, options, strict=False)))

    return replace(
        problem,
        kind="choice",
        think=think,
        answer=LETTERS[options.index(problem.answer)],
        choices=options,
    )


def _nearest(found: str, options: Sequence[str]) -> str:
    if found in options:
        return found
    return min(options, key=lambda option: abs(_as_number(option) - _as_number(found)))


def _as_number(text: str) -> int:
    """The value of "12", or the minutes of "3:25"; 0 for words."""
    hours, _, minutes = text.rpartition(":")
    return (int(hours) * 60 if hours.isdigit() else 0) + (int(minutes) if minutes.isdigit() else 0)

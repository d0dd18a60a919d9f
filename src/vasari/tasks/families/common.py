"""Steps and answers that the families share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from vasari.errors import ConfigError
from vasari.tasks.problem import Problem
from vasari.tasks.thinker import Thinker

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


def shuffled(rng: np.random.Generator, options: Sequence[str], num: int | None = None) -> tuple[str, ...]:
    """`num` (default all) of the options in random order."""
    return tuple(options[int(i)] for i in rng.permutation(len(options))[:num])


def add(thinker: Thinker, left: int, right: int) -> int:
    """The sum, written as an equation; nothing plus nothing never goes wrong, so that no slip turns it negative."""
    if left + right == 0:
        thinker.say(f"{left}+{right}=0")
        return 0
    return thinker.add(left, right)


def difference(thinker: Thinker, left: int, right: int) -> int:
    """How far apart two numbers are, written as larger minus smaller, so that no misread value turns it negative."""
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


def running_best(thinker: Thinker, read: Callable[[str], int], names: Sequence[str], *, word: str, largest: bool) -> str:
    """The name of the largest (or smallest) number, found as one walks along: after each number the best so far is said again.

    "red 5. blue 3. larger red 5. green 7. larger green 7": each step compares two numbers that were just said, so nobody has
    to look back over the whole list. The first of equals stays.

    Args:
        thinker: Writes the steps.
        read: Reads the number of a name off the picture and writes it.
        names: In the order in which they are read, at least one.
        word: Written before the best so far: "larger".
        largest: Otherwise the smallest is sought.
    """
    best = names[0]
    held = read(best)
    for name in names[1:]:
        value = read(name)
        ahead = name if (value > held if largest else value < held) else best
        if thinker.settle(ahead, (best, name)) == name:
            best, held = name, value
        thinker.say(f"{word} {best} {held}")
    return best


def running_set(
    thinker: Thinker, read: Callable[[str], int], names: Sequence[str], *, word: str, fits: Callable[[int], bool]
) -> str:
    """The names whose numbers fit, as a set; after each number the names found so far are said again, "none" at first."""
    found: list[str] = []
    for name in names:
        inside = fits(read(name))
        if thinker.settle("in" if inside else "out", ("in", "out")) == "in":
            found.append(name)
        thinker.say(f"{word} {' '.join(found) or 'none'}")
    return braces(found)


def running_count(thinker: Thinker, read: Callable[[str], int], names: Sequence[str], *, limit: int) -> int:
    """How many numbers are above the limit; after each number limit and count are said again: "green 9. over 7 1"."""
    count = 0
    for name in names:
        above = read(name) > limit
        count += thinker.settle("in" if above else "out", ("in", "out")) == "in"
        thinker.say(f"over {limit} {count}")
    return count


def braces(names: Sequence[str]) -> str:
    """A set as text, sorted: "{blue, red}"."""
    return "{" + ", ".join(sorted(names)) + "}"


def near_numbers(rng: np.random.Generator, value: int) -> tuple[str, ...]:
    """Three other numbers that a small mistake could have led to, none negative."""
    offsets = [o for o in (-3, -2, -1, 1, 2, 3) if value + o >= 0]
    return tuple(str(value + offsets[int(i)]) for i in rng.permutation(len(offsets))[:3])


def with_choices(rng: np.random.Generator, problem: Problem, distractors: Sequence[str]) -> Problem:
    """The same problem with four options; its reasoning ends by comparing its value with one after the other.

    "7 A 9 no. 7 B 7 yes" leads to B. A value that is no option gives way to the nearest one.
    """
    options = shuffled(rng, (problem.answer, *distractors[:3]))
    inner = problem.think

    def think(thinker: Thinker) -> str:
        found = inner(thinker)
        option = _nearest(found, options)
        if option != found:
            thinker.say(f"near {option}")
        letter = thinker.settle(LETTERS[options.index(option)], LETTERS[: len(options)])
        for each, text in zip(LETTERS, options, strict=False):
            thinker.say(f"{option} {each} {text} {'yes' if each == letter else 'no'}")
            if each == letter:
                break
        return letter

    return replace(problem, kind="choice", think=think, answer=LETTERS[options.index(problem.answer)], choices=options)


def _nearest(found: str, options: Sequence[str]) -> str:
    if found in options:
        return found
    return min(options, key=lambda option: abs(_as_number(option) - _as_number(found)))


def _as_number(text: str) -> int:
    """The value of "12", or the minutes of "3:25"; 0 for words."""
    hours, _, minutes = text.rpartition(":")
    return (int(hours) * 60 if hours.isdigit() else 0) + (int(minutes) if minutes.isdigit() else 0)

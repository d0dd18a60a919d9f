"""Parts shared by task families: levels, random picks, options, questions about named numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import numpy as np

from vasari.core.errors import ConfigError
from vasari.core.records import AnswerKind
from vasari.data.tasks.problem import Fact, Problem
from vasari.data.tasks.scene import Scene
from vasari.data.tasks.thinker import Thinker, braces

LETTERS = ("A", "B", "C", "D")
"""Names of the options of a multiple-choice problem."""

COLOURS = ("red", "blue", "green", "yellow")
"""Colours that are named in questions; far apart in every drawing style."""

CELL = 0.25
"""Side of a layout cell, as a share of the image: 28 of 112 pixels, one token of a small model."""

CHOICE_SHARE = 0.2
"""Share of questions for a number that become multiple choice."""

T = TypeVar("T")


class LeveledFamily:
    """Task family (maker of problems) with one problem-making function per difficulty level.

    The easiest level comes first.
    """

    def __init__(
        self, name: str, makers: Mapping[str, Callable[[np.random.Generator], Problem]]
    ) -> None:
        self.name: str = name
        self.levels: tuple[str, ...] = tuple(makers)
        self._makers = makers

    def sample(self, rng: np.random.Generator, level: str) -> Problem:
        """Return a random problem of difficulty `level`; equal `rng` states give equal problems.

        Raises:
            ConfigError: The family has no such level.
        """
        if level not in self._makers:
            raise ConfigError(
                f"family {self.name!r} has levels {', '.join(self.levels)}, got {level!r}"
            )
        return self._makers[level](rng)


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a picture, with its reference answer and its worked solution."""

    text: str
    answer: str
    think: Callable[[Thinker], str]
    kind: AnswerKind | None = None
    """None: a number when the answer is written in digits, else a text."""
    facts: tuple[Fact, ...] = ()
    """Perception questions beyond those that every scene of the family has."""

    def about(self, scene: Scene, scene_key: str, facts: tuple[Fact, ...]) -> Problem:
        """Return the complete `Problem` that asks this question about the given scene."""
        return Problem(
            scene=scene,
            scene_key=scene_key,
            question=self.text,
            kind=self.kind or ("number" if self.answer.isdigit() else "text"),
            think=self.think,
            answer=self.answer,
            facts=(*self.facts, *facts),
        )


@dataclass(frozen=True, slots=True)
class Numbers:
    """Named numbers shown in a picture, with methods that make questions about these numbers.

    A method that returns a question returns None where the question has no good answer.
    """

    values: Mapping[str, int]
    """Name to number, in the order in which they are read."""
    low: int
    """Smallest value that a number can be misread as."""
    high: int

    def read(self, thinker: Thinker, name: str) -> int:
        """Append "<name> <number>", read off the picture, to the reasoning; return the number."""
        return thinker.read(name, self.values[name], low=self.low, high=self.high)

    def read_all(self, thinker: Thinker, names: Sequence[str]) -> list[int]:
        """Read the numbers called `names` off the picture, one by one, and return the numbers."""
        return [self.read(thinker, name) for name in names]

    def sum_of(self, text: str, names: Sequence[str]) -> Question:
        """Return a question, worded `text`, that asks for the sum of the numbers called `names`."""
        answer = sum(self.values[name] for name in names)
        return Question(text, str(answer), lambda t: str(t.total(self.read_all(t, names))))

    def minus(self, text: str, one: str, two: str) -> Question | None:
        """Return a question for the number named `one` minus number `two`; None if negative."""
        answer = self.values[one] - self.values[two]
        return self._unless_negative(
            text, answer, lambda t: t.difference(*self.read_all(t, (one, two)))
        )

    def sum_minus(
        self, text: str, names: Sequence[str], less: str, *, read_first: bool
    ) -> Question | None:
        """Return a question for the sum of the numbers `names` minus `less`; None if negative.

        Args:
            text: The question.
            names: What is summed.
            less: What is subtracted.
            read_first: Read all numbers before the first addition; else `less` after the sum.
        """

        def think(thinker: Thinker) -> int:
            seen = self.read_all(thinker, (*names, less) if read_first else names)
            added = thinker.total(seen[: len(names)])
            return thinker.difference(added, seen[-1] if read_first else self.read(thinker, less))

        answer = sum(self.values[name] for name in names) - self.values[less]
        return self._unless_negative(text, answer, think)

    def best(self, text: str, names: Sequence[str], *, word: str, largest: bool) -> Question | None:
        """Return a question that asks which number is largest (or smallest); None on a tie.

        The answer is the number's name.

        Args:
            text: The question.
            names: Among which, in the order in which they are read.
            word: Written before the best so far: "larger".
            largest: Otherwise the smallest is sought.
        """
        extreme = (max if largest else min)(self.values[name] for name in names)
        winners = [name for name in names if self.values[name] == extreme]
        if len(winners) > 1:
            return None
        return Question(
            text,
            winners[0],
            lambda t: t.best(partial(self.read, t), names, word=word, largest=largest),
            kind="text",
        )

    def subset(self, text: str, *, word: str, fits: Callable[[int], bool]) -> Question | None:
        """Build a question for the names of all items whose number `fits`; None if none does."""
        found = [name for name, value in self.values.items() if fits(value)]
        if not found:
            return None
        return Question(
            text,
            braces(found),
            lambda t: t.subset(partial(self.read, t), list(self.values), word=word, fits=fits),
            kind="set",
        )

    def spread(
        self, text: str, names: Sequence[str], *, words: tuple[str, str], place: int
    ) -> Question:
        """Build a question for the largest number minus the smallest, or minus the one at a rank.

        The reasoning writes both numbers again after it has read all.

        Args:
            text: The question.
            names: Among which.
            words: What the two are called: ("tallest", "shortest").
            place: Of the other among the numbers from the largest down; -1 is the smallest.
        """

        def think(thinker: Thinker) -> str:
            ranked = sorted(self.read_all(thinker, names), reverse=True)
            two = [
                thinker.read(word, value, low=self.low, high=self.high)
                for word, value in zip(words, (ranked[0], ranked[place]), strict=True)
            ]
            return str(thinker.difference(*two))

        ranked = sorted((self.values[name] for name in names), reverse=True)
        return Question(text, str(ranked[0] - ranked[place]), think)

    @staticmethod
    def _unless_negative(
        text: str, answer: int, think: Callable[[Thinker], int]
    ) -> Question | None:
        return None if answer < 0 else Question(text, str(answer), lambda t: str(think(t)))


def sum_of_two(rng: np.random.Generator, numbers: Numbers) -> Question:
    """Return a question for the sum of two of the named numbers, picked at random."""
    one, two = shuffled(rng, list(numbers.values), 2)
    return numbers.sum_of(f"What is {one} plus {two}?", (one, two))


def difference_of_two(rng: np.random.Generator, numbers: Numbers) -> Question | None:
    """Return a question for the larger minus the smaller of two named numbers picked at random."""
    names = shuffled(rng, list(numbers.values), 2)
    one, two = sorted(names, key=lambda name: -numbers.values[name])
    return numbers.minus(f"What is {one} minus {two}?", one, two)


def with_question(make: Callable[[], T], ask: Callable[[T], Question | None]) -> tuple[T, Question]:
    """Call `make` until `ask` has a question about the object made; return object and question."""
    while True:
        made = make()
        question = ask(made)
        if question is not None:
            return made, question


def sometimes_with_choices(rng: np.random.Generator, problem: Problem) -> Problem:
    """Return the problem, turned into multiple choice with chance 1/5 if it asks for a number."""
    if problem.kind == "number" and rng.random() < CHOICE_SHARE:
        return with_choices(rng, problem, near_numbers(rng, int(problem.answer)))
    return problem


def pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    """Return one of `options`, drawn uniformly at random."""
    return options[int(rng.integers(len(options)))]


def shuffled(
    rng: np.random.Generator, options: Sequence[str], num: int | None = None
) -> tuple[str, ...]:
    """Return `num` (default all) of the options in random order."""
    return tuple(options[int(i)] for i in rng.permutation(len(options))[:num])


def near_numbers(rng: np.random.Generator, value: int) -> tuple[str, ...]:
    """Return three other numbers that a small mistake could have led to, none negative."""
    offsets = [o for o in (-3, -2, -1, 1, 2, 3) if value + o >= 0]
    return tuple(str(value + offsets[int(i)]) for i in rng.permutation(len(offsets))[:3])


def with_choices(rng: np.random.Generator, problem: Problem, distractors: Sequence[str]) -> Problem:
    """Return the problem as multiple choice: its answer and up to three of the wrong `distractors`.

    The reasoning compares its value with each option: "7 A 9 no. 7 B 7 yes" leads to B. A value
    that is no option gives way to the nearest one.
    """
    options = shuffled(rng, (problem.answer, *distractors[:3]))
    inner = problem.think

    def think(thinker: Thinker) -> str:
        found = inner(thinker)
        option = _nearest(found, options)
        if option != found:
            thinker.say(f"near {option}")
        return thinker.match(option, dict(zip(LETTERS, options, strict=False)))

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
    """Return the value of "12", or the minutes of "3:25"; 0 for words."""
    hours, _, minutes = text.rpartition(":")
    return (int(hours) * 60 if hours.isdigit() else 0) + (int(minutes) if minutes.isdigit() else 0)

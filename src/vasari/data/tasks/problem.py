"""A generated problem before it is drawn, and the interface of a family of problems."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from vasari.core.records import AnswerKind
from vasari.data.tasks.scene import Scene
from vasari.data.tasks.thinker import Thinker


@dataclass(frozen=True, slots=True)
class Fact:
    """A short question about what a picture shows, with its answer, to train a base model."""

    question: str
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A generated problem: a scene to draw, a multi-step question, and code that solves it."""

    scene: Scene
    scene_key: str
    """Canonical text of the facts in the scene; problems with one key are the same picture in
    content."""
    question: str
    kind: AnswerKind
    think: Callable[[Thinker], str]
    """Writes the reasoning and returns the final answer (a letter for `choice`); exact with an
    exact thinker."""
    answer: str
    """The reference answer, computed from the facts and not by `think`, so that each checks the
    other."""
    choices: tuple[str, ...] | None = None
    facts: tuple[Fact, ...] = ()
    """Perception questions about the same scene."""
    guessable: bool = False
    """The answer can be guessed without looking better than by chance (never set for ordinary
    problems)."""


class Family(Protocol):
    """Interface of a task family, which makes problems of a given level from a random generator.

    `check_task_family` checks one of your own. All that differs from problem to problem comes from
    the generator: no global random state, no order of a set of texts, which differs between two
    processes.
    """

    name: str
    """Short, lower case: "bars"."""
    levels: tuple[str, ...]
    """Difficulty levels, easiest first: ("1", "2", "3")."""

    def sample(self, rng: np.random.Generator, level: str) -> Problem:
        """Return a random problem of difficulty `level`; equal `rng` states give equal problems."""
        ...

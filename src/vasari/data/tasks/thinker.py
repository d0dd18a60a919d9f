"""Worked reasoning, step by step, by a teacher who may slip.

A family writes its solution once, against a `Thinker`. With `slip_rate=0` the thinker is exact and
yields the reference answer; with a positive rate a step may go wrong, and everything after it
follows from the wrong value, as in the demonstrations of an imperfect teacher.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(slots=True)
class Thinker:
    """Writes reasoning and returns the values it found."""

    rng: np.random.Generator
    slip_rate: float = 0.0
    """Chance in [0, 1] that one step goes wrong."""
    steps: list[str] = field(default_factory=list)
    """Sentences written so far."""
    reads: list[str] = field(default_factory=list)
    """The sentences among them that only say what is to be seen."""
    num_slips: int = 0
    """How many steps went wrong."""

    def say(self, sentence: str) -> None:
        """Write a sentence that cannot go wrong."""
        self.steps.append(sentence)

    def read(self, what: str, value: int, *, low: int = 0, high: int = 99) -> int:
        """Read a number off the picture and write `what value`; a slip reads a neighbouring value
        in [low, high].
        """
        seen = self._slip_number(value, low=low, high=high)
        self._say_read(f"{what} {seen}")
        return seen

    def look(self, what: str, value: str, alternatives: Sequence[str]) -> str:
        """Read a label off the picture and write `what value`; a slip reads one of the other
        alternatives.
        """
        seen = self.settle(value, alternatives)
        self._say_read(f"{what} {seen}")
        return seen

    def add(self, left: int, right: int) -> int:
        """Write `left+right=sum`; a slip is off by one."""
        return self._equation(f"{left}+{right}", left + right)

    def subtract(self, left: int, right: int) -> int:
        """Write `left-right=difference`; a slip is off by one."""
        return self._equation(f"{left}-{right}", left - right)

    def multiply(self, left: int, right: int) -> int:
        """Write `left*right=product`; a slip is off by one."""
        return self._equation(f"{left}*{right}", left * right)

    def choose(self, sentence: str, value: str, alternatives: Sequence[str]) -> str:
        """Conclude with a label, written `sentence value`; a slip concludes another one."""
        found = self.settle(value, alternatives)
        self.say(f"{sentence} {found}")
        return found

    def settle(self, value: str, alternatives: Sequence[str]) -> str:
        """Conclude with a label without writing it; a slip concludes another one. The caller writes
        what follows from it.
        """
        others = [a for a in alternatives if a != value]
        return str(self.rng.choice(others)) if others and self._slips() else value

    def text(self) -> str:
        """The reasoning as one text: the sentences, joined by ". " and closed with a full stop."""
        return ". ".join(self.steps) + "."

    def _say_read(self, sentence: str) -> None:
        self.say(sentence)
        self.reads.append(sentence)

    def _slips(self) -> bool:
        slipped = bool(self.rng.random() < self.slip_rate)
        self.num_slips += slipped
        return slipped

    def _slip_number(self, value: int, *, low: int, high: int) -> int:
        if not self._slips():
            return value
        neighbours = [
            v
            for v in (value - 2, value - 1, value + 1, value + 2)
            if low <= v <= high and v != value
        ]
        return int(self.rng.choice(neighbours)) if neighbours else value

    def _equation(self, left_side: str, value: int) -> int:
        found = self._slip_number(value, low=value - 1, high=value + 1)
        self.say(f"{left_side}={found}")
        return found

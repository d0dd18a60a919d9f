"""Worked reasoning, step by step, by a teacher who may make mistakes.

A family writes its solution once, against a `Thinker`. With `slip_rate=0` the thinker is exact and
yields the reference answer; with a positive rate a step may go wrong, and everything after it
follows from the wrong value, as in the demonstrations of an imperfect teacher.

The steps that walk along a list (`best`, `subset`, `count_above`, `match`) say after each item what
is known so far, so each step follows from the one before it. Questions about lists in a text use
the same steps (`arithmetic.py`), so that the one prepares for the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

Read = Callable[[str], int]
"""Reads the number of a name off the picture and writes it."""


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
        """Read a number off the picture and write `what value`.

        A slip reads a neighbouring value in [low, high].
        """
        seen = self._slip_number(value, low=low, high=high)
        self._say_read(f"{what} {seen}")
        return seen

    def look(self, what: str, value: str, alternatives: Sequence[str]) -> str:
        """Read a label off the picture and write `what value`; a slip reads another alternative."""
        seen = self.settle(value, alternatives)
        self._say_read(f"{what} {seen}")
        return seen

    def look_number(self, what: str, value: int, alternatives: Sequence[int]) -> int:
        """Read a number as `look` reads a label: a slip reads another of the alternatives."""
        return int(self.look(what, str(value), [str(each) for each in alternatives]))

    def add(self, left: int, right: int) -> int:
        """Write `left+right=sum`; a slip is off by one, except in 0+0, which stays 0."""
        return self._equation(f"{left}+{right}", left + right, certain=left == right == 0)

    def subtract(self, left: int, right: int) -> int:
        """Write `left-right=difference`; a slip is off by one."""
        return self._equation(f"{left}-{right}", left - right)

    def difference(self, left: int, right: int) -> int:
        """Write larger minus smaller; a slip is off by one, except in n-n, which stays 0."""
        high, low = max(left, right), min(left, right)
        return self._equation(f"{high}-{low}", high - low, certain=high == low)

    def multiply(self, left: int, right: int) -> int:
        """Write `left*right=product`; a slip is off by one."""
        return self._equation(f"{left}*{right}", left * right)

    def divide(self, left: int, right: int) -> int:
        """Write `left/right=quotient`, rounded down; this step cannot go wrong."""
        self.say(f"{left}/{right}={left // right}")
        return left // right

    def total(self, values: Sequence[int]) -> int:
        """Write one addition after the other, and return the sum; 0 of no values."""
        running = values[0] if values else 0
        for value in values[1:]:
            running = self.add(running, value)
        return running

    def choose(self, sentence: str, value: str, alternatives: Sequence[str]) -> str:
        """Conclude with a label, written `sentence value`; a slip concludes another one."""
        found = self.settle(value, alternatives)
        self.say(f"{sentence} {found}")
        return found

    def settle(self, value: str, alternatives: Sequence[str]) -> str:
        """Conclude with a label without writing it; a slip concludes another one.

        The caller writes what follows from it.
        """
        others = [a for a in alternatives if a != value]
        return str(self.rng.choice(others)) if others and self._slips() else value

    def best(self, read: Read, names: Sequence[str], *, word: str, largest: bool) -> str:
        """Return the name of the largest (or smallest) number, the first of equals.

        "red 5. blue 3. larger red 5. green 7. larger green 7".

        Args:
            read: Reads the number of a name.
            names: In the order in which they are read, at least one.
            word: Written before the best so far: "larger".
            largest: Otherwise the smallest is sought.
        """
        best = names[0]
        held = read(best)
        for name in names[1:]:
            value = read(name)
            ahead = name if (value > held if largest else value < held) else best
            if self.settle(ahead, (best, name)) == name:
                best, held = name, value
            self.say(f"{word} {best} {held}")
        return best

    def subset(
        self, read: Read, names: Sequence[str], *, word: str, fits: Callable[[int], bool]
    ) -> str:
        """Return the names whose numbers fit, as a set in braces.

        After each number the names found so far are written after `word`, "none" at first.
        """
        found: list[str] = []
        for name in names:
            if self._is_in(fits(read(name))):
                found.append(name)
            self.say(f"{word} {' '.join(found) or 'none'}")
        return braces(found)

    def count_above(self, read: Read, names: Sequence[str], *, limit: int) -> int:
        """Return how many numbers are above the limit, written as "green 9. over 7 1"."""
        count = 0
        for name in names:
            count += self._is_in(read(name) > limit)
            self.say(f"over {limit} {count}")
        return count

    def match(self, sought: str, options: Mapping[str, str]) -> str:
        """Return the letter of the option that says what is sought: "7 A 9 no. 7 B 7 yes".

        Args:
            sought: The text of one of the options; the first of equals is taken.
            options: Letter to text, in order.
        """
        letter = self.settle(
            next(each for each, text in options.items() if text == sought), tuple(options)
        )
        for each, text in options.items():
            self.say(f"{sought} {each} {text} {'yes' if each == letter else 'no'}")
            if each == letter:
                break
        return letter

    def text(self) -> str:
        """Return the reasoning as one text: the sentences, joined by ". ", and a full stop."""
        return ". ".join(self.steps) + "."

    def _say_read(self, sentence: str) -> None:
        self.say(sentence)
        self.reads.append(sentence)

    def _slips(self) -> bool:
        slipped = bool(self.rng.random() < self.slip_rate)
        self.num_slips += slipped
        return slipped

    def _is_in(self, inside: bool) -> bool:
        return self.settle("in" if inside else "out", ("in", "out")) == "in"

    def _slip_number(self, value: int, *, low: int, high: int) -> int:
        if not self._slips():
            return value
        near = [value + by for by in (-2, -1, 1, 2) if low <= value + by <= high]
        return int(self.rng.choice(near)) if near else value

    def _equation(self, left_side: str, value: int, *, certain: bool = False) -> int:
        found = value if certain else self._slip_number(value, low=value - 1, high=value + 1)
        self.say(f"{left_side}={found}")
        return found


def braces(names: Sequence[str]) -> str:
    """Return a set as text, sorted: "{blue, red}"."""
    return "{" + ", ".join(sorted(names)) + "}"

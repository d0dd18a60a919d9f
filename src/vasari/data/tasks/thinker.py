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
"""Function that reads the number with a given name off the picture and writes it."""


@dataclass(slots=True)
class Thinker:
    """A simulated solver that writes its reasoning and may make deliberate mistakes (slips)."""

    rng: np.random.Generator
    slip_rate: float = 0.0
    """Chance in [0, 1] that one step goes wrong."""
    steps: list[str] = field(default_factory=list)
    """Sentences written so far."""
    reads: list[str] = field(default_factory=list)
    """Sentences of `steps` that only say what the picture shows."""
    num_slips: int = 0
    """Number of steps that went wrong."""

    def say(self, sentence: str) -> None:
        """Append a sentence to the reasoning as it is, without any deliberate mistake."""
        self.steps.append(sentence)

    def read(self, what: str, value: int, *, low: int = 0, high: int = 99) -> int:
        """Append "<what> <number>", read off the picture, to the reasoning; return the number read.

        A deliberate mistake reads a neighbouring value in [low, high].
        """
        seen = self._slip_number(value, low=low, high=high)
        self._say_read(f"{what} {seen}")
        return seen

    def look(self, what: str, value: str, alternatives: Sequence[str]) -> str:
        """Append "<what> <label>", read off the picture, to the reasoning; return the label read.

        A deliberate mistake reads another of the alternatives.
        """
        seen = self.settle(value, alternatives)
        self._say_read(f"{what} {seen}")
        return seen

    def look_number(self, what: str, value: int, alternatives: Sequence[int]) -> int:
        """Append "<what> <number>", read off the picture, to the reasoning; return the number read.

        A deliberate mistake reads another of the alternatives.
        """
        return int(self.look(what, str(value), [str(each) for each in alternatives]))

    def add(self, left: int, right: int) -> int:
        """Append "left+right=sum" to the reasoning and return the sum.

        A deliberate mistake is off by one; 0+0 is always 0.
        """
        return self._equation(f"{left}+{right}", left + right, certain=left == right == 0)

    def subtract(self, left: int, right: int) -> int:
        """Append "left-right=difference" to the reasoning and return the difference.

        A deliberate mistake is off by one.
        """
        return self._equation(f"{left}-{right}", left - right)

    def difference(self, left: int, right: int) -> int:
        """Append "larger-smaller=difference" to the reasoning and return the difference.

        A deliberate mistake is off by one; the difference of equal numbers is always 0.
        """
        high, low = max(left, right), min(left, right)
        return self._equation(f"{high}-{low}", high - low, certain=high == low)

    def multiply(self, left: int, right: int) -> int:
        """Append "left*right=product" to the reasoning and return the product.

        A deliberate mistake is off by one.
        """
        return self._equation(f"{left}*{right}", left * right)

    def divide(self, left: int, right: int) -> int:
        """Append "left/right=quotient", rounded down, to the reasoning; return the quotient.

        This step cannot go wrong.
        """
        self.say(f"{left}/{right}={left // right}")
        return left // right

    def total(self, values: Sequence[int]) -> int:
        """Append the additions of the values, one step each, to the reasoning; return the sum.

        The sum of no values is 0.
        """
        running = values[0] if values else 0
        for value in values[1:]:
            running = self.add(running, value)
        return running

    def choose(self, sentence: str, value: str, alternatives: Sequence[str]) -> str:
        """Append a conclusion, "<sentence> <label>", to the reasoning, and return the label.

        A deliberate mistake concludes another of the alternatives.
        """
        found = self.settle(value, alternatives)
        self.say(f"{sentence} {found}")
        return found

    def settle(self, value: str, alternatives: Sequence[str]) -> str:
        """Return the label `value`, or at times one of `alternatives` as a deliberate mistake.

        The caller writes what follows from it.
        """
        others = [a for a in alternatives if a != value]
        return str(self.rng.choice(others)) if others and self._slips() else value

    def best(self, read: Read, names: Sequence[str], *, word: str, largest: bool) -> str:
        """Read the named numbers one by one; return the name of the largest (or smallest) number.

        The first wins a tie.

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
        """Read the named numbers one by one; return the names of all that pass `fits`, in braces.

        The names are sorted: "{blue, red}".

        After each number the names found so far are written after `word`, "none" at first.
        """
        found: list[str] = []
        for name in names:
            if self._is_in(fits(read(name))):
                found.append(name)
            self.say(f"{word} {' '.join(found) or 'none'}")
        return braces(found)

    def count_above(self, read: Read, names: Sequence[str], *, limit: int) -> int:
        """Read the named numbers one by one; return how many of the numbers are above `limit`.

        The reasoning says "green 9. over 7 1": one number above 7 so far.
        """
        count = 0
        for name in names:
            count += self._is_in(read(name) > limit)
            self.say(f"over {limit} {count}")
        return count

    def match(self, sought: str, options: Mapping[str, str]) -> str:
        """Compare each option with the text `sought`; return the letter of the equal option.

        The reasoning says "7 A 9 no. 7 B 7 yes".

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
        """Return the reasoning as one text: its sentences joined by ". ", and a full stop."""
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
    """Return the text of a sorted set of names: "{blue, red}"."""
    return "{" + ", ".join(sorted(names)) + "}"

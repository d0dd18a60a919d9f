"""Counting verdicts that contradict the certified label, by rule, kind and wrapper."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Literal

from metamorphic.pairs import Pair

Graded = Literal["correct", "incorrect", "unverifiable"]


@dataclass(slots=True)
class Count:
    """Pairs of one group and the verdicts on them that are mistakes."""

    wrong: int = 0
    """Wrong answers."""
    paid: int = 0
    """Wrong answers with the verdict "correct": false positives."""
    equal: int = 0
    """Equal answers."""
    refused: int = 0
    """Equal answers with another verdict than "correct": false negatives."""
    unverifiable: int = 0
    """Of the refused, those with the verdict "unverifiable"."""

    variants: Counter[str] = field(default_factory=Counter)
    """Mistakes by the variant of the rule."""

    def add(self, pair: Pair, graded: Graded) -> None:
        """Count a pair and its verdict."""
        self.variants[pair.variant] += (graded == "correct") != pair.right
        if pair.right:
            self.equal += 1
            self.refused += graded != "correct"
            self.unverifiable += graded == "unverifiable"
        else:
            self.wrong += 1
            self.paid += graded == "correct"

    @property
    def mistakes(self) -> int:
        """False positives and false negatives."""
        return self.paid + self.refused


@dataclass(slots=True)
class Tally:
    """The counts of one verifier."""

    total: Count = field(default_factory=Count)
    by_rule: dict[tuple[str, str, bool], Count] = field(default_factory=lambda: defaultdict(Count))
    by_kind: dict[str, Count] = field(default_factory=lambda: defaultdict(Count))
    by_wrapper: dict[str, Count] = field(default_factory=lambda: defaultdict(Count))

    def add(self, pair: Pair, graded: Graded) -> None:
        """Count a pair and its verdict in all groups."""
        for count in (
            self.total,
            self.by_rule[pair.kind, pair.rule, pair.right],
            self.by_kind[pair.kind],
            self.by_wrapper[pair.wrapper],
        ):
            count.add(pair, graded)

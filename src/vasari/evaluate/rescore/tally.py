"""Verdicts of stored outputs -> accuracy with intervals, and what could not be judged counted
apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from vasari.core.records import Outcome
from vasari.evaluate.protocols.stored_output import StoredOutput
from vasari.evaluate.statistics import share_interval

_MAX_LABEL_VALUES = 60
"""A field with more values than these is no category."""


@dataclass(slots=True)
class Tally:
    """Verdicts of one group of outputs."""

    right: list[bool] = field(default_factory=list)
    clusters: list[Hashable] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    decided_by: Counter[str] = field(default_factory=Counter)
    num_truncated: int = 0
    num_official: int = 0
    num_agreeing: int = 0

    def add(self, output: StoredOutput, outcome: str, decided_by: str) -> None:
        """Count one verdict."""
        correct = outcome == Outcome.CORRECT.value
        self.right.append(correct)
        self.clusters.append(output.cluster)
        self.outcomes[outcome] += 1
        self.decided_by[decided_by] += 1
        self.num_truncated += output.truncated
        if output.official_correct is not None:
            self.num_official += 1
            self.num_agreeing += (
                output.official_correct == correct and outcome != Outcome.UNVERIFIABLE.value
            )

    def as_json(self) -> dict[str, Any]:
        """Counts, and the accuracy over all outputs with its 95% interval: an unverifiable one is
        not right.
        """
        low, high = share_interval(self.right, self.clusters)
        scores: dict[str, Any] = {
            "n": len(self.right),
            "accuracy": sum(self.right) / len(self.right),
            "low": low,
            "high": high,
            "num_clusters": len(set(self.clusters)),
            "num_correct": self.outcomes["correct"],
            "num_incorrect": self.outcomes["incorrect"],
            "num_unverifiable": self.outcomes["unverifiable"],
            "num_no_answer": self.decided_by["no_answer"],
            "num_limit": self.decided_by["limit"],
            "num_truncated": self.num_truncated,
            "decided_by": dict(self.decided_by.most_common()),
        }
        if self.num_official:
            scores["stored_official"] = {"n": self.num_official, "num_agreeing": self.num_agreeing}
        return scores


class Scores:
    """Tallies of one protocol: of all outputs, of each model and benchmark, and of each category of
    those.
    """

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str], Tally] = {}
        self._categories: dict[tuple[str, str], dict[str, dict[str, Tally]]] = {}

    def add(self, output: StoredOutput, outcome: str, decided_by: str) -> None:
        """Count one verdict in every group that it belongs to."""
        key = (output.benchmark, output.model)
        self._groups.setdefault(key, Tally()).add(output, outcome, decided_by)
        for name, value in output.labels.items():
            tallies = self._categories.setdefault(key, {}).setdefault(name, {})
            if len(tallies) <= _MAX_LABEL_VALUES:
                tallies.setdefault(value, Tally()).add(output, outcome, decided_by)

    def as_json(self) -> list[dict[str, Any]]:
        """One entry for each benchmark and model, in the order in which they were met."""
        return [
            {
                "benchmark": benchmark,
                "model": model,
                **tally.as_json(),
                "categories": self._by_category(benchmark, model),
            }
            for (benchmark, model), tally in self._groups.items()
        ]

    def _by_category(self, benchmark: str, model: str) -> dict[str, dict[str, Any]]:
        fields: Mapping[str, Mapping[str, Tally]] = self._categories.get((benchmark, model), {})
        return {
            name: {value: _short(tally) for value, tally in sorted(tallies.items())}
            for name, tallies in fields.items()
            if 1 < len(tallies) <= _MAX_LABEL_VALUES
        }


def _short(tally: Tally) -> dict[str, Any]:
    scores = tally.as_json()
    return {name: scores[name] for name in ("n", "accuracy", "low", "high", "num_unverifiable")}

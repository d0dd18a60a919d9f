"""Count verdicts on stored outputs by benchmark and model, with intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from vasari.core.records import Outcome, Verdict
from vasari.evaluate.protocols import StoredOutput
from vasari.evaluate.statistics import share_interval

_MAX_LABEL_VALUES = 60
"""A field with more values than these is no category."""


class _Judged(NamedTuple):
    """The part of an output and its verdict that is counted."""

    outcome: str
    decided_by: str
    cluster: str
    truncated: bool
    official: bool | None
    """Whether the stored official verdict is the same; None where none is stored."""


class Tally:
    """Counter of one scoring protocol's verdicts, by benchmark, model and prompt category."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str], list[_Judged]] = {}
        self._categories: dict[tuple[str, str], dict[str, dict[str, list[_Judged]]]] = {}

    def add(self, output: StoredOutput, verdict: Verdict) -> None:
        """Count the verdict on one output under the output's benchmark, model and categories."""
        official = None
        if output.official_correct is not None:
            official = verdict.value == output.official_correct  # nan equals neither
        judged = _Judged(
            verdict.outcome.value, verdict.decided_by, output.cluster, output.truncated, official
        )
        key = (output.benchmark, output.model)
        self._groups.setdefault(key, []).append(judged)
        fields = self._categories.setdefault(key, {})
        for name, value in output.labels.items():
            groups = fields.setdefault(name, {})
            if len(groups) <= _MAX_LABEL_VALUES:
                groups.setdefault(value, []).append(judged)

    def as_json(self) -> list[dict[str, Any]]:
        """Return accuracy and verdict counts by benchmark and model, in order of first output."""
        return [
            {
                "benchmark": benchmark,
                "model": model,
                **_scores(group),
                "categories": {
                    name: {value: _short(found) for value, found in sorted(groups.items())}
                    for name, groups in self._categories[benchmark, model].items()
                    if 1 < len(groups) <= _MAX_LABEL_VALUES
                },
            }
            for (benchmark, model), group in self._groups.items()
        ]


def _scores(group: Sequence[_Judged]) -> dict[str, Any]:
    """Return counts, and the accuracy over all outputs; an unverifiable one is not correct."""
    correct = [one.outcome == Outcome.CORRECT.value for one in group]
    clusters = [one.cluster for one in group]
    outcomes = Counter(one.outcome for one in group)
    decided_by = Counter(one.decided_by for one in group)
    low, high = share_interval(correct, clusters)
    scores: dict[str, Any] = {
        "n": len(group),
        "accuracy": sum(correct) / len(group),
        "low": low,
        "high": high,
        "num_clusters": len(set(clusters)),
        "num_correct": outcomes["correct"],
        "num_incorrect": outcomes["incorrect"],
        "num_unverifiable": outcomes["unverifiable"],
        "num_no_answer": decided_by["no_answer"],
        "num_limit": decided_by["limit"],
        "num_truncated": sum(one.truncated for one in group),
        "decided_by": dict(decided_by.most_common()),
    }
    official = [one.official for one in group if one.official is not None]
    if official:
        scores["stored_official"] = {"n": len(official), "num_agreeing": sum(official)}
    return scores


def _short(group: Sequence[_Judged]) -> dict[str, Any]:
    scores = _scores(group)
    return {name: scores[name] for name in ("n", "accuracy", "low", "high", "num_unverifiable")}

"""Verdicts on disk: one JSON line an output, in the order of the input, so that a killed run knows
where it was.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vasari.core.errors import StateError
from vasari.core.records import Outcome, Verdict

_OUTCOMES = frozenset(outcome.value for outcome in Outcome)


@dataclass(frozen=True, slots=True)
class StoredVerdict:
    """A line of a verdict file."""

    id: str
    outcome: str
    """correct, incorrect or unverifiable."""
    decided_by: str
    extraction: str | None


def as_line(identity: str, verdict: Verdict) -> str:
    """The line of a verdict: exactly `id`, `outcome`, `decided_by` and `extraction`."""
    row = {
        "id": identity,
        "outcome": verdict.outcome.value,
        "decided_by": verdict.decided_by,
        "extraction": verdict.extraction,
    }
    return json.dumps(row) + "\n"


def read_verdicts(path: Path) -> Iterator[StoredVerdict]:
    """The verdicts of a file, one at a time.

    Raises:
        StateError: A line is not a verdict.
    """
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                row = json.loads(line)
                verdict = StoredVerdict(
                    row["id"], row["outcome"], row["decided_by"], row["extraction"]
                )
            except (ValueError, TypeError, KeyError) as error:
                raise StateError(
                    f"{path}:{number}: is no verdict; score again with --overwrite"
                ) from error
            if verdict.outcome not in _OUTCOMES:
                raise StateError(
                    f"{path}:{number}: {verdict.outcome!r} is no outcome; score again with"
                    " --overwrite"
                )
            yield verdict

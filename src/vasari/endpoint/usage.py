"""What was used: counts by model, as the providers bill them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Self

from vasari.endpoint.response import Response


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Requests and tokens; adds up. `batch` counts are those of provider batch files, which cost
    less.
    """

    requests: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    """Part of the input tokens."""
    output_tokens: int = 0
    lost_requests: int = 0
    """Attempts that ended without an answer but may have been billed."""
    lost_input_tokens: int = 0
    """Estimated tokens of those attempts."""
    lost_output_tokens: int = 0
    """The most that those attempts can have generated: `max_tokens` each."""
    batch_input_tokens: int = 0
    batch_output_tokens: int = 0

    @classmethod
    def of(cls, response: Response, *, batch: bool = False) -> Self:
        """What one answer used."""
        if batch:
            return cls(
                requests=1,
                batch_input_tokens=response.input_tokens,
                batch_output_tokens=response.output_tokens,
            )
        return cls(
            requests=1,
            input_tokens=response.input_tokens,
            cached_input_tokens=response.cached_input_tokens,
            output_tokens=response.output_tokens,
        )

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            requests=self.requests + other.requests,
            input_tokens=self.input_tokens + other.input_tokens,
            cached_input_tokens=self.cached_input_tokens + other.cached_input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            lost_requests=self.lost_requests + other.lost_requests,
            lost_input_tokens=self.lost_input_tokens + other.lost_input_tokens,
            lost_output_tokens=self.lost_output_tokens + other.lost_output_tokens,
            batch_input_tokens=self.batch_input_tokens + other.batch_input_tokens,
            batch_output_tokens=self.batch_output_tokens + other.batch_output_tokens,
        )

    def to_row(self) -> list[int]:
        """The counts in the order of the fields, trailing zeros left out."""
        row = list(_COUNTS(self))
        while row and row[-1] == 0:
            row.pop()
        return row

    @classmethod
    def from_row(cls, row: Sequence[int]) -> Self:
        """The inverse of `to_row`."""
        return cls(**dict(zip(_FIELDS, row, strict=False)))


class UsageCount:
    """A running total by model, which costs less to add to than a sum of records."""

    def __init__(self) -> None:
        self._rows: dict[str, list[int]] = {}

    def add(self, model: str, usage: Usage) -> None:
        """Add what one more request has used."""
        row = self._rows.get(model)
        if row is None:
            row = self._rows[model] = [0] * len(_FIELDS)
        for place, count in enumerate(_COUNTS(usage)):
            if count:
                row[place] += count

    def by_model(self) -> dict[str, Usage]:
        """The totals so far."""
        return {model: Usage.from_row(row) for model, row in self._rows.items()}


_FIELDS = (
    "requests",
    "input_tokens",
    "cached_input_tokens",
    "output_tokens",
    "lost_requests",
    "lost_input_tokens",
    "lost_output_tokens",
    "batch_input_tokens",
    "batch_output_tokens",
)
_COUNTS = attrgetter(*_FIELDS)

"""The record of one row of a data file: its values, or the reason why it cannot be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class StoredRow:
    """One row of a data file: its values, or the reason why it cannot be read."""

    where: str
    """File and place for a message: `train.jsonl:7`, `train.parquet: row 7`."""

    values: dict[str, Any] | None = None
    """Values by column; None when the row cannot be read. Texts may hold lone surrogates: JSON can
    write them, and bytes of a JSON document that are not UTF-8 become some."""

    problem: str = ""
    """Why the row cannot be read; empty when it can."""

    number: int = 0
    """Number from 1: the line on which the row begins; in Parquet and JSON documents, the row."""

    share: float = 0.0
    """Share of the file read so far, in [0, 1]; 0 for tables and JSON documents."""

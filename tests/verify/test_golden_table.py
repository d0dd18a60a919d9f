"""The golden table: right, wrong, nearly right, malformed, empty and hostile answers of every
kind."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from vasari.verify import verify_answer
from vasari.verify.symbolic import is_installed

TABLE = Path(__file__).parents[1] / "golden" / "verify.jsonl"
ROWS: list[dict[str, Any]] = [
    json.loads(line) for line in TABLE.read_text(encoding="utf-8").splitlines()
]


def _parameters() -> list[Any]:
    """One case a row; those that start the symbolic worker are slow."""
    return [
        pytest.param(
            row,
            id=f"{number}: {row['reason']}",
            marks=[pytest.mark.slow] if row["decided_by"] == "symbolic" else [],
        )
        for number, row in enumerate(ROWS, start=1)
    ]


@pytest.mark.parametrize("row", _parameters())
def test_every_row_of_the_golden_table_gets_its_verdict(row):
    if row["decided_by"] == "symbolic" and not is_installed():
        pytest.skip("needs vasari[evaluate]")
    # `repeat` keeps long responses short in the file.
    verdict = verify_answer(
        row["response"] * row.get("repeat", 1), row["answer"], row["choices"], row["kind"]
    )
    assert (verdict.outcome.value, verdict.decided_by) == (row["outcome"], row["decided_by"])


def test_every_row_of_the_golden_table_has_its_source_and_a_reason():
    assert all(row["source"] and row["reason"] for row in ROWS)


def test_the_golden_table_holds_every_outcome_and_every_rule():
    assert set(Counter(row["outcome"] for row in ROWS)) == {"correct", "incorrect", "unverifiable"}
    rules = {
        "exact",
        "choice",
        "number",
        "text",
        "set",
        "symbolic",
        "no_answer",
        "ambiguous",
        "limit",
        "reference",
    }
    assert {row["decided_by"] for row in ROWS} == rules

"""The cells of docs/models.md's table: a family and what it must be able to do.

`scripts/check` runs those of `QUICK`; `scripts/check-models` runs all, and writes the table.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from checks import COLUMNS, Lab, check_of, why_not
from stand_ins import STAND_INS

QUICK = {
    (family, column)
    for family in ("qwen3_vl", "smolvlm2", "gemma3")
    for column in ("load", "sft", "evaluate")
}
CELLS = [
    pytest.param(
        family,
        column,
        id=f"{family}-{column.replace(' ', '-')}",
        marks=[pytest.mark.slow]
        if (family, column) in QUICK
        else [pytest.mark.slow, pytest.mark.heavy],
    )
    for family in STAND_INS
    for column in COLUMNS
]


@pytest.mark.parametrize(("family", "column"), CELLS)
def test_a_family_can_do_what_the_table_says(family: str, column: str, tmp_path: Path) -> None:
    reason = why_not(family, column)
    if reason is not None:
        pytest.skip(reason)
    check_of(column)(Lab(family, tmp_path))

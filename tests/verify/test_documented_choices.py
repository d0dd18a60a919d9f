"""What docs/evaluation.md says where careful graders differ is what the verifier does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vasari.verify import verify_answer

PAGE = Path(__file__).parents[2] / "docs" / "evaluation.md"


def rows():
    table = PAGE.read_text(encoding="utf-8").partition("| answer | reference | verdict | why |")[2]
    for line in table.splitlines()[2:]:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in line.strip("|").split("|")]


@pytest.mark.parametrize(("answer", "reference", "verdict"), [row[:3] for row in rows()])
def test_the_table_of_choices_is_true(answer, reference, verdict):
    found, wanted = (re.sub("`", "", text) for text in (answer, reference))
    wanted, both_ways, _ = wanted.partition(", and the other way round")
    pairs = [(found, wanted), *([(wanted, found)] if both_ways else [])]
    for one, other in pairs:
        assert verify_answer(f"\\boxed{{{one}}}", other).outcome.value == verdict


def test_the_table_is_not_empty():
    assert len(list(rows())) > 10

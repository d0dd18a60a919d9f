"""Right and wrong answers of 34 kinds that other verifiers got wrong: a table by hand, a row each.

`P` kinds are wrong answers that were paid, `N` kinds right ones that were refused; each holds both.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from vasari.records import Outcome
from vasari.verify import verify_answer
from vasari.verify.symbolic import is_installed

TABLE = Path(__file__).parents[1] / "golden" / "verify_kinds.jsonl"
ROWS = [json.loads(line) for line in TABLE.read_text(encoding="utf-8").splitlines()]
KINDS = sorted({row["fault"] for row in ROWS})


@pytest.mark.parametrize("kind", KINDS)
def test_every_answer_of_a_kind_is_judged_as_a_careful_grader_would(kind):
    wrong = []
    for row in (row for row in ROWS if row["fault"] == kind):
        if row["decided_by"] == "symbolic" and not is_installed():
            continue
        verdict = verify_answer(row["response"], row["answer"], row["choices"], row["kind"])
        if (verdict.outcome is Outcome.CORRECT) != (row["right"] == "correct"):
            wrong.append((row["response"], row["answer"], verdict))
    assert not wrong


@pytest.mark.parametrize("kind", KINDS)
def test_every_refusal_has_its_reason_in_words(kind):
    for row in (row for row in ROWS if row["fault"] == kind and row["right"] == "incorrect"):
        verdict = verify_answer(row["response"], row["answer"], row["choices"], row["kind"])
        assert verdict.reason, row


def test_every_kind_has_right_and_wrong_answers():
    counts = Counter((row["fault"], row["right"]) for row in ROWS)
    assert len(KINDS) >= 30
    assert all(counts[kind, "incorrect"] >= 3 for kind in KINDS)

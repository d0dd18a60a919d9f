"""A thousand answers that were made to hang, crash, fool or take over a verifier."""

from __future__ import annotations

import json
import resource
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from vasari.records import Outcome, Verdict
from vasari.verify import verify_answer
from vasari.verify.symbolic import shared_worker

TABLE = Path(__file__).parents[1] / "golden" / "hostile_answers.jsonl"
ROWS: list[dict[str, Any]] = [
    json.loads(line) for line in TABLE.read_text(encoding="utf-8").splitlines()
]
# Boxes in boxes around the right answer state it, and so does a Chinese numeral.
RIGHT = {"boxes in boxes"}
NUMERALS = {"\u4e03"}


def _verdict(row: dict[str, Any]) -> Verdict:
    response = row.get("prefix", "") + row["piece"] * row.get("repeat", 1) + row.get("suffix", "")
    return verify_answer(response, row["answer"], None, row.get("kind"))


def _processor_seconds() -> float:
    return time.process_time() + sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])


def test_the_table_holds_a_thousand_answers_of_many_families():
    assert len(ROWS) >= 1000
    assert len(Counter(row["family"] for row in ROWS)) >= 12


@pytest.mark.slow
def test_a_thousand_hostile_answers_take_a_minute_and_cost_no_worker(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shared_worker().close()
    started, before = shared_worker().num_started, _processor_seconds()
    verdicts = [_verdict(row) for row in ROWS]
    credited = {
        row["family"]
        for row, verdict in zip(ROWS, verdicts, strict=True)
        if verdict.outcome is Outcome.CORRECT and row["piece"] not in NUMERALS
    }
    assert credited <= RIGHT
    shared_worker().close()  # Its time is counted when it has ended.
    # Processor time, not the clock: a bomb that escapes its limits costs hours; without one it is
    # under a minute.
    assert _processor_seconds() - before < 120
    # On a loaded machine a worker may get no processor; that answer is unverifiable, and says so.
    starved = sum("too busy" in verdict.reason for verdict in verdicts)
    assert shared_worker().num_started - started <= 1 + starved
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 2 * 1024**2  # KiB
    assert list(tmp_path.iterdir()) == []  # No code ran.


@pytest.mark.slow
def test_eight_threads_give_the_verdicts_of_one():
    rows = ROWS[::4]
    expected = [_verdict(row).outcome for row in rows]
    found: dict[int, list[Outcome]] = {}
    threads = [
        threading.Thread(
            target=lambda n=n: found.update({n: [_verdict(row).outcome for row in rows[n::8]]})
        )
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert [found[n] for n in range(8)] == [expected[n::8] for n in range(8)]


@pytest.mark.parametrize("character", ["a", "_", "1,", "a+", "A ", "^", "\\frac", "=", "x=", "一"])
def test_a_repeated_character_takes_no_exponential_time(character):
    """Twice as many characters may take four times as long, not a thousand times."""
    for wrapped in (r"\boxed{%s! = 5}", "So it is %s! = 5", "The answer is %s."):
        for reference, choices in (("5", None), ("B", ["red", "blue"]), ("x+1", None)):
            started = time.process_time()
            for number in (20, 28, 36, 44):
                verify_answer(wrapped % (character * number), reference, choices)
            assert time.process_time() - started < 20.0

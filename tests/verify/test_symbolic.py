"""The symbolic worker: killed when it takes too long, restarted, missed by name when it is not
installed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from vasari.verify.symbolic import SymbolicWorker, is_installed

# Sympy takes far longer than any of the limits here to compare these two.
BOMB, SQUARE = "9^{9^9}x", "(x+1)^2"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not is_installed(), reason="needs vasari[evaluate]"),
]


@pytest.fixture
def worker():
    made = SymbolicWorker()
    yield made
    made.close()


def test_equal_formulas_are_equal_and_others_are_not(worker):
    answers = [worker.compare(found, "(x+1)^2") for found in ("x^2+2x+1", "x^2+2x+2", "no formula")]
    assert answers == ["equal", "different", "different"]


def test_an_unreadable_reference_is_laid_at_the_reference(worker):
    assert worker.compare("x", "\\") == "reference"


def test_a_bomb_is_a_limit_and_the_next_answer_is_judged(worker):
    assert [worker.compare(BOMB, SQUARE), worker.compare("x+1", "1+x")] == ["limit", "equal"]


def test_a_bomb_in_the_reference_is_laid_at_the_reference():
    impatient = SymbolicWorker(timeout_seconds=0.0)
    try:
        # A busy machine may have the worker's answer ready before it is first asked for.
        assert "reference" in {impatient.compare("x", "x") for _ in range(5)}
    finally:
        impatient.close()


def test_a_worker_that_was_killed_is_replaced(worker):
    worker.compare("x", "x")
    process = worker._process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert worker.compare("x+1", "1+x") == "equal"


def test_a_worker_that_dies_during_a_comparison_is_a_crash_of_ours():
    patient = SymbolicWorker(timeout_seconds=60)
    patient.compare("x", "x")
    process = patient._process
    assert process is not None
    killer = threading.Timer(0.5, process.kill)
    killer.start()
    assert patient.compare(BOMB, SQUARE) == "crashed"
    patient.close()


def test_many_threads_share_a_worker(worker):
    found: list[str] = []
    threads = [
        threading.Thread(
            target=lambda n=n: found.append(f"{n % 2} {worker.compare(f'x+{n % 2}', '1+x')}")
        )
        for n in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(found) == ["0 different"] * 6 + ["1 equal"] * 6


def test_the_memory_limit_stops_an_allocation():
    code = "from vasari.verify.line_process import limit_memory; limit_memory(); bytearray(3 * 1024**3)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "MemoryError" in done.stderr


def test_without_math_verify_only_symbolic_answers_are_unverifiable():
    code = (
        "import sys; sys.modules['math_verify'] = None\nfrom vasari.verify import verify_answer as"
        " v\nprint(v(r'\\boxed{|x+1|}', r'|1+x|').reason, '|', v(r'\\boxed{9.17}',"
        " '2*sqrt(21)').decided_by)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "needs vasari[evaluate] | number"


def test_importing_the_verifier_loads_neither_sympy_nor_math_verify():
    code = (
        "import sys, vasari.verify; print(sorted({'sympy', 'math_verify', 'torch'} &"
        " set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

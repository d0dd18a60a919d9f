"""What is settled without Math-Verify, sympy and RapidFuzz: all that a rule can settle.

The packages are hidden from a new process and from the worker that it starts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parents[1] / "golden"
HIDE = """
import sys
from importlib.machinery import PathFinder

HIDDEN = {"math_verify", "latex2sympy2_extended", "sympy", "mpmath", "rapidfuzz", "antlr4"}


class Without:
    @staticmethod
    def find_spec(name, path=None, target=None):
        hidden = name.partition(".")[0] in HIDDEN
        return None if hidden else PathFinder.find_spec(name, path, target)


sys.meta_path[sys.meta_path.index(PathFinder)] = Without
"""
JUDGE = """
import json
import sys

from vasari.verify import verify_answer

for line in sys.stdin:
    verdict = verify_answer(*json.loads(line))
    print(json.dumps([verdict.outcome.value, verdict.decided_by, verdict.reason]))
"""
ROWS = [
    (r"\boxed{2*sqrt(}", "2*sqrt(21)", "incorrect"),
    (r"\boxed{\frac{1}{2}+}", r"\int x\,dx", "incorrect"),
    (r"\boxed{3-2i}", "3+2i", "incorrect"),
    (r"\boxed{2i+3}", "3+2i", "correct"),
    (r"\boxed{\frac{1}{2}-\frac{i}{3}}", r"\frac{1}{2}+\frac{i}{3}", "incorrect"),
    (r"\boxed{\theta}", "θ", "correct"),
    ("\\boxed{\u03b1}", r"\alpha", "correct"),
    ("\\boxed{2\u03b1}", r"2\beta", "incorrect"),
    ("The answer is $a<b$.", "a>b", "incorrect"),
    ("The answer is $b>a$.", "a<b", "correct"),
    (r"\boxed{A \cup B}", r"A \cap B", "incorrect"),
    (r"\boxed{B \cup A}", r"A \cup B", "correct"),
    (r"\boxed{A \setminus B}", r"B \setminus A", "incorrect"),
    (r"\boxed{A \subset B}", r"A \not\subset B", "incorrect"),
    (r"\boxed{\$10-\$20}", r"\$20-\$30", "incorrect"),
    (r"\boxed{\$20-\$30}", r"\$20-\$30", "correct"),
    (r"\boxed{\$20-30}", r"\$20-\$30", "correct"),
    (r"\boxed{€20-€30}", r"\$20-\$30", "incorrect"),
    ("The answer is pp. 10-12.", "pp. 12-14", "incorrect"),
    (r"\boxed{\partial x}", "x", "incorrect"),
]
"""Response, reference, outcome."""


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """Verdicts of a process without the packages, as [outcome, rule, reason]."""
    folder = tmp_path_factory.mktemp("bare")
    (folder / "sitecustomize.py").write_text(HIDE, encoding="utf-8")
    path = os.pathsep.join([str(folder), *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONPATH": path}

    def judge(rows):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        command = [sys.executable, "-c", JUDGE]
        done = subprocess.run(
            command, input=lines, env=environment, capture_output=True, text=True, check=True
        )
        return [json.loads(line) for line in done.stdout.splitlines()]

    return judge


def golden():
    for name in ("verify.jsonl", "verify_kinds.jsonl"):
        for line in (GOLDEN / name).read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            yield [row["response"], row["answer"], row["choices"], row["kind"]]


def test_the_packages_are_hidden_from_the_worker_too(bare):
    ((outcome, _, reason),) = bare([[r"\boxed{\int_0^1 x^2 dx}", r"\int_0^1 t^2 dt", None, None]])
    assert (outcome, reason) == ("unverifiable", "needs vasari[evaluate]")


def test_signs_settle_what_has_no_values(bare):
    rows = [[response, answer, None, None] for response, answer, _ in ROWS]
    assert [verdict[0] for verdict in bare(rows)] == [outcome for *_, outcome in ROWS]


def test_nothing_in_the_golden_tables_needs_the_extra(bare):
    rows = list(golden())
    needs = [row for row, verdict in zip(rows, bare(rows), strict=True) if "needs" in verdict[2]]
    assert needs == []


def test_the_command_says_at_its_start_what_the_missing_extra_costs(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(HIDE, encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    command = [sys.executable, "-m", "vasari", "verify", r"\\boxed{5}", "--answer", "5"]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    assert done.stderr.startswith("Math-Verify is not installed: a formula that only computer")
    assert "pip install 'vasari[evaluate]'" in " ".join(done.stderr.split())

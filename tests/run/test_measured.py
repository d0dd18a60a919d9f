"""The time of a stage counts all of its attempts, also one that was killed."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vasari.report import write_summary
from vasari.run.layout import RunDir
from vasari.run.measured import measured

STAGE = """
import sys, time
from pathlib import Path
from vasari.run import measured
from vasari.run.layout import RunDir

measured._RECORD_EVERY = 0.1
with measured.measured(RunDir(Path(sys.argv[1])), "rl-uniform"):
    print("begun", flush=True)
    time.sleep(600)
"""


def stage_of(root: Path, name: str) -> dict:
    return json.loads((root / "stages" / f"{name}.json").read_text())


@pytest.fixture
def killed(tmp_path):
    """The folder of a run whose training was killed after about a second."""
    process = subprocess.Popen(
        [sys.executable, "-c", STAGE, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    process.stdout.readline()
    time.sleep(1.2)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    return tmp_path


def test_the_time_of_a_killed_attempt_counts_when_the_stage_goes_on(killed):
    assert not (killed / "stages" / "rl-uniform.json").exists()
    with measured(RunDir(killed), "rl-uniform", continued=True) as facts:
        facts["steps"] = 3
    found = stage_of(killed, "rl-uniform")
    assert found["resumed"] == 1
    assert 0.4 < found["seconds"] < 10.0
    (killed / "rl" / "uniform").mkdir(parents=True)
    summary = write_summary(killed)
    assert summary["by_arm"]["uniform"]["resumed"] == 1
    assert summary["wall_seconds"]["rl"] == found["seconds"]


def test_a_stage_that_begins_anew_forgets_the_killed_attempt(killed):
    with measured(RunDir(killed), "rl-uniform"):
        pass
    found = stage_of(killed, "rl-uniform")
    assert found["resumed"] == 0
    assert found["seconds"] < 0.4


def test_an_attempt_that_ends_with_an_error_counts(tmp_path):
    def fail():
        with measured(RunDir(tmp_path), "sft", continued=True):
            time.sleep(0.2)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with measured(RunDir(tmp_path), "sft", continued=True):
        pass
    assert stage_of(tmp_path, "sft")["resumed"] == 1
    assert stage_of(tmp_path, "sft")["seconds"] >= 0.2


def test_of_a_run_without_a_record_of_attempts_the_finished_stage_counts(tmp_path):
    (tmp_path / "stages").mkdir()
    old = {"schema": 1, "stage": "sft", "seconds": 60.0, "peak_memory_mb": 9e6}
    (tmp_path / "stages" / "sft.json").write_text(json.dumps(old))
    with measured(RunDir(tmp_path), "sft", continued=True):
        pass
    found = stage_of(tmp_path, "sft")
    assert found["seconds"] > 60.0
    assert found["peak_memory_mb"] == 9e6


def test_the_other_processes_write_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    with measured(RunDir(tmp_path), "sft"):
        pass
    assert not list(tmp_path.iterdir())


def test_cpu_seconds_are_those_of_computing_and_not_of_waiting(tmp_path):
    with measured(RunDir(tmp_path), "sft"):
        before = time.process_time()
        while time.process_time() < before + 0.3:
            pass
        time.sleep(0.5)
    found = stage_of(tmp_path, "sft")
    assert 0.25 < found["cpu_seconds"] < 0.7
    assert found["seconds"] >= 0.8


def test_cpu_seconds_are_unknown_where_an_attempt_did_not_count_them(tmp_path):
    (tmp_path / "stages").mkdir()
    old = {"schema": 1, "stage": "sft", "seconds": 60.0, "peak_memory_mb": 9e6}
    (tmp_path / "stages" / "sft.json").write_text(json.dumps(old))
    with measured(RunDir(tmp_path), "sft", continued=True):
        pass
    assert stage_of(tmp_path, "sft")["cpu_seconds"] is None

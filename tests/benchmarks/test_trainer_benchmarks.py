"""The benchmarks of trainers run, and compare trainings that learn the same."""

import sys

import pytest

pytest.importorskip("trl")

import gpu
import scripted_loop
import step_time


@pytest.mark.slow
@pytest.mark.parametrize("groups", step_time.GROUPS)
def test_both_trainers_end_with_the_same_weights(groups, monkeypatch):
    tiny = step_time.Case("", num_prompts=2, image_size=56, longest_edge=None, micro_batch=8)
    monkeypatch.setitem(step_time.CASES, "tiny", tiny)
    found = step_time.measured("tiny", groups, repeats=2)
    assert [len(own) for own in found["seconds"].values()] == [2, 2]
    assert found["apart"] < 1e-3


def test_bookkeeping_is_divided_into_its_parts():
    parts = scripted_loop.bookkeeping("vas", 30, 4, 4, 20, repeats=1)
    assert list(parts) == ["draw", "observe", "group file", "rest"]
    assert all(0 < seconds < 1 for seconds in parts.values())


@pytest.mark.heavy
@pytest.mark.slow
def test_the_benchmark_for_gpus_measures_every_trainer(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--small", "--out", str(tmp_path)])
    gpu.main()
    (result,) = tmp_path.iterdir()
    rows = [line for line in result.read_text().splitlines() if line.startswith("| small")]
    assert len(rows) == len(gpu.TRAINERS) * len(gpu.GROUPS)
    assert not [row for row in rows if "nothing measured" in row]

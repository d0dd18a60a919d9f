"""The examples run, say what they say, and are short; what they define works where a recipe or a
trainer names it."""

import subprocess
import sys
from pathlib import Path

import pytest

from vasari.sample import check_gate, check_prompt_sampler, make_gate, make_sampler

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def examples_importable(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))


SAYS = {
    "own_sampler": "(0 was all right, 1 all wrong)",
    "own_gate": "is prompt 7 wanted? {2: False, 6: False, 7: True}",
    "own_reward": "1.294",
    "own_task": "discs",
    "own_policy": "I guess.",
    "own_family": "LLaVA: flat",
    "own_stage": "long -> too_long",
    "own_benchmark": "own_benchmark:within_a_tenth",
}


def test_every_door_has_an_example():
    assert {path.stem for path in EXAMPLES.glob("own_*.py")} == set(SAYS)


@pytest.mark.slow
@pytest.mark.parametrize("name", SAYS)
def test_an_example_is_short_and_runs(name):
    path = EXAMPLES / f"{name}.py"
    assert len(path.read_text().splitlines()) <= 60
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert SAYS[name] in done.stdout


def test_the_sampler_is_made_by_its_name_with_its_settings(examples_importable):
    sampler = make_sampler("own_sampler:LastMixed", num_prompts=5, seed=1, noise=0.2)
    assert sampler.noise == 0.2
    check_prompt_sampler(type(sampler))


def test_the_gate_is_made_by_its_name_with_its_settings(examples_importable):
    gate = make_gate("own_gate:Rest", batches=3)
    assert gate.batches == 3
    check_gate(type(gate))


def test_a_setting_that_it_does_not_have_is_one_line(examples_importable):
    with pytest.raises(
        ValueError, match=r"sampler 'own_sampler:LastMixed' has no setting 'noize'; it has: noise"
    ):
        make_sampler("own_sampler:LastMixed", num_prompts=5, seed=1, noize=0.2)
    with pytest.raises(
        ValueError, match=r"gate 'own_gate:Rest' has no setting 'batch'; it has: batches"
    ):
        make_gate("own_gate:Rest", batch=3)

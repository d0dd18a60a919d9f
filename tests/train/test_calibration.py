"""A calibration trains a few real steps, measures them, and leaves nothing behind."""

from pathlib import Path

import pytest

from vasari.core.errors import ConfigError
from vasari.sample import make_sampler
from vasari.train.calibration import calibrate
from vasari.train.run_grpo import GrpoTraining
from vasari.train.settings import GrpoSettings


@pytest.fixture
def training(taught_folder, digit_prompts):
    def make(prompts=digit_prompts, **changes):
        settings = {
            "steps": 40,
            "prompts_per_batch": 6,
            "rollouts_per_prompt": 4,
            "micro_batch": 4,
            "trl": {"temperature": 1.0, "max_completion_length": 12},
        }
        return GrpoTraining(
            model_path=str(taught_folder),
            prompts=prompts,
            sampler=make_sampler("uniform", num_prompts=len(prompts), seed=0),
            settings=GrpoSettings(**(settings | changes)),
            system="Think, then answer.",
            out=Path("nowhere"),
            seed=0,
        )

    return make


@pytest.mark.slow
def test_throughput_is_that_of_the_smallest_batch_with_two_updates(training, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = calibrate(training(), prompt_tokens=20.0)
    # Two micro-batches of four: two prompts of four rollouts.
    assert found.rollouts == 8
    assert 1 <= found.completion <= 12
    assert 0 <= found.truncated <= 1
    assert found.peak_bytes is None
    # Seconds of generation and of updates, from tokens over throughput, within the whole.
    tokens = found.completion * 8
    spent = tokens / found.generated + (tokens + 20 * 8) / found.updated
    assert 0 < spent < found.seconds
    assert list(tmp_path.iterdir()) == []


def test_too_few_prompts_are_refused_before_the_model_is_loaded(training, digit_prompts):
    with pytest.raises(ConfigError, match="needs 2 prompts, and 1 are at hand"):
        calibrate(training(digit_prompts[:1]), prompt_tokens=20.0)

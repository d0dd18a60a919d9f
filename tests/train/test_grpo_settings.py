from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from transformers import get_scheduler

from vasari.core.errors import ConfigError
from vasari.train.settings import GrpoSettings
from vasari.train.trl_config import grpo_config

OUT = Path("unused")


def grpo(**changes):
    return GrpoSettings(
        **(
            {
                "steps": 4,
                "prompts_per_batch": 6,
                "save_every": 4,
                "validate_every": 4,
                "micro_batch": 8,
            }
            | changes
        )
    )


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(1, 6), st.integers(2, 6), st.integers(1, 3), st.integers(1, 12))
def test_a_batch_is_all_its_rollouts_in_the_asked_number_of_updates(
    prompts, rollouts, updates, micro
):
    assume(prompts * rollouts % updates == 0)
    chosen = grpo(
        steps=updates,
        save_every=updates,
        validate_every=updates,
        prompts_per_batch=prompts,
        rollouts_per_prompt=rollouts,
        updates_per_batch=updates,
        micro_batch=micro,
    )
    per_update = prompts * rollouts // updates
    assume(per_update % min(micro, per_update) == 0)
    config = grpo_config(chosen, OUT, 0)
    assert config.per_device_train_batch_size <= micro
    assert config.generation_batch_size == prompts * rollouts
    assert (
        config.per_device_train_batch_size * config.gradient_accumulation_steps * updates
        == prompts * rollouts
    )


def test_a_micro_batch_that_does_not_divide_an_update_is_refused_with_what_would():
    with pytest.raises(
        ConfigError,
        match=r"48 rollouts a batch in 2 updates are 24 an update.*set micro_batch to \d+, or another divisor of 24",
    ):
        grpo_config(grpo(micro_batch=7), OUT, 0)


def test_processes_that_cannot_share_an_update_are_named(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "5")
    with pytest.raises(
        ConfigError, match="24 an update, which do not divide over 5 processes; use 4, or choose"
    ):
        grpo_config(grpo(), OUT, 0)


def test_more_processes_than_rollouts_are_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "64")
    with pytest.raises(ConfigError, match=r"64 processes cannot take.*use fewer processes"):
        grpo_config(grpo(), OUT, 0)


@pytest.mark.parametrize("name", ["steps", "save_every", "validate_every"])
def test_a_batch_is_never_left_half_used(name):
    with pytest.raises(
        ValidationError, match=rf"{name} must be a multiple of updates_per_batch \(2\), got 5"
    ):
        grpo(**{name: 5})


def test_rollouts_that_do_not_split_into_updates_are_refused():
    with pytest.raises(ValidationError, match="= 9 rollouts cannot be split into 2 updates"):
        grpo(prompts_per_batch=3, rollouts_per_prompt=3)


def test_gspo_is_sequence_ratios_with_the_grpo_loss():
    config = grpo_config(grpo(algorithm="gspo"), OUT, 0)
    assert (config.loss_type, config.importance_sampling_level) == ("grpo", "sequence")


def test_what_decides_exact_resuming_is_set():
    config = grpo_config(grpo(), OUT, 0)
    assert (config.ignore_data_skip, config.save_strategy, config.dataloader_num_workers) == (
        False,
        "steps",
        0,
    )


def test_no_process_gathers_images_that_another_may_not_have():
    assert grpo_config(grpo(), OUT, 0).log_multimodal is False


def test_the_paper_has_the_plain_k3_estimator():
    config = grpo_config(grpo(), OUT, 0)
    assert (config.beta, config.use_bias_correction_kl) == (0.01, False)


def test_prompts_are_scored_and_validated_as_they_are_trained():
    chosen = grpo(
        trl={"temperature": 0.7, "top_p": 0.9, "max_completion_length": 33},
        validation_rollouts=2,
        rollouts_per_prompt=4,
    )
    scoring, validating = chosen.decoding(4), chosen.decoding(2)
    assert (scoring.temperature, scoring.top_p, scoring.max_tokens, scoring.num_rollouts) == (
        0.7,
        0.9,
        33,
        4,
    )
    assert validating == scoring.model_copy(update={"num_rollouts": 2})


@pytest.mark.parametrize(
    ("schedule", "halfway", "end"),
    [("constant_with_warmup", 1.0, 1.0), ("linear", 0.5, 0.0), ("cosine", 0.5, 0.0)],
)
def test_the_learning_rate_stays_at_its_peak_or_falls_to_zero(schedule, halfway, end):
    trl = {"lr_scheduler_type": schedule, "warmup_steps": 0, "learning_rate": 0.5}
    config = grpo_config(grpo(steps=100, trl=trl), OUT, 0)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=config.learning_rate)
    scheduler = get_scheduler(config.lr_scheduler_type, optimizer, 0, 100)
    rates = []
    for _ in range(100):
        optimizer.step()
        scheduler.step()
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates[49] == pytest.approx(0.5 * halfway)
    assert rates[-1] == pytest.approx(0.5 * end, abs=1e-12)

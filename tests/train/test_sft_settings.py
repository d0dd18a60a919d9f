"""Every setting of supervised training does what it says: what it changes, and what it leaves."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from vasari.core.errors import ConfigError
from vasari.core.settings import parse_settings
from vasari.model.processor import load_processor
from vasari.model.transformers_policy import load_model
from vasari.train.callbacks import read_log
from vasari.train.settings import SftSettings
from vasari.train.sft import train_supervised

TRL = {"learning_rate": 1e-3, "dataloader_num_workers": 0, "warmup_steps": 0}
SETTINGS = {"epochs": 2, "batch_prompts": 4, "micro_batch": 4, "validate_every": 3}


@pytest.fixture(scope="module")
def train(tiny_folder, digit_prompts, tmp_path_factory):
    """Trains on eight prompts, and gives the weights, the result and the log."""

    def run(changes, trl):
        settings = SftSettings(**(SETTINGS | changes | {"trl": TRL | trl}))
        model = load_model(str(tiny_folder), dtype="float32")
        out = tmp_path_factory.mktemp("sft") / "run"
        facts = train_supervised(
            model,
            load_processor(str(tiny_folder)),
            train=digit_prompts[:8],
            validation=digit_prompts[8:],
            settings=settings,
            system="",
            out=out,
            seed=0,
        )
        return dict(model.named_parameters()), facts, read_log(out / "metrics.jsonl")

    return run


@pytest.fixture(scope="module")
def usual(train):
    return train({}, {})


def apart(one, other):
    return max(float((one[name] - other[name]).detach().abs().max()) for name in one)


CHANGING = {
    "epochs": ({"epochs": 3}, {}),
    "part_of_an_epoch": ({"epochs": 1.5}, {}),
    "batch_prompts": ({"batch_prompts": 2, "micro_batch": 2}, {}),
    "target": ({"target": "short"}, {}),
    "freeze_vision": ({"freeze_vision": True}, {}),
    "learning_rate": ({}, {"learning_rate": 2e-3}),
    "lr_scheduler_type": ({}, {"lr_scheduler_type": "constant"}),
    "lr_scheduler_kwargs": ({}, {"lr_scheduler_kwargs": {"num_cycles": 1.0}}),
    "warmup_steps": ({}, {"warmup_steps": 2}),
    "warmup_share": ({}, {"warmup_steps": 0.5}),
    "weight_decay": ({}, {"weight_decay": 0.5}),
    "max_grad_norm": ({}, {"max_grad_norm": 1e-7}),
    "adam_beta1": ({}, {"adam_beta1": 0.5}),
    "adam_beta2": ({}, {"adam_beta2": 0.5}),
    "adam_epsilon": ({}, {"adam_epsilon": 1e-2}),
    "optim": ({}, {"optim": "sgd"}),
    "bf16": ({}, {"bf16": True}),
    "label_smoothing_factor": ({}, {"label_smoothing_factor": 0.2}),
    "neftune_noise_alpha": ({}, {"neftune_noise_alpha": 5.0}),
    "loss_type": ({}, {"loss_type": "dft"}),
}


@pytest.mark.slow
@pytest.mark.heavy
@pytest.mark.parametrize(("changes", "trl"), CHANGING.values(), ids=CHANGING)
def test_a_setting_of_the_update_moves_the_weights(changes, trl, train, usual):
    assert apart(train(changes, trl)[0], usual[0]) > 1e-5


LEAVING = {
    "micro_batch": ({"micro_batch": 1}, {}),
    "gradient_checkpointing": ({}, {"gradient_checkpointing": True}),
    "dataloader_num_workers": ({}, {"dataloader_num_workers": 1}),
    "patience": ({"patience": 9}, {}),
}


@pytest.mark.slow
@pytest.mark.parametrize(("changes", "trl"), LEAVING.values(), ids=LEAVING)
def test_a_setting_of_memory_or_time_moves_none(changes, trl, train, usual):
    assert apart(train(changes, trl)[0], usual[0]) < 1e-5


@pytest.mark.slow
def test_the_validation_loss_is_measured_as_often_as_asked(train):
    _, _, log = train({"validate_every": 1}, {})
    assert [row["step"] for row in log if "eval_loss" in row] == [1, 2, 3, 4]


@pytest.mark.slow
def test_a_spent_budget_of_time_ends_the_training_after_its_first_step(train):
    _, facts, log = train({"max_minutes": 1e-9}, {})
    assert facts["steps"] == 1
    assert [row["step"] for row in log if "eval_loss" in row] == [1]


@pytest.mark.parametrize(
    "name",
    ["average_tokens_across_devices", "dataloader_drop_last", "prediction_loss_only", "use_cache"],
)
def test_what_would_make_a_batch_another_is_refused(name):
    with pytest.raises(ConfigError, match=f"Vasari sets '{name}' itself"):
        parse_settings(SftSettings, {"trl": {name: True}}, where="sft")

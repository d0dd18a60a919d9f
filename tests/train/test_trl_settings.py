"""What a recipe gives under `trl` reaches TRL's configuration, and what cannot is refused by name."""

import dataclasses
import fnmatch
import inspect
import subprocess
import sys
import typing
from pathlib import Path
from types import SimpleNamespace

import pytest
import trl
from pydantic import ValidationError
from transformers.trainer_utils import SchedulerType

from vasari.core.errors import ConfigError
from vasari.run.recipe import load_recipe
from vasari.train import trl_settings
from vasari.train.settings import GrpoSettings, SftSettings
from vasari.train.trl_config import grpo_config, sft_config
from vasari.train.trl_settings import GrpoTrlSettings, Loss, Schedule, SftTrlSettings

QUICKSTART = Path(__file__).parents[2] / "recipes" / "quickstart.yaml"
KINDS = {"grpo": GrpoTrlSettings, "sft": SftTrlSettings}
# A value that is not the default, for each setting that Vasari declares.
OTHERS = {
    "warmup_steps": 3,
    "weight_decay": 0.25,
    "max_grad_norm": 0.5,
    "bf16": True,
    "gradient_checkpointing": True,
    "report_to": ["tensorboard"],
    "learning_rate": 0.125,
    "lr_scheduler_type": "inverse_sqrt",
    "adam_beta2": 0.75,
    "dataloader_num_workers": 2,
    "beta": 0.25,
    "use_bias_correction_kl": True,
    "epsilon": 0.125,
    "epsilon_high": 0.28,
    "loss_type": "bnpo",
    "importance_sampling_level": "sequence",
    "scale_rewards": "batch",
    "temperature": 0.5,
    "top_p": 0.75,
    "max_completion_length": 17,
}


def config_of(part, settings):
    if part == "grpo":
        return grpo_config(GrpoSettings(trl=settings), Path("out"), 0)
    return sft_config(SftSettings(trl=settings), Path("out"), 0, num_prompts=640)


@pytest.mark.parametrize(
    ("part", "key"),
    [
        (p, key)
        for p, kind in KINDS.items()
        for key in kind.model_fields
        if key not in ("deepspeed", "fsdp")  # TRL takes them on several processes only
    ],
)
def test_each_declared_setting_arrives_in_the_configuration(part, key):
    assert getattr(KINDS[part](), key) != OTHERS[key]
    arrived = getattr(config_of(part, {key: OTHERS[key]}), key)
    assert getattr(arrived, "value", arrived) == OTHERS[key]


@pytest.mark.parametrize(("key", "value"), [("deepspeed", "zero3.json"), ("fsdp", True)])
def test_what_spreads_weights_arrives_in_the_configuration(monkeypatch, key, value):
    kept = {}

    def config(**given):
        kept.update(given)
        plain = {"adam_beta1": 0.9, "adam_beta2": 0.999, "adam_epsilon": 1e-8, "optim_args": None}
        return SimpleNamespace(
            n_gpu=1, optim="adamw_torch", lr_scheduler_kwargs=None, **{**plain, **given}
        )

    monkeypatch.setattr("vasari.train.trl_config.GRPOConfig", config)
    config_of("grpo", {key: value})
    assert kept[key] == value


@pytest.mark.parametrize(
    ("part", "key", "value", "arrives"),
    [
        ("grpo", "mask_truncated_completions", True, True),
        # YAML 1.1 reads 1e-3 as text.
        ("grpo", "adam_epsilon", "1e-3", 1e-3),
        ("grpo", "vllm_gpu_memory_utilization", 0.5, 0.5),
        ("grpo", "delta", 3, 3.0),
        ("sft", "optim", "sgd", "sgd"),
        ("sft", "neftune_noise_alpha", 5.0, 5.0),
    ],
)
def test_any_other_setting_of_trl_arrives_too(part, key, value, arrives):
    found = getattr(config_of(part, {key: value}), key)
    assert getattr(found, "value", found) == arrives


@pytest.mark.parametrize(
    ("steps", "warmup", "expected"), [(100, 0.05, 5), (84, 0.05, 5), (100, 7, 7), (100, 0, 0)]
)
def test_a_warm_up_below_one_is_a_share_of_the_steps(steps, warmup, expected):
    settings = GrpoSettings(steps=steps, trl={"warmup_steps": warmup})
    assert grpo_config(settings, Path("out"), 0).warmup_steps == expected


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "grpo.trl.epsilon_hgih=0.28",
            r"grpo\.trl: TRL 1\.\d+\.\d+ has no GRPOConfig setting 'epsilon_hgih'; do you mean"
            r" 'epsilon_high'\?",
        ),
        ("grpo.trl.nothing_like_it=1", "has no GRPOConfig setting 'nothing_like_it'; leave it out"),
        # A setting of the other training.
        ("sft.trl.num_completions_to_print=1", "has no SFTConfig setting"),
        ("grpo.trl.epsilon_high=much", r"grpo\.trl\.epsilon_high: .*valid number.*got 'much'"),
        ("grpo.trl.delta=[1]", r"grpo\.trl: 'delta': .*valid number.*got \[1\]"),
        ("grpo.trl.loss_type=gspo", r"grpo\.trl\.loss_type: .*got 'gspo'"),
        ("grpo.trl.lr_scheduler_type=steep", r"grpo\.trl\.lr_scheduler_type: .*got 'steep'"),
        ("grpo.trl.temperature=0", r"grpo\.trl\.temperature: .*greater than 0"),
        (
            "grpo.trl.num_generations=4",
            r"grpo\.trl: Vasari sets 'num_generations' itself; set `rollouts_per_prompt`",
        ),
        ("grpo.trl.max_steps=4", "'max_steps' itself; set `steps`"),
        ("grpo.trl.seed=4", "'seed' itself; set the recipe's `seed`"),
        ("grpo.trl.output_dir=x", "'output_dir' itself; give --out"),
        ("grpo.trl.per_device_train_batch_size=4", "itself; set `micro_batch`"),
        ("grpo.trl.num_iterations=2", "itself; set `updates_per_batch`"),
        ("grpo.trl.save_total_limit=2", "itself; set `keep_checkpoints`"),
        ("grpo.trl.save_steps=2", "itself; set `save_every`"),
        ("grpo.trl.use_vllm=true", "itself; set `vllm`"),
        ("grpo.trl.dataloader_num_workers=2", "itself; leave it out: prompts are read when"),
        ("grpo.trl.remove_unused_columns=true", "itself; leave it out"),
        # Scoring and validation could not follow.
        ("grpo.trl.top_k=5", "itself; leave it out: rollouts that train, refresh and validate"),
        ("grpo.trl.trust_remote_code=true", "a recipe runs no code of others"),
        ("grpo.trl.push_to_hub=true", "a recipe uploads nothing"),
        ("sft.trl.packing=true", "itself; leave it out: batches are made by Vasari"),
        ("sft.trl.gradient_accumulation_steps=2", "itself; set `batch_prompts`"),
        ("sft.trl=3", r"sft\.trl: "),
        ("grpo.trl=[1]", r"grpo\.trl: "),
    ],
)
def test_what_does_not_reach_trl_is_one_error_that_names_the_key(override, message):
    with pytest.raises(ConfigError, match=message) as caught:
        load_recipe(QUICKSTART, [override])
    assert "\n" not in str(caught.value)


def test_all_wrong_keys_are_named_at_once():
    with pytest.raises(ValidationError, match=r"'max_steps'.*; Vasari sets 'seed'"):
        GrpoSettings(trl={"seed": 1, "max_steps": 3})


def test_what_trl_itself_refuses_is_a_configuration_error():
    settings = {"vllm_importance_sampling_clip_min": 3.0, "vllm_importance_sampling_clip_max": 2.0}
    with pytest.raises(ConfigError, match=r"TRL refuses the settings under `trl`: .*clip_min"):
        config_of("grpo", settings)


def test_an_override_changes_one_setting_and_leaves_the_others():
    recipe = load_recipe(QUICKSTART, ["grpo.trl.epsilon_high=0.28"])
    assert recipe.grpo.trl.epsilon_high == 0.28
    assert recipe.grpo.trl.model_copy(update={"epsilon_high": 0.2}) == (
        load_recipe(QUICKSTART).grpo.trl
    )


def test_settings_are_stored_and_read_back_with_what_only_trl_declares():
    settings = GrpoSettings(trl={"delta": "3", "optim": "sgd"})
    assert settings.model_dump(mode="json")["trl"]["delta"] == 3.0
    assert GrpoSettings.model_validate(settings.model_dump(mode="json")) == settings


def test_without_trl_a_recipe_loads_and_other_keys_wait(monkeypatch):
    monkeypatch.setitem(sys.modules, "trl", None)
    trl_settings._types_of.cache_clear()
    try:
        recipe = load_recipe(QUICKSTART, ["grpo.trl.delta=3"])
        with pytest.raises(ConfigError, match="Vasari sets 'seed' itself"):
            load_recipe(QUICKSTART, ["grpo.trl.seed=3"])
    finally:
        trl_settings._types_of.cache_clear()
    assert recipe.grpo.trl.delta == 3


def test_loading_a_recipe_imports_neither_torch_nor_trl():
    code = (
        "import sys; from vasari.run.recipe import load_recipe;"
        f"load_recipe(__import__('pathlib').Path({str(QUICKSTART)!r}));"
        "sys.exit(bool({'torch', 'trl', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("kind", KINDS.values())
def test_declared_settings_and_patterns_name_fields_of_trls_class(kind):
    names = {field.name for field in dataclasses.fields(getattr(trl, kind.config_class))}
    patterns = {**trl_settings._SET_BY_VASARI, **kind.set_by_vasari}
    assert set(kind.model_fields) <= names
    for pattern in kind.set_by_vasari:
        assert fnmatch.filter(names, pattern), pattern
    assert not [n for n in kind.model_fields for p in patterns if fnmatch.fnmatchcase(n, p)]


def test_schedules_and_losses_are_those_of_trl():
    assert set(typing.get_args(Schedule)) <= {schedule.value for schedule in SchedulerType}
    source = inspect.getsource(trl.GRPOTrainer._compute_loss)
    assert all(f'"{loss}"' in source for loss in typing.get_args(Loss))


def test_the_upper_clip_follows_epsilon_as_in_trl_unless_it_is_given():
    assert GrpoTrlSettings().epsilon_high == 0.2
    assert GrpoTrlSettings(epsilon=0.3).epsilon_high == 0.3
    assert GrpoTrlSettings(epsilon=0.3, epsilon_high=0.4).epsilon_high == 0.4


@pytest.mark.parametrize("values", [{"learning_rate": True}, {"max_completion_length": True}])
def test_true_is_no_number(values):
    with pytest.raises(ValidationError, match="expected no true or false"):
        GrpoTrlSettings(**values)

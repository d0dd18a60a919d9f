"""A setting for TRL that would change nothing, or fail once the model is loaded, is refused."""

import inspect
import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from transformers import trainer_optimizer
from transformers.training_args import OptimizerNames

from vasari.core.errors import ConfigError
from vasari.run.recipe import load_recipe
from vasari.run.shrink.settings import shrunk_settings
from vasari.train.settings import GrpoSettings, SftSettings
from vasari.train.trl_config import grpo_config, sft_config, trl_refusals
from vasari.train.trl_dormant import _READS_ADAM, OPTIMIZER_ARGUMENTS

QUICKSTART = Path(__file__).parents[2] / "recipes" / "quickstart.yaml"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["grpo.trl.label_smoothing_factor=0.1"], "'label_smoothing_factor' itself; leave it out"),
        (["grpo.trl.length_column_name=n"], "'length_column_name' itself; leave it out: the sam"),
        (["grpo.trl.neftune_noise_alpha=5"], "'neftune_noise_alpha' itself; .* with the noise"),
        (["grpo.trl.include_num_input_tokens_seen=all"], "metrics.jsonl counts the tokens"),
        (["grpo.trl.max_tool_calling_iterations=2"], "rollouts call no tools"),
        (["grpo.trl.use_transformers_continuous_batching=true"], "set `vllm`"),
        (["grpo.trl.activation_checkpointing=true"], "set `gradient_checkpointing`, its other"),
        (["sft.trl.log_on_each_node=false"], "'log_on_each_node' itself; leave it out"),
        (["sft.trl.train_sampling_strategy=group_by_length"], "all prompts are shuffled in every"),
        (["sft.trl.optim_args=a=1"], "'optim_args': a has no effect with optim: adamw_torch_fused"),
        (["sft.trl.optim_args=much"], "'optim_args': expected name=value, .*got 'much'"),
        (
            ["sft.trl.optim=sgd", "sft.trl.optim_args=momentum=0.9,beta=1"],
            "beta has no effect with optim: sgd; it takes momentum, dampening",
        ),
        (["sft.trl.optim=sgd", "sft.trl.adam_beta1=0.8"], "'adam_beta1' has no effect with optim"),
        (["grpo.trl.optim_target_modules=all-linear"], "'optim_target_modules' has no effect"),
        (
            [
                "grpo.trl.lr_scheduler_type=constant_with_warmup",
                "grpo.trl.lr_scheduler_kwargs={a: 1}",
            ],
            "'lr_scheduler_kwargs' has no effect with lr_scheduler_type: constant_with_warmup",
        ),
        (
            ["grpo.trl.lr_scheduler_type=constant", "grpo.trl.warmup_steps=3"],
            "'warmup_steps' has no effect with lr_scheduler_type: constant",
        ),
        (["sft.trl.gradient_checkpointing_kwargs={a: 1}"], "has no effect with gradient_checkp"),
        (["sft.trl.liger_kernel_config={rope: true}"], "has no effect with use_liger_kernel"),
        (["sft.trl.run_name=first"], "'run_name' has no effect with report_to"),
        (
            ["sft.trl.report_to=wandb", "sft.trl.project=first"],
            "'project' has no effect with report_to: wandb; it is read with trackio",
        ),
        (
            ["sft.trl.loss_type=dft", "sft.trl.label_smoothing_factor=0.1"],
            "'label_smoothing_factor' has no effect with loss_type: dft",
        ),
        (
            ["sft.trl.dataloader_num_workers=0", "sft.trl.dataloader_persistent_workers=true"],
            "'dataloader_persistent_workers' has no effect with dataloader_num_workers: 0",
        ),
        (["grpo.trl.sapo_temperature_pos=2"], "has no effect with loss_type: grpo; .* sapo"),
        (["grpo.trl.vespo_k_pos=3"], "'vespo_k_pos' has no effect with loss_type"),
        (["grpo.trl.loss_type=cispo", "grpo.trl.delta=3"], "'delta' has no effect with loss_type"),
        (["grpo.trl.beta=0", "grpo.trl.sync_ref_model=true"], "'sync_ref_model' has no effect"),
        (["grpo.trl.ref_model_sync_steps=9"], "has no effect with sync_ref_model"),
        (["grpo.trl.entropy_target=0.3"], "'entropy_target' has no effect with use_adaptive"),
        (["grpo.trl.num_completions_to_print=2"], "has no effect with log_completions"),
        (
            [
                "grpo.trl.vllm_importance_sampling_correction=false",
                "grpo.trl.vllm_importance_sampling_clip_max=2",
            ],
            "has no effect with vllm_importance_sampling_correction: False",
        ),
        (["grpo.trl.parallelism_config={cp_size: 2}"], "sequences are not divided"),
        (["sft.trl.optim=adamw_hf"], "'optim': expected one of adamw_torch, .*, got 'adamw_hf'"),
        # What TRL looks at after rollouts were paid for, or the model was loaded.
        (["grpo.trl.multi_objective_aggregation=sum"], "expected one of sum_then_normalize, norm"),
        (["grpo.trl.vllm_importance_sampling_mode=all"], "expected one of token_truncate"),
        (["sft.trl.loss_type=grpo"], "'loss_type': expected one of nll, dft, got 'grpo'"),
    ],
)
def test_a_setting_without_effect_is_refused_in_one_line(overrides, message):
    with pytest.raises(ConfigError, match=message) as caught:
        load_recipe(QUICKSTART, overrides)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "overrides",
    [
        ["sft.trl.optim=sgd", "sft.trl.optim_args=momentum=0.9, nesterov=true"],
        ["sft.trl.label_smoothing_factor=0.1"],
        ["sft.trl.adam_beta1=0.8"],
        ["sft.trl.lr_scheduler_type=cosine_with_min_lr", "sft.trl.lr_scheduler_kwargs={min_lr: 0}"],
        ["sft.trl.report_to=[trackio]", "sft.trl.project=first", "sft.trl.run_name=first"],
        ["grpo.trl.loss_type=sapo", "grpo.trl.sapo_temperature_pos=2"],
        ["grpo.trl.beta=0.1", "grpo.trl.sync_ref_model=true", "grpo.trl.ref_model_sync_steps=9"],
        # Switched off by one override in a recipe that sets all of it.
        ["grpo.vllm=off", "grpo.trl.vllm_gpu_memory_utilization=0.5"],
        ["grpo.trl.beta=0", "grpo.trl.use_bias_correction_kl=false"],
    ],
)
def test_a_setting_that_is_read_is_taken(overrides):
    recipe = load_recipe(QUICKSTART, overrides)
    grpo_config(recipe.grpo, Path("out"), 0)
    sft_config(recipe.sft, Path("out"), 0, num_prompts=640)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"optim": "sgd", "optim_args": "momentum=much"},
            r"trl\.optim: sgd: transformers cannot make this optimizer: could not convert string",
        ),
        (
            {"lr_scheduler_type": "linear", "lr_scheduler_kwargs": {"power": 2}},
            r"trl\.lr_scheduler_type: linear with trl\.lr_scheduler_kwargs \{'power': 2\}",
        ),
        ({"lr_scheduler_type": "cosine_with_min_lr"}, "min_lr or min_lr_rate should be set"),
    ],
)
def test_an_optimizer_or_schedule_that_cannot_be_made_is_refused_without_a_model(settings, message):
    with pytest.raises(ConfigError, match=message):
        grpo_config(GrpoSettings(trl=settings), Path("out"), 0)
    with pytest.raises(ConfigError, match=message):
        sft_config(SftSettings(trl=settings), Path("out"), 0, num_prompts=640)


def test_what_trl_refuses_of_a_model_is_one_line(make_trainer, digit_prompts, tmp_path):
    with pytest.raises(
        ConfigError, match=r"^grpo\.trl: TRL refuses .*`router_aux_loss_coef` is set"
    ) as caught:
        make_trainer(digit_prompts, tmp_path, trl={"router_aux_loss_coef": 0.1})
    assert "\n" not in str(caught.value)


def test_an_error_of_our_own_is_not_called_trls():
    def fail():
        with trl_refusals("sft"):
            raise ValueError("a bug")

    with pytest.raises(ValueError, match=r"^a bug$"):
        fail()


def test_the_table_of_optimizers_has_what_transformers_reads():
    source = inspect.getsource(trainer_optimizer)
    read = set(re.findall(r'optim_args(?:\.get\(|\.pop\(|\[)"(\w+)"', source))
    known = {name for names in OPTIMIZER_ARGUMENTS.values() for name in names}
    assert read <= known
    names = [optimizer.value for optimizer in OptimizerNames]
    for pattern in (*OPTIMIZER_ARGUMENTS, *_READS_ADAM):
        assert any(fnmatchcase(name, pattern) for name in names), pattern


def test_a_shrunk_recipe_has_no_settings_of_the_trackers_and_optimizers_that_it_drops():
    recipe = load_recipe(
        QUICKSTART,
        [
            "sft.trl.report_to=[trackio]",
            "sft.trl.run_name=first",
            "sft.trl.optim=ademamix_8bit",
            "sft.trl.optim_args=beta3=0.9",
        ],
    )
    trl = shrunk_settings(recipe, model_path=None, files={})["sft"]["trl"]
    assert SftSettings(trl=trl).trl.report_to == []

"""Settings through verl's own configuration: what composes, what is refused, what the scripts give."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_module
from omegaconf import open_dict

from vasari.core.errors import ConfigError
from vasari.verl import VarianceAwareTrainer

EXAMPLES = Path(__file__).parents[2] / "examples" / "verl"
OURS = ["trainer.v1.trainer_mode=vasari", "data.dataloader_num_workers=0"]
ROLLOUT = ["actor_rollout_ref.rollout.name=vllm"]


def configuration(*overrides: str):
    with initialize_config_module("verl.trainer.config", version_base=None):
        return compose("ppo_trainer", [*OURS, *ROLLOUT, *overrides])


def test_verl_finds_the_trainer_by_its_name():
    from verl.trainer.ppo.v1 import get_trainer_cls

    assert get_trainer_cls("vasari") is VarianceAwareTrainer


def test_sampler_settings_compose():
    trainer = VarianceAwareTrainer(
        configuration(
            "+vasari.sampler.name=vas",
            "+vasari.sampler.refresh_every=28",
            "+vasari.refill=early",
            "+vasari.max_generations=0",
            "algorithm.filter_groups.enable=True",
        )
    )
    assert trainer.settings.sampler == {"name": "vas", "refresh_every": 28}
    assert (trainer.settings.refill, trainer.settings.max_generations) == ("early", 0)
    assert trainer.trainer_mode == "sync"


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["+vasari.samplr.name=vas"], "vasari has no setting 'samplr'"),
        (["+vasari.refill=never"], "refill must be one of whole, early"),
        (["+vasari.refill=early"], "refill is for groups that are replaced"),
        (["+vasari.max_generations=4"], "max_generations is for dynamic filtering"),
        (["data.dataloader_num_workers=8"], "data.dataloader_num_workers is 8"),
        (
            [
                "trainer.v1.sampler.custom_sampler.path=x.py",
                "trainer.v1.sampler.custom_sampler.name=X",
            ],
            "custom_sampler replaces the replay buffer",
        ),
        (["reward.reward_model.enable=True"], "reward.reward_model shares the GPUs"),
        (["skip.rollout_tq.enable=True"], "skip.rollout_tq replays rollouts"),
        (
            [
                "reward.custom_reward_function.path=pkg://vasari.train.verl_reward",
                "+reward.custom_reward_function.reward_kwargs.rewards=[nothing]",
            ],
            "nothing",
        ),
        (
            [
                "reward.custom_reward_function.path=pkg://vasari.train.verl_reward",
                "+reward.custom_reward_function.reward_kwargs.rewads=[format]",
            ],
            "'rewads' is not known",
        ),
        (
            [
                "reward.custom_reward_function.path=/src/vasari/train/verl_reward.py",
                "+reward.custom_reward_function.reward_kwargs.opend=x",
            ],
            "'opend' is not known",
        ),
    ],
)
def test_what_does_not_go_together_is_refused_in_a_line(overrides, says):
    with pytest.raises(ConfigError, match=says) as error:
        VarianceAwareTrainer(configuration(*overrides))
    assert "\n" not in str(error.value)


def test_reward_terms_compose():
    from verl.trainer.ppo.reward import get_custom_reward_fn

    config = configuration(
        "reward.custom_reward_function.path=pkg://vasari.train.verl_reward",
        "reward.custom_reward_function.name=verified",
        "+reward.custom_reward_function.reward_kwargs.rewards=[accuracy,{name: format, weight: 0.5}]",
        "+reward.custom_reward_function.reward_kwargs.opened='<think>'",
    )
    VarianceAwareTrainer(config)
    score = get_custom_reward_fn(config)
    found = score(
        data_source="quiz",
        solution_str="Two. </think> <answer> \\boxed{2} </answer>",
        ground_truth="2",
        extra_info={"index": 0},
    )
    assert (found["score"], found["verdict"]) == (1.5, "correct")


def overrides_of(script: str, tmp_path: Path, **variables: str) -> list[str]:
    """What a launch script hands to verl, without verl."""
    told = tmp_path / "python"
    told.write_text(
        f"#!{sys.executable}\nimport json, sys\njson.dump(sys.argv[1:], open({str(tmp_path / 'told')!r}, 'w'))\n"
    )
    told.chmod(told.stat().st_mode | stat.S_IXUSR)
    subprocess.run(
        [str(EXAMPLES / script), "+vasari.sampler.power=3"],
        env=os.environ
        | {"PYTHON": str(told), "MODEL": "some/model", "TRAIN": "a.parquet", "VAL": "b.parquet"}
        | variables,
        check=True,
    )
    module, *overrides = json.loads((tmp_path / "told").read_text())[1:]
    assert module == "verl.trainer.main_ppo"
    return overrides


def test_the_launch_script_composes_and_is_taken(tmp_path):
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import validate_config

    overrides = overrides_of("train.sh", tmp_path, NODES="2", BATCH="64")
    with initialize_config_module("verl.trainer.config", version_base=None):
        config = compose("ppo_trainer", overrides)
    validate_config(
        config=config,
        use_reference_policy=need_reference_policy(config),
        use_critic=need_critic(config),
    )
    env = config.ray_kwargs.ray_init.runtime_env.env_vars
    assert env.VERL_USE_EXTERNAL_MODULES == "vasari.verl"
    assert (config.trainer.nnodes, config.data.train_batch_size) == (2, 64)
    trainer = VarianceAwareTrainer(config)
    assert trainer.settings.sampler == {"name": "weighted_passes", "power": 3}


def test_another_version_of_verl_is_refused(monkeypatch):
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0.10.0")
    with pytest.raises(ConfigError, match=r"verl 0\.10\.0 is installed"):
        VarianceAwareTrainer(configuration())


def test_a_section_that_holds_no_settings_is_refused():
    config = configuration()
    with open_dict(config):
        config.vasari = "vas"
    with pytest.raises(ConfigError, match="must hold settings by name"):
        VarianceAwareTrainer(config)

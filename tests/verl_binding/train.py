"""Trains in this process with verl's own task runner: `python train.py ORDERS.json`.

The trainings of the file run one after the other; each is a list of overrides of verl's
configuration, with what the scripted rollouts must know.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import ray
import stand_ins
import transfer_queue as tq
from hydra import compose, initialize_config_module
from verl.trainer.main_ppo import TaskRunnerV1
from verl.trainer.ppo.utils import need_critic, need_reference_policy
from verl.trainer.ppo.v1 import trainer_base
from verl.utils.config import validate_config


def configuration(overrides: list[str]) -> Any:
    """verl's own configuration with these overrides, composed by hydra and checked by verl."""
    with initialize_config_module("verl.trainer.config", version_base=None):
        config = compose("ppo_trainer", overrides)
    validate_config(
        config=config,
        use_reference_policy=need_reference_policy(config),
        use_critic=need_critic(config),
    )
    return config


def train(orders: dict[str, Any]) -> None:
    """One training, by verl's own task runner, without the actor around it."""
    runner = TaskRunnerV1.__ray_metadata__.modified_class()
    runner.run(configuration(orders["overrides"]))
    workers = runner.trainer.actor_rollout_wg
    Path(orders["folder"], "advantages.json").write_text(json.dumps(workers.updates))
    Path(orders["folder"], "fields.json").write_text(json.dumps(workers.fields))


def main(path: Path) -> None:
    """Run the trainings of the file; what ended each is written into its folder."""
    current = path.with_name("current.json")
    ray.init(
        address=os.environ["RAY_ADDRESS"],
        log_to_driver=False,
        runtime_env={"env_vars": {"VASARI_TEST_ORDERS": str(current)}},
    )
    stand_ins.replace_workers(trainer_base)
    stand_ins.keep_workers(trainer_base)
    close = stand_ins.keep_queue(tq)
    for orders in json.loads(path.read_text()):
        current.write_text(json.dumps(orders))
        os.environ["VERL_FILE_LOGGER_PATH"] = str(Path(orders["folder"], "log.jsonl"))
        stand_ins.WorkerGroup.dies_in_update = orders["dies_in_update"]
        problem = ""
        try:
            train(orders)
        except Exception:  # noqa: BLE001  (told in the test)
            problem = traceback.format_exc()
        Path(orders["folder"], "problem.txt").write_text(problem)
    close()
    ray.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

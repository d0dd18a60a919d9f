"""Whether all processes of a training with TRL were given the same pool, sampler and settings."""

from __future__ import annotations

import socket
from typing import Any

from vasari.train.agreement import (
    compare_clocks,
    require_same,
    require_same_rows,
    require_same_versions,
    row_contents,
)
from vasari.train.processes import Processes
from vasari.train.trainer_arguments import prompt_ids_of

_SETTINGS = (
    "seed",
    "max_steps",
    "num_train_epochs",
    "learning_rate",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "steps_per_generation",
    "generation_batch_size",
    "num_generations",
    "num_iterations",
    "max_completion_length",
    "temperature",
    "beta",
    "loss_type",
    "use_vllm",
    "save_strategy",
    "save_steps",
)
"""Settings of TRL with which processes wait for each other, or train differently."""


def require_same_training(trainer: Any, resume_from: str | bool | None) -> None:
    """Raise in all processes if one was given another training; does nothing for a single one.

    Args:
        trainer: A `VarianceAwareGRPOTrainer`.
        resume_from: What its `train` was given.

    Raises:
        StateError: Names the process, its machine, and what differs.
    """
    accelerator = trainer.accelerator
    if accelerator.num_processes == 1:
        return
    processes = Processes(
        rank=accelerator.process_index,
        count=accelerator.num_processes,
        host=socket.gethostname(),
    )
    require_same_versions(processes)
    run, pool, args = trainer.loop.run, trainer.train_dataset, trainer.args
    names = {"sampler": run.sampler.state_dict()["sampler"], "gate": run.gate.state_dict()["gate"]}
    facts = {
        **{what: {"name": name} | run.settings().get(what, {}) for what, name in names.items()},
        "args": {name: str(getattr(args, name, None)) for name in _SETTINGS},
        "resume_from_checkpoint": str(resume_from),
    }
    require_same(processes, facts, advice="start the same script on every machine")
    # A data set that makes its rows when they are read was compared by whoever made it.
    if "prompt" in (pool.column_names or ()):
        ids = prompt_ids_of(pool) or ()
        require_same_rows(processes, "train_dataset", ids, row_contents(pool))
    compare_clocks(processes)

"""Trainings in processes of their own: `python training_process.py JSON`, also under torchrun.

The JSON says of one training which trainer, its arguments, and whether to die at a step; the main
process writes what was logged, the prompts that were drawn, and digests of the weights. Of a list
each runs after the other, in as many processes as it says. Those are copies of this one, in which
nothing was computed: importing TRL takes ten times as long as a small training.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from datasets import Dataset
from torch.multiprocessing import ProcessExitedException, start_processes
from transformers import TrainerCallback
from trl import GRPOTrainer

import conftest as small
from vasari.train import processes
from vasari.trl import LoopOptions, VarianceAwareGRPOTrainer


class Die(TrainerCallback):
    """Kills the process without a word when a step begins."""

    def __init__(self, step: int | None) -> None:
        self.step = step

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


def train(settings: dict[str, Any]) -> None:
    """Train as the settings say, in this process, or with those that torchrun started beside it."""
    drawn: list[list[int]] = []
    rows = small.text_rows(settings.get("num_rows", 12))
    ours = settings["trainer"] == "ours"
    pool = rows if ours else small.drawn_order(rows, batch=4)
    arguments = dict(settings.get("arguments", {})) if ours else {}
    if ours:
        arguments["options"] = LoopOptions(
            record=lambda groups, _: drawn.append([group.rollouts[0].index for group in groups]),
            max_generations=settings.get("max_generations", 4),
        )
    trainer = (VarianceAwareGRPOTrainer if ours else GRPOTrainer)(
        settings["model"],
        [small.even_sum, small.first_token],
        small.config(Path(settings["out"]) / "run", **settings.get("config", {})),
        Dataset.from_list(pool),
        callbacks=[Die(settings.get("die_at"))],
        **arguments,
    )
    assert trainer.accelerator.num_processes == settings["processes"]
    trainer.train(resume_from_checkpoint=settings.get("resume") or None)
    if trainer.accelerator.is_main_process:
        weights = {name: _digest(value) for name, value in small.weights_of(trainer).items()}
        facts = {"logged": small.logged(trainer), "weights": weights, "drawn": drawn}
        if ours:
            facts["rollouts"] = dict(trainer.loop.run.ledger.rollouts)
        Path(settings["facts"]).write_text(json.dumps(facts))


def train_in_processes(settings: dict[str, Any]) -> None:
    """Train in copies of this process; one that was told to die must do so."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    number = settings["processes"]
    try:
        start_processes(_one_of, (settings, port), nprocs=number, start_method="fork")
    except ProcessExitedException as error:
        if settings.get("die_at") is None or error.signal_name != "SIGKILL":
            raise
    else:
        assert settings.get("die_at") is None, "it outlived the step at which it was to die"


def _one_of(rank: int, settings: dict[str, Any], port: int) -> None:
    if settings["processes"] > 1:
        named = {"RANK": rank, "LOCAL_RANK": rank, "MASTER_PORT": port}
        named |= dict.fromkeys(("WORLD_SIZE", "LOCAL_WORLD_SIZE"), settings["processes"])
        os.environ |= {name: str(value) for name, value in named.items()}
        os.environ["MASTER_ADDR"] = "127.0.0.1"
    with processes.start_processes():
        train(settings)


def _digest(weight: Any) -> str:
    return hashlib.sha256(weight.detach().cpu().contiguous().numpy().tobytes()).hexdigest()


if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    if isinstance(told, list):
        for settings in told:
            train_in_processes(settings)
    else:
        # Ends the group of processes also where a trainer lies about in a cycle: gloo's threads
        # would abort the process.
        with processes.start_processes():
            train(told)

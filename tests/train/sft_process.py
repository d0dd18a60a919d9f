"""A small cold start, run by torchrun: MODEL OUT SETTINGS, the last as JSON.

Eleven prompts without, with one and with two images, eight a step: the second step of each pass has
three, which neither two nor four processes can share alike. With `kill`, the process of that rank
ends itself at the third step.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from stand_ins import SYSTEM, held_out_pool, mixed_pool
from transformers import Trainer

from vasari.model.processor import load_processor
from vasari.train.processes import start_processes
from vasari.train.settings import SftSettings
from vasari.train.sft import train_supervised
from vasari.train.weights import load_weights

SETTINGS: dict[str, Any] = {
    "epochs": 2,
    "batch_prompts": 8,
    "micro_batch": 2,
    "validate_every": 1,
    "trl": {"learning_rate": 1e-3, "warmup_steps": 0, "dataloader_num_workers": 0},
}


def train(model: str, out: Path, *, resume: bool = False, **changes: Any) -> dict[str, float]:
    """Train from a model folder, in as many processes as there are."""
    settings = SftSettings(**(SETTINGS | changes))
    return train_supervised(
        load_weights(model, settings, seed=0),
        load_processor(model),
        train=mixed_pool(3)[:11],
        validation=held_out_pool(1)[:3],
        settings=settings,
        system=SYSTEM,
        out=out,
        seed=0,
        resume=resume,
    )


def kill_at_the_third_step(rank: str) -> None:
    """Let the process of this rank end itself like a machine that is switched off."""
    step = Trainer.training_step

    def training_step(trainer: Any, *args: Any, **kwargs: Any) -> Any:
        if trainer.state.global_step == 2 and os.environ["RANK"] == rank:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(trainer, *args, **kwargs)

    Trainer.training_step = training_step


if __name__ == "__main__":
    changes = json.loads(sys.argv[3])
    if "kill" in changes:
        kill_at_the_third_step(changes.pop("kill"))
    with start_processes():
        train(sys.argv[1], Path(sys.argv[2]), **changes)

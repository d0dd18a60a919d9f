"""One training in a process of its own: `python training_process.py JSON`; under torchrun on
several.

The settings say which trainer, its arguments, and whether to die at a step; the main process writes
what was logged, the prompts that were drawn, and digests of the weights.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any


def main(settings: dict[str, Any]) -> None:
    """Train as the settings say."""
    sys.path.insert(0, str(Path(__file__).parent))
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import GRPOTrainer

    import conftest as small
    from vasari.trl import LoopOptions, VarianceAwareGRPOTrainer

    class Die(TrainerCallback):
        """Kills the process without a word once a step is done and saved."""

        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == settings.get("die_at"):
                os.kill(os.getpid(), signal.SIGKILL)

    drawn: list[list[int]] = []
    rows = small.text_rows(settings.get("num_rows", 12))
    ours = settings["trainer"] == "ours"
    batch = settings.get("batch", 4)
    pool = rows if ours else small.drawn_order(rows, batch=batch, passes=settings.get("passes", 1))
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
        callbacks=[Die()],
        **arguments,
    )
    if settings.get("expect_processes"):
        assert trainer.accelerator.num_processes == settings["expect_processes"]
    trainer.train(resume_from_checkpoint=settings.get("resume") or None)
    if trainer.accelerator.is_main_process:
        weights = {name: _digest(value) for name, value in small.weights_of(trainer).items()}
        facts = {"logged": small.logged(trainer), "weights": weights, "drawn": drawn}
        if ours:
            facts["rollouts"] = dict(trainer.loop.run.ledger.rollouts)
        (Path(settings["out"]) / "facts.json").write_text(json.dumps(facts))


def _digest(weight: Any) -> str:
    return hashlib.sha256(weight.detach().cpu().contiguous().numpy().tobytes()).hexdigest()


if __name__ == "__main__":
    from vasari.train.processes import start_processes

    # Ends the group of processes also where a trainer lies about in a cycle: gloo's threads would
    # abort the process.
    with start_processes():
        main(json.loads(sys.argv[1]))

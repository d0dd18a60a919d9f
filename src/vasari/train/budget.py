"""Budgets of rollouts and of minutes: training ends when one is spent, whatever it was spent on."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

from accelerate.utils import broadcast_object_list
from transformers import TrainerCallback

from vasari.core.ledger import Ledger
from vasari.train.run_state import read_run_file
from vasari.train.settings import GrpoSettings


class StopAtBudget(TrainerCallback):  # type: ignore[misc]
    """Ends training after the batch that spends the last rollout of `settings.max_rollouts` or the
    last of its minutes.
    """

    def __init__(self, ledger: Ledger, settings: GrpoSettings) -> None:
        self._ledger = ledger
        self._settings = settings
        self._started = math.inf

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clock."""
        self._started = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Stop between two batches, never between the updates of one."""
        rollouts, minutes = self._settings.max_rollouts, self._settings.max_minutes
        if (
            rollouts is None and minutes is None
        ) or state.global_step % self._settings.updates_per_batch:
            return
        spent = rollouts is not None and self._ledger.total_rollouts >= rollouts
        late = minutes is not None and time.monotonic() - self._started > 60 * minutes
        # The main process keeps the ledger and the clock.
        stop: list[Any] = [spent or late]
        broadcast_object_list(stop, from_process=0)
        if stop[0]:
            control.should_training_stop = True


def within_budget(settings: GrpoSettings, checkpoint: Path | None) -> GrpoSettings:
    """The settings, with the checkpoint's step as the last one where the budget is spent by
    then.
    """
    if settings.max_rollouts is None or checkpoint is None:
        return settings
    if sum(read_run_file(checkpoint)["ledger"]["rollouts"].values()) < settings.max_rollouts:
        return settings
    return settings.model_copy(update={"steps": int(checkpoint.name.removeprefix("checkpoint-"))})

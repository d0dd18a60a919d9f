"""What a sampler thought of every prompt, after each scoring: the paper's figure 3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from transformers import TrainerCallback

from vasari.core.files import writing
from vasari.sample import PromptSampler

MAX_SNAPSHOTS = 40


class ScoreSnapshots(TrainerCallback):  # type: ignore[misc]
    """Keeps the scores after each refresh, or at even distances when a sampler never refreshes."""

    def __init__(self, sampler: PromptSampler, path: Path, *, updates_per_batch: int) -> None:
        self._sampler = sampler
        self._path = path
        self._updates_per_batch = updates_per_batch
        self._steps: list[int] = []
        self._scores: list[Any] = []
        self._every = 1

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Take up the record of a resumed run."""
        # The sampler counts batches, the trainer updates.
        self._every = max(
            1, self._sampler.refresh_every * self._updates_per_batch or state.max_steps // 10
        )
        if state.global_step and self._path.exists():
            with np.load(self._path, allow_pickle=False) as old:
                kept = old["step"] <= state.global_step
                self._steps = [int(s) for s in old["step"][kept]]
                self._scores = list(old["vps"][kept])

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Take a snapshot when the scores have changed much."""
        if not state.is_world_process_zero or len(self._steps) >= MAX_SNAPSHOTS:
            return
        scores = self._sampler.scores()
        if scores is None:
            return
        now = scores.astype(np.float32)
        if self._scores and (
            state.global_step - self._steps[-1] < self._every
            or np.array_equal(now, self._scores[-1])
        ):
            return
        self._steps.append(state.global_step)
        self._scores.append(now)
        steps = np.array(self._steps)
        batches = steps // self._updates_per_batch
        with writing(self._path) as file:
            np.savez_compressed(file, step=steps, batch=batches, vps=np.stack(self._scores))

"""Accuracy on validation prompts while training, and the best weights kept beside the last."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, extract_model_from_parallel, gather_object
from transformers import TrainerCallback

from vasari.core.records import Prompt
from vasari.evaluate.statistics import accuracy
from vasari.model.base import Decoding
from vasari.model.transformers_policy import TransformersPolicy
from vasari.train.callbacks import append_to_log, read_log, write_log
from vasari.train.checkpoints import save_model
from vasari.train.groups import verify_prompt
from vasari.train.run_state import RunState


class Validator(TrainerCallback):  # type: ignore[misc]
    """Measures validation accuracy every few steps and keeps the best weights in `best`."""

    def __init__(
        self,
        prompts: Sequence[Prompt],
        decoding: Decoding,
        *,
        run: RunState,
        system: str,
        every: int,
        seed: int,
        folder: Path,
    ) -> None:
        self.best = -math.inf
        self.best_step = 0
        self._prompts = prompts
        self._decoding = decoding
        self._run = run
        self._system = system
        self._every = every
        self._seed = seed
        self._folder = folder

    def on_train_begin(
        self,
        args: Any,
        state: Any,
        control: Any,
        model: Any = None,
        processing_class: Any = None,
        **_: Any,
    ) -> None:
        """Measure the start; on a resumed run, continue the record from the checkpoint."""
        if state.global_step == 0:
            self._record_path.unlink(missing_ok=True)
            self._measure(state, model, processing_class)
            return
        rows = [row for row in read_log(self._record_path) if row["step"] <= state.global_step]
        if state.is_world_process_zero:
            write_log(self._record_path, rows)
        for row in rows:
            if row["accuracy"] > self.best:
                self.best, self.best_step = row["accuracy"], row["step"]

    def on_step_end(
        self,
        args: Any,
        state: Any,
        control: Any,
        model: Any = None,
        processing_class: Any = None,
        **_: Any,
    ) -> None:
        """Measure every few steps and at the end."""
        if (
            state.global_step % self._every == 0
            or state.global_step >= state.max_steps
            or control.should_training_stop
        ):
            self._measure(state, model, processing_class)

    @property
    def _record_path(self) -> Path:
        return self._folder / "validation.jsonl"

    def _measure(self, state: Any, wrapped: Any, processor: Any) -> None:
        if not self._prompts:
            return
        processes, model = PartialState(), extract_model_from_parallel(wrapped)
        mine = self._prompts[processes.process_index :: processes.num_processes]
        policy = TransformersPolicy(model, processor, system=self._system)
        # The same random numbers at every step: changes of accuracy are changes of the policy.
        groups = policy.generate(mine, self._decoding, seed=self._seed + processes.process_index)
        solved = [
            [verify_prompt(p, r.text).value for r in group]
            for p, group in zip(mine, groups, strict=True)
        ]
        everyone: list[list[float]] = gather_object(solved)
        if processes.is_main_process:
            self._record(state, model, processor, everyone)
        box: list[Any] = [(self.best, self.best_step)]
        broadcast_object_list(box, from_process=0)
        self.best, self.best_step = box[0]

    def _record(self, state: Any, model: Any, processor: Any, verdicts: list[list[float]]) -> None:
        interval = accuracy([np.array(v) for v in verdicts], seed=self._seed).interval
        row = {
            "schema": 1,
            "step": state.global_step,
            "batch": self._run.batch,
            "accuracy": interval.mean,
            "low": interval.low,
            "high": interval.high,
            "n": interval.n,
            "rollouts": self._run.ledger.total_rollouts,
            "tokens": sum(self._run.ledger.tokens.values()),
            "rollouts_validation": sum(len(v) for v in verdicts),
        }
        append_to_log(self._record_path, row)
        if interval.mean > self.best:
            self.best, self.best_step = interval.mean, state.global_step
            save_model(model, processor, self._folder / "best")

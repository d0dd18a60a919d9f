"""Trainer callbacks: progress, metric log, validation, score snapshots, budgets."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object
from transformers import TrainerCallback

from vasari.core.files import append_lines, write_bytes, writing
from vasari.core.ledger import Ledger
from vasari.core.progress import Tell
from vasari.core.records import Prompt
from vasari.data.rows import read_rows
from vasari.evaluate.statistics import accuracy
from vasari.model.base import Decoding, Policy
from vasari.sample import PromptSampler
from vasari.train.groups import verify_prompt
from vasari.train.run_state import RunState
from vasari.train.settings import GrpoSettings

MAX_SNAPSHOTS = 40


class TellProgress(TrainerCallback):  # type: ignore[misc]
    """Trainer callback that reports how many steps are done, with the last loss or reward."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._note = ""
        self._done = 0
        self._total = 1

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Store the current training step and the total number of steps, for progress reports."""
        self._done, self._total = state.global_step, state.max_steps

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Report the number of finished training steps."""
        self._done = state.global_step
        self._tell(state.global_step, state.max_steps, self._note)

    def scoring(self, done: int, total: int, note: str = "") -> None:
        """Report progress while prompts are rolled out and scored between two training steps."""
        self._tell(self._done, self._total, f"scoring prompts {done}/{total} {note}".rstrip())

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        """Store the last loss, reward and accuracy, to show them next to the step count."""
        shown = [
            (name, (logs or {}).get(name))
            for name in ("loss", "eval_loss", "reward", "validation/accuracy")
        ]
        notes = [f"{name} {value:.3f}" for name, value in shown if isinstance(value, float)]
        self._note = ", ".join(notes) or self._note


class MetricLog(TrainerCallback):  # type: ignore[misc]
    """Trainer callback that appends the logged metrics to a JSONL file.

    A resumed run drops the lines after its checkpoint.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Drop log lines later than the resumed checkpoint; start an empty log for a new run."""
        if not state.is_world_process_zero:
            return
        rows = read_log(self._path) if state.global_step > 0 else []
        write_log(self._path, [row for row in rows if row.get("step", 0) <= state.global_step])

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        """Append the numbers that the trainer logs to the JSONL file, as one line."""
        if not state.is_world_process_zero or not logs:
            return
        numbers = {
            k: v
            for k, v in logs.items()
            if isinstance(v, int | float) and not (isinstance(v, float) and math.isnan(v))
        }
        row = {"schema": 1, "step": state.global_step, "time": round(time.time(), 3), **numbers}
        append_to_log(self._path, row)


class Validator(TrainerCallback):  # type: ignore[misc]
    """Trainer callback that measures validation accuracy and saves the weights that score best."""

    def __init__(
        self,
        prompts: Sequence[Prompt],
        decoding: Decoding,
        *,
        run: RunState,
        every: int,
        seed: int,
        folder: Path,
        share: Callable[[int], Sequence[int]],
        policy: Callable[[], AbstractContextManager[Policy]],
        save: Callable[[Path], None],
    ) -> None:
        self.best = -math.inf
        self.best_step = 0
        self._prompts = prompts
        self._decoding = decoding
        self._run = run
        self._every = every
        self._seed = seed
        self._folder = folder
        self._share = share
        self._policy = policy
        self._save = save

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Measure validation accuracy before the first step; on resuming, read earlier results."""
        if state.global_step == 0:
            self._record_path.unlink(missing_ok=True)
            self._measure(state)
            return
        if state.is_world_process_zero:
            self._resume_at(state.global_step)
        self._share_best()

    def _resume_at(self, step: int) -> None:
        """Forget what was measured after the checkpoint, and find the best step before it."""
        rows = read_log(self._record_path)
        kept = [row for row in rows if row["step"] <= step]
        write_log(self._record_path, kept)
        for row in kept:
            if row["accuracy"] > self.best:
                self.best, self.best_step = row["accuracy"], row["step"]
        if any(row["accuracy"] > self.best for row in rows):
            # The folder `best` holds weights of a step that is lost: the next measurement is saved.
            self.best, self.best_step = -math.inf, 0

    def _share_best(self) -> None:
        box: list[Any] = [(self.best, self.best_step)]
        broadcast_object_list(box, from_process=0)
        self.best, self.best_step = box[0]

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Measure validation accuracy every few steps and at the end of training."""
        if (
            state.global_step % self._every == 0
            or state.global_step >= state.max_steps
            or control.should_training_stop
        ):
            self._measure(state)

    @property
    def _record_path(self) -> Path:
        return self._folder / "validation.jsonl"

    def _measure(self, state: Any) -> None:
        if not self._prompts:
            return
        processes = PartialState()
        places = self._share(len(self._prompts))
        mine = [self._prompts[place] for place in places]
        # The same random numbers at every step: changes of accuracy are changes of the policy.
        seed = self._seed + processes.process_index
        with self._policy() as policy:
            groups = policy.generate(mine, self._decoding, seed=seed)
        solved = [
            (place, [verify_prompt(prompt, rollout.text).value for rollout in group])
            for place, prompt, group in zip(places, mine, groups, strict=True)
        ]
        # A prompt that comes twice only makes the processes' shares equal.
        everyone: dict[int, list[float]] = {}
        for place, verdicts in gather_object(solved):
            everyone.setdefault(place, verdicts)
        known = self.best
        if processes.is_main_process:
            self._record(state, list(everyone.values()))
        self._share_best()
        if self.best > known:
            self._save(self._folder / "best")

    def _record(self, state: Any, verdicts: list[list[float]]) -> None:
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


class ScoreSnapshots(TrainerCallback):  # type: ignore[misc]
    """Trainer callback that saves the prompt sampler's scores of all prompts at several steps.

    As in the paper's figure 3: after each refresh, or at even distances for a sampler that never
    refreshes.
    """

    def __init__(self, sampler: PromptSampler, path: Path, *, updates_per_batch: int) -> None:
        self._sampler = sampler
        self._path = path
        self._updates_per_batch = updates_per_batch
        self._steps: list[int] = []
        self._scores: list[Any] = []
        self._every = 1

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Load the snapshots of prompt scores that were saved before the resumed checkpoint."""
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
        """Save the sampler's scores of all prompts if a snapshot is due and they have changed."""
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
        batches = (steps - 1) // self._updates_per_batch  # the last whose rollouts count, from 0
        with writing(self._path) as file:
            np.savez_compressed(file, step=steps, batch=batches, vps=np.stack(self._scores))


class StopAtMinutes(TrainerCallback):  # type: ignore[misc]
    """Trainer callback that stops supervised training when its wall-clock budget is spent."""

    def __init__(self, minutes: float | None) -> None:
        self._seconds = math.inf if minutes is None else 60 * minutes
        self._started = math.inf

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start measuring the wall-clock time of the training."""
        self._started = time.monotonic()

    @property
    def is_spent(self) -> bool:
        """Whether the wall-clock budget is used up."""
        return time.monotonic() - self._started > self._seconds

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Stop training once the budget is used up, after a last validation and checkpoint."""
        if math.isinf(self._seconds):
            return
        # The main process keeps the clock.
        spent: list[Any] = [self.is_spent]
        broadcast_object_list(spent, from_process=0)
        if spent[0]:
            control.should_training_stop = True
            control.should_evaluate = True
            control.should_save = True


class StopAtBudget(StopAtMinutes):
    """Trainer callback that stops GRPO after the batch that uses up the rollout or time budget."""

    def __init__(self, ledger: Ledger, settings: GrpoSettings) -> None:
        super().__init__(settings.max_minutes)
        self._ledger = ledger
        self._settings = settings

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Stop training once rollouts or time are used up, after the last update on a batch."""
        rollouts, minutes = self._settings.max_rollouts, self._settings.max_minutes
        if (
            rollouts is None and minutes is None
        ) or state.global_step % self._settings.updates_per_batch:
            return
        spent = rollouts is not None and self._ledger.total_rollouts >= rollouts
        # The main process keeps the ledger and the clock.
        stop: list[Any] = [spent or self.is_spent]
        broadcast_object_list(stop, from_process=0)
        if stop[0]:
            control.should_training_stop = True


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a JSONL log, without lines cut off by a crash; [] if there is no file."""
    rows = read_rows(path) if path.exists() else ()
    return [row.values for row in rows if row.values is not None]


def write_log(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Overwrite a JSONL log with `rows`; after a crash the file has all old or all new rows."""
    write_bytes(path, "".join(json.dumps(row) + "\n" for row in rows).encode())


def append_to_log(path: Path, row: Mapping[str, Any]) -> None:
    """Append one row to a JSONL log.

    Raises:
        StorageError: The disk refused.
    """
    append_lines(path, [json.dumps(row) + "\n"])

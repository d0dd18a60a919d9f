"""What a person and a report see of a training run: progress, and every metric as a line of JSON."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from vasari.progress import Tell


class TellProgress(TrainerCallback):  # type: ignore[misc]
    """Tells how many steps are done, with the last loss or reward as a note."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._note = ""

        self._done = 0
        self._total = 1

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Learn how many steps there are."""
        self._done, self._total = state.global_step, state.max_steps

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Report after every step."""
        self._done = state.global_step
        self._tell(state.global_step, state.max_steps, self._note)

    def scoring(self, done: int, total: int, note: str = "") -> None:
        """Report that prompts are being scored between two steps."""
        self._tell(self._done, self._total, f"scoring prompts {done}/{total} {note}".rstrip())

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """Remember what to show beside the count."""
        shown = [(name, (logs or {}).get(name)) for name in ("loss", "eval_loss", "reward", "validation/accuracy")]
        notes = [f"{name} {value:.3f}" for name, value in shown if isinstance(value, float)]
        self._note = ", ".join(notes) or self._note


class MetricLog(TrainerCallback):  # type: ignore[misc]
    """Appends every logged metric to a JSONL file; a resumed run drops the lines after its checkpoint."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Forget what a crashed attempt logged beyond the checkpoint that is resumed."""
        if not state.is_world_process_zero:
            return
        kept = []
        if self._path.exists() and state.global_step > 0:
            for line in self._path.read_text().splitlines():
                try:
                    row = json.loads(line)
                except json.JSONDecodeError:  # the line that the crash cut off
                    continue
                if row.get("step", 0) <= state.global_step:
                    kept.append(line)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text("".join(line + "\n" for line in kept))

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
        """Write one line."""
        if not state.is_world_process_zero or not logs:
            return
        numbers = {k: v for k, v in logs.items() if isinstance(v, int | float) and not (isinstance(v, float) and math.isnan(v))}
        row = {"schema": 1, "step": state.global_step, "time": round(time.time(), 3), **numbers}
        with self._path.open("a") as file:
            file.write(json.dumps(row) + "\n")

"""What a person and a report see of a training run: progress, and every metric as a line of
JSON.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from vasari.core.files import append_lines, write_bytes
from vasari.core.progress import Tell


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

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        """Remember what to show beside the count."""
        shown = [
            (name, (logs or {}).get(name))
            for name in ("loss", "eval_loss", "reward", "validation/accuracy")
        ]
        notes = [f"{name} {value:.3f}" for name, value in shown if isinstance(value, float)]
        self._note = ", ".join(notes) or self._note


class MetricLog(TrainerCallback):  # type: ignore[misc]
    """Appends every logged metric to a JSONL file; a resumed run drops the lines after its
    checkpoint.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Forget what a crashed attempt logged beyond the checkpoint that is resumed."""
        if not state.is_world_process_zero:
            return
        rows = read_rows(self._path) if state.global_step > 0 else []
        write_rows(self._path, [row for row in rows if row.get("step", 0) <= state.global_step])

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        """Write one line."""
        if not state.is_world_process_zero or not logs:
            return
        numbers = {
            k: v
            for k, v in logs.items()
            if isinstance(v, int | float) and not (isinstance(v, float) and math.isnan(v))
        }
        row = {"schema": 1, "step": state.global_step, "time": round(time.time(), 3), **numbers}
        append_row(self._path, row)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSONL file, none when it is missing; a line that a crash cut off is dropped."""
    rows = []
    for line in path.read_text(errors="replace").splitlines() if path.exists() else []:
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a JSONL file anew; it holds either the old rows or the new ones."""
    write_bytes(path, "".join(json.dumps(row) + "\n" for row in rows).encode())


def append_row(path: Path, row: Mapping[str, Any]) -> None:
    """Add a row to a JSONL file.

    Raises:
        StorageError: The disk refused.
    """
    append_lines(path, [json.dumps(row) + "\n"])

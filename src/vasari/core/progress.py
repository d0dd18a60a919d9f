"""Progress of one stage: a bar on a terminal, a line every few seconds in a log file."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

SECONDS_BETWEEN_LINES = 15.0


class Tell(Protocol):
    """Callback that shows how much of a stage of work is done, with a note, e.g. the loss."""

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Show that `done` of `total` units of work are done."""
        ...


def silent(done: int, total: int, note: str = "") -> None:
    """Do nothing; a progress callback for callers that want no display."""


@contextmanager
def stage(name: str) -> Iterator[Tell]:
    """Context manager that yields a callback to show progress, and prints the time on exit."""
    if os.environ.get("RANK", "0") != "0":  # under torchrun only the main process shows progress
        yield silent
        return
    console = Console(stderr=True)
    started = time.monotonic()
    if console.is_terminal:
        columns = (
            TextColumn("{task.description:<28}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(
            *columns,
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            transient=True,
        ) as bar:
            task = bar.add_task(name, total=None, note="")
            yield lambda done, total, note="": bar.update(
                task, completed=done, total=total, note=note
            )
    else:
        yield _Lines(name)
    console.print(f"{name}: done in {_spell(time.monotonic() - started)}", highlight=False)


class _Lines:
    """Progress for logs: one plain line every few seconds."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._started = time.monotonic()
        self._last = self._started

    def __call__(self, done: int, total: int, note: str = "") -> None:
        now = time.monotonic()
        if now - self._last < SECONDS_BETWEEN_LINES or done <= 0:
            return
        self._last = now
        left = (now - self._started) / done * max(0, total - done)
        sys.stderr.write(
            f"{self._name}: {done}/{total}, about {_spell(left)}"
            f" left{'; ' + note if note else ''}\n"
        )
        sys.stderr.flush()


def _spell(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"

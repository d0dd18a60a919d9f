"""Progress of one stage: a bar on a terminal, a line every few seconds in a log file."""

from __future__ import annotations

import math
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
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

SECONDS_BETWEEN_LINES = 15.0
_MOST_NOTES = 400
_RISE = 1.1
"""Factor by which units take longer in each third of the time, for that to be expected to go on."""


class Tell(Protocol):
    """Callback that shows how much of a stage of work is done, with a note, e.g. the loss."""

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Show that `done` of `total` units of work are done."""
        ...


def silent(done: int, total: int, note: str = "") -> None:
    """Do nothing; a progress callback for callers that want no display."""


class Pace:
    """Estimate of the time left, from when how much was done.

    It goes by the later half of the time so far, since a run that goes on begins with what is there
    already; where units take longer and longer, what is left is expected to go on like that, up to
    twice as long.
    """

    def __init__(self, started: float) -> None:
        self._seen = [(started, 0.0)]

    def tell(self, now: float, done: float) -> None:
        """Note that so much is done at a time in seconds; earlier notes of more are forgotten."""
        while len(self._seen) > 1 and self._seen[-1][1] > done:
            self._seen.pop()
        # By time, for a thousand notes of the last second would leave none of the first hour.
        apart = (now - self._seen[0][0]) / _MOST_NOTES
        if len(self._seen) > 2 and now - self._seen[-2][0] < apart:
            self._seen.pop()
        self._seen.append((now, done))
        if len(self._seen) > _MOST_NOTES:
            del self._seen[1::2]

    def seconds_left(self, now: float, total: float) -> float | None:
        """Seconds until all is done; None before anything is."""
        started, done = self._seen[0][0], self._seen[-1][1]
        if done <= 0 or now <= started:
            return None
        passed = now - started
        mean, late = passed / done, self._each(now - passed / 2, now)
        if late < mean:
            # A start that was slow by chance counts; one that was read from the disk does not.
            late = mean**0.6 * late**0.4
        each = mean if late == math.inf else late
        thirds = [
            self._each(started + n * passed / 3, started + (n + 1) * passed / 3) for n in (0, 1, 2)
        ]
        if thirds[0] * _RISE < thirds[1] and thirds[1] * _RISE < thirds[2] < math.inf:
            marks = [self._done_at(started + n * passed / 6) for n in (3, 5)]
            rise = (thirds[2] - thirds[1]) / max(marks[1] - marks[0], 1e-9)
            each = min(late + rise * ((total + done) / 2 - marks[1]), 2 * late)
        return each * max(0.0, total - done)

    def _each(self, start: float, end: float) -> float:
        """Seconds for each unit between two moments; infinite where none was done."""
        done = self._done_at(end) - self._done_at(start)
        return (end - start) / done if done > 0 else math.inf

    def _done_at(self, moment: float) -> float:
        """How much was done at a moment, on a straight line between two notes."""
        before, after = self._seen[0], self._seen[-1]
        for note in self._seen:
            if note[0] > moment:
                after = note
                break
            before = note
        if after[0] <= before[0]:
            return before[1]
        share = min(1.0, (moment - before[0]) / (after[0] - before[0]))
        return before[1] + share * (after[1] - before[1])


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
        pace = Pace(started)
        with Progress(
            *columns,
            _LeftColumn(pace),
            TextColumn("{task.fields[note]}"),
            console=console,
            transient=True,
        ) as bar:
            task = bar.add_task(name, total=None, note="")

            def show(done: int, total: int, note: str = "") -> None:
                pace.tell(time.monotonic(), done)
                bar.update(task, completed=done, total=total, note=note)

            yield show
    else:
        yield _Lines(name)
    console.print(f"{name}: done in {_spell(time.monotonic() - started)}", highlight=False)


class _LeftColumn(ProgressColumn):
    """The time left, estimated when it is shown and not whenever something is done."""

    def __init__(self, pace: Pace) -> None:
        super().__init__()
        self._pace = pace

    def render(self, task: Task) -> Text:
        """Return the time left of a task, in words; nothing before anything is done."""
        left = self._pace.seconds_left(time.monotonic(), task.total or 0.0)
        return Text("" if left is None else f"about {_spell(left)} left")


class _Lines:
    """Progress for logs: one plain line every few seconds."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._last = time.monotonic()
        self._pace = Pace(self._last)

    def __call__(self, done: int, total: int, note: str = "") -> None:
        now = time.monotonic()
        self._pace.tell(now, done)
        if now - self._last < SECONDS_BETWEEN_LINES:
            return
        left = self._pace.seconds_left(now, total)
        if left is None:
            return
        self._last = now
        sys.stderr.write(
            f"{self._name}: {done}/{total}, about {_spell(left)}"
            f" left{'; ' + note if note else ''}\n"
        )
        sys.stderr.flush()


def _spell(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"

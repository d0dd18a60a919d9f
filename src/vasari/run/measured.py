"""Time and memory of a run's stages, over all attempts: also of those that were killed."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from vasari.core.errors import VasariError
from vasari.core.files import read_json, write_json
from vasari.run.layout import RunDir

_RECORD_EVERY = 5.0
"""Seconds between records of a stage that is under way: what a killed attempt loses at most."""


@contextlib.contextmanager
def measured(run: RunDir, name: str, *, continued: bool = False) -> Iterator[dict[str, Any]]:
    """Context manager around a stage of a run; records its results, times and peak memory.

    Times are seconds, and `cpu_seconds` of all its threads, which say more on a busy machine.
    Results are what the stage puts into the dict; all is written into the run's folder, with
    `resumed`, how often the stage was begun before. A file in `stages/attempts` is kept up to date
    meanwhile, so that the time of an attempt that is killed counts.

    Args:
        run: The run.
        name: The stage's.
        continued: Whether it goes on with what earlier attempts left, whose seconds then count.
    """
    path = run.stages / f"{name}.json"
    attempts = _Attempts(run, name, continued=continued)
    facts: dict[str, Any] = {}
    with PeakMemory(attempts.record) as memory:
        try:
            yield facts
        finally:
            attempts.record(memory.peak_mb)
    if attempts.is_recorded:
        write_json(path, {"schema": 1, "stage": name, **facts, **attempts.facts()})


class _Attempts:
    """Seconds, CPU seconds and peak memory of each attempt at a stage, kept in the run's folder."""

    def __init__(self, run: RunDir, name: str, *, continued: bool) -> None:
        self.is_recorded = int(os.environ.get("RANK", "0")) == 0
        self._path = run.stages / "attempts" / f"{name}.json"
        self._earlier = _earlier(self._path, run.stages / f"{name}.json") if continued else []
        self._started, self._cpu_before = time.monotonic(), _cpu_seconds()
        self._own: dict[str, float] = {}
        self.record(0.0)

    def record(self, peak_mb: float) -> None:
        """Write down how long this attempt has lasted and what memory it took at most, in MiB."""
        self._own = {
            "seconds": time.monotonic() - self._started,
            "cpu_seconds": _cpu_seconds() - self._cpu_before,
            "peak_memory_mb": peak_mb,
        }
        if self.is_recorded:
            # A full disk is an error of the stage itself, which has more to write.
            with contextlib.suppress(OSError, VasariError):
                write_json(self._path, {"schema": 1, "attempts": [*self._earlier, self._own]})

    def facts(self) -> dict[str, Any]:
        """Return seconds and peak memory over all attempts, and how many there were before.

        CPU seconds are None if an attempt of an older version did not count them.
        """
        attempts: Sequence[dict[str, float]] = [*self._earlier, self._own]
        return {
            "seconds": sum(attempt["seconds"] for attempt in attempts),
            "cpu_seconds": sum(attempt["cpu_seconds"] for attempt in attempts)
            if all("cpu_seconds" in attempt for attempt in attempts)
            else None,
            "peak_memory_mb": max(attempt["peak_memory_mb"] for attempt in attempts),
            "resumed": len(self._earlier),
        }


def _earlier(path: Path, stage: Path) -> list[dict[str, float]]:
    """The attempts on record; of a run without such a record, what its finished stage took."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return [_attempt(found) for found in read_json(path)["attempts"]]
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return [_attempt(read_json(stage))]
    return []


def _attempt(found: dict[str, Any]) -> dict[str, float]:
    kept = ("seconds", "peak_memory_mb", *(["cpu_seconds"] if found.get("cpu_seconds") else []))
    return {key: float(found[key]) for key in kept}


def _cpu_seconds() -> float:
    """CPU time of this process and of its children that have ended, in user and in system mode."""
    return sum(os.times()[:4])


class PeakMemory:
    """Context manager that measures the peak memory of this process and its children, in MiB.

    It is sampled twice a second; pages that processes share count for each.
    """

    def __init__(self, record: Callable[[float], None] | None = None) -> None:
        """Make one that calls `record` with the peak every few seconds."""
        self.peak_mb = 0.0
        self._record = record
        self._process = psutil.Process()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        recorded = time.monotonic()
        while True:
            self.peak_mb = max(self.peak_mb, self._resident() / 2**20)
            if self._record is not None and time.monotonic() - recorded >= _RECORD_EVERY:
                self._record(self.peak_mb)
                recorded = time.monotonic()
            if self._stop.wait(0.5):
                return

    def _resident(self) -> int:
        total = 0
        for process in [self._process, *self._process.children(recursive=True)]:
            try:
                total += process.memory_info().rss
            except psutil.Error:  # a child that ended just now
                continue
        return total

"""Symbolic equality by Math-Verify, in a worker process that is killed when it takes too long."""

from __future__ import annotations

import atexit
import importlib.util
import json
import math
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Literal

from vasari.verify.limits import SYMBOLIC_SECONDS, SYMBOLIC_WALL_SECONDS, WORKER_START_SECONDS

SymbolicResult = Literal["equal", "different", "limit", "reference", "crashed", "starved", "missing"]
"""What came of a comparison: "reference" when that cannot be read, "limit" when the answer cost too much, "starved" when the
machine was too busy to give the worker its processor time."""


_CLOCK_SIGNAL = getattr(signal, "SIGPROF", 0)
"""What ends a worker whose clock ran out inside C code."""


class SymbolicWorker:
    """One worker process, started on first use, restarted after it was killed or died; may be used from any thread."""

    def __init__(self, *, timeout_seconds: float = SYMBOLIC_WALL_SECONDS) -> None:
        self._timeout_seconds = timeout_seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._owner = 0
        self.num_started = 0
        """Processes started so far; one, unless some were killed."""

    def compare(self, response: str, reference: str) -> SymbolicResult:
        """Whether two normalised LaTeX expressions are equal; "missing" when Math-Verify is not installed."""
        if not is_installed():
            return "missing"
        with self._lock:
            if not self._started():
                return "crashed"
            try:
                return self._ask(response, reference)
            except (OSError, ValueError):
                self._kill()
                return "crashed"

    def close(self) -> None:
        """Kill the worker; the next comparison starts another."""
        with self._lock:
            self._kill()

    def _ask(self, response: str, reference: str) -> SymbolicResult:
        process = self._process
        if process is None or process.stdin is None:
            return "crashed"
        used_before = _processor_seconds(process.pid)
        process.stdin.write(json.dumps({"response": response, "reference": reference}) + "\n")
        process.stdin.flush()
        deadline = time.monotonic() + self._timeout_seconds
        reference_read = False
        while True:
            message = self._receive(deadline)
            if message is None:
                timed_out = process.poll() is None
                used = _processor_seconds(process.pid) - used_before
                self._kill()
                if timed_out and used < 0.5 * min(SYMBOLIC_SECONDS, self._timeout_seconds):
                    return "starved"
                if not timed_out and process.returncode != -_CLOCK_SIGNAL:
                    return "crashed"
                return "limit" if reference_read else "reference"
            if "limit" in message:
                return "limit" if reference_read else "reference"
            if message["stage"] == "verdict":
                return "equal" if message["equal"] else "different"
            if not message["ok"]:
                return "reference"
            reference_read = True

    def _started(self) -> bool:
        if self._process is not None and self._owner == os.getpid() and self._process.poll() is None:
            return True
        self._kill()
        self._owner = os.getpid()
        self._lines = queue.Queue()
        # One thread each, so that the address space limit is not spent on idle thread stacks. What this process can import
        # the worker can, and nothing from the working directory (-P).
        path = os.pathsep.join(entry for entry in sys.path if entry)
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": path}
        self.num_started += 1
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "vasari.verify.symbolic_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            env=environment,
        )
        threading.Thread(target=_forward_lines, args=(self._process, self._lines), daemon=True).start()
        if self._receive(time.monotonic() + WORKER_START_SECONDS) is None:
            self._kill()
            return False
        return True

    def _receive(self, deadline: float) -> dict[str, Any] | None:
        """The next message, or None when the time is up or the worker died."""
        try:
            line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            return None
        if line is None:
            if self._process is not None:
                self._process.wait()
            return None
        message: dict[str, Any] = json.loads(line)
        return message

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():  # After a fork the worker belongs to the parent.
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    continue


def _processor_seconds(pid: int) -> float:
    """Seconds of processor time that a process has used; infinite where the system does not tell, or the process is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return math.inf


def is_installed() -> bool:
    """Whether Math-Verify can be imported."""
    return importlib.util.find_spec("math_verify") is not None


def shared_worker() -> SymbolicWorker:
    """The worker of this process."""
    return _SHARED


def _forward_lines(process: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    if process.stdout is not None:
        try:
            for line in process.stdout:
                lines.put(line)
        except ValueError:  # Closed by the killer while we read.
            pass
    lines.put(None)


_SHARED = SymbolicWorker()
atexit.register(_SHARED.close)

"""Math-Verify on whole responses, in a process that is killed when it takes too long."""

from __future__ import annotations

import atexit
import importlib.util
import json
import math
import os
import queue
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import Literal

import psutil

from vasari.errors import MissingExtraError

READ_SECONDS = 10.0
"""Seconds for one response; Math-Verify's own limit is 5 seconds for each of its steps."""

START_SECONDS = 60.0
"""Seconds for the process to load its libraries."""

_PATIENCE = 12
"""A process that got no CPU time on a busy machine is given so many times its seconds: a verdict must not hang on the load."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What Math-Verify says of a response."""

    state: Literal["equal", "different", "nothing", "limit", "crashed"]
    """"nothing": it reads no answer in the response; "limit": it takes too much time or memory."""
    found: str | None = None
    """The answer that it reads, as sympy prints it."""


class MathVerifyReader:
    """One process, started on first use, restarted after it was killed or died; may be used from any thread."""

    def __init__(self, *, timeout_seconds: float = READ_SECONDS) -> None:
        self._timeout_seconds = timeout_seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._owner = 0

    def read(self, response: str, answer: str) -> Reading:
        """Whether the answer that Math-Verify reads in a response equals what it reads in the reference.

        Raises:
            MissingExtraError: Math-Verify is not installed.
        """
        if importlib.util.find_spec("math_verify") is None:
            raise MissingExtraError("this protocol needs Math-Verify: pip install 'vasari[evaluate]'")
        with self._lock:
            if not self._started():
                return Reading("crashed")
            try:
                return self._ask(response, answer)
            except (OSError, ValueError):
                self._kill()
                return Reading("crashed")

    def close(self) -> None:
        """Kill the process; the next reading starts another."""
        with self._lock:
            self._kill()

    def _ask(self, response: str, answer: str) -> Reading:
        process = self._process
        if process is None or process.stdin is None:
            return Reading("crashed")
        process.stdin.write(json.dumps({"response": response, "answer": answer}) + "\n")
        process.stdin.flush()
        line = self._receive(self._timeout_seconds)
        if line is None:
            timed_out = process.poll() is None
            self._kill()
            return Reading("limit" if timed_out else "crashed")
        message = json.loads(line)
        if "limit" in message:
            return Reading("limit")
        if message["found"] is None:
            return Reading("nothing")
        return Reading("equal" if message["equal"] else "different", message["found"])

    def _started(self) -> bool:
        if self._process is not None and self._owner == os.getpid() and self._process.poll() is None:
            return True
        self._kill()
        self._owner = os.getpid()
        self._lines = queue.Queue()
        # What this process can import the other can, and nothing from the working directory (-P).
        path = os.pathsep.join(entry for entry in sys.path if entry)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "vasari.evaluate.protocols.math_verify_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": path},
        )
        threading.Thread(target=_forward_lines, args=(self._process, self._lines), daemon=True).start()
        if self._receive(START_SECONDS) is None:
            self._kill()
            return False
        return True

    def _receive(self, seconds: float) -> str | None:
        """The next line, or None when the time is up or the process died."""
        before = self._cpu_seconds()
        for _ in range(_PATIENCE):
            try:
                line = self._lines.get(timeout=seconds)
            except queue.Empty:
                if self._cpu_seconds() - before > seconds / 2:
                    return None
                continue
            if line is None and self._process is not None:
                self._process.wait()
            return line
        return None

    def _cpu_seconds(self) -> float:
        """What the process has used so far; infinite where that cannot be told."""
        if self._process is None:
            return math.inf
        try:
            used = psutil.Process(self._process.pid).cpu_times()
        except psutil.Error:
            return math.inf
        return float(used.user + used.system)

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():  # After a fork the process belongs to the parent.
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    continue


def shared_reader() -> MathVerifyReader:
    """The reader of this process."""
    return _SHARED


def _forward_lines(process: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
    if process.stdout is not None:
        try:
            for line in process.stdout:
                lines.put(line)
        except ValueError:  # Closed by the killer while we read.
            pass
    lines.put(None)


_SHARED = MathVerifyReader()
atexit.register(_SHARED.close)

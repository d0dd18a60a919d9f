"""Symbolic equality by Math-Verify, in a worker process that is killed when it takes too long."""

from __future__ import annotations

import atexit
import importlib.util
import signal
import threading
import time
from typing import Literal

from vasari.verify.limits import SYMBOLIC_SECONDS, SYMBOLIC_WALL_SECONDS
from vasari.verify.line_process import LineProcess

SymbolicResult = Literal[
    "equal", "different", "limit", "reference", "crashed", "starved", "missing"
]
"""Result of a comparison: "reference" when that cannot be read, "limit" when the answer took too
much time or memory, "starved" when a busy machine gave the worker no processor time."""


_CLOCK_SIGNAL = getattr(signal, "SIGPROF", 0)
"""Signal that ends a worker whose processor time ran out inside C code."""


class SymbolicWorker:
    """A worker process, started on first use and again after it ended; safe from any thread."""

    def __init__(self, *, timeout_seconds: float = SYMBOLIC_WALL_SECONDS) -> None:
        self._timeout_seconds = timeout_seconds
        self._lock = threading.Lock()
        self._process = LineProcess("vasari.verify.symbolic_worker")

    @property
    def num_started(self) -> int:
        """Processes started so far; one, unless some were killed."""
        return self._process.num_started

    def compare(self, response: str, reference: str) -> SymbolicResult:
        """Whether two normalised LaTeX expressions are equal; "missing" without Math-Verify."""
        if not is_installed():
            return "missing"
        with self._lock:
            if not self._process.start():
                return "crashed"
            try:
                return self._ask(response, reference)
            except (OSError, ValueError):
                self._process.kill()
                return "crashed"

    def close(self) -> None:
        """Kill the worker; the next comparison starts another."""
        with self._lock:
            self._process.kill()

    def _ask(self, response: str, reference: str) -> SymbolicResult:
        used_before = self._process.processor_seconds()
        self._process.send({"response": response, "reference": reference})
        deadline = time.monotonic() + self._timeout_seconds
        reference_read = False
        while True:
            message = self._process.receive(deadline - time.monotonic())
            if message is None:
                return self._without_message(used_before, reference_read=reference_read)
            if "limit" in message:
                return "limit" if reference_read else "reference"
            if message["stage"] == "verdict":
                return "equal" if message["equal"] else "different"
            if not message["ok"]:
                return "reference"
            reference_read = True

    def _without_message(self, used_before: float, *, reference_read: bool) -> SymbolicResult:
        """The result when no message came."""
        status = self._process.exit_status()
        used = self._process.processor_seconds() - used_before
        self._process.kill()
        if status is None and used < 0.5 * min(SYMBOLIC_SECONDS, self._timeout_seconds):
            return "starved"
        if status is not None and status != -_CLOCK_SIGNAL:
            return "crashed"
        return "limit" if reference_read else "reference"


def is_installed() -> bool:
    """Whether Math-Verify can be imported."""
    return importlib.util.find_spec("math_verify") is not None


def shared_worker() -> SymbolicWorker:
    """The worker of this process."""
    return _SHARED


_SHARED = SymbolicWorker()
atexit.register(_SHARED.close)

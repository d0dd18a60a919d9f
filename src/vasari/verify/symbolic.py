"""Symbolic equality by Math-Verify, in a worker process that is killed when it is too slow."""

from __future__ import annotations

import atexit
import importlib.util
import signal
import time
from typing import Literal

from vasari.verify.limits import SYMBOLIC_SECONDS, SYMBOLIC_WALL_SECONDS
from vasari.verify.line_process import LineProcess

SymbolicResult = Literal[
    "equal", "different", "limit", "reference", "crashed", "starved", "missing"
]
"""Result of a comparison: "reference" when the reference cannot be read, "limit" when the answer
took too much time or memory, "starved" when a busy machine gave the worker no processor time."""


_CLOCK_SIGNAL = getattr(signal, "SIGPROF", 0)
"""Signal that ends a worker whose processor time ran out inside C code."""


class SymbolicWorker(LineProcess):
    """Worker process that compares LaTeX expressions with Math-Verify."""

    def __init__(self, *, timeout_seconds: float = SYMBOLIC_WALL_SECONDS) -> None:
        super().__init__("vasari.verify.symbolic_worker")
        self._timeout_seconds = timeout_seconds

    def compare(self, response: str, reference: str) -> SymbolicResult:
        """Return whether two LaTeX expressions are "equal" or "different", or why that failed."""
        if not is_installed():
            return "missing"
        return self.exchange(lambda: self._ask(response, reference)) or "crashed"

    def _ask(self, response: str, reference: str) -> SymbolicResult:
        used_before = self.processor_seconds()
        self.send({"response": response, "reference": reference})
        deadline = time.monotonic() + self._timeout_seconds
        reference_read = False
        while True:
            message = self.receive(deadline - time.monotonic())
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
        status = self.exit_status()
        used = self.processor_seconds() - used_before
        self.kill()
        if status is None and used < 0.5 * min(SYMBOLIC_SECONDS, self._timeout_seconds):
            return "starved"
        if status is not None and status != -_CLOCK_SIGNAL:
            return "crashed"
        return "limit" if reference_read else "reference"


def is_installed() -> bool:
    """Whether the package Math-Verify is installed and can be imported."""
    return importlib.util.find_spec("math_verify") is not None


def shared_worker() -> SymbolicWorker:
    """Return the one `SymbolicWorker` that all callers in this process share."""
    return _SHARED


_SHARED = SymbolicWorker()
atexit.register(_SHARED.close)

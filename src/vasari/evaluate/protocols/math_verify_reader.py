"""Math-Verify on whole responses, in a process that is killed when it takes too long."""

from __future__ import annotations

import atexit
import importlib.util
import threading
from dataclasses import dataclass
from typing import Any, Literal

from vasari.core.errors import MissingExtraError
from vasari.verify.line_process import LineProcess

READ_SECONDS = 10.0
"""Seconds for one response; Math-Verify's own limit is 5 seconds for each of its steps."""

_PATIENCE = 12
"""A process that got no CPU time on a busy machine is given so many times its seconds: a verdict
must not hang on the load."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What Math-Verify says of a response."""

    state: Literal["equal", "different", "nothing", "limit", "crashed"]
    """"nothing": it reads no answer in the response; "limit": it takes too much time or memory."""
    found: str | None = None
    """The answer that it reads, as sympy prints it."""


class MathVerifyReader:
    """One process, started on first use, restarted after it was killed or died; may be used from
    any thread.
    """

    def __init__(self, *, timeout_seconds: float = READ_SECONDS) -> None:
        self._timeout_seconds = timeout_seconds
        self._lock = threading.Lock()
        self._process = LineProcess("vasari.evaluate.protocols.math_verify_process")

    def read(self, response: str, answer: str) -> Reading:
        """Whether the answer that Math-Verify reads in a response equals what it reads in the
        reference.

        Raises:
            MissingExtraError: Math-Verify is not installed.
        """
        if importlib.util.find_spec("math_verify") is None:
            raise MissingExtraError(
                "this protocol needs Math-Verify: pip install 'vasari[evaluate]'"
            )
        with self._lock:
            if not self._process.start():
                return Reading("crashed")
            try:
                return self._ask(response, answer)
            except (OSError, ValueError):
                self._process.kill()
                return Reading("crashed")

    def close(self) -> None:
        """Kill the process; the next reading starts another."""
        with self._lock:
            self._process.kill()

    def _ask(self, response: str, answer: str) -> Reading:
        self._process.send({"response": response, "answer": answer})
        message = self._patiently()
        if message is None:
            timed_out = self._process.exit_status() is None
            self._process.kill()
            return Reading("limit" if timed_out else "crashed")
        if "limit" in message:
            return Reading("limit")
        if message["found"] is None:
            return Reading("nothing")
        return Reading("equal" if message["equal"] else "different", message["found"])

    def _patiently(self) -> dict[str, Any] | None:
        """The next message, or None when the process used up its time or died."""
        before = self._process.processor_seconds()
        for _ in range(_PATIENCE):
            message = self._process.receive(self._timeout_seconds)
            spent = self._process.processor_seconds() - before > self._timeout_seconds / 2
            if message is not None or spent or self._process.exit_status() is not None:
                return message
        return None


def shared_reader() -> MathVerifyReader:
    """The reader of this process."""
    return _SHARED


_SHARED = MathVerifyReader()
atexit.register(_SHARED.close)

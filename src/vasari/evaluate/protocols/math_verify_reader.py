"""Run Math-Verify on whole responses, in a process that is killed when it takes too long."""

from __future__ import annotations

import atexit
import importlib.util
from dataclasses import dataclass
from typing import Any, Literal

from vasari.core.errors import MissingExtraError
from vasari.verify.line_process import LineProcess

READ_SECONDS = 10.0
"""Seconds for one response; Math-Verify's own limit is 5 seconds for each of its steps."""

_PATIENCE = 12
"""How many times a process that gets no CPU time on a busy machine is given its seconds: a verdict
must not depend on the load."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Result of Math-Verify on a response: the answer found, and if it equals the reference."""

    state: Literal["equal", "different", "nothing", "limit", "crashed"]
    """"nothing": it reads no answer in the response; "limit": it takes too much time or memory."""
    found: str | None = None
    """The answer that it reads, as sympy prints it."""


class MathVerifyReader(LineProcess):
    """A helper process that runs Math-Verify to read the answer in a whole response."""

    def __init__(self, *, timeout_seconds: float = READ_SECONDS) -> None:
        super().__init__("vasari.evaluate.protocols.math_verify_process")
        self._timeout_seconds = timeout_seconds

    def read(self, response: str, answer: str) -> Reading:
        """Return the answer that Math-Verify reads in a response, and if it equals `answer`.

        Raises:
            MissingExtraError: Math-Verify is not installed.
        """
        if importlib.util.find_spec("math_verify") is None:
            raise MissingExtraError(
                "this protocol needs Math-Verify: pip install 'vasari[evaluate]'"
            )
        return self.exchange(lambda: self._ask(response, answer)) or Reading("crashed")

    def _ask(self, response: str, answer: str) -> Reading:
        self.send({"response": response, "answer": answer})
        message = self._patiently()
        if message is None:
            timed_out = self.exit_status() is None
            self.kill()
            return Reading("limit" if timed_out else "crashed")
        if "limit" in message:
            return Reading("limit")
        if message["found"] is None:
            return Reading("nothing")
        return Reading("equal" if message["equal"] else "different", message["found"])

    def _patiently(self) -> dict[str, Any] | None:
        """Return the next message; None when the process used up its time or died."""
        before = self.processor_seconds()
        for _ in range(_PATIENCE):
            message = self.receive(self._timeout_seconds)
            spent = self.processor_seconds() - before > self._timeout_seconds / 2
            if message is not None or spent or self.exit_status() is not None:
                return message
        return None


def shared_reader() -> MathVerifyReader:
    """Return the one `MathVerifyReader` shared by all callers in this process."""
    return _SHARED


_SHARED = MathVerifyReader()
atexit.register(_SHARED.close)
